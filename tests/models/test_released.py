"""Released weights reproduce the recorded outputs of the published code."""

import pytest
import torch
from model_goldens import ModelGolden, released_state
from torch.nn import functional as F

from faceptor.errors import ConfigError, WeightsError
from faceptor.models.encoder import Encoder
from faceptor.models.folder import load_strictly
from faceptor.models.released import TASK_NAMES, encoder_state, faceptor_from, load_farl, read_checkpoint, resize_table

VALUES = ("age_morph2", "biattr_celeba", "affect_affectnet", "affect_rafdb")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def ready(model):
    """The recorded inputs are normalised already; and remember what the decoder gave for each task."""
    for group in model.inputs.values():
        group.statistics = ((0.0,) * 3, (1.0,) * 3)
        group.mean.zero_()
        group.std.fill_(1.0)
    model.decoder.register_forward_hook(lambda module, inputs, result: setattr(module, "last", result[0]))
    return model


@pytest.fixture(scope="module")
def base():
    return ready(faceptor_from(released_state("faceptor_base")))


def check_values(model, golden):
    names = {TASK_NAMES[official]: official for official in VALUES}
    raw = model(golden.images(112), tasks=[*names, "recognition_ms1mv3"])
    for (task, official), tokens in zip(names.items(), model.decoder.last, strict=True):
        golden.check(f"{official}.head_output", raw[task])
        golden.check(f"{official}.decoder_output", tokens.transpose(0, 1))
    return raw


def check_maps(model, golden):
    raw = model(golden.images(512), tasks=["parsing_celebamaskhq", "landmarks_300w"])
    logits, heatmaps = raw.values()
    golden.check("parsing_celebam.logits_lowres", logits)
    full = F.interpolate(logits, size=(512, 512), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    golden.check("parsing_celebam.head_output", full)
    golden.check("parsing_celebam.argmax", full.argmax(-1).to(torch.uint8))
    golden.check("align_300w.heatmap", heatmaps)
    for official, tokens in zip(("parsing_celebam", "align_300w"), model.decoder.last, strict=True):
        golden.check(f"{official}.decoder_output", tokens.transpose(0, 1))

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
    model = ready(faceptor_from(released_state("faceptor_layer_attention"), layer_attention=["age_morph2"]))
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


# --- files and what can be wrong with them ---------------------------------------------------------------------------


def toy_farl(width=16, depth=2, side=3):
    """A FaRL-like checkpoint of a toy size, as a trainer would wrap it."""
    shapes = {"class_embedding": (width,), "positional_embedding": (side * side + 1, width), "proj": (width, 512)}
    shapes |= {"conv1.weight": (width, 3, 8, 8)}
    shapes |= {f"{norm}.{part}": (width,) for norm in ("ln_pre", "ln_post") for part in ("weight", "bias")}
    for block in range(depth):
        shapes |= {
            f"transformer.resblocks.{block}.{name}": shape
            for name, shape in {
                "attn.in_proj_weight": (3 * width, width),
                "attn.in_proj_bias": (3 * width,),
                "attn.out_proj.weight": (width, width),
                "attn.out_proj.bias": (width,),
                "ln_1.weight": (width,),
                "ln_1.bias": (width,),
                "ln_2.weight": (width,),
                "ln_2.bias": (width,),
                "mlp.c_fc.weight": (4 * width, width),
                "mlp.c_fc.bias": (4 * width,),
                "mlp.c_proj.weight": (width, 4 * width),
                "mlp.c_proj.bias": (width,),
            }.items()
        }
    state = {f"module.visual.{name}": torch.randn(shape) for name, shape in shapes.items()}
    return {"state_dict": state | {"module.token_embedding.weight": torch.randn(3, 3)}, "step": 7}


def toy_encoder(**changes):
    numbers = {"width": 16, "depth": 2, "heads": 2, "mlp_ratio": 4.0, "patch": 8, "grid": 4, "extras": True}
    return Encoder(**numbers | changes)


@pytest.mark.parametrize("extras", [True, False])
def test_farl_file_starts_an_encoder(tmp_path, extras):
    checkpoint = toy_farl()
    torch.save(checkpoint, tmp_path / "farl.pth")
    encoder = toy_encoder(extras=extras)
    load_farl(encoder, tmp_path / "farl.pth")
    table = checkpoint["state_dict"]["module.visual.positional_embedding"]
    torch.testing.assert_close(encoder.pos_embed, resize_table(table, grid=4))
    torch.testing.assert_close(encoder.pos_embed[0, 0], table[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual.ln_pre.weight": None}, "1 missing: norm_pre.weight"),
        ({"visual.ln_pre.weight": torch.zeros(3)}, "1 misshapen: norm_pre.weight expected"),
        ({"visual.something": torch.zeros(3)}, "tensor something has no counterpart"),
        ({"visual.ln_pre.weight": "text"}, "expected named tensors"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, change, message):
    state = {name.removeprefix("module."): value for name, value in toy_farl()["state_dict"].items()} | change
    torch.save({name: value for name, value in state.items() if value is not None}, tmp_path / "farl.pth")
    with pytest.raises(WeightsError, match=message):
        load_farl(toy_encoder(), tmp_path / "farl.pth")


def test_unreadable_files(tmp_path):
    with pytest.raises(WeightsError, match="not found"):
        read_checkpoint(tmp_path / "absent.pth")
    (tmp_path / "page.pth").write_text("<html>sign in</html>")
    with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
        read_checkpoint(tmp_path / "page.pth")


def test_stage_2_must_say_for_which_task():
    state = {
        "backbone_module.visual.proj": torch.zeros(1),
        "heads_module.decoder.new_level_embed.weight": torch.zeros(1),
    }
    with pytest.raises(ConfigError, match="layer_attention="):
        faceptor_from(state)
    with pytest.raises(WeightsError, match="expected Faceptor's tensors"):
        faceptor_from({"visual.proj": torch.zeros(1)})
