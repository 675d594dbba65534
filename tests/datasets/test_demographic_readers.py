"""FairFace, UTKFace and FFHQ-Aging: class numbers, protocols, published lists, and bad rows."""

import lzma
from collections import Counter
from pathlib import Path

import pytest

from faceptor.datasets import READERS
from faceptor.datasets.labels import AGE_DECADES, FACEXFORMER_RACES, FAIRFACE_AGES, FAIRFACE_RACES, FFHQ_AGES
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

LISTS = Path(__file__).parent / "lists"

# --- FairFace -----------------------------------------------------------------------------------------------------


def test_fairface_classes_and_subset(tmp_path):
    pub.fairface(tmp_path)
    train, test = read("fairface", tmp_path, "train"), read("fairface", tmp_path, "test")
    assert [(item.gender, FAIRFACE_RACES[item.race], FAIRFACE_AGES[item.agegroup]) for item in train] == [
        (0, "White", "3-9"), (1, "Latino_Hispanic", "0-2"), (1, "Middle Eastern", "more than 70")]  # fmt: skip
    assert [item.key for item in test] == ["val/1.jpg", "val/2.jpg"]
    assert [item.subsets for item in train + test] == [(), (), (), ("service_test",), ()]


@pytest.mark.parametrize("margin", ["025", "125"])
def test_fairface_archives(margin, tmp_path):
    pub.fairface(tmp_path, folder=f"fairface-img-margin{margin}-trainval")
    assert len(good(read("fairface", tmp_path, "train"))) == 3
    assert len(good(read("fairface", tmp_path, "train", margin=margin))) == 3
    assert margin in READERS["fairface"](tmp_path).protocol
    with pytest.raises(DataError, match="folder of images"):
        read("fairface", tmp_path, "train", margin={"025": "125", "125": "025"}[margin])


def test_fairface_bad_rows(tmp_path):
    pub.fairface(tmp_path)
    path = tmp_path / "fairface_label_train.csv"
    path.write_text(
        path.read_text().replace("3-9,", "9-Mar,", 1).replace("Middle Eastern", "Martian").replace(",False", "", 1)
    )
    rejects = bad(read("fairface", tmp_path, "train"))
    assert [reject.where for reject in rejects.values()] == [f"fairface_label_train.csv:{line}" for line in (2, 3, 4)]
    reasons = [reject.reason for reject in rejects.values()]
    assert "spreadsheet" in reasons[0] and "fields" in reasons[1] and "'Martian'" in reasons[2]


def test_races_of_facexformer_are_the_same_five_in_both_sets(tmp_path):
    """The paper's order, Indian before Asian, so that one head answers both; other columns stay as they are."""
    pub.fairface(tmp_path / "fairface")
    pub.utkface(tmp_path / "utkface")
    found = {}
    for name in ("fairface", "utkface"):
        plain = {item.key: item for split in ("train", "test") for item in read(name, tmp_path / name, split)}
        merged = [
            item for split in ("train", "test") for item in read(name, tmp_path / name, split, races="facexformer")
        ]
        assert [(item.gender, item.agegroup) for item in merged] == [
            (plain[item.key].gender, plain[item.key].agegroup) for item in merged
        ]
        found[name] = [FACEXFORMER_RACES[item.race] for item in merged]
        assert READERS[name](tmp_path, races="facexformer").classes["race"] == FACEXFORMER_RACES
    assert FACEXFORMER_RACES.index("Indian") < FACEXFORMER_RACES.index("Asian")
    assert found == {
        "fairface": ["White", "Others", "Others", "Asian", "Black"],
        "utkface": ["Black", "Others", "Black", "Indian"],
    }


# --- UTKFace ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [0, 21])
def test_utkface_reads_labels_from_names_whatever_the_list_counts_from(listed, tmp_path):
    pub.utkface(tmp_path, listed=listed)
    reader = READERS["utkface"](tmp_path)
    train, test = list(reader.read("train")), list(reader.read("test"))
    assert [(item.age, item.gender, item.race) for item in train] == [(21, 0, 1), (60, 1, 4), (38, 0, 1)]
    assert [AGE_DECADES[item.agegroup] for item in train] == ["20-29", "60-69", "30-39"]
    assert [(item.age, item.gender, item.race) for item in test] == [(40, 1, 3)]
    assert sum(reader.dropped.values()) == 3
    (check,) = reader.checks()
    assert check.status == "pass" and check.detail == f"{listed} in 4 rows"


def test_utkface_lists_in_a_label_folder(tmp_path):
    pub.utkface(tmp_path)
    for split in ("train", "test"):
        pub.put(tmp_path / f"label/{split}.csv", (tmp_path / f"utk_{split}.csv").read_bytes())
        (tmp_path / f"utk_{split}.csv").unlink()
    (tmp_path / "UTKFace").rename(tmp_path / "data")
    assert len(read("utkface", tmp_path, "train")) == 3


def test_utkface_bad_rows(tmp_path):
    pub.utkface(tmp_path)
    path = tmp_path / "utk_train.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace(",0", ",7")  # an age that disagrees with the name
    lines[3] = "2,60_1_4_20170109142408075.jpg.chip.jpg"
    path.write_text("\n".join(lines))
    items = read("utkface", tmp_path, "train")
    assert len(good(items)) == 1
    reasons = [reject.reason for reject in bad(items).values()]
    assert "other rows differ by 21" in reasons[0] and "number, file and age" in reasons[1]


def test_utkface_random_split_takes_every_age(tmp_path):
    pub.utkface(tmp_path)
    (tmp_path / "utk_train.csv").unlink()
    with pytest.raises(DataError, match="random_80_20"):
        read("utkface", tmp_path, "train")
    reader = READERS["utkface"](tmp_path, protocol="random_80_20")
    found = good([item for split in ("train", "test") for item in reader.read(split)])
    assert sorted(item.age for item in found.values()) == [1, 21, 38, 40, 60, 100]
    assert {found[key].agegroup for key in found if key.startswith(("1_", "100_"))} == {0, 7}
    assert sorted(reader.dropped.values()) == [1, 3]  # older than the age bins; broken names
    assert not reader.published and "not a published split" in reader.protocol


def test_utkface_photographs(tmp_path):
    pub.utkface(tmp_path)
    for number, path in enumerate(sorted((tmp_path / "UTKFace").iterdir())):
        pub.put(tmp_path / f"part{number % 3 + 1}" / path.name.removesuffix(".chip.jpg"), path.read_bytes())
    train = read("utkface", tmp_path, "train", images="wild")
    assert {item.image.parent.name for item in train} <= {"part1", "part2", "part3"} and not bad(train)
    assert [item.age for item in train] == [21, 60, 38]


def test_utkface_published_lists(tmp_path, monkeypatch):
    """The CORAL lists as published: three rows cannot be used, which leaves the paper's counts."""
    pub.put(tmp_path / "UTKFace/one.jpg", pub.jpg())
    for split in ("train", "test"):
        pub.put(tmp_path / f"utk_{split}.csv", lzma.decompress((LISTS / f"utk_{split}.csv.xz").read_bytes()))
    reader = READERS["utkface"](tmp_path)
    monkeypatch.setattr(reader, "_image", lambda name: tmp_path / "UTKFace/one.jpg")
    counts = {}
    for split in ("train", "test"):
        items = list(reader.read(split))
        counts[split] = len(items)
        assert not bad(items) and len(good(items)) == len(items)
        assert {int(item.age) for item in items} == set(range(21, 61))
    assert counts == reader.published == {"train": 13144, "test": 3287}
    assert sum(reader.dropped.values()) == 3
    (check,) = reader.checks()
    assert check.status == "pass" and check.detail == "21 in 16431 rows"


# --- FFHQ-Aging ---------------------------------------------------------------------------------------------------


def test_ffhqaging_tests_on_every_face_by_default(tmp_path):
    pub.ffhqaging(tmp_path)
    assert not read("ffhqaging", tmp_path, "train")
    test = read("ffhqaging", tmp_path, "test")
    assert [item.key for item in test] == ["00000", "00999", "01000", "60000", "69999"]
    assert [FFHQ_AGES[item.agegroup] for item in test] == ["0-2", "10-14", "50-69", "70-120", "20-29"]
    assert [item.gender for item in test] == [0, 1, 0, 0, 1]
    assert test[2].image.parent.name == "01000"


def test_ffhqaging_own_division_and_images(tmp_path):
    pub.ffhqaging(tmp_path)
    count = Counter(split for split in ("train", "test") for _ in read("ffhqaging", tmp_path, split, protocol="ffhq"))
    assert count == {"train": 3, "test": 2}
    assert READERS["ffhqaging"](tmp_path, protocol="ffhq").published == {"train": 60000, "test": 10000}
    with pytest.raises(DataError, match="images1024x1024"):
        read("ffhqaging", tmp_path, "test", images="images1024x1024")


def test_ffhqaging_in_decades_leaves_out_what_lies_in_two(tmp_path):
    pub.ffhqaging(tmp_path)
    reader = READERS["ffhqaging"](tmp_path, groups="decades")
    test = list(reader.read("test"))
    assert [(item.key, AGE_DECADES[item.agegroup]) for item in test] == [
        ("00000", "0-9"), ("00999", "10-19"), ("60000", "70+"), ("69999", "20-29")]  # fmt: skip
    assert sum(reader.dropped.values()) == 1 and reader.classes["agegroup"] == AGE_DECADES


def test_ffhqaging_bad_rows(tmp_path):
    pub.ffhqaging(tmp_path)
    path = tmp_path / "ffhq_aging_labels.csv"
    path.write_text(path.read_text().replace("0,0-2,", "x,0-2,", 1).replace("10-14", "10-15").replace("50-69,0.9", "1"))
    items = read("ffhqaging", tmp_path, "test")
    assert len(bad(items)) == 3 and len(good(items)) == 2
