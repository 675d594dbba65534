"""Promises of `synthesize` that hold for every data set: same bytes, separate people, all or nothing."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

from faceptor.errors import ConfigError
from faceptor.synthesis import LAYOUTS, synthesize
from faceptor.synthesis import contact_sheet as contact_sheet_module
from faceptor.synthesis.contact_sheet import MAX_SHEET_BYTES, contact_sheet
from faceptor.synthesis.face import sample_face
from faceptor.synthesis.writers import layout as layouts
from faceptor.synthesis.writers.layout import Order, Tile, albums, cut, mixed, shares
from tests.synthesis.fake import fake_render, published

NAMES = tuple(LAYOUTS)
RECOGNITION = {"identities": 4, "pairs": 10}


def counts(name, train, test):
    return {"train": train, **RECOGNITION} if name == "ms1mv3" else published(name, {"train": train, "test": test})


def plan(name, *, seed=1, train=60, test=25):
    return LAYOUTS[name].plan(Order(name=name, seed=seed, **counts(name, train, test)))


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(layouts, "render", fake_render)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path, name):
    for workers in (1, 2):
        synthesize(name, tmp_path / str(workers), seed=5, workers=workers, **counts(name, 9, 4))
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(tmp_path, fake, name):
    for seed, folder in ((5, "a"), (5, "b"), (6, "c")):
        synthesize(name, tmp_path / folder, seed=seed, workers=1, **counts(name, 9, 4))
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


@pytest.mark.parametrize("name", NAMES)
def test_parts_share_no_person_and_no_picture_repeats(name):
    shots = plan(name)
    people: dict[str, set[int]] = {}
    for shot in shots:
        people.setdefault(shot.split, set()).add(shot.person)
    assert sum(map(len, people.values())) == len(set.union(*people.values()))
    taken = {(shot.person, shot.sample, shot.fixed.get("yaw")) for shot in shots}  # frames of one video differ in pose
    assert len(taken) == len(shots)
    assert len({shot.key for shot in shots}) == len(shots) or name == "morph2"  # its names need the drawing


def test_data_sets_share_no_person():
    people = [{shot.person for shot in plan(name)} for name in NAMES]
    assert sum(map(len, people)) == len(set.union(*people))
    assert len({layouts.person(name, part, 0) for name in layouts.DATASETS for part in layouts.PARTS}) == len(
        layouts.DATASETS
    ) * len(layouts.PARTS)


@pytest.mark.parametrize("name", NAMES)
def test_a_longer_side_can_be_asked_for(name):
    order = Order(name=name, seed=1, image_size=64, **counts(name, 6, 2))
    assert {max(shot.size) for shot in LAYOUTS[name].plan(order)} == {64}


def test_returned_counts(tmp_path, fake):
    def made(name):
        return synthesize(name, tmp_path / name, seed=1, workers=1, **counts(name, 20, 10))

    assert made("300w") == {"train": 20, "test": 10}
    assert made("affectnet") == {"train": 20, "test": 10}  # rows of the seven expressions
    assert made("morph2") == {"all": 30}  # no published split
    assert made("aflw19") == {"train": 25, "test": 5}  # the published proportion decides
    assert made("ms1mv3") == {"train": 20, "lfw": 10, "cfp_fp": 10, "agedb_30": 10, "calfw": 10, "cplfw": 10}


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, fake):
    out = tmp_path / "rafdb"
    synthesize("rafdb", out, seed=1, train=7, test=7, workers=1)
    before = digest(out)

    def broken(face, **options):
        if face.identity & 0xFFFF == 3:
            raise RuntimeError("no paint left")
        return fake_render(face, **options)

    monkeypatch.setattr(layouts, "render", broken)
    with pytest.raises(RuntimeError, match="no paint left"):
        synthesize("rafdb", out, seed=2, train=7, test=7, workers=1)
    assert digest(out) == before and [path.name for path in tmp_path.iterdir()] == ["rafdb"]


def test_a_new_run_replaces_everything_and_sweeps_up(tmp_path, fake):
    out = tmp_path / "rafdb"
    synthesize("rafdb", out, seed=1, train=9, workers=1)
    left = tmp_path / ".rafdb.0123abcd.partial"
    left.mkdir()
    synthesize("rafdb", out, seed=1, train=3, workers=1)
    assert len(list(out.rglob("*.jpg"))) == 3 and [path.name for path in tmp_path.iterdir()] == ["rafdb"]
    assert (out / "GENERATED").exists()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("300W", {"train": 1}, "expected one of 300w"),
        ("300w", {"train": -1}, "synthesis._300w.train"),
        ("morph2", {"train": 0, "test": 0}, "both 0"),
        ("300w", {"train": 3, "test": 3, "pairs": 3}, "this data set has none"),
        ("300w", {"train": 3, "test": 3, "image_size": 8}, "image_size"),
        ("ms1mv3", {"train": 5, "pairs": 3}, "synthesis.ms1mv3.identities: missing"),
        ("ms1mv3", {"train": 5, "pairs": 3, "identities": 6}, "identities"),
        ("ms1mv3", {"train": 5, "test": 5, "pairs": 3, "identities": 2}, "test"),
    ],
)
def test_impossible_orders(tmp_path, name, options, words):
    with pytest.raises(ConfigError, match=words) as error:
        synthesize(name, tmp_path / "out", seed=1, **options)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def _modules() -> list[str]:
    import faceptor.synthesis  # noqa: F401

    return sorted(sys.modules)


def test_workers_load_no_torch():
    (modules,) = joblib.Parallel(n_jobs=2, backend="loky")([joblib.delayed(_modules)()])
    assert "faceptor.synthesis.draw" in modules and "torch" not in modules and "pandas" not in modules


@pytest.mark.parametrize("name", ["celebamaskhq", "ms1mv3"])
def test_contact_sheet_is_one_small_picture(tmp_path, fake, name):
    sheet = tmp_path / "sheets" / f"{name}.webp"
    synthesize(name, tmp_path / name, seed=1, workers=1, sheet=sheet, **counts(name, 30, 10))
    with Image.open(sheet) as picture:
        assert picture.format == "WEBP" and picture.width >= 800
    assert 5_000 < sheet.stat().st_size <= MAX_SHEET_BYTES


def test_a_contact_sheet_of_noise_is_small_too(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet_module, "MAX_SHEET_BYTES", 5_000)
    noise = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), np.uint8)
    contact_sheet([Tile(image=image) for image in noise], title="noise", path=tmp_path / "sheet.webp")
    assert (tmp_path / "sheet.webp").stat().st_size <= 5_000


@pytest.mark.parametrize("corner", [(0, 0), (30, 10), (200, 200)])
def test_a_cut_moves_all_labels_with_the_picture(corner):
    whole = fake_render(sample_face(1, identity=1), size=(90, 120), frame="wild", maps=True)
    box = np.float32([*corner, corner[0] + 40, corner[1] + 40])
    points = np.float32([[35, 45], [60, 44]])
    for x, y in points.astype(int):
        whole.image[y, x] = (9, 8, 7)
    part = cut(replace(whole, box=box, landmarks={"2": points}), (60, 80))
    assert part.image.shape == (60, 80, 3) and part.classes19.shape == part.classes11.shape == (60, 80)
    shift = points - part.landmarks["2"]
    np.testing.assert_allclose(part.box, box - np.tile(shift[0], 2))
    np.testing.assert_allclose(whole.points5 - part.points5, np.tile(shift[0], (5, 1)), atol=1e-4)
    left, top = shift[0].astype(int)
    assert 0 <= left <= 40 and 0 <= top <= 30
    np.testing.assert_array_equal(part.image, whole.image[top : top + 60, left : left + 80])
    np.testing.assert_array_equal(part.parts["skin"], whole.parts["skin"][top : top + 60, left : left + 80])


def test_shares_and_mixtures_are_exact():
    assert shares(10, [1, 1, 1]) == [4, 3, 3] and shares(0, [2, 1]) == [0, 0]
    assert shares(3, [1000, 1, 1]) == [1, 1, 1] and shares(2, [1000, 1, 1]) == [2, 0, 0]
    labels = mixed(100, [3, 1], np.random.default_rng(0))
    assert np.bincount(labels).tolist() == [75, 25]
    album = albums(500, 4, np.random.default_rng(0), most=10)
    assert len(album) == 500 and max(sample for _, sample in album) < 10 and 90 < album[-1][0] < 180
