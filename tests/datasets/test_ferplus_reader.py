"""FERPlus: what the votes decide, the published layouts, and the counts on the published votes."""

import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from faceptor.datasets import READERS
from faceptor.datasets.formats.images import decode_image
from faceptor.datasets.labels import EXPRESSIONS_8
from faceptor.datasets.readers.ferplus import COUNTS, majority
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

VOTES = Path(__file__).parent / "lists/fer2013new.csv.xz"


def named(items):
    return {key: EXPRESSIONS_8[item.expression] for key, item in good(items).items()}


@pytest.mark.parametrize(
    ("votes", "column"),
    [
        ((4, 0, 0, 1, 3, 2, 0, 0, 0, 0), None),  # 4 of 9 is no majority
        ((5, 0, 0, 1, 1, 3, 0, 0, 0, 0), 0),  # 5 of 8: single votes do not count
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), None),  # exactly half
        ((0, 0, 2, 1, 1, 1, 1, 1, 1, 1), 2),
        ((1,) * 10, None),  # nothing is left
        ((0, 0, 0, 0, 0, 0, 0, 0, 6, 4), 8),  # unknown wins
    ],
)
def test_majority_by_hand(votes, column):
    assert majority(np.array(votes)) == column


@pytest.mark.parametrize("build", [pub.ferplus, pub.ferplus_folders, lambda root: pub.ferplus_folders(root, False)])
def test_layouts_agree(build, tmp_path):
    build(tmp_path)
    reader = READERS["ferplus"](tmp_path)
    train, test = list(reader.read("train")), list(reader.read("test"))
    assert named(train) == {
        "fer0000000.png": "neutral", "fer0000002.png": "surprise", "fer0000005.png": "fear"}  # fmt: skip
    assert named(test) == {"fer0000006.png": "anger"} and not bad(train + test)
    assert [item.subsets for item in train] == [("Training",)] * 2 + [("PublicTest",)]
    assert sum(reader.dropped.values()) in (3, 4)  # the owner's tool leaves out what is no face
    for item in train + test:
        data = item.image if isinstance(item.image, bytes) else item.image.read_bytes()
        face = pub.fer_faces()[int(item.key[3:10])]
        np.testing.assert_array_equal(decode_image(data), np.repeat(face[..., None], 3, axis=2))


def test_options(tmp_path):
    pub.ferplus(tmp_path)
    eight = read("ferplus", tmp_path, "train", expressions=8)
    assert named(eight)["fer0000003.png"] == "contempt" and len(eight) == 4
    assert READERS["ferplus"](tmp_path, expressions=8).classes == {"expression": EXPRESSIONS_8}
    loose = named(read("ferplus", tmp_path, "train", rule="argmax"))
    assert loose["fer0000001.png"] == "neutral" and "argmax" in READERS["ferplus"](tmp_path, rule="argmax").protocol


def test_lists_of_columns(tmp_path):
    for name, text in {"train": "a.png 2\nb.png 7\n", "val": "c.png 6\n", "test": "d.png 4\ne.png 9\n"}.items():
        pub.put(tmp_path / f"label/{name}.txt", text)
        for line in text.splitlines():
            pub.put(tmp_path / "data" / line.split()[0], pub.png(pub.fer_faces()[0]))
    assert named(read("ferplus", tmp_path, "train")) == {"a.png": "surprise", "c.png": "fear"}
    test = read("ferplus", tmp_path, "test")
    assert named(test) == {"d.png": "anger"} and bad(test).keys() == {"e.png"}


def test_bad_rows(tmp_path):
    pub.ferplus(tmp_path)
    path = tmp_path / "fer2013.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("0,", "0,999 ", 1)  # one too many
    lines[3] = lines[3].replace(" ", "", 1)
    lines[6] = lines[6].replace(" ", " x", 1)
    path.write_text("\n".join(lines) + "\n")
    rejects = bad(read("ferplus", tmp_path, "train"))
    assert rejects.keys() == {"fer0000000.png", "fer0000002.png", "fer0000005.png"}
    assert all(reject.reason.startswith("pixels") for reject in rejects.values())
    votes = tmp_path / "fer2013new.csv"
    votes.write_text(votes.read_text().replace(",6,1,1", ",66,1,1", 1))
    assert "neutral" in bad(read("ferplus", tmp_path, "train"))["fer0000000.png"].reason
    votes.write_text("\n".join(votes.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="a row for every row"):
        read("ferplus", tmp_path, "test")


@pytest.mark.parametrize(("expressions", "rule"), COUNTS)
def test_counts_on_the_published_votes(expressions, rule, tmp_path, monkeypatch):
    for folder in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        (tmp_path / folder).mkdir()
    pub.put(tmp_path / "fer2013new.csv", lzma.decompress(VOTES.read_bytes()))
    reader = READERS["ferplus"](tmp_path, expressions=expressions, rule=rule)
    monkeypatch.setattr(reader, "image", lambda name, folder: folder / name)
    items = [item for split in ("train", "test") for item in reader.read(split)]
    assert not bad(items)
    count = Counter((item.split, *item.subsets) for item in items)
    parts = [("train", "Training"), ("train", "PublicTest"), ("test",)]
    assert tuple(count[part] for part in parts) == COUNTS[expressions, rule]
    if (expressions, rule) == (7, "majority"):  # per class: neutral, happy, sad, surprise, fear, disgust, anger
        classes = [Counter(i.expression for i in items if (i.split, *i.subsets) == part) for part in parts]
        assert [[found[k] for k in range(7)] for found in classes] == [
            [8740, 7287, 3014, 3149, 532, 119, 2100],
            [1182, 865, 351, 415, 62, 24, 287],
            [1090, 893, 384, 396, 83, 18, 273],
        ]
