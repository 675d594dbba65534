"""Released weights reproduce the recorded outputs of the published code."""

import pytest
import torch
from torch.nn import functional as F

from faceptor.models.encoder import Encoder
from faceptor.weights.loading import load_strictly
from faceptor.weights.released import faceptor, naive
from faceptor.weights.released.farl import encoder_state
from faceptor.weights.released.published import TASK_NAMES
from tests.models.model_goldens import ModelGolden, released_state
from tests.models.toy_models import normalised

NAIVE_TOTAL = 178_911_058
NAIVE_HEADS = {
    "age": 4_150_405,
    "attributes": 4_119_112,
    "expression": 4_105_774,
    "landmarks": 39_372_612,
    "parsing": 39_347_475,
    "recognition": 987_136,
}
VALUES = ("age_morph2", "biattr_celeba", "affect_affectnet", "affect_rafdb")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def ready(model):
    """And remember what the decoder gave for each task."""
    normalised(model).decoder.register_forward_hook(lambda module, inputs, result: setattr(module, "last", result[0]))
    return model


@pytest.fixture(scope="module")
def base():
    return ready(faceptor.from_states([released_state("faceptor_base")], origins=["base"]))


def check_values(model, golden):
    names = {TASK_NAMES[official]: official for official in VALUES}
    raw = model(golden.images(112), tasks=[*names, "recognition_ms1mv3"])
    for (task, official), tokens in zip(names.items(), model.decoder.last, strict=True):
        golden.check(f"{official}.head_output", raw[task])
        golden.check(f"{official}.decoder_output", tokens.transpose(0, 1))
    return raw


def check_maps(model, golden):
    raw = model(golden.images(512), tasks=["parsing_celebamaskhq", "landmarks_300w"])
    check_map_outputs(golden, *raw.values())
    for official, tokens in zip(("parsing_celebam", "align_300w"), model.decoder.last, strict=True):
        golden.check(f"{official}.decoder_output", tokens.transpose(0, 1))


def check_map_outputs(golden, logits, heatmaps):
    golden.check("parsing_celebam.logits_lowres", logits)
    full = F.interpolate(logits, size=(512, 512), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    golden.check("parsing_celebam.head_output", full)
    golden.check("parsing_celebam.argmax", full.argmax(-1).to(torch.uint8), differing=0.002)  # near ties may flip
    golden.check("align_300w.heatmap", heatmaps)

    mass = heatmaps.sigmoid()  # the centroid of the whole map, in cells, then normalised
    cells = torch.arange(128.0)
    total = mass.sum((2, 3)).clamp(min=1e-6)
    centroid = torch.stack([(mass.sum(2) @ cells) / total, (mass.sum(3) @ cells) / total], dim=-1)
    golden.check("align_300w.landmark", (centroid + 0.5) / 128)


def test_base_values_and_identity(base):
    golden = ModelGolden("faceptor_base")
    raw = check_values(base, golden)
    golden.check("recog_ms1mv3.head_output", raw["recognition_ms1mv3"])


def test_base_maps(base):
    check_maps(base, ModelGolden("faceptor_base"))


def test_sharp_queries(base):
    """Queries 16 times as large: a mix-up between queries is far outside the tolerance."""
    golden = ModelGolden("extra_faceptor_base_sharp")
    for parameter in base.queries.parameters():
        parameter.mul_(16)
    try:
        check_values(base, golden)
        check_maps(base, golden)
    finally:
        for parameter in base.queries.parameters():
            parameter.div_(16)


def test_layer_attention_of_stage_2():
    golden = ModelGolden("faceptor_la_age")
    state = released_state("faceptor_layer_attention")
    model = ready(faceptor.from_states([state], tasks=["age_morph2"], origins=["stage 2"]))
    images = golden.images(112)
    golden.check("age_morph2.head_output", model(images, tasks=["age_morph2"])["age_morph2"])
    golden.check("age_morph2.decoder_output", model.decoder.last[0].transpose(0, 1))
    # Recorded columns: encoder layers 12, 2, 4, 6, 8, 10; ours are ascending.
    report = model.attention(images[:1], "age_morph2")
    per_layer = report.per_layer()[:, 0].mean(dim=1).roll(1, dims=-1)
    assert report.layers == (2, 4, 6, 8, 10, 12)
    golden.check("age_morph2.cross_attention_first_per_level", per_layer[0])
    golden.check("age_morph2.cross_attention_last_per_level", per_layer[-1])


def test_farl_encoder():
    golden = ModelGolden("farl_vit")
    state = {name.removeprefix("visual."): value for name, value in released_state("farl_checkpoint").items()}
    encoder = Encoder(width=768, depth=12, heads=12, mlp_ratio=4.0, patch=16, grid=32, extras=True).eval()
    load_strictly(encoder, encoder_state(state, like=encoder, origin="farl"), origin="farl")
    golden.check("positional_embedding_after_load", encoder.pos_embed[0])
    golden.check("positional_embedding_at_112", encoder.position_table(7, 7)[0])
    for size in (112, 512):
        features = encoder(golden.images(size))
        for block in (1, 3, 5, 7, 9, 11):
            golden.check(f"feat{size}.{block}", features[block])


# --- Naive Faceptor --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def naive_model():
    model = naive.from_state(released_state("naive_faceptor"), origin="naive")
    return normalised(model)


def test_naive_values_and_identity(naive_model):
    golden = ModelGolden("naive_faceptor")
    names = {TASK_NAMES[official]: official for official in VALUES} | {"recognition_ms1mv3": "recog_ms1mv3"}
    raw = naive_model(golden.images(112), tasks=list(names))
    for task, official in names.items():
        golden.check(f"{official}.head_output", raw[task])


def test_naive_maps(naive_model):
    golden = ModelGolden("naive_faceptor")
    raw = naive_model(golden.images(512), tasks=["parsing_celebamaskhq", "landmarks_300w"])
    check_map_outputs(golden, *raw.values())


def test_naive_counts(naive_model):
    sizes = {kind: sum(p.numel() for p in head.parameters()) for kind, head in naive_model.heads.items()}
    assert sizes == NAIVE_HEADS
    assert sum(p.numel() for p in naive_model.encoder.parameters()) == 86_828_544
    assert sum(p.numel() for p in naive_model.parameters()) == NAIVE_TOTAL
