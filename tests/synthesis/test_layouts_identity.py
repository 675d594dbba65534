"""Binary files of the recognition and LFW sets, taken apart by their published formats."""

import pickle
import re
import struct
from collections import Counter

import cv2
import h5py
import numpy as np
import pytest

from faceptor.datasets.labels import CELEBA_40, LFW_73
from faceptor.synthesis.writers import ms1mv3
from faceptor.synthesis.writers.write_recordio import frame
from tests.synthesis.fake import planned, portrait, size

MAGIC = struct.pack("<I", 0xCED7230A)


# --- recognition ------------------------------------------------------------------------------------------------------


def records(path):
    """Every record at the offsets of the index, joined from its parts as the RecordIO format says."""
    data = path.with_suffix(".rec").read_bytes()
    for line in path.with_suffix(".idx").read_text().splitlines():
        key, offset = map(int, line.split("\t"))
        parts = []
        while True:
            magic, word = struct.unpack_from("<4sI", data, offset)
            assert magic == MAGIC
            flag, length = word >> 29, word & 0x1FFFFFFF
            parts.append(data[offset + 8 : offset + 8 + length])
            offset += 8 + -(-length // 4) * 4
            if flag in (0, 3):
                break
        yield key, MAGIC.join(parts)


def test_train_rec_holds_meta_images_and_identities(made):
    root = made("ms1mv3")
    content = dict(records(root / "train"))
    assert list(content)[-1] == 0  # the meta record stands last in the file
    flag, _, key, _, first, last = struct.unpack("<IfQQ2f", content[0])
    assert (flag, key, first, last) == (2, 0, 34, 39) and set(content) == set(range(39))
    labels = {}
    for key in range(1, 34):
        flag, label, identifier, _ = struct.unpack_from("<IfQQ", content[key])
        assert flag == 0 and identifier == key
        labels[key] = int(label)
        image = cv2.imdecode(np.frombuffer(content[key][24:], np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (112, 112, 3)
    for person in range(5):
        flag, _, _, _, start, end = struct.unpack("<IfQQ2f", content[34 + person])
        assert flag == 2 and [key for key, label in labels.items() if label == person] == list(
            range(int(start), int(end))
        )
    assert (root / "property").read_bytes() == b"5,112,112\n"
    assert len((root / "train.lst").read_text().splitlines()) == 33
    assert sorted(Counter(labels.values()).values()) == [6, 6, 7, 7, 7]


@pytest.mark.parametrize("content", [b"", b"abc", MAGIC, b"1234" + MAGIC + b"56", MAGIC * 3, b"12" + MAGIC + b"3456"])
def test_record_with_the_magic_number_inside(tmp_path, content):
    path = tmp_path / "train"
    framed = frame(content)
    path.with_suffix(".rec").write_bytes(framed)
    path.with_suffix(".idx").write_text("0\t0\n")
    assert dict(records(path)) == {0: content} and len(framed) % 4 == 0
    parts = framed.count(MAGIC) if content != b"12" + MAGIC + b"3456" else 1
    aligned = sum(content[at : at + 4] == MAGIC for at in range(0, len(content), 4))
    assert parts == aligned + 1  # nothing at a multiple of four looks like the start of a record


class OnlyData(pickle.Unpickler):
    def find_class(self, module, name):
        raise AssertionError(f"the file asks for {module}.{name}")


@pytest.mark.parametrize("name", ms1mv3.VERIFICATION)
def test_verification_set(made, name):
    with (made("ms1mv3") / f"{name}.bin").open("rb") as file:
        images, same = OnlyData(file, encoding="bytes").load()
    assert (made("ms1mv3") / f"{name}.bin").read_bytes()[:2] == b"\x80\x02"  # protocol 2
    assert len(images) == 2 * len(same) == 40 and all(type(flag) is bool for flag in same)
    assert all(type(image) is bytes for image in images)
    assert cv2.imdecode(np.frombuffer(images[0], np.uint8), cv2.IMREAD_COLOR).shape == (112, 112, 3)
    assert np.reshape(same, (10, 2)).sum(axis=1).tolist() == [1] * 10  # every fold has both kinds
    pairs = [shot for shot in planned("ms1mv3") if shot.split == name]
    for a, b, flag in zip(pairs[::2], pairs[1::2], same, strict=True):
        assert (a.person == b.person) == flag and (a.person, a.sample) != (b.person, b.sample)
        faces = [portrait(shot).face for shot in (a, b)]
        gap = abs(faces[0].age - faces[1].age)
        assert name not in ("agedb_30", "calfw") or 27 <= gap <= 33
        assert name != "cfp_fp" or (abs(faces[0].yaw) <= 8 and abs(faces[1].yaw) >= 40)
        assert name != "cplfw" or faces[0].yaw * faces[1].yaw < 0
        assert name not in ("calfw", "cplfw") or faces[0].male == faces[1].male


# --- LFW --------------------------------------------------------------------------------------------------------------


def texts(file, name):
    assert file[name].shape[0] == 1 and file[name].dtype == h5py.ref_dtype
    return ["".join(map(chr, file[reference][:, 0])) for reference in file[name][0]]


@pytest.mark.parametrize(("count", "names"), [(40, CELEBA_40), (73, LFW_73)])
def test_lfwa_labels(made, count, names):
    root = made("lfw73")
    path = root / f"lfw_att_{count}.mat"
    assert path.read_bytes()[:10] == b"MATLAB 7.3" and path.read_bytes()[124:128] == b"\x00\x02IM"
    with h5py.File(path) as file:
        label, pictures, attributes = file["label"][()], texts(file, "name"), texts(file, "AttrName")
    assert attributes == [name.replace("_", " ") for name in names]
    assert label.shape == (count, 47) and set(np.unique(label)) == {-1, 0, 1}
    for picture in pictures:
        person, image = picture.split("\\")
        assert re.fullmatch(rf"{person}_\d{{4}}\.jpg", image) and size(root / "lfw" / person / image) == (160, 160)


def test_lfwa_split_is_one_based_and_keeps_people_apart(made):
    root = made("lfw73")
    with h5py.File(root / "indices_train_test.mat") as file:
        index = {key: file[key][()].ravel().astype(int) for key in file}
    with h5py.File(root / "lfw_att_73.mat") as file:
        people = [picture.split("\\")[0] for picture in texts(file, "name")]
    assert len(index["indices_img_train"]) == 33 and len(index["indices_img_test"]) == 14
    assert sorted([*index["indices_img_train"], *index["indices_img_test"]]) == list(range(1, 48))
    sides = [{people[i - 1] for i in index[f"indices_img_{split}"]} for split in ("train", "test")]
    assert not sides[0] & sides[1]
    listed = sorted(set(people))
    assert [{listed[i - 1] for i in index[f"indices_identity_{split}"]} for split in ("train", "test")] == sides


def test_kumar_scores_agree_with_the_labels(made):
    root = made("lfw73")
    text = (root / "lfw_attributes.txt").read_text().splitlines()
    assert text[0].startswith("#") and text[1].split("\t") == ["#", "person", "imagenum", *LFW_73]
    with h5py.File(root / "lfw_att_73.mat") as file:
        label, pictures = file["label"][()].T, texts(file, "name")
    for line, values, picture in zip(text[2:], label, pictures, strict=True):
        person, number, *scores = line.split("\t")
        name = person.replace(" ", "_")
        assert picture == f"{name}\\{name}_{int(number):04d}.jpg"
        scores = np.array(scores, float)
        np.testing.assert_array_equal(np.select([scores > 0, scores < 0], [1, 0], -1), values)
