"""`faceptor predict` with what people have on their disks: odd names, no photographs, giants; and what it warns of."""

import errno
import json
import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from faceptor.cli import trouble
from faceptor.datasets.formats import images
from faceptor.errors import DataError, WeightsError
from faceptor.models.build import build_model
from faceptor.predict import files, overlay, photographs
from faceptor.predict import predictor as prediction
from faceptor.predict.detector import detect_faces
from faceptor.predict.names import Names, shortened
from faceptor.predict.overlay import draw_pages
from faceptor.predict.predictor import GeneratedFacesWarning, predict
from faceptor.tasks import task
from faceptor.transforms.crop import CropSpec
from faceptor.weights.folder import load_model, save_model
from tests.command import entered
from tests.test_predict import Seer
from tests.toy import MODEL

NAMES = ("age_morph2", "expression_rafdb", "parsing_lapa")
BOX = "10,10,40,40"
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_model(MODEL, [task(name) for name in NAMES]).eval()
    for name in NAMES:
        model.crops[name] = CropSpec(kind="box", size=32, scale=0.8).to_dict() | {"framing": [-1, -1, 1, 1]}
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Two of the three tasks were taught by generated faces."""
    data = {name: {"dataset": name, "generated": name != "age_morph2"} for name in NAMES}
    return save_model(model, tmp_path_factory.mktemp("models") / "toy", provenance={"data": data})


@pytest.fixture
def command(folder, tmp_path, monkeypatch, capsys):
    """Run the command line in `tmp_path`, as main does: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(trouble.TRACEBACK_VARIABLE, raising=False)
    monkeypatch.setattr(overlay, "draw_pages", lambda rgb, faces: [Image.new("RGB", (4, 4))])  # takes a second

    def call(*arguments, box=BOX):
        boxes = ["--box", box] if box else []
        code = entered("predict", *map(str, arguments), "--out", "out", "--model", str(folder), *boxes)
        return code, *capsys.readouterr()

    return call


def save(path, pixels=PIXELS):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return path


def answered(tmp_path) -> dict:
    """photo -> its report."""
    reports = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")]
    return {report["photo"]: report for report in reports}


# --- names and files -------------------------------------------------------------------------------------------------

LONG = ("ж" * 121 + ".jpg", "中" * 83 + ".jpg", "x" * 251 + ".jpg", "中" * 82 + "国.jpg")


@pytest.mark.parametrize("task_of", [(), ("--task", "parsing_lapa")])
def test_names_as_long_as_the_disk_allows(command, tmp_path, task_of):
    photos = [save(name) for name in LONG]
    code, _, err = command(*photos, *task_of)
    assert code == 0, err
    reports = answered(tmp_path)
    assert set(reports) == set(LONG)
    files = [report["overlay"] for report in reports.values()]
    files += [report["faces"][0]["tasks"]["parsing_lapa"]["map"] for report in reports.values()]
    assert len(set(files)) == 2 * len(LONG)
    assert all((tmp_path / "out" / name).is_file() for name in files)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert command(*photos, *task_of)[0] == 0  # again: the same files and no others
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_short_names_are_kept_and_cut_ones_differ():
    assert shortened("photo", 200) == "photo"
    stems = ["x" * 300 + end for end in "abc"] + ["ж" * 150, os.fsdecode(b"\xe9" * 220)]
    cut = [shortened(stem, 200) for stem in stems]
    assert len(set(cut)) == len(stems)
    assert all(len(os.fsencode(stem)) <= 200 for stem in cut)


def test_a_name_that_is_not_utf8(command, tmp_path, monkeypatch):
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        save(name)
    except OSError:
        pytest.skip("this disk takes UTF-8 names alone")
    code, out, err = command(name, save("good.jpg"))
    assert code == 0, err
    assert set(answered(tmp_path)) == {name, "good.jpg"}
    assert "caf" in out


def test_bad_photographs_get_one_line_each_and_the_others_are_answered(command, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    bad = ["pipe.jpg", "device.jpg", "folder.jpg", "empty.jpg", "text.jpg", "round.jpg", "none.jpg", "n" * 300 + ".jpg"]
    good = [save("a/x.jpg"), save("b/x.jpg", PIXELS[::-1])]
    code, _, err = command(good[0], *bad, good[1])
    assert code == 1
    assert set(answered(tmp_path)) == set(good)
    told = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(told) == len(bad)
    assert all(name in line for name, line in zip(bad, told, strict=True))
    assert "Traceback" not in err


def test_a_pipe_in_the_output_folder_is_left_alone(command, tmp_path):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "x.json")
    code, _, err = command(save("x.jpg"))
    assert code == 0, err
    assert answered_names(tmp_path) == ["x_2.json"]


def answered_names(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").glob("*.json") if path.is_file())


@pytest.mark.parametrize("size", [(3, 4000), (4000, 3), (1, 1), (1, 30000), (30000, 1), (2, 9)])
def test_strips_and_dots_have_no_face_and_can_be_pointed_at(model, size):
    """As strip-like as a barcode: the detector, the crops and the overlay take every shape."""
    image = np.zeros((*size, 3), np.uint8)
    assert detect_faces(image) == []
    height, width = size
    faces = predict(model, image, boxes=[(width / 2 - 2, height / 2 - 2, width / 2 + 1, height / 2 + 1)])
    assert next(draw_pages(image, faces)).width > 300


def test_a_fault_on_one_photograph_is_shown_and_the_others_are_answered(command, tmp_path, monkeypatch):
    true = prediction.Work.find

    def faulty(work, photo, boxes, *, name):
        if name == "first.jpg":
            raise KeyError("a fault of this program")
        return true(work, photo, boxes, name=name)

    monkeypatch.setattr(prediction.Work, "find", faulty)
    code, _, err = command(save("first.jpg"), save("second.jpg"))
    assert code == 1
    assert "KeyError" in err and "Traceback" in err
    assert set(answered(tmp_path)) == {"second.jpg"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more_leaves_no_half_answer(command, tmp_path, monkeypatch, number):
    """The overlay cannot be written; the class map, written before it, goes again."""
    true = files.write_whole

    def full(path, data):
        if path.name == "x.png":
            raise OSError(number, os.strerror(number), str(path))
        true(path, data)

    monkeypatch.setattr(files, "write_whole", full)
    code, _, err = command(save("x.jpg"))
    assert code == 1
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "x.png" in line
    assert list((tmp_path / "out").iterdir()) == []


def test_no_git_is_needed(command, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    assert command(save("x.jpg"))[0] == 0
    assert set(answered(tmp_path)) == {"x.jpg"}


# --- boxes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "box",
    [
        "1e9,1e9,2e9,2e9",
        "-1e9,-1e9,1e9,1e9",
        "0,0,nan,9",
        "0,0,inf,9",
        "40,40,10,10",
        "5,5,5.001,5.001",
        "-300,-300,348,358",
    ],
)
def test_impossible_boxes_are_one_line(command, tmp_path, box):
    photo = save("x.jpg")
    code, _, err = command(photo, f"--box={box}", box=None)
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("error: x.jpg: box")
    assert list((tmp_path / "out").iterdir()) == []


def test_nan_in_the_answers_is_refused(model):
    class Broken(Seer):
        def forward_tasks(self, batches):
            return {name: raw * float("nan") for name, raw in super().forward_tasks(batches).items()}

    with pytest.raises(WeightsError, match="landmarks_300w"):
        predict(Broken("landmarks_300w"), PIXELS, boxes=[(10, 10, 40, 40)])


# --- giants ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def limit(monkeypatch):
    for module in (images, photographs):
        monkeypatch.setattr(module, "LARGEST_IMAGE", 20_000)


@pytest.mark.parametrize("turn", [1, 6, 3])
def test_a_giant_is_answered_in_its_own_pixels(limit, tmp_path, turn):
    """A green dot in a JPEG of four times the limit is found where it is in the upright photograph."""
    y, x = np.mgrid[:240, :320]
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[..., 1] = 255 * np.exp(-((x - 150) ** 2 + (y - 99) ** 2) / 60)
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = {1: pixels, 6: np.rot90(pixels), 3: np.rot90(pixels, 2)}[turn]
    Image.fromarray(stored).save(tmp_path / "giant.jpg", quality=95, exif=exif)
    (face,) = predict(Seer("landmarks_300w", "parsing_lapa"), tmp_path / "giant.jpg", boxes=[(110, 60, 190, 140)])
    np.testing.assert_allclose(face.box, [110, 60, 190, 140])
    np.testing.assert_allclose(face.results["landmarks_300w"].points, [[150, 99]] * 68, atol=1.5)
    assert face.results["parsing_lapa"].classes.shape == (120, 160)


def test_the_report_of_a_giant(limit, command, tmp_path):
    pixels = np.tile(PIXELS, (4, 4, 1))
    code, _, err = command(save("giant.jpg", pixels), box="40,40,160,160")
    assert code == 0, err
    report = answered(tmp_path)["giant.jpg"]
    assert (report["height"], report["width"], report["reduced"]) == (240, 200, 2)
    assert report["faces"][0]["box"] == [40, 40, 160, 160]
    parsing = report["faces"][0]["tasks"]["parsing_lapa"]
    with Image.open(tmp_path / "out" / parsing["map"]) as picture:
        assert [picture.height, picture.width] == parsing["size"] == [120, 100]


def test_a_giant_that_cannot_be_reduced_names_a_remedy_that_helps(limit, command, tmp_path):
    pixels = np.tile(PIXELS, (4, 4, 1))
    Image.fromarray(pixels).save("giant.png")
    code, _, err = command("giant.png", box="40,40,160,160")
    assert code == 1
    assert "giant.png" in err and "JPEG" in err
    assert command(save("giant.jpg", pixels), box="40,40,160,160")[0] == 0


# --- generated faces -------------------------------------------------------------------------------------------------


def test_a_model_of_generated_faces_says_so_on_every_photograph(command, tmp_path):
    photos = [save("a.jpg"), save("b.jpg")]
    code, out, err = command(*photos, "--json")
    assert code == 0
    warned = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 2
    assert all(photo in line for photo, line in zip(photos, warned, strict=True))
    for report in (*answered(tmp_path).values(), *json.loads(out)["photos"]):
        assert report["generated"] is True
        assert "parsing_lapa" in report["warning"] and "age_morph2" not in report["warning"]
        told = report["faces"][0]["tasks"]
        assert {name: entry.get("generated", False) for name, entry in told.items()} == {
            "age_morph2": False, "expression_rafdb": True, "parsing_lapa": True,
        }  # fmt: skip


def test_tasks_of_real_faces_carry_no_warning(command, tmp_path, model, folder):
    code, _, err = command(save("a.jpg"), "--task", "age_morph2")
    assert code == 0
    assert "warning" not in err
    assert not {"generated", "warning"} & set(answered(tmp_path)["a.jpg"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(load_model(folder), PIXELS, boxes=[(10, 10, 40, 40)], tasks=["age_morph2"])
        predict(model, PIXELS, boxes=[(10, 10, 40, 40)])  # nothing is known of its faces


def test_the_library_warns_too_and_the_overlay_is_marked(folder):
    taught = load_model(folder)
    with pytest.warns(GeneratedFacesWarning, match="expression_rafdb"):
        marked = predict(taught, PIXELS, boxes=[(10, 10, 40, 40)])
    taught.provenance = {}
    plain = next(draw_pages(PIXELS, predict(taught, PIXELS, boxes=[(10, 10, 40, 40)])))
    warned = next(draw_pages(PIXELS, marked))
    assert warned.width == plain.width
    assert warned.height > plain.height


@pytest.mark.parametrize(
    "data", [None, [], "x", {"age_morph2": None}, {"age_morph2": []}, {"other": {"generated": True}}]
)
def test_provenance_of_any_form_is_read(data):
    assert prediction.taught_by_generated({"data": data}, NAMES) == ()


# --- names that meet -------------------------------------------------------------------------------------------------


def test_cut_names_of_one_stem_do_not_meet(tmp_path):
    photos = [tmp_path / name for name in ("x" * 251 + ".jpg", "x" * 250 + ".jpeg", "x" * 251 + ".png")]
    names = Names(tmp_path, NAMES, photos)
    assert len({names.stem(photo) for photo in photos}) == 3


def test_an_unreadable_photograph_is_a_data_error(tmp_path, monkeypatch):
    photo = tmp_path / "x.jpg"
    photo.touch()
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(DataError, match=r"x\.jpg.*Permission"):
        prediction.open_photo(photo)
