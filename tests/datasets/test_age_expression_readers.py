"""MORPH II, AffectNet and RAF-DB: protocols, label numbers, layouts, and bad rows."""

import os

import numpy as np
import pytest

from faceptor.datasets import READERS
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.readers.morph2 import OWNER_LIST
from faceptor.errors import ConfigError, DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

# --- MORPH II -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("csv", [True, False])
def test_morph_subject_exclusive(csv, tmp_path):
    pub.morph2(tmp_path, csv=csv)
    train = read("morph2", tmp_path, "train", protocol="subject_exclusive")
    test = read("morph2", tmp_path, "test", protocol="subject_exclusive")
    assert len(train) == 48 and len(test) == 12
    assert not {item.group for item in train} & {item.group for item in test}
    assert all(item.age == 20 + int(item.group) for item in train + test)


def test_morph_random_split_is_by_image_seeded_and_blind_to_the_order_of_rows(tmp_path):
    pub.morph2(tmp_path)
    train, test = read("morph2", tmp_path, "train"), read("morph2", tmp_path, "test")
    assert len(train) == 48 and len(test) == 12
    assert {item.group for item in train} & {item.group for item in test}
    assert good(train).keys() != good(read("morph2", tmp_path, "train", seed=7)).keys()
    path = tmp_path / "morph_2008_nonCommercial.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *rows[::-1]]))
    assert good(read("morph2", tmp_path, "train")).keys() == good(train).keys()
    assert "not the paper's" in READERS["morph2"](tmp_path).protocol


def test_morph_user_lists(tmp_path):
    pub.morph2(tmp_path, csv=False)
    pub.put(tmp_path / "label/RANDOM_80_20/train.txt", "Album1/000000_1M20.JPG 20\nAlbum2/000001_1M21.JPG 21.0\n")
    pub.put(tmp_path / "label/RANDOM_80_20/test.txt", "Album1/000002_1M22.JPG 22\n")
    train, test = read("morph2", tmp_path, "train"), read("morph2", tmp_path, "test")
    assert [item.age for item in train] == [20, 21] and [item.age for item in test] == [22]
    assert "lists" in READERS["morph2"](tmp_path).protocol


def test_morph_prefers_the_owners_csv_unless_told_otherwise(tmp_path):
    pub.morph2(tmp_path)
    _, *rows = (tmp_path / "morph_2008_nonCommercial.csv").read_text().splitlines()
    cleaned = [",".join(['"' + row.split(",")[-1] + '"', row.split(",")[7]]) for row in rows[:30]]
    pub.put(tmp_path / "MORPH_cleaned.csv", "\n".join(["photo,age", *cleaned]))
    pub.put(tmp_path / "notes.csv", "a,b\n1,2\n")

    def count(**options):
        return sum(len(good(read("morph2", tmp_path, split, **options))) for split in ("train", "test"))

    assert count() == count(csv="owner") == 60 and count(csv="cleaned") == 30
    assert "MORPH_cleaned.csv" in READERS["morph2"](tmp_path, csv="cleaned").protocol
    (tmp_path / "morph_2008_nonCommercial.csv").unlink()
    assert count() == 30
    with pytest.raises(DataError, match="morph_2008_nonCommercial"):
        count(csv="owner")


def test_morph_is_not_stopped_by_files_that_are_no_list_of_it(tmp_path):
    pub.morph2(tmp_path, subjects=4)
    content = (tmp_path / OWNER_LIST).read_bytes()
    pub.put(tmp_path / "a.csv", b"x" * (2 << 20))
    os.mkfifo(tmp_path / "b.csv")
    pub.put(tmp_path / "c\n.csv", content)
    pub.put(tmp_path.parent / f"{tmp_path.name}.csv", content)
    (tmp_path / "d.csv").symlink_to(tmp_path.parent / f"{tmp_path.name}.csv")
    assert READERS["morph2"](tmp_path).protocol.endswith(OWNER_LIST)
    with pytest.raises(DataError, match="found none"):
        read("morph2", tmp_path, "train", csv="cleaned")
    pub.put(tmp_path / "e.csv", content)
    assert READERS["morph2"](tmp_path, csv="cleaned").protocol.endswith("e.csv")
    (tmp_path / OWNER_LIST).unlink()
    assert READERS["morph2"](tmp_path).protocol.endswith("e.csv")
    with pytest.raises(DataError, match=OWNER_LIST):
        read("morph2", tmp_path, "train", csv="owner")


def test_morph_bad_rows(tmp_path):
    pub.morph2(tmp_path)
    path = tmp_path / "morph_2008_nonCommercial.csv"
    rows = path.read_text().splitlines()
    rows[1] = rows[1].replace(",20,0,0,", ",250,0,0,")
    rows[2] = rows[2].rsplit(",", 2)[0]
    rows[3] = rows[3].replace("Album1", "../Album1")
    rows[4] = rows[4].replace(".JPG", ".missing.JPG")
    path.write_text("\n".join(rows))
    rejects = bad(read("morph2", tmp_path, "train") + read("morph2", tmp_path, "test")).values()
    assert len(rejects) == 4
    reasons = " | ".join(reject.reason for reject in rejects)
    assert all(part in reasons for part in ("0..100", "another number of fields", "stay inside", "missing"))
    assert {reject.where.split(":")[1] for reject in rejects} == {"2", "3", "4", "5"}
    (check,) = READERS["morph2"](tmp_path).checks()
    assert check.status == "fail"  # 250 is not the age in the name


# --- AffectNet ----------------------------------------------------------------------------------------------------


def test_affectnet_csv_gives_boxes_and_counts_what_it_drops(tmp_path):
    pub.affectnet(tmp_path)
    reader = READERS["affectnet"](tmp_path)
    train = list(reader.read("train"))
    assert [item.expression for item in train] == [0, 6, 3]
    assert train[0].box.tolist() == [4, 6, 34, 46] and "box" in reader.columns
    assert sum(reader.dropped.values()) == 2


def test_affectnet_landmarks_align_faces_when_asked(tmp_path):
    pub.affectnet(tmp_path)
    points = np.stack([np.linspace(2, 40, 68), np.linspace(3, 30, 68) ** 1.01], axis=1)
    table = (tmp_path / "training.csv").read_text().splitlines()
    published = ";".join(["1.5"] * 136)
    table[1] = table[1].replace(published, ";".join(f"{value:.4f}" for value in points.ravel()))
    table[2] = table[2].replace(published, published[:-4])
    (tmp_path / "training.csv").write_text("\n".join(table) + "\n")

    reader = READERS["affectnet"](tmp_path, landmarks=True)
    items = list(reader.read("train"))
    assert "points5" in reader.columns
    assert np.allclose(items[0].points5, landmark_scheme("300W").five_points(points), atol=1e-3)
    assert "expected 136 numbers" in items[1].reason and "training.csv:3" in items[1].where

    pub.put(tmp_path / "lists/label/train.txt", "0.jpg 4\n")
    with pytest.raises(ConfigError, match=r"options\.landmarks: .* the lists layout"):
        _ = READERS["affectnet"](tmp_path / "lists", landmarks=True).columns


def test_affectnet_landmarks_of_the_npy_release(tmp_path):
    pub.affectnet_npy(tmp_path)
    points = np.stack([np.linspace(2, 40, 68), np.linspace(3, 30, 68) ** 1.01], axis=1)
    folder = tmp_path / "train_set/annotations"
    for number in range(4):
        pub.put(tmp_path / f"train_set/images/{number}.jpg", pub.jpg(number))
        np.save(folder / f"{number}_exp.npy", np.array(number))
    np.save(folder / "0_lnd.npy", points.ravel())
    np.save(folder / "1_lnd.npy", points.ravel()[:-2])
    np.save(folder / "2_lnd.npy", points.ravel().astype(str))

    reader = READERS["affectnet"](tmp_path, landmarks=True)
    items = {item.key.split("/")[-1]: item for item in reader.read("train")}
    assert reader.columns == ("expression", "points5")
    for name in ("0.jpg", "2.jpg"):
        assert np.allclose(items[name].points5, landmark_scheme("300W").five_points(points), atol=1e-3)
    assert "1_lnd.npy: expected 136 value(s), found shape (134,)" in items["1.jpg"].reason
    assert "3_lnd.npy is missing" in items["3.jpg"].reason


def test_affectnet_lists_in_a_folder_of_their_own(tmp_path):
    pub.affectnet(tmp_path)
    (tmp_path / "Manually_Annotated_file_lists").mkdir()
    for name in ("training.csv", "validation.csv"):
        (tmp_path / name).rename(tmp_path / "Manually_Annotated_file_lists" / name)
    assert [item.expression for item in read("affectnet", tmp_path, "train")] == [0, 6, 3]


def test_affectnet_npy_and_lists(tmp_path):
    pub.affectnet_npy(tmp_path / "npy")
    train = read("affectnet", tmp_path / "npy", "train")
    assert [item.expression for item in train] == [0, 6]
    assert READERS["affectnet"](tmp_path / "npy").columns == ("expression",)
    for number in range(3):
        pub.put(tmp_path / f"lists/data/{number}.jpg", pub.jpg())
    pub.put(tmp_path / "lists/label/train.txt", "0.jpg 4\n1.jpg   7\n2.jpg 12\n")
    items = read("affectnet", tmp_path / "lists", "train")
    assert [item.expression for item in good(items).values()] == [4] and bad(items).keys() == {"2.jpg"}


def test_affectnet_hostile_npy(tmp_path):
    pub.affectnet_npy(tmp_path)
    folder = tmp_path / "train_set/annotations"
    np.save(folder / "0_exp.npy", np.array([{"a": 1}], object), allow_pickle=True)
    head = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }"
    pub.put(folder / "1_exp.npy", head.ljust(127) + b"\n")
    pub.put(folder / "2_exp.npy", b"junk")
    rejects = bad(read("affectnet", tmp_path, "train"))
    assert len(rejects) == 3 and all(".npy" in reject.reason for reject in rejects.values())


def test_affectnet_header(tmp_path):
    pub.affectnet(tmp_path)
    pub.put(tmp_path / "training.csv", "a,b,c\n1,2,3\n")
    with pytest.raises(DataError, match="expression"):
        read("affectnet", tmp_path, "train")


# --- RAF-DB ---------------------------------------------------------------------------------------------------------


def test_rafdb_unified_order_and_aligned_names(tmp_path):
    pub.rafdb(tmp_path)
    train = read("rafdb", tmp_path, "train")
    assert [item.expression for item in train] == [3, 4, 5, 1, 2, 6, 0]
    assert train[0].image.name == "train_00001_aligned.jpg" and train[0].key == "train_00001.jpg"
    (test,) = read("rafdb", tmp_path, "test")
    assert test.expression == 2


def test_rafdb_bad_lines(tmp_path):
    pub.rafdb(tmp_path)
    path = tmp_path / "basic/EmoLabel/list_patition_label.txt"
    lines = ["train_00001.jpg", "train_00002.jpg 8", "other.jpg 1", "train_00009.jpg 1"]
    path.write_bytes(path.read_bytes() + ("\n".join(lines) + "\n").encode() + b"train_\xff.jpg 3\n")
    items = read("rafdb", tmp_path, "train")
    assert len(good(items)) == 7 and len(items) == 12
    assert [item.where.split(":")[1] for item in items[7:]] == ["9", "10", "11", "12", "13"]
    assert "UTF-8" in items[-1].reason and items[-1].key == r"train_\xff.jpg"
    with pytest.raises(DataError, match="unzip"):
        read("rafdb", tmp_path, "train", images="original")
