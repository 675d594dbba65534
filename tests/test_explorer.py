"""What the explorer's page computes and shows, without a browser: callbacks are called as functions."""

import io
import threading
from datetime import datetime
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from skimage import data

import faceptor
from faceptor.errors import DataError
from faceptor.explorer import faces, pictures
from faceptor.explorer.looking import STILL, Looker, Move, label_of, look
from faceptor.explorer.page import SHIPPED, Explorer
from faceptor.explorer.words import changes, table
from faceptor.explorer.work import Latest
from faceptor.models.build import build_model
from faceptor.predict.detector import Detection
from faceptor.predict.predictor import GeneratedFacesWarning
from faceptor.tasks import task
from faceptor.transforms.framing import crop_of, place_face
from faceptor.weights.folder import save_model
from tests.toy import MODEL, TASKS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model():
    return faceptor.load()


@pytest.fixture(scope="module")
def picture():
    return faces.drawn_picture(4)


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    save_model(build_model(MODEL, [task(name) for name in TASKS]), root / "models/toy")
    page = Explorer(root, model="stage2", task="age_morph2")  # which is not there
    page.work.finish()
    return page


# --- faces -----------------------------------------------------------------------------------------------------------


def test_a_number_is_always_the_same_person(picture):
    again, other = faces.drawn_picture(4), faces.drawn_picture(5)
    assert (again.pixels == picture.pixels).all() and (other.pixels != picture.pixels).any()
    x1, y1, x2, y2 = picture.faces[0].box
    assert 0 < x1 < x2 < faces.SIDE and 0 < y1 < y2 < faces.SIDE


def test_a_large_photograph_is_reduced_and_says_so(monkeypatch):
    monkeypatch.setattr(faces, "detect_faces", lambda pixels: [Detection(np.array([9.0, 9, 99, 99]), 1.0)])
    found = faces.uploaded_picture(encoded(np.zeros((200, 2 * faces.MAX_SIDE, 3), np.uint8)), "wide.png")
    assert found.pixels.shape == (100, faces.MAX_SIDE, 3) and not found.drawn
    assert "2560 x 200 pixels, looked at with 1280 x 100, 1 face" in found.about


def huge() -> bytes:
    """A picture of few bytes and more pixels than are decoded."""
    file = io.BytesIO()
    Image.new("1", (16_000, 16_000)).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize(
    "content, said",
    [
        (lambda: b"words", "not an image"),
        (lambda: b"", "image"),
        (lambda: encoded(np.full((64, 64, 3), 128, np.uint8)), "no face found"),
        (huge, "16000 x 16000"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(content, said):
    with pytest.raises(DataError, match=said) as error:
        faces.uploaded_picture(content(), "that.png")
    assert str(error.value).startswith("that.png: ") and "\n" not in str(error.value)


# --- looks -----------------------------------------------------------------------------------------------------------


def test_an_unmoved_look_says_what_predict_says(model, picture):
    with pytest.warns(GeneratedFacesWarning):
        (face,) = faceptor.predict(model, picture.pixels, boxes=[picture.faces[0].box])
    for name, answer in face.results.items():
        found = look(model, name, picture, picture.faces[0])
        for field, value in vars(answer).items():
            np.testing.assert_allclose(getattr(found.answer, field), value, atol=2e-3, err_msg=f"{name}, {field}")
        if found.attention:
            np.testing.assert_allclose(found.attention.weights.sum((2, 3, 4)), 1, atol=1e-4)
            assert len(found.attention.layers) == found.attention.weights.shape[2]
        else:
            assert name == "recognition_ms1mv3" and found.silent


def test_a_move_is_the_crops(model, picture):
    crop, framing = crop_of(model, "landmarks_300w")
    placed = place_face(crop, framing, image_size=picture.pixels.shape[:2], box=picture.faces[0].box)
    sides = placed.size / np.diag(placed.matrix)[:2]  # in pixels of the picture
    points = np.random.default_rng(0).uniform(50, 200, (5, 2))
    shifted = Move(right=0.25, down=-0.1).of(placed)
    np.testing.assert_allclose(shifted.points(points + sides * [0.25, -0.1]), placed.points(points), atol=1e-6)
    middle = placed.points_back(np.array([[(placed.size - 1) / 2] * 2], float))
    for moved in (Move(margin=1.5).of(placed), Move(turn=90).of(placed)):
        np.testing.assert_allclose(moved.points(middle), placed.points(middle), atol=1e-6)
    wider = Move(margin=2).of(placed).points(points) - placed.points(middle)
    np.testing.assert_allclose(2 * wider, placed.points(points) - placed.points(middle), atol=1e-6)
    # turned clockwise its x runs down
    below = Move(turn=90).of(placed).points(middle + np.array([0, 10])) - placed.points(middle)
    np.testing.assert_allclose(below, [[10 * placed.size / sides[1], 0]], atol=1e-6)


def test_every_task_is_shown_and_compared(model, picture):
    for name in model.tasks:
        trained, moved = (look(model, name, picture, picture.faces[0], move) for move in (STILL, Move(right=0.2)))
        label = label_of(moved, 1)
        assert pictures.answer_picture(picture, trained, moved, label, 300).width == 300
        rows = changes(trained, moved, label, 100.0)
        assert rows and all(row[3] for row in rows)
        assert "nan" not in table(rows, True)
        if moved.attention:
            assert pictures.attention_picture(moved, 1, 700).width == 700


def test_what_is_asked_for_least_recently_is_forgotten():
    opened = []
    looker = Looker(lambda name: opened.append(name), lambda source: None)
    for name in "abcdaeab":  # four are kept
        looker.model(name)
    assert opened == [*"abcdeb"]


def test_of_several_wishes_the_last_is_answered():
    begun, go, done = threading.Event(), threading.Event(), []

    def work(wish):
        begun.set()
        go.wait(30)
        done.append(wish)

    latest = Latest(work)
    latest.ask(0)
    begun.wait(30)
    for wish in (1, 2, 3):
        latest.ask(wish)
    assert latest.waiting
    go.set()
    latest.finish()
    assert done == [0, 3] and not latest.waiting


# --- the page --------------------------------------------------------------------------------------------------------


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def put(explorer, name: str, content: bytes) -> None:
    """As the browser does."""
    file = {"name": name, "type": "image/png", "size": len(content), "last_modified": datetime.now()}
    explorer.upload.value = ({**file, "content": memoryview(content)},)
    explorer.work.finish()


def test_a_control_that_moves_changes_what_is_shown(explorer):
    first, (slot, second) = explorer.slots[0].face.value, explorer.slots
    assert explorer.model.value == SHIPPED and explorer.task.value == "age_morph2"
    assert "answered" in explorer.status.value
    assert "as moved" not in slot.table.value and "years" in slot.table.value
    explorer.moves["turn"].value = 20
    explorer.work.finish()
    assert "as moved" in slot.table.value and slot.face.value != first
    explorer.reset.click()
    explorer.work.finish()
    assert "as moved" not in slot.table.value and slot.face.value == first
    explorer.beside.value = "toy"
    explorer.work.finish()
    assert "toy · age_morph2" in second.heading.value and second.face.layout.display == ""
    explorer.task.value = "attributes_celeba"
    explorer.work.finish()
    assert "does not have the task attributes_celeba" in second.heading.value
    assert second.face.layout.display == "none" and second.title.value == ""
    explorer.query.value = 3
    explorer.work.finish()
    assert explorer.query.label in slot.title.value
    explorer.model.value = "toy"  # whose tasks are others: the first of them
    explorer.work.finish()
    assert explorer.task.value == TASKS[0] and [value for _, value in explorer.task.options] == list(TASKS)


def test_a_photograph_is_met_with_a_warning_and_other_files_with_a_line(explorer):
    explorer.model.value = SHIPPED
    put(explorer, "<b>me.png", encoded(data.astronaut()))
    assert "generated faces" in explorer.warning.value and "&lt;b&gt;me.png" in explorer.about.value
    assert explorer.upload.value == ()  # the bytes are not kept in the control
    shown, source = explorer.slots[0].face.value, explorer.source
    put(explorer, "<i>.txt", b"words")
    assert "explorer-error" in explorer.status.value and "&lt;i&gt;.txt: " in explorer.status.value
    assert explorer.slots[0].face.value == shown and explorer.source == source
    explorer.number.value = 6
    explorer.work.finish()
    assert "drawn face 6" in explorer.about.value and not explorer.warning.value


def test_of_several_faces_one_is_chosen(explorer, monkeypatch):
    boxes = np.array([[180.0, 87, 272, 178], [20, 20, 60, 60]])
    monkeypatch.setattr(faces, "detect_faces", lambda pixels: [Detection(box, 0.9) for box in boxes])
    put(explorer, "two.png", encoded(data.astronaut()))
    first = explorer.slots[0].face.value
    assert "2 faces" in explorer.about.value and [value for _, value in explorer.face.options] == [0, 1]
    explorer.face.value = 1
    explorer.work.finish()
    assert explorer.slots[0].face.value != first
    explorer.number.value = 8
    explorer.work.finish()
    assert explorer.face.value == 0 and explorer.face.disabled


def test_the_notebook_runs_without_a_page(monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = [cell for cell in nbformat.read(ROOT / "notebooks/explorer.ipynb", 4).cells if cell.cell_type == "code"]
    names: dict = {}
    for cell in cells:
        assert cell.outputs == [] and cell.execution_count is None
        exec(cell.source, names)
    names["explorer"].work.finish()
    assert "answered" in names["explorer"].status.value and len(names["rows"]) > 0
