"""FairFace, UTKFace, LFWA, FERPlus and FFHQ-Aging: files by the published format, and faces that show their labels."""

import csv
import re
from collections import Counter

import h5py
import numpy as np
import pytest

from faceptor.datasets.labels import (
    AGE_DECADES,
    CELEBA_40,
    FAIRFACE_AGES,
    FAIRFACE_RACES,
    FERPLUS_TO_UNIFIED,
    FFHQ_AGES,
    GENDERS,
    UTKFACE_RACES,
)
from faceptor.errors import ConfigError
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.synthesis import LAYOUTS
from faceptor.synthesis.demographics import APPEARANCES, UTKFACE_APPEARANCES, age_ranges
from faceptor.synthesis.face import sample_face
from faceptor.synthesis.writers.layout import Order, shares
from tests.synthesis.fake import SEED, planned, portrait, size


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def faces(name, **counts):
    """The shots of a larger plan with the faces that they ask for, not drawn."""
    return [(s, sample_face(SEED, identity=s.person, sample=s.sample, **s.fixed)) for s in planned(name, **counts)]


# --- files ------------------------------------------------------------------------------------------------------------


def test_fairface_lists(made):
    root = made("fairface")
    for part, split in (("train", "train"), ("val", "test")):
        table = rows(root / f"fairface_label_{part}.csv")
        shots = [shot for shot in planned("fairface") if shot.split == split]
        assert list(table[0]) == ["file", "age", "gender", "race", "service_test"]
        for row, shot in zip(table, shots, strict=True):
            face = portrait(shot).face
            assert re.fullmatch(rf"{part}/\d+\.jpg", row["file"]) and size(root / row["file"]) == (160, 160)
            low, high = age_ranges(FAIRFACE_AGES)[FAIRFACE_AGES.index(row["age"])]
            assert low <= face.age < high + 1 and face.male == (row["gender"] == "Male")
            assert row["race"] in FAIRFACE_RACES and row["service_test"] in ("True", "False")


def test_utkface_names_and_lists(made):
    root = made("utkface")
    files = {path.name for path in (root / "UTKFace").iterdir()}
    listed = set()
    for split, count in (("train", 33), ("test", 14)):
        text = (root / f"utk_{split}.csv").read_text().splitlines()
        assert text[0] == ",file,age" and len(text) == count + 1
        for line in text[1:]:
            _, name, age = line.split(",")
            assert re.fullmatch(r"\d+_[01]_[0-4]_\d{17}\.jpg\.chip\.jpg", name)
            assert int(name.split("_")[0]) == int(age) + 21 and 0 <= int(age) <= 39
            listed.add(name)
    assert listed < files and len(files) == 33 + 14 + 21  # 44 % more stand in no list
    assert all(not 21 <= int(name.split("_")[0]) <= 60 for name in files - listed)
    for shot in planned("utkface"):
        age, gender, _, _ = shot.key.split("_")
        face = portrait(shot).face
        assert int(age) == int(face.age) and (gender == "0") == face.male


def test_lfwa_files(made):
    root = made("lfwa")
    with h5py.File(root / "lfw_att_40.mat") as file:
        assert file["label"].shape == (40, 47)
    assert not (root / "lfw_att_73.mat").exists() and (root / "indices_train_test.mat").exists()
    people = {shot.person for shot in planned("lfwa")}
    assert not people & {shot.person for shot in planned("lfw73")}


def test_ferplus_pixels_and_votes(made):
    root = made("ferplus")
    votes, pixels = rows(root / "fer2013new.csv"), rows(root / "fer2013.csv")
    columns = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    assert list(votes[0]) == ["Usage", "Image name", *columns] and list(pixels[0]) == ["emotion", "pixels", "Usage"]
    kept = Counter()
    for number, (vote, pixel, shot) in enumerate(zip(votes, pixels, planned("ferplus"), strict=True)):
        assert vote["Usage"] == pixel["Usage"] and 0 <= int(pixel["emotion"]) <= 6
        assert np.array(pixel["pixels"].split(), int).shape == (2304,)
        given = np.array([int(vote[column]) for column in columns])
        assert given.sum() == 10 and vote["Image name"] == ("" if given[9] == 10 else f"fer{number:07d}.png")
        best = int(given.argmax())
        if given[best] > 5 and best < 7:
            kept[vote["Usage"]] += 1
            assert FERPLUS_TO_UNIFIED[best] == shot.fixed["expression"]
    assert kept == {"Training": 29, "PublicTest": 4, "PrivateTest": 14}
    with pytest.raises(ConfigError, match="48"):
        LAYOUTS["ferplus"].check(Order(name="ferplus", seed=1, train=3, image_size=64))


def test_ffhqaging_labels_and_thumbnails(made):
    root = made("ffhqaging")
    table = rows(root / "ffhq_aging_labels.csv")
    assert [int(row["image_number"]) for row in table] == [*range(33), *range(60000, 60014)]
    for row, shot in zip(table, planned("ffhqaging"), strict=True):
        number = int(row["image_number"])
        path = root / f"thumbnails128x128/{number // 1000 * 1000:05d}/{number:05d}.png"
        assert size(path) == (128, 128)
        face = portrait(shot).face
        low, high = age_ranges(FFHQ_AGES)[FFHQ_AGES.index(row["age_group"])]
        assert low <= face.age < high + 1 and face.male == (row["gender"] == "male")
        assert float(row["head_yaw"]) == pytest.approx(face.yaw, abs=0.01)
    with pytest.raises(ConfigError, match="60000"):
        LAYOUTS["ffhqaging"].check(Order(name="ffhqaging", seed=1, train=60001))


# --- what the reader gives back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fairface", "utkface", "ffhqaging", "ferplus", "lfwa"])
def test_labels_survive_the_round_trip(name, made, tmp_path):
    card = prepare(name, made(name), tmp_path / "out", validation=0.0, seed=1, max_rejects=0.0)
    assert card["counts"] == ({"test": 47} if name == "ffhqaging" else {"train": 33, "test": 14})
    assert not [check for check in card["checks"] if check["status"] == "fail"]
    samples = {s["key"]: s for split in card["counts"] for s in open_split(tmp_path / "out", split)}
    shots = {shot.key: shot for shot in planned(name)}
    assert samples.keys() <= shots.keys()
    for key, sample in samples.items():
        face = portrait(shots[key]).face
        if "gender" in sample:
            assert GENDERS[sample["gender"]] == ("male" if face.male else "female")
        if "age" in sample:
            assert sample["age"] == int(face.age)
            assert int(re.match(r"\d+", AGE_DECADES[sample["agegroup"]])[0]) == min(int(face.age) // 10 * 10, 70)
        if "expression" in sample:
            assert sample["expression"] == face.expression and np.ptp(sample["image"], axis=2).max() == 0
        if "attributes" in sample:
            assert sample["attributes"][CELEBA_40.index("Male")] == face.male
    if name == "fairface":
        assert all(FAIRFACE_RACES[s["race"]] == shots[key].note["facts"][2] for key, s in samples.items())


@pytest.mark.parametrize(("name", "count"), [("utkface", 68), ("lfwa", 47), ("ffhqaging", 47)])
def test_other_protocols_find_every_face(name, count, made, tmp_path):
    protocol = {"utkface": "random_80_20", "lfwa": "all_test", "ffhqaging": "ffhq"}[name]
    options = {"protocol": protocol}
    card = prepare(name, made(name), tmp_path / "out", validation=0.0, seed=1, max_rejects=0, options=options)
    assert sum(card["counts"].values()) == count
    assert not [check for check in card["checks"] if check["status"] == "fail"]


# --- labels are to be seen --------------------------------------------------------------------------------------------


def test_every_class_has_a_look_of_its_own():
    assert tuple(APPEARANCES) == FAIRFACE_RACES and tuple(UTKFACE_APPEARANCES) == UTKFACE_RACES
    assert {look for names in UTKFACE_APPEARANCES.values() for look in names} == set(APPEARANCES)
    tones = {}
    for shot, face in faces("fairface", train=700, test=0):
        tones.setdefault(shot.note["facts"][2], []).append(face.person.skin)
    assert all(len(found) == 100 for found in tones.values())
    for race, found in tones.items():
        low, high = APPEARANCES[race].skin
        assert low <= min(found) and max(found) <= high and np.ptp(found) > 0.5 * (high - low)


def test_classes_cover_ages_and_genders_evenly():
    plan = faces("fairface", train=900, test=0)
    genders = Counter(shot.note["facts"][1] for shot, _ in plan)
    ages = Counter(shot.note["facts"][0] for shot, _ in plan)
    assert genders == {"Male": 450, "Female": 450} and set(ages) == set(FAIRFACE_AGES) and min(ages.values()) >= 45
    # labels of one face say nothing about another of its labels
    both = Counter(shot.note["facts"][1:3] for shot, _ in plan)
    assert len(both) == 14 and min(both.values()) > 30


def test_infants_look_like_infants():
    young = [face for _, face in faces("ffhqaging", train=400, test=0) if face.age < 3]
    assert len(young) == 40
    assert all(f.hair_length == "short" and not (f.hat or f.beard or f.earrings or f.lipstick) for f in young)


def test_two_seeds_differ_and_one_repeats():
    order = {"name": "utkface", "train": 20, "test": 5}
    plans = [LAYOUTS["utkface"].plan(Order(seed=seed, **order)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.parametrize(("count", "weights"), [(24, (93, 85, 55, 56, 23, 11, 46)), (8, (1, 100, 1)), (9, (0, 1, 2))])
def test_shares_add_up_and_leave_none_empty(count, weights):
    parts = shares(count, weights)
    assert sum(parts) == count
    assert all((part > 0) == (weight > 0) for part, weight in zip(parts, weights, strict=True))
