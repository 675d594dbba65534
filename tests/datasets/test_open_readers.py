"""FaceSynthetics and DigiFace-1M: points, masks, people and their drawn splits, and one bad file at a time."""

import numpy as np
import pytest

from faceptor.datasets import READERS
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.reader import landmark_box
from faceptor.errors import DataError
from faceptor.evaluation.samples import open_samples
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.recognition import IdentityPrediction
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

SPEC = TASKS["recognition_digiface"]

# --- FaceSynthetics -----------------------------------------------------------------------------------------------


def test_facesynthetics_points_mask_box_and_split(tmp_path):
    pub.facesynthetics(tmp_path)
    train, test = (good(read("facesynthetics", tmp_path, split)) for split in ("train", "test"))
    assert train.keys() == {"000000", "000001", "000002"} and test.keys() == {"000019"}
    face = train["000001"]
    np.testing.assert_allclose(face.landmarks, pub.face70(0.25), atol=1e-5)  # as written: no shift
    np.testing.assert_array_equal(face.box, landmark_box(pub.face68(0.25)))  # as that of 300W
    np.testing.assert_allclose(face.points5, landmark_scheme("300W").five_points(pub.face68(0.25)), atol=1e-5)
    assert set(np.unique(face.mask)) == {0, 1, 3, 4, 255}


def test_facesynthetics_in_the_folder_of_its_archive(tmp_path):
    pub.facesynthetics(tmp_path / "dataset_100")
    assert len(read("facesynthetics", tmp_path, "train")) == 3


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("000001_seg.png", pub.png(np.full((60, 50), 19, np.uint8)), "0..18 or 255, found 19"),
        ("000001_seg.png", pub.png(np.full((60, 50, 3), (1, 2, 3), np.uint8)), "colours"),
        ("000001_seg.png", None, "000001_seg.png is missing"),
        ("000001_ldmks.txt", "1 2\n" * 68, "70 points"),
        ("000001_ldmks.txt", "1 2\n" * 69 + "1 x\n", "number"),
        ("000001_ldmks.txt", None, "000001_ldmks.txt is missing"),
        ("000001.png", None, "000001.png is missing"),
    ],
)
def test_facesynthetics_rejects_one_bad_file(file, content, reason, tmp_path):
    pub.facesynthetics(tmp_path)
    (tmp_path / file).unlink() if content is None else pub.put(tmp_path / file, content)
    items = read("facesynthetics", tmp_path, "train")
    assert len(good(items)) == 2
    assert reason in bad(items)["000001"].reason and "000001" in bad(items)["000001"].where


@pytest.mark.parametrize("size", [(30, 25), (60, 50)])
def test_facesynthetics_masks_are_as_large_as_the_picture_and_have_a_class(size, tmp_path):
    pub.facesynthetics(tmp_path)
    pub.put(tmp_path / "GENERATED", "")
    pub.put(tmp_path / "000001_seg.png", pub.png(np.full(size, 255 if size == (60, 50) else 1, np.uint8)))
    card = prepare("facesynthetics", tmp_path, tmp_path / "out", validation=0.0, seed=1, max_rejects=0.5)
    (reject,) = card["rejects"]["first"]
    assert reject["key"] == "000001" and ("no pixel has a class" if size == (60, 50) else "25 x 30") in reject["reason"]


def test_pixels_without_a_class_are_stored_and_told(tmp_path):
    pub.facesynthetics(tmp_path)
    pub.put(tmp_path / "GENERATED", "")
    card = prepare("facesynthetics", tmp_path, tmp_path / "out", validation=0.0, seed=1)
    shares = card["labels"]["train"]["mask"]
    assert shares["unknown"] == pytest.approx(25 / 3000, abs=1e-6)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert open_split(tmp_path / "out", "train")[0]["mask"].max() == 255


def test_other_pupils_first_fail_the_check(tmp_path):
    pub.facesynthetics(tmp_path)
    for number in range(3):
        rows = (tmp_path / f"{number:06d}_ldmks.txt").read_text().splitlines()
        pub.put(tmp_path / f"{number:06d}_ldmks.txt", "\n".join([*rows[:68], rows[69], rows[68]]) + "\n")
    reader = READERS["facesynthetics"](tmp_path)
    for split in ("train", "test"):
        list(reader.read(split))
    assert [check.status for check in reader.checks()] == ["fail"]


# --- DigiFace-1M --------------------------------------------------------------------------------------------------


def test_digiface_people_keep_to_one_side_and_their_numbers_close_up(tmp_path):
    pub.digiface(tmp_path)
    train, test = (good(read("digiface", tmp_path, split)) for split in ("train", "test"))
    assert list(train) == [f"{person}/{n}" for person in (0, 1, 100000) for n in range(3)]
    assert {face.group for face in test.values()} == {"46", "100270"}
    assert [train[f"{person}/0"].identity for person in (0, 1, 100000)] == [0, 1, 10000]
    few = read("digiface", tmp_path, "train", images=5)
    assert [(face.key, face.identity) for face in few] == [(f"100000/{n}", 0) for n in range(3)]


def test_digiface_folders_of_people_alone_or_twice_deep(tmp_path):
    pub.digiface(tmp_path / "deep")
    archive = tmp_path / "deep/subjects_0-1999_72_imgs"
    archive.rename(tmp_path / "people")
    (tmp_path / "people").rename(archive.parent / "x")
    archive.mkdir()
    (archive.parent / "x").rename(archive / archive.name)
    assert len(read("digiface", tmp_path / "deep", "train")) == 9
    assert len(read("digiface", archive / archive.name, "train")) == 6


def test_digiface_rejects_what_is_no_person_or_no_picture(tmp_path):
    pub.digiface(tmp_path)
    archive = tmp_path / "subjects_0-1999_72_imgs"
    (archive / "1/2.png").rename(archive / "1/two.png")
    pub.put(archive / "2500/0.png", pub.png(pub.picture(1, 112, 112)))
    pub.put(archive / "a person/0.png", pub.png(pub.picture(2, 112, 112)))
    pub.put(archive / "LICENSE.txt", "terms")
    items = [item for split in ("train", "test") for item in read("digiface", tmp_path, split)]
    reasons = {key: reject.reason for key, reject in bad(items).items()}
    assert reasons.keys() == {"1/two.png", "2500", "a person"} and len(good(items)) == 14
    assert "like 0.png" in reasons["1/two.png"] and "0 to 1999" in reasons["2500"] and "number" in reasons["a person"]


def test_digiface_misses_pictures_by_the_names_of_its_archives(tmp_path):
    pub.put(tmp_path / "subjects_100000-133332_5_imgs/100000/0.png", pub.png(pub.picture(0, 112, 112)))
    reader = READERS["digiface"](tmp_path)
    list(reader.read("train"))
    (check,) = reader.checks()
    assert check.status == "fail" and "100000 with 1" in check.detail


def test_digiface_pairs_are_those_that_lie_there(tmp_path):
    pub.digiface(tmp_path)
    assert READERS["digiface"](tmp_path).verification() == {}
    with pytest.raises(DataError, match="verification set lfw"):
        READERS["digiface"](tmp_path, verification=["lfw"]).verification()
    pub.put(tmp_path / "lfw.bin", b"")
    assert READERS["digiface"](tmp_path).verification() == {"lfw": tmp_path / "lfw.bin"}


def test_test_people_judge_recognition_where_no_pairs_lie(tmp_path):
    pub.digiface(tmp_path)
    pub.put(tmp_path / "GENERATED", "")
    prepare("digiface", tmp_path, tmp_path / "out", validation=0.0, seed=1)
    samples, metric = open_samples(SPEC, tmp_path / "out", "test"), KINDS["recognition"].metric(SPEC)
    for sample in samples:
        metric.update(IdentityPrediction(np.eye(2)[int(sample["group"] == "46")], 1.0), sample)
    assert len(samples) == 6 and metric.compute()["accuracy_identities"] == 100


# --- both ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "option", "value"), [("facesynthetics", "release", 100), ("digiface", "images", 5)])
def test_parts_of_the_release_are_held_to_their_own_counts(name, option, value, tmp_path):
    whole, part = (READERS[name](tmp_path, **options).published for options in ({}, {option: value}))
    assert sum(whole.values()) == {"facesynthetics": 100_000, "digiface": 720_000 + 99_999 * 5}[name]
    assert sum(part.values()) == {"facesynthetics": 100, "digiface": 99_999 * 5}[name]
    drawn = READERS[name](tmp_path, seed=3)
    assert drawn.redivided and drawn.published != whole and sum(drawn.published.values()) == sum(whole.values())
    pub.BUILDERS[name](tmp_path)
    with pytest.raises(DataError, match=rf"{name}: train: expected {part['train']} samples as published"):
        prepare(name, tmp_path, tmp_path / "out", validation=0.0, seed=1, options={option: value})
