"""Every generated file is taken apart here by the owner's published format, without the project's readers."""

import csv
import re
from collections import Counter
from datetime import datetime
from itertools import pairwise

import cv2
import numpy as np
import scipy.io

from faceptor.datasets.labels import CELEBA_40, RAFDB_TO_UNIFIED
from faceptor.synthesis import LAYOUTS
from faceptor.synthesis.face import EXPRESSIONS
from tests.synthesis.fake import planned, portrait, size

# --- landmarks --------------------------------------------------------------------------------------------------------


def test_300w_folders_names_and_one_based_points(made):
    root = made("300w")
    folders = ("afw", "helen/trainset", "lfpw/trainset", "helen/testset", "lfpw/testset", "ibug")
    count = {folder: len(list((root / folder).glob("*.pts"))) for folder in folders}
    assert count == dict(zip(folders, (4, 21, 8, 7, 4, 3), strict=True))  # 33 and 14 in the published proportions
    assert (root / "lfpw/trainset/image_0001.png").exists() and (root / "lfpw/testset/image_0001.png").exists()
    assert {path.name for path in (root / "ibug").glob("*.pts")} == {
        *("image_003_1.pts", "image_004_1.pts", "image_092 _01.pts")
    }
    for shot in planned("300w"):
        text = (root / shot.key).with_suffix(".pts").read_text().splitlines()
        assert text[:3] == ["version: 1", "n_points:  68", "{"] and text[-1] == "}" and len(text) == 72
        points = np.array([line.split() for line in text[3:-1]], float)
        np.testing.assert_allclose(points - 1, portrait(shot).landmarks["68"], atol=1e-6)
        assert size(root / shot.key) == (208, 208)


def test_aflw_matrix(made):
    root = made("aflw19")
    info = scipy.io.loadmat(root / "AFLWinfo_release.mat")
    count = 47
    shapes = {"bbox": (count, 4), "data": (count, 38), "mask_new": (count, 19), "ra": (1, count)}
    assert {key: info[key].shape for key in shapes} == shapes
    assert info["nameList"].shape == (count, 1)
    assert sorted(info["ra"].ravel()) == list(range(1, count + 1))
    for row, shot in enumerate(planned("aflw19")):
        name = info["nameList"][row][0][0]
        assert name == shot.key and re.fullmatch(r"[023]/image\d{5}\.jpg", name)
        assert (root / "data/flickr" / name).exists()
        drawn = portrait(shot)
        np.testing.assert_allclose(info["data"][row].reshape(2, 19).T, drawn.landmarks["19"], rtol=1e-6)
        np.testing.assert_array_equal(info["mask_new"][row], drawn.visible["19"])
        left, right, top, bottom = info["bbox"][row]
        assert (left, right, top, bottom) == (40, 160, 40, 160)
    # ra lists the training rows first, in the published proportion
    order = info["ra"].ravel().astype(int) - 1
    splits = [planned("aflw19")[row].split for row in order]
    assert splits == ["train"] * 39 + ["test"] * 8


# --- parsing ----------------------------------------------------------------------------------------------------------


def test_celebamaskhq_parts_mapping_and_partition(made):
    root = made("celebamaskhq") / "CelebAMask-HQ"
    mapping = (root / "CelebA-HQ-to-CelebA-mapping.txt").read_text().splitlines()
    assert mapping[0].split() == ["idx", "orig_idx", "orig_file"]
    partition = dict(line.split() for line in (root / "list_eval_partition.txt").read_text().splitlines())
    codes = []
    for number, line in enumerate(mapping[1:]):
        index, original, file = line.split()
        assert (int(index), f"{int(original) + 1:06d}.jpg") == (number, file)
        codes.append(partition[file])
        assert size(root / f"CelebA-HQ-img/{number}.jpg") == (192, 192)
        skin = cv2.imread(str(root / f"CelebAMask-HQ-mask-anno/0/{number:05d}_skin.png"), cv2.IMREAD_UNCHANGED)
        assert skin.shape == (96, 96) and set(np.unique(skin)) == {0, 255}
        assert (skin[:48] == 255).all() and (skin[48:] == 0).all()
        assert not (root / f"CelebAMask-HQ-mask-anno/0/{number:05d}_eye_g.png").exists()  # absent part, no file
    assert Counter(codes) == {"0": 29, "1": 4, "2": 14}
    assert (root / "CelebAMask-HQ-attribute-anno.txt").read_text().splitlines()[0] == "47"


def test_celebamaskhq_folders_hold_two_thousand(tmp_path):
    layout = LAYOUTS["celebamaskhq"]
    shot = next(s for s in planned("celebamaskhq", train=2100) if s.note["index"] == 2003)
    layout.draw(shot, portrait(shot), tmp_path)
    assert (tmp_path / "CelebAMask-HQ/CelebAMask-HQ-mask-anno/1/02003_skin.png").exists()


def test_lapa_labels_and_landmarks(made):
    root = made("lapa") / "LaPa"
    for shot in planned("lapa"):
        part = root / shot.note["part"]
        label = cv2.imread(str(part / f"labels/{shot.key}.png"), cv2.IMREAD_UNCHANGED)
        assert label.ndim == 2
        np.testing.assert_array_equal(label, portrait(shot).classes11)
        assert size(part / f"images/{shot.key}.jpg") == label.shape
        text = (part / f"landmarks/{shot.key}.txt").read_text().splitlines()
        assert text[0] == "106"
        points = np.array([line.split() for line in text[1:]], float)
        np.testing.assert_allclose(points, portrait(shot).landmarks["106"], atol=1e-6)
    counts = {part: len(list((root / part / "images").iterdir())) for part in ("train", "val", "test")}
    assert counts == {"train": 30, "val": 3, "test": 14}


# --- age, expression, attributes --------------------------------------------------------------------------------------


def test_morph_csv_and_file_names(made):
    root = made("morph2")
    with (root / "morph_2008_nonCommercial.csv").open(newline="") as file:
        header = file.readline().strip()
        rows = list(csv.DictReader(file, header.split(",")))
    assert header == "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo"
    assert len(rows) == 47
    for row in rows:
        assert re.fullmatch(r"Album[12]/\d{6}_\d{1,2}[MF]\d{2}\.JPG", row["photo"])
        assert row["photo"].endswith(f"/{row['id_num']}_{row['picture_num']}{row['gender']}{row['age']}.JPG")
        assert size(root / row["photo"]) == (160, 133)
        born, taken = (datetime.strptime(row[key], "%m/%d/%Y") for key in ("dob", "doa"))
        assert 16 <= int(row["age"]) <= 77 and abs((taken - born).days / 365.25 - int(row["age"])) < 1.01
    subjects = Counter(row["id_num"] for row in rows)
    assert 1.3 < len(rows) / len(subjects) < 4  # several pictures of many


def test_morph_ages_are_uniform_and_a_subject_gets_older():
    plan = planned("morph2", train=4000)
    ages = np.array([shot.fixed["age"] for shot in plan])
    assert ages.min() >= 16 and ages.max() < 78
    histogram, _ = np.histogram(ages, bins=np.linspace(16, 78, 5))
    assert histogram.min() > 0.17 * len(ages)
    for earlier, later in pairwise(plan):
        if earlier.person == later.person:
            assert 0 < later.fixed["age"] - earlier.fixed["age"] < 1.5


def test_affectnet_csv(made):
    root = made("affectnet")
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for name, split in (("training.csv", "train"), ("validation.csv", "test")):
        text = (root / name).read_text().splitlines()
        assert text[0] == header
        expected = [shot for shot in planned("affectnet") if shot.split == split]
        for row, shot in zip(csv.DictReader(text), expected, strict=True):
            assert re.fullmatch(r"\d+/[0-9a-f]{56}\.jpg", row["subDirectory_filePath"])
            assert size(root / "Manually_Annotated_Images" / row["subDirectory_filePath"]) == shot.size
            assert len(row["facial_landmarks"].split(";")) == 136
            x, y, width, height = (int(row[f"face_{key}"]) for key in ("x", "y", "width", "height"))
            assert x >= 0 and y >= 0 and width == height > 0
            assert int(row["expression"]) == shot.note["expression"]
            if shot.note["expression"] < 7:
                assert shot.fixed["expression"] == shot.note["expression"]
            assert (float(row["valence"]) == -2) == (shot.note["expression"] >= 8)
    labels = Counter(
        shot.note["expression"] for shot in planned("affectnet", train=700, test=140) if shot.split == "test"
    )
    assert {label: labels[label] for label in range(7)} == dict.fromkeys(range(7), 20) and labels[7] == 20
    train = Counter(shot.note["expression"] for shot in planned("affectnet", train=700) if shot.split == "train")
    assert sum(train[label] for label in range(7)) == 700 and set(train) == set(range(11))


def test_rafdb_lists_and_annotations(made):
    root = made("rafdb") / "basic"
    rows = [line.split(" ") for line in (root / "EmoLabel/list_patition_label.txt").read_text().splitlines()]
    assert [name for name, _ in rows] == [f"train_{i:05d}.jpg" for i in range(1, 34)] + [
        f"test_{i:04d}.jpg" for i in range(1, 15)
    ]
    for (name, label), shot in zip(rows, planned("rafdb"), strict=True):
        assert shot.fixed["expression"] == RAFDB_TO_UNIFIED[int(label)]
        assert size(root / "Image/aligned" / name.replace(".jpg", "_aligned.jpg")) == (100, 100)
        text = (root / "Annotation/manual" / name.replace(".jpg", "_manu_attri.txt")).read_text().split("\n")
        assert [len(line.split()) for line in text] == [2] * 5 + [1] * 3 + [0]
        assert all(0 <= int(value) <= limit for value, limit in zip(text[5:], (2, 2, 4), strict=False))
    test = Counter(label for name, label in rows if name.startswith("test"))
    assert set(test.values()) == {2}  # uniform


def test_rafdb_training_is_imbalanced_and_complete():
    count = Counter(shot.note["label"] for shot in planned("rafdb", train=1200) if shot.split == "train")
    happy, fear = EXPRESSIONS.index("happy"), EXPRESSIONS.index("fear")
    by_name = {RAFDB_TO_UNIFIED[label]: number for label, number in count.items()}
    assert len(count) == 7 and by_name[happy] == max(count.values()) and by_name[fear] == min(count.values())
    assert max(count.values()) < 6 * min(count.values())


def test_celeba_lists(made):
    root = made("celeba")
    attributes = (root / "list_attr_celeba.txt").read_text().splitlines()
    assert attributes[0] == "47" and tuple(attributes[1].split()) == CELEBA_40
    expected_shots = planned("celeba")
    males = CELEBA_40.index("Male")
    for line, shot in zip(attributes[2:], expected_shots, strict=True):
        name, *values = line.split()
        assert name == shot.key and size(root / "img_align_celeba" / name) == (218, 178)
        expected = [(1, -1, 0)[i % 3] for i in range(40)]
        expected[males] = 1 if portrait(shot).face.male else -1
        assert list(map(int, values)) == expected
        assert re.fullmatch(r"\d{6}\.jpg( [ -][01]){40}", line)
    partition = [line.split() for line in (root / "list_eval_partition.txt").read_text().splitlines()]
    assert Counter(code for _, code in partition) == {"0": 29, "1": 4, "2": 14}
    people = dict(line.split() for line in (root / "identity_CelebA.txt").read_text().splitlines())
    by_code = {code: {people[name] for name, c in partition if c == code} for code in "012"}
    assert not by_code["0"] & by_code["2"] and not by_code["1"] & by_code["2"] and not by_code["0"] & by_code["1"]
    places = (root / "list_landmarks_align_celeba.txt").read_text().splitlines()
    assert places[0] == "47" and places[1].split()[:2] == ["lefteye_x", "lefteye_y"]
    np.testing.assert_allclose(
        np.array(places[2].split()[1:], float).reshape(5, 2), portrait(expected_shots[0]).points5, atol=0.5
    )
