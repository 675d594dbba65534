"""Photographs in, answers in their own pixels out: faces, framings, geometry, overlays, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from skimage import data
from torch import nn
from typer.testing import CliRunner

import faceptor
from faceptor.cli.predict import predict_command
from faceptor.errors import ConfigError, DataError
from faceptor.models.base import FaceModel, InputGroup
from faceptor.predict import overlay
from faceptor.predict.detector import overlap
from faceptor.predict.engine import FACES_PER_PASS
from faceptor.predict.framing import measure_framing
from faceptor.predict.names import Names, json_text
from faceptor.predict.overlay import draw_pages
from faceptor.predict.predictor import predict, read_photo
from faceptor.tasks import task
from faceptor.tasks.age import AgePrediction
from faceptor.tasks.attributes import AttributesPrediction
from faceptor.tasks.classification import ClassPrediction
from faceptor.tasks.landmarks import LandmarksPrediction
from faceptor.tasks.parsing import ParsingPrediction
from faceptor.tasks.recognition import IdentityPrediction
from faceptor.transforms.crop import CropSpec
from faceptor.transforms.framing import Framing, crop_of, face_box_of_points5, known_framing, place_face, square
from faceptor.weights.folder import load_model, model_hash, save_model
from tests.models.toy_models import HALF, toy_model

# By eye: brows at 87, chin at 178, ears at 180 and 272.
ASTRONAUT = np.array([180.0, 87.0, 272.0, 178.0])
TYPES = {
    "landmarks_300w": LandmarksPrediction,
    "parsing_celebamaskhq": ParsingPrediction,
    "age_morph2": AgePrediction,
    "expression_rafdb": ClassPrediction,
    "attributes_celeba": AttributesPrediction,
    "recognition_ms1mv3": IdentityPrediction,
}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def model():
    return toy_model(tasks=TYPES, dense=HALF | {"size": 48})


class Seer(FaceModel):
    """Answers what it sees, without weights: landmarks lie where it is green, class 2 where it is red.

    Values are the mean brightness, and those of mirrored images too, to see which images arrive.
    """

    def __init__(self, *names: str, size: int = 64):
        super().__init__(inputs={name: InputGroup(size=size, **HALF) for name in ("dense", "face")}, stride=1)
        self.nothing = nn.Parameter(torch.zeros(1))
        for name in names:
            self.register_task(task(name))
            self.crops[name] = {"kind": "box", "size": size, "scale": 1.0, "framing": [-1, -1, 1, 1]}

    def forward_tasks(self, batches):
        specs = {name: self.tasks[name] for name in batches}
        return {name: getattr(self, spec.kind)(batches[name], spec) for name, spec in specs.items()}

    def landmarks(self, images, spec):
        return (60 * images[:, 1:2] - 30).expand(-1, spec.queries, -1, -1)

    def parsing(self, images, spec):
        logits = torch.zeros(len(images), spec.queries, *images.shape[-2:])
        logits[:, 2] = 40 * images[:, 0] - 20
        return logits

    def recognition(self, images, spec):
        return images[:, :, 0].flatten(1)  # the first row of pixels


# --- boxes and framings ----------------------------------------------------------------------------------------------


def test_face_box_of_five_points_follows_the_face():
    points = np.array([[-41, 0], [41, 0], [0, 40], [-25, 90.2], [25, 90.2]]) / 2 + 200.0  # IPD 41: the side is 84.05
    box = face_box_of_points5(points)
    assert box[2] - box[0] == pytest.approx(box[3] - box[1])
    assert box[2] - box[0] == pytest.approx(2.05 * 41, rel=0.01)
    assert (box[0] + box[2]) / 2 == pytest.approx(200)
    assert (box[1] + box[3]) / 2 == pytest.approx(200 + 0.675 * 41, rel=0.01)


def test_a_framing_is_what_a_crop_shows():
    box = np.array([100.0, 50.0, 180.0, 130.0])
    crop = place_face(
        CropSpec(kind="box", size=64, scale=0.8), Framing(-1, -1.5, 1, 0.5), image_size=(300, 300), box=box
    )
    np.testing.assert_allclose(crop.points_back(np.array([[-0.5, -0.5], [63.5, 63.5]])), [[60, -30], [220, 130]])
    np.testing.assert_allclose(Framing(-0.5, -0.5, 0.5, 0.5).around(box), box)
    assert Framing(-1, -1.5, 1, 0.5).zoomed(2).to_list() == [-0.5, -1, 0.5, 0]


def test_a_turned_face_stands_upright_in_its_crop():
    turn = np.deg2rad(20)
    ahead = np.array([np.cos(turn), np.sin(turn)])
    crop = place_face(
        CropSpec(kind="box", size=64, scale=0.8),
        Framing(-1, -1, 1, 1),
        image_size=(200, 200),
        box=np.array([50.0, 50, 110, 110]),
        roll=20,
    )
    left, right = crop.points(np.stack([80 - 15 * ahead, 80 + 15 * ahead]))
    assert right[1] - left[1] == pytest.approx(0, abs=1e-3)
    assert right[0] > left[0]


@pytest.mark.parametrize("kind", ["box", "whole", "square"])
@pytest.mark.parametrize("label", ["landmarks", "points5"])
def test_measured_framing_repeats_the_crops_of_the_data_set(kind, label):
    """Pictures that show the same face at other places and sizes have one framing, and it gives their crops back."""
    rng, crop = np.random.default_rng(3), CropSpec(kind=kind, size=64)
    five = np.array([[30, 30], [70, 30], [50, 55], [35, 80], [65, 80.0]])
    shape = {"landmarks": rng.uniform(0, 100, (68, 2)), "points5": five}
    samples = []
    for _ in range(6):
        scale = rng.uniform(0.5, 2)
        width, height = round(140 * scale), round(170 * scale)
        points = (shape[label] + [20, 40]) * scale
        low, high = points.min(0), points.max(0)
        box = square(np.concatenate([low, high]))
        samples.append({"key": "x", "size": (height, width), label: points, "box": box})
    framing = measure_framing(task("landmarks_300w"), samples, crop)
    for sample in samples:
        face = square(np.concatenate([sample[label].min(0), sample[label].max(0)]))
        face = face if label == "landmarks" else face_box_of_points5(sample[label])
        own = crop.place(sample["size"], box=sample["box"])
        ours = place_face(crop, framing, image_size=sample["size"], box=face)
        ends = np.array([[0.0, 0.0], [crop.size - 1.0, crop.size - 1.0]])
        assert np.abs(own.points_back(ends) - ours.points_back(ends)).max() < 2.5  # pixels were rounded to whole ones


def test_framing_is_measured_by_mask_and_by_detector(photo):
    spec = task("parsing_celebamaskhq")
    mask = np.zeros((100, 100), np.uint8)
    mask[20:80, 25:75] = spec.labels.index("face")
    mask[30:33, 30:70] = spec.labels.index("lb")
    whole = CropSpec(kind="whole", size=32)
    framing = measure_framing(spec, [{"key": "x", "size": (100, 100), "mask": mask}] * 3, whole)
    side = 49  # rows 30 to 79, columns 25 to 74
    assert framing.right - framing.left == pytest.approx(100 / side, abs=0.01)
    assert framing.top == pytest.approx((-0.5 - 54.5) / side, abs=0.01)

    cut = photo[40:220, 130:320]
    sample = {"key": "x", "size": cut.shape[:2], "image": cut}
    framing = measure_framing(task("expression_rafdb"), [sample] * 2, whole)
    np.testing.assert_allclose(framing.around(ASTRONAUT - [130, 40, 130, 40]), [-0.5, -0.5, 189.5, 179.5], atol=15)
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    sample = {"key": "x", "size": (60, 60), "image": noise}
    assert measure_framing(task("expression_rafdb"), [sample] * 9, whole) is None


def test_framings_known_from_publications():
    assert known_framing("300w", CropSpec(kind="box", scale=0.8)).to_list() == [-0.625, -0.625, 0.625, 0.625]
    whole, centre = (known_framing("celeba", CropSpec(kind=kind)) for kind in ("whole", "square"))
    assert (whole.bottom - whole.top) / (whole.right - whole.left) == pytest.approx(218 / 178)
    assert centre.bottom - centre.top == pytest.approx(centre.right - centre.left)
    assert centre.left == whole.left
    with pytest.raises(ConfigError, match="framing"):
        Framing(0.5, 0, -0.5, 1)


def test_the_model_carries_its_framings(model, tmp_path):
    model.crops["age_morph2"] = CropSpec(kind="whole", size=32).to_dict() | {"framing": [-0.7, -0.9, 0.7, 0.5]}
    loaded = load_model(save_model(model, tmp_path / "model"))
    model.crops.clear()
    assert crop_of(loaded, "age_morph2") == (CropSpec(kind="whole", size=32), Framing(-0.7, -0.9, 0.7, 0.5))
    crop, framing = crop_of(loaded, "attributes_celeba")
    assert crop.size == 32
    assert framing == known_framing("celeba", crop)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float(overlap(np.asarray(one, float), np.asarray(other, float)[None])[0])


# --- predictions -----------------------------------------------------------------------------------------------------


def test_typed_results_in_the_photographs_pixels(model, photo):
    (face,) = predict(model, photo)
    assert iou(face.box, ASTRONAUT) > 0.75
    assert {name: type(answer) for name, answer in face.results.items()} == TYPES
    assert face.results["parsing_celebamaskhq"].classes.shape == photo.shape[:2]
    assert face.results["recognition_ms1mv3"].embedding.shape == (12,)
    points = face.results["landmarks_300w"].points
    assert (points > ASTRONAUT[:2] - 60).all()
    assert (points < ASTRONAUT[2:] + 60).all()
    text = json.dumps(face.to_json(), allow_nan=False)
    assert json.loads(text)["tasks"].keys() == TYPES.keys()


@pytest.mark.parametrize("box", [(60, 40, 100, 80), (5, 3, 45, 43), (85, 60, 125, 100)])
def test_points_and_classes_come_back_where_they_were(box):
    """A green dot and a red patch are answered at their place in the photograph, off its edges too."""
    y, x = np.mgrid[:120, :160]
    cx, cy = (box[0] + box[2]) / 2 + 6, (box[1] + box[3]) / 2 - 4
    image = np.zeros((120, 160, 3), np.uint8)
    image[..., 1] = 255 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18)
    red = (abs(x - cx - 6) < 6) & (abs(y - cy - 8) < 5)
    image[red, 0] = 255
    (face,) = predict(Seer("landmarks_300w", "parsing_lapa"), image, boxes=[box])
    np.testing.assert_allclose(face.results["landmarks_300w"].points, [[cx, cy]] * 68, atol=0.5)
    classes = face.results["parsing_lapa"].classes
    assert ((classes == 2) == red).mean() > 0.995
    assert set(np.unique(classes)) <= {0, 2}
    assert face.score is None


def test_kinds_with_a_mirror_get_both_images():
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    boxes = [(20, 20, 50, 50), (30, 30, 60, 60)]
    for face in predict(Seer("recognition_ms1mv3", size=8), image, boxes=boxes):
        row = face.results["recognition_ms1mv3"].embedding.reshape(3, 8)
        np.testing.assert_allclose(row, row[:, ::-1], atol=1e-6)  # image + mirror is symmetric


def test_many_faces_are_answered_as_single_ones_are(model, photo):
    boxes = [(20 * i, 15 * i, 20 * i + 90, 15 * i + 90) for i in range(FACES_PER_PASS + 3)]
    together = predict(model, photo, boxes=boxes, tasks=["age_morph2", "landmarks_300w"])
    assert len(together) == len(boxes)
    for box, face in zip(boxes[-2:], together[-2:], strict=True):
        (alone,) = predict(model, photo, boxes=[box], tasks=["landmarks_300w", "age_morph2"])
        assert list(face.results) == ["age_morph2", "landmarks_300w"]
        np.testing.assert_allclose(face.box, box)
        assert face.results["age_morph2"].years == pytest.approx(alone.results["age_morph2"].years, abs=1e-3)
        points = (one.results["landmarks_300w"].points for one in (face, alone))
        np.testing.assert_allclose(*points, atol=1e-3)


def test_the_models_mode_and_gradients_stay(model, photo):
    model.train()
    predict(model, photo, boxes=[ASTRONAUT], tasks=["age_morph2"])
    assert model.training
    model.eval()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([(600, 10, 700, 90)], "512 x 512"),
        ([(50, 50, 40, 90)], "x1 < x2"),
        ([(0, 0, float("nan"), 9)], "finite"),
        ([(1, 2, 3)], "x1, y1, x2, y2"),
        ([], "None detects"),
    ],
)
def test_impossible_boxes(model, photo, boxes, message):
    with pytest.raises(DataError, match=message):
        predict(model, photo, boxes=boxes)


def test_what_is_no_photograph(model, tmp_path):
    with pytest.raises(DataError, match="uint8 RGB"):
        predict(model, np.zeros((20, 20, 3), np.float32))
    with pytest.raises(DataError, match=r"gone\.jpg"):
        predict(model, tmp_path / "gone.jpg")
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"text\.jpg: not an image"):
        predict(model, tmp_path / "text.jpg")
    Image.fromarray(data.coffee()[:200, :300]).save(tmp_path / "coffee.png")
    with pytest.raises(DataError, match=r"coffee\.png: no face found.*--box"):
        predict(model, tmp_path / "coffee.png")
    half = (tmp_path / "coffee.png").read_bytes()[:20000]
    (tmp_path / "half.png").write_bytes(half)
    with pytest.raises(DataError, match=r"half\.png"):
        predict(model, tmp_path / "half.png")
    with pytest.raises(ConfigError, match="age_morph2"):
        predict(model, data.astronaut(), tasks=["age_of_empires"])


def test_the_package_offers_predict(model, photo):
    for _ in range(2):  # once the room of that name is imported, too
        (face,) = faceptor.predict(model, photo, tasks=["age_morph2"])
    assert face.results.keys() == {"age_morph2"}


# --- photographs -----------------------------------------------------------------------------------------------------


def test_exif_rotation_is_applied(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn against the clock
    Image.fromarray(np.rot90(photo)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.png"), photo)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16", "1"])
def test_every_mode_becomes_rgb(photo, tmp_path, mode):
    grey = Image.fromarray(photo).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(photo).convert(mode)
    path = tmp_path / f"photo.{'tif' if mode == 'CMYK' else 'png'}"
    image.save(path)
    found = read_photo(path)
    assert found.shape == photo.shape
    assert found.dtype == np.uint8
    expected = np.asarray(grey, float)
    brightness = np.asarray(Image.fromarray(found).convert("L"), float)
    assert abs(brightness.mean() - expected.mean()) < 5
    assert np.corrcoef(brightness.ravel(), expected.ravel())[0, 1] > 0.6


def test_transparency_is_white(tmp_path):
    Image.new("RGBA", (8, 6), (10, 20, 30, 0)).save(tmp_path / "clear.webp", lossless=True)
    assert (read_photo(tmp_path / "clear.webp") == 255).all()


# --- overlay ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 60), (300, 200), (2400, 1800)])
def test_the_overlay_fits_any_photograph(model, size):
    image = np.full((*size, 3), 90, np.uint8)
    side = min(size)
    boxes = [(0, 0, side / 2, side / 2), (side / 4, side / 4, side, side)]
    faces = predict(model, image, boxes=boxes)
    picture = next(draw_pages(image, faces))
    assert picture.mode == "RGB"
    assert min(picture.size) > 300
    assert max(picture.size) < 1600 + 2 * 700
    (one,) = next(draw_pages(image, faces[:1])).size[:1]
    assert one <= picture.width


def test_many_faces_are_pages_of_bounded_size(model, photo, monkeypatch):
    """Not a strip that grows with every face; cards end at a limit, which is said."""
    boxes = [(10 * i, 10, 10 * i + 40, 50) for i in range(20)]
    faces = predict(model, photo, boxes=boxes, tasks=["age_morph2"])
    monkeypatch.setattr(overlay, "MAX_PAGE_HEIGHT", 1400)
    pages = list(overlay.draw_pages(photo, faces))
    assert len({page.width for page in pages}) == 1 and len(pages) > 1
    assert all(page.width < 2000 and page.height < 1500 for page in pages)
    monkeypatch.setattr(overlay, "MAX_CARDS", 4)
    assert len(list(overlay.draw_pages(photo, faces))) == len(list(overlay.draw_pages(photo, faces[:4]))) == 1


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    model.crops.clear()
    return save_model(model, tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def command(folder):
    app = typer.Typer()
    app.command()(predict_command)

    def call(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "--model", str(folder), "--device", "cpu"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def test_a_photograph_gives_a_picture_and_json(command, folder, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "astronaut.png")
    out = tmp_path / "out"
    result = command(tmp_path / "astronaut.png", "--out", out)
    assert result.exit_code == 0, result.output
    assert "astronaut.png: 1 face" in result.stdout
    report = json.loads((out / "astronaut.json").read_text())
    assert (report["width"], report["height"]) == (512, 512)
    assert report["model"]["hash"] == model_hash(folder)
    (face,) = report["faces"]
    assert iou(face["box"], ASTRONAUT) > 0.75
    parsing = face["tasks"]["parsing_celebamaskhq"]
    with Image.open(out / parsing["map"]) as image:
        assert image.mode == "P"
        classes = np.asarray(image)
    (found,) = predict(load_model(folder), photo)
    np.testing.assert_array_equal(classes, found.results["parsing_celebamaskhq"].classes)
    share = np.bincount(classes.ravel(), minlength=19) / classes.size
    np.testing.assert_allclose(share, list(parsing["share"].values()))
    assert Image.open(out / "astronaut.png").size[0] > 512
    assert not list(out.glob(".*"))


def test_one_bad_photograph_does_not_stop_the_others(command, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "good.jpg", quality=95)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 nothing")
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    photos = tmp_path / "bad.jpg", tmp_path / "empty", tmp_path / "good.jpg"
    result = command(*photos, "--out", out, "--task", "age_morph2", "--json")
    assert result.exit_code == 1
    bad, folder, good = json.loads(result.stdout)["photos"]
    assert "bad.jpg" in bad["error"]
    assert "error" in folder
    assert list(good["faces"][0]["tasks"]) == ["age_morph2"]
    assert sorted(path.name for path in out.iterdir()) == ["good.json", "good.png"]


def test_boxes_on_the_command_line(command, tmp_path):
    Image.fromarray(data.coffee()).save(tmp_path / "coffee.png")
    boxes = ["--box", "10,10,60,60", "--box", "100,100,180,170"]
    result = command(tmp_path / "coffee.png", "--out", tmp_path / "out", *boxes)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "coffee.json").read_text())
    assert [face["box"] for face in report["faces"]] == [[10, 10, 60, 60], [100, 95, 180, 175]]
    assert (tmp_path / "out" / report["faces"][1]["tasks"]["parsing_celebamaskhq"]["map"]).is_file()
    with pytest.raises(DataError, match="four numbers"):
        command(tmp_path / "coffee.png", "--out", tmp_path / "out", "--box", "1,2,three,4")
    with pytest.raises(ConfigError, match="not in this model"):
        command(tmp_path / "coffee.png", "--out", tmp_path / "out", "--task", "pose_biwi")


def test_no_output_replaces_another_or_a_photograph(command, photo, tmp_path):
    for name in ("a/face.png", "b/face.png", "out/face.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(photo[:200, 100:360] if name[0] == "a" else photo[:300, :400]).save(tmp_path / name)
    out = tmp_path / "out"
    stranger = out / "face.png"
    Image.new("RGB", (5, 5)).save(stranger)
    before = stranger.read_bytes()
    options = ["--out", out, "--task", "age_morph2", "--box", "80,80,170,170"]
    result = command(tmp_path / "a/face.png", tmp_path / "b/face.png", *options)
    assert result.exit_code == 0, result.output
    assert stranger.read_bytes() == before
    first = {path.name: path.read_bytes() for path in out.glob("*.json")}
    assert sorted(first) == ["face_2.json", "face_3.json"]
    assert command(tmp_path / "b/face.png", *options).exit_code == 0  # again: its own files, and no others
    assert {path.name: path.read_bytes() for path in out.glob("*.json")} == first


def test_names_never_meet(tmp_path):
    given = ("x/a.jpg", "y/A.png", "z/a-parsing_lapa.jpg", "x/a.jpg", "w/a-parsing_lapa-2.png")
    photos = [Path(name) for name in given]
    names = Names(tmp_path, ["parsing_lapa"], photos)
    stems = [names.stem(photo) for photo in photos]
    assert stems[0] == stems[3] == "a"  # the same photograph
    files = [name for stem in set(stems) for name in (stem, f"{stem}-parsing_lapa", f"{stem}-parsing_lapa-2")]
    assert len({name.lower() for name in files}) == len(files)


def test_json_text_is_json():
    value = {"a [ 1 ]": [[1.5, 2], [3, None]], "b": [], "c": {}, "d": ["x, y", "[ 2  3 ]"], "e": {"f": [{"g": 1}]}}
    assert json.loads(json_text(value)) == value
