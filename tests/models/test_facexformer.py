"""FaceXFormer: every kind at toy size, what tasks share, folders, published counts, and the recorded outputs."""

import os
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from faceptor.config import FaceXFormerConfig
from faceptor.errors import ConfigError, WeightsError
from faceptor.models import backbone as backbones
from faceptor.models.build import build_model
from faceptor.pipeline.experiment import preset
from faceptor.tasks import kind_of, task
from faceptor.weights.folder import load_model, save_model
from faceptor.weights.released import facexformer as released
from faceptor.weights.released import import_weights
from faceptor.weights.released.imagenet import load_backbone
from faceptor.weights.released.release import _family
from tests.models.model_goldens import ModelGolden, released_state
from tests.models.parameter_table import parameter_table
from tests.models.toy_models import normalised

HALF = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
OTHER = {"size": 32, "mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28)}
SWIN = ("swin_tiny_patch4_window7_224", {"embed_dim": 8, "depths": (1, 2, 1, 1), "num_heads": (1, 1, 2, 2)})
CONVNEXT = ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)})
MOBILENET = ("mobilenetv3_small_050", {})
VIT = ("vit_tiny_patch16_224", {"embed_dim": 8, "depth": 4, "num_heads": 2})
SHAPES = {  # of one answer at 32 x 32: paper, released
    "parsing_celebamaskhq": ((19, 32, 32), (19, 32, 32)),
    "landmarks_300w": ((68, 8, 8), (68, 2)),
    "pose_300wlp": ((3, 3), (3,)),
    "attributes_celeba": ((40,), (40,)),
    "age_morph2": ((101,), (101,)),
    "agegroup_utkface": ((8,), (8,)),
    "gender_utkface": ((2,), (2,)),
    "race_utkface": ((5,), (5,)),
    "expression_affectnet": ((7,), (7,)),
    "recognition_ms1mv3": ((12,), (12,)),
    "visibility_cofw": ((29,), (29,)),
}


def toy_config(*, backbone=CONVNEXT, variant="paper", dense=HALF, face=HALF, fusion="all", cross_attention="two_way"):
    return FaceXFormerConfig(
        variant=variant,
        backbone={"name": backbone[0], "options": backbone[1]},
        fusion=fusion,
        decoder={"width": 16, "depth": 2, "heads": 2, "hidden": 32, "cross_attention": cross_attention},
        embedding=12,
        inputs={"dense": dense, "face": face},
    )


def toy_model(*tasks, **config):
    torch.manual_seed(0)
    return build_model(toy_config(**config), [task(name) for name in tasks or SHAPES]).eval()


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "column"), [("paper", 0), ("released", 1)])
def test_every_kind_answers_in_its_shape(variant, column):
    raw = toy_model(variant=variant)(torch.rand(2, 3, 32, 32))
    assert {name: tuple(values.shape[1:]) for name, values in raw.items()} == {n: s[column] for n, s in SHAPES.items()}
    assert all(values.isfinite().all() for values in raw.values())


@pytest.mark.parametrize("backbone", [SWIN, CONVNEXT, MOBILENET])
@pytest.mark.parametrize("size", [(32, 64), (36, 44)])
def test_backbones_take_other_image_sizes(backbone, size):
    model = toy_model("parsing_lapa", "landmarks_aflw19", "age_morph2", backbone=backbone)
    raw = model(torch.rand(1, 3, *size))
    assert raw["parsing_lapa"].shape == (1, 11, *size)
    assert raw["landmarks_aflw19"].shape == (1, 19, size[0] // 4, size[1] // 4)


# --- the ablations of Table 7 ----------------------------------------------------------------------------------------


def test_without_fusion_the_last_level_alone_is_seen():
    model, images = toy_model(fusion="last"), torch.rand(2, 3, 64, 64)
    assert {name: raw.shape for name, raw in model(images).items()} == {
        name: raw.shape for name, raw in toy_model()(images).items()
    }
    levels = model.backbone(images)
    other = [torch.rand_like(level) for level in levels[:-1]] + [levels[-1]]
    assert torch.equal(model.fusion(levels), model.fusion(other))
    assert not torch.equal(toy_model().fusion(levels), toy_model().fusion(other))


@pytest.mark.parametrize("cross_attention", ["two_way", "token_to_image", "none"])
def test_what_of_the_cross_attention_is_left_out(cross_attention):
    """What an image changes: the tokens unless there is none; and what tokens change of the image's own map."""
    model, images = toy_model(cross_attention=cross_attention), torch.rand(2, 3, 32, 32)
    tokens, face = model.decode(images)
    assert torch.equal(tokens[0], tokens[1]) == (cross_attention == "none")
    assert torch.equal(face, model.fusion(model.backbone(images))) == (cross_attention != "two_way")
    names = " ".join(name for name, _ in model.decoder.named_parameters())
    assert ("image_to_token" in names) == (cross_attention == "two_way")
    assert ("token_to_image" in names) == ("final_attention" in names) == (cross_attention != "none")
    model.initialise(self_attention_gain=2.0, token_to_image_gain=2.0, mask_mlp_gain=2.0, mask_upsample_gain=2.0)
    raw = model.train().forward_tasks({name: torch.rand(2, 3, 64, 64) for name in SHAPES})
    sum((values * torch.randn_like(values)).sum() for values in raw.values()).backward()
    dead = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert [name for name in dead if not name.endswith(".key.bias")] == []


def test_rotations_are_rotations():
    model = toy_model("pose_300wlp")
    with torch.no_grad():
        model.heads["pose_300wlp"].mlp[-1].weight.mul_(100)  # far from the identity, reflections among them
        rotations = model(torch.rand(64, 3, 32, 32))["pose_300wlp"]
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(64, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(64))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_an_answer_does_not_depend_on_the_question(variant):
    model, images = toy_model(variant=variant, dense=OTHER), torch.rand(2, 3, 32, 32)
    together = model(images)
    for name in SHAPES:
        assert torch.equal(model(images, tasks=[name])[name], together[name]), name


def test_training_batches_answer_as_single_images_do():
    tasks = [*SHAPES, "parsing_lapa", "landmarks_aflw19", "expression_rafdb"]
    model = toy_model(*tasks, dense=OTHER)
    batches = {name: torch.rand(1 + i % 2, 3, 32, 32) for i, name in enumerate(tasks)}
    batches["gender_utkface"] = torch.rand(2, 3, 48, 32)
    raw = model.forward_tasks(batches)
    assert list(raw) == tasks
    for name, images in batches.items():
        torch.testing.assert_close(raw[name], model(images, tasks=[name])[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("backbone", [SWIN, CONVNEXT, MOBILENET])
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_every_trainable_parameter_gets_a_gradient(variant, backbone):
    large = HALF | {"size": 64}  # a last level of one cell would leave Swin no relative positions to learn
    model = toy_model(variant=variant, backbone=backbone, dense=large, face=large).train()
    raw = model.forward_tasks({name: torch.rand(2, 3, 64, 64) for name in SHAPES})
    sum((values * torch.randn_like(values)).sum() for values in raw.values()).backward()
    dead = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    # A key bias adds the same to all scores of a query, which softmax cancels.
    assert [name for name in dead if not name.endswith(".key.bias")] == []


@pytest.mark.parametrize("asked", ["age_morph2", "parsing_celebamaskhq", "pose_300wlp"])
def test_a_head_learns_from_its_own_task_only(asked):
    model = toy_model()
    model(torch.rand(1, 3, 32, 32), tasks=[asked])[asked].sum().backward()
    assert {name.split(".")[0] for name, p in model.heads.named_parameters() if p.grad is not None} == {asked}


# --- what tasks share ------------------------------------------------------------------------------------------------


def test_tasks_share_by_kind_and_labels():
    model = toy_model(
        *("expression_affectnet", "age_morph2", "expression_rafdb", "race_utkface", "race_fairface", "gender_fairface"),
        *("parsing_lapa", "parsing_celebamaskhq", "landmarks_300w", "landmarks_wflw"),
    )
    values = {"expression_affectnet+expression_rafdb", "age_morph2", "race_utkface", "race_fairface", "gender_fairface"}
    dense = {"parsing_lapa", "parsing_celebamaskhq", "landmarks_300w", "landmarks_wflw"}
    assert set(model.tokens) == values | dense
    assert set(model.heads) == values | {"parsing_lapa+parsing_celebamaskhq", "landmarks_300w+landmarks_wflw"}
    counts = {name: len(tokens.content) for name, tokens in model.tokens.items()}
    assert counts == dict.fromkeys(values, 1) | dict(zip(sorted(dense), (68, 98, 19, 11), strict=True))
    raw = model(torch.rand(1, 3, 32, 32))
    assert torch.equal(raw["expression_affectnet"], raw["expression_rafdb"])


def test_tasks_come_and_go():
    model = toy_model("expression_affectnet", "age_morph2")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.add_task(task("expression_rafdb"))  # known labels: nothing new
    assert {name.replace("+expression_rafdb", "") for name in model.state_dict()} == before.keys()
    model.add_task(task("attributes_lfw73"))
    assert model(torch.rand(1, 3, 32, 32))["attributes_lfw73"].shape == (1, 73)
    for name in ("expression_rafdb", "attributes_lfw73"):
        model.remove_task(name)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    model.remove_task("age_morph2")
    assert list(model.tokens) == list(model.heads) == ["expression_affectnet"]
    with pytest.raises(ConfigError, match="age_morph2"):
        model(torch.rand(1, 3, 32, 32), tasks=["age_morph2"])
    model.add_task(task("age_morph2"))  # and back again
    assert "age_morph2" in model.tokens


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_a_saved_model_answers_bit_for_bit(variant, tmp_path):
    model = toy_model(variant=variant, backbone=SWIN, dense=OTHER)
    model.add_task(task("expression_rafdb"))
    model.remove_task("expression_affectnet")
    model.remove_task("age_morph2")
    save_model(model, tmp_path)
    loaded, images = load_model(tmp_path), torch.rand(2, 3, 32, 32)
    assert loaded.tasks == model.tasks
    expected = model(images)
    for name, values in loaded(images).items():
        assert torch.equal(values, expected[name]), name


# --- configuration and starting weights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (("swin_base_patch4", {}), "timm has no model 'swin_base_patch4'"),
        (("convnext_base.of_tomorrow", {}), "timm has no model 'convnext_base.of_tomorrow'; expected .*clip_laion2b"),
        (("convnext_atto", {"wide": 3}), "does not take .*wide"),
    ],
)
def test_an_impossible_backbone_is_named(backbone, message):
    with pytest.raises(ConfigError, match=message):
        toy_model(backbone=backbone)


def test_an_impossible_input_is_named():
    with pytest.raises(ConfigError, match=r"inputs.face.size: 30 is no multiple of 4"):
        toy_model(face=HALF | {"size": 30})


def test_a_backbone_starts_from_a_file(tmp_path):
    name, options = CONVNEXT
    source = backbones.create_net(name, options).state_dict()  # with its classifier
    save_file(source, tmp_path / "backbone.safetensors")
    backbone = toy_model("age_morph2").backbone
    load_backbone(backbone, tmp_path / "backbone.safetensors")
    assert all(torch.equal(value, source[key]) for key, value in backbone.net.state_dict().items())
    wrong = {"missing: stem.0.weight": {"stem.0.weight": None}, "extra: else": {"else": torch.ones(1)}}
    for message, change in wrong.items():
        torch.save({k: v for k, v in (source | change).items() if v is not None}, tmp_path / "other.pth")
        with pytest.raises(WeightsError, match=message):
            load_backbone(backbone, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="not found"):
        load_backbone(backbone, tmp_path / "absent.pth")


def test_a_backbone_starts_from_weights_of_another_size(tmp_path):
    """timm resizes what belongs to an image size, e.g. a ViT's position table."""
    name, options = VIT
    backbone = toy_model("age_morph2", backbone=VIT).backbone
    source = backbones.create_net(name, options | {"img_size": 64}).state_dict()
    save_file(source, tmp_path / "backbone.safetensors")
    load_backbone(backbone, tmp_path)  # the folder stands for the file in it
    own = backbone.net.state_dict()
    assert torch.equal(own["blocks.0.attn.qkv.weight"], source["blocks.0.attn.qkv.weight"])
    assert own["pos_embed"].shape != source["pos_embed"].shape


def test_imagenet_weights_come_with_the_verb_that_asks_for_them(tmp_path, monkeypatch):
    """Offline is what every command sets; this one goes online, and says what to do where there is no network."""
    name, _ = MOBILENET
    original, asked = backbones.timm.create_model, []

    def published(model, *, pretrained=False, **options):
        if not pretrained:
            return original(model, **options)
        asked.append((os.environ["HF_HUB_OFFLINE"], constants.HF_HUB_OFFLINE))
        torch.manual_seed(7)
        return original(model, **options)

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(backbones.timm, "create_model", published)
    release = import_weights("imagenet", tmp_path / "net", backbone=name)
    assert asked == [("0", False)]
    assert (os.environ["HF_HUB_OFFLINE"], constants.HF_HUB_OFFLINE) == ("1", True)
    assert release.model is None and release.provenance()["title"].startswith("ImageNet")
    backbone = toy_model("age_morph2", backbone=MOBILENET).backbone
    load_backbone(backbone, tmp_path / "net")
    torch.manual_seed(7)
    expected = original(name).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in backbone.net.state_dict().items())

    def unreachable(model, *, pretrained=False, **options):
        if pretrained:
            raise OSError("no route to host")
        return original(model, **options)

    monkeypatch.setattr(backbones.timm, "create_model", unreachable)
    with pytest.raises(WeightsError, match=r"no route to host.*huggingface\.co/timm/mobilenetv3_small_050"):
        import_weights("imagenet", tmp_path / "other", backbone=name)
    assert not (tmp_path / "other").exists()


def test_a_backbone_file_at_hand_is_imported_without_a_network(tmp_path):
    name, _ = MOBILENET
    state = backbones.create_net(name, {}).state_dict()
    torch.save({"state_dict": state}, tmp_path / "model.pth")
    import_weights(tmp_path / "model.pth", tmp_path / "net", backbone=name)
    load_backbone(toy_model("age_morph2", backbone=MOBILENET).backbone, tmp_path / "net")
    del state["conv_stem.weight"]
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"model\.pth: .*conv_stem\.weight"):
        import_weights(tmp_path / "model.pth", tmp_path / "again", backbone=name)
    for wrong in ("mobilenetv3", "resnet10t.of_tomorrow"):
        with pytest.raises(ConfigError, match="--backbone"):
            import_weights("imagenet", tmp_path / "again", backbone=wrong)
    with pytest.raises(ConfigError, match="--backbone"):
        import_weights("imagenet", tmp_path / "again")


def test_preset_has_the_papers_ten_tasks():
    experiment = preset("facexformer")  # its data sets have classes of their own
    params, specs = experiment.params, experiment.joint_specs
    assert {spec.kind for spec in specs} == {name.split("_")[0] for name in SHAPES}  # age in years and in decades
    assert sum(settings.samples for settings in params.stage1.tasks.values()) == 384
    with torch.device("meta"):
        model = build_model(params.model, specs)
    # Ten classes and background, 68 points, 9 matrix entries, and one for each of eight label tables (age has two).
    assert sum(len(tokens.content) for tokens in model.tokens.values()) == 11 + 68 + 9 + 8
    table = parameter_table(model)
    assert (table["backbone"], table["fusion"], table["decoder"]) == (86_743_224 - 2 * 1024, 754_688, 3_291_264)


# --- the published model ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden():
    return ModelGolden("facexformer")


@pytest.fixture(scope="module")
def state(golden):
    """By the recipe, but for the index tables of Swin, which are structure."""
    state = released_state("facexformer")
    index = torch.from_numpy(golden.arrays["relative_position_index"])
    return {name: index if name.endswith("relative_position_index") else value for name, value in state.items()}


@pytest.fixture(scope="module")
def model(state):
    return normalised(released.from_state(state, origin="model.pt"))


def test_published_outputs(model, golden):
    features, images = [], golden.images(224)
    handle = model.backbone.register_forward_hook(lambda module, inputs, levels: features.extend(levels))
    with torch.inference_mode():
        raw = model(images)
    handle.remove()
    for stage, level in enumerate(features, start=1):
        golden.check(f"swin_stage{stage}", level)
    recorded = {"landmarks": "landmark", "pose": "headpose"}
    for official, name in released.TASK_NAMES.items():
        golden.check(recorded.get(official, official), raw[name].flatten(1))
    golden.check("seg", raw["parsing_lapa"])


def test_published_parameter_counts(model):
    table = parameter_table(model)
    assert table["sum"] == 91_985_943
    assert (table["backbone"], table["fusion"]) == (86_743_224, 492_544 + 262_144)
    assert table["decoder"] + table["tokens"] + table["heads"] == 4_488_031
    assert sum(len(tokens.content) for tokens in model.tokens.values()) == 18
    assert sum(not p.requires_grad for p in model.parameters()) == 2  # Swin's unused last norm


def test_published_model_knows_its_inputs_and_crop(model):
    assert {group["size"] for group in (model.config["inputs"]["dense"], model.config["inputs"]["face"])} == {224}
    assert model.config["inputs"]["face"]["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert set(model.crops) == set(model.tasks)
    assert model.crops["pose_300wlp"]["framing"] == [-0.75, -0.75, 0.75, 0.75]


def test_published_heads_mean_what_their_authors_say(state):
    """The file's race head says index 2, its visibility head 1 for five points: Indian, and 24 of 29 visible."""
    forced = dict(state)
    for head, logits in {
        "race": 9 * torch.eye(5)[2],
        "gender": torch.tensor([9.0, 0.0]),
        "age": 9 * torch.eye(8)[7],
        "visibility": torch.where(torch.arange(29) < 5, 9.0, -9.0),
    }.items():
        last = f"face_decoder.{head}_prediction_head.layers.2."
        forced |= {last + "weight": torch.zeros_like(state[last + "weight"]), last + "bias": logits}
    model = released.from_state(forced, origin="model.pt")
    with torch.inference_mode():
        raw = model(torch.rand(1, 3, 64, 64), tasks=[n for n in model.tasks if model.head[n] == "value"])
    specs = {name: model.tasks[name] for name in raw}
    told = {
        n: kind_of(spec).decode(spec, raw[n][0], None).to_json(spec) for n, spec in specs.items() if "pose" not in n
    }
    assert told["race_utkface"]["label"] == "Indian" and told["gender_utkface"]["label"] == "male"
    assert told["agegroup_utkface"]["label"] == "70+"
    visible = [p > 0.5 for p in told["visibility_cofw"]["probabilities"].values()]
    assert visible == [False] * 5 + [True] * 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"linear_fuse.weight": None}, "1 missing: linear_fuse.weight"),
        ({"face_decoder.race_token.weight": torch.zeros(1, 3)}, "face_decoder.race_token.weight expected"),
        ({"face_decoder.expression_token.weight": torch.zeros(1, 256)}, "face_decoder.expression_token.weight"),
        ({"backbone.0.1.0.attn.relative_position_index": torch.zeros(2401)}, "relative positions differ"),
        ({"backbone.0.1.0.attn.relative_position_index": None}, "missing or extra: backbone.0.1.0"),
    ],
)
def test_a_file_that_does_not_fit_is_named(state, change, message):
    wrong = {name: value for name, value in (state | change).items() if value is not None}
    with pytest.raises(WeightsError, match=message):
        released.from_state(wrong, origin="model.pt")


def test_published_files_are_recognised(state):
    assert _family(Path("model.pt"), state) == "FaceXFormer"
    other = dict.fromkeys(["backbone_module.visual.proj", "heads_module.decoder.level_embed.weight"], torch.ones(1))
    assert _family(Path("model.pt"), other) == "Faceptor"
