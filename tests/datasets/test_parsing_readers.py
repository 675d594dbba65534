"""CelebAMask-HQ and LaPa: painting order, class numbers, splits, and one bad label at a time."""

import numpy as np
import pytest

from faceptor.datasets.formats.images import read_gray
from faceptor.datasets.labels import CELEBAMASK_19, CELEBAMASK_TO_LAPA, LAPA_11, flip_classes
from faceptor.datasets.reader import BadSample
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

# --- CelebAMask-HQ ------------------------------------------------------------------------------------------------


def test_celebamaskhq_paints_later_parts_over_earlier_ones(tmp_path):
    pub.celebamaskhq(tmp_path)
    orders = ("faceptor", "owner")
    mask = {order: good(read("celebamaskhq", tmp_path, "train", painting=order))["0.jpg"].mask for order in orders}
    look = {order: CELEBAMASK_19[mask[order][13, 13]] for order in mask}
    assert look == {"faceptor": "glass", "owner": "re"}  # glasses over the eye, or the eye over the glasses
    assert CELEBAMASK_19[mask["faceptor"][11, 11]] == "glass"  # over hair too
    assert CELEBAMASK_19[mask["owner"][11, 11]] == "hair"
    assert [CELEBAMASK_19[mask[order][5, 5]] for order in mask] == ["hair", "neck"]
    assert mask["faceptor"][31, 31] == 0 and mask["faceptor"].shape == (32, 32)


def test_celebamaskhq_merged_into_the_classes_of_lapa(tmp_path):
    pub.celebamaskhq(tmp_path)
    whole = good(read("celebamaskhq", tmp_path, "train"))["0.jpg"].mask
    merged = good(read("celebamaskhq", tmp_path, "train", classes=11))["0.jpg"].mask
    of = {CELEBAMASK_19[old]: LAPA_11[new] for old, new in enumerate(CELEBAMASK_TO_LAPA)}
    assert of["ulip"] == "ul" and of["llip"] == "ll" and of["imouth"] == "im" and of["hair"] == "hair"
    assert {of[side] for side in ("face", "rr", "lr", "glass")} == {LAPA_11[1]}
    assert {of[name] for name in ("background", "neck", "cloth", "hat", "earr", "neckl")} == {"background"}
    np.testing.assert_array_equal(merged, CELEBAMASK_TO_LAPA[whole])
    # Merging and mirroring may change places.
    one, other = (np.array(flip_classes(name)) for name in ("CelebAMask-HQ", "LaPa"))
    np.testing.assert_array_equal(CELEBAMASK_TO_LAPA[one], other[CELEBAMASK_TO_LAPA])


def test_celebamaskhq_splits_by_the_celeba_partition(tmp_path):
    pub.celebamaskhq(tmp_path)
    assert good(read("celebamaskhq", tmp_path, "train")).keys() == {"0.jpg", "1.jpg"}
    assert good(read("celebamaskhq", tmp_path, "test")).keys() == {"2.jpg"}


def test_celebamaskhq_finds_the_partition_beside_and_says_so_when_missing(tmp_path):
    root = tmp_path / "celebamaskhq"
    pub.celebamaskhq(root)
    (tmp_path / "celeba").mkdir()
    (root / "list_eval_partition.txt").rename(tmp_path / "celeba/list_eval_partition.txt")
    assert len(good(read("celebamaskhq", root, "train"))) == 2
    (tmp_path / "celeba/list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match="copy the file from CelebA"):
        read("celebamaskhq", root, "train")


def test_celebamaskhq_rejects_a_sample_without_parts_or_with_odd_sizes_or_without_a_split(tmp_path):
    pub.celebamaskhq(tmp_path, partition=("0", "0", "0", "0"))
    for path in (tmp_path / "CelebAMask-HQ-mask-anno/0").glob("00000_*"):
        path.unlink()
    pub.put(tmp_path / "CelebAMask-HQ-mask-anno/0/00001_hair.png", pub.png(np.zeros((16, 16), np.uint8)))
    pub.put(tmp_path / "CelebAMask-HQ-mask-anno/0/00002_hair.png", b"not a png")
    text = (tmp_path / "list_eval_partition.txt").read_text().splitlines()
    pub.put(tmp_path / "list_eval_partition.txt", "\n".join(text[:3]))
    rejects = bad(read("celebamaskhq", tmp_path, "train"))
    assert rejects.keys() == {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}
    assert "partition" in rejects["3.jpg"].reason and not read("celebamaskhq", tmp_path, "test")


def test_celebamaskhq_header(tmp_path):
    pub.celebamaskhq(tmp_path)
    pub.put(tmp_path / "CelebA-HQ-to-CelebA-mapping.txt", "0 100 000101.jpg\n")
    with pytest.raises(DataError, match="header"):
        read("celebamaskhq", tmp_path, "train")


# --- LaPa ---------------------------------------------------------------------------------------------------------


def test_lapa_points_mask_and_split(tmp_path):
    pub.lapa(tmp_path)
    train = good(read("lapa", tmp_path, "train"))
    assert train.keys() == {"train/1000_0", "train/1001_1", "train/1002_2", "val/1000_0"}
    face = train["train/1000_0"]
    assert face.landmarks.shape == (106, 2) and face.mask.max() == 10 and face.group == "1000"
    np.testing.assert_array_equal(face.points5, face.landmarks[[104, 105, 54, 84, 90]])


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("labels/1001_1.png", pub.png(np.full((60, 50), 11, np.uint8)), "0..10"),
        ("landmarks/1001_1.txt", "106\n1 2\n", "106 points"),
        ("landmarks/1001_1.txt", "68\n" + "1 2\n" * 106, "106"),
        ("landmarks/1001_1.txt", "106\n" + "nan 2\n" * 106, "finite"),
        ("landmarks/1001_1.txt", "999999999999\n", "106"),
        ("labels/1001_1.png", b"\x89PNG\r\n\x1a\n", "not an image"),
    ],
)
def test_lapa_rejects_one_bad_label(file, content, reason, tmp_path):
    pub.lapa(tmp_path)
    pub.put(tmp_path / "LaPa/train" / file, content)
    items = read("lapa", tmp_path, "train")
    assert len(good(items)) == 3
    assert reason in bad(items)["train/1001_1"].reason


def test_sixteen_bit_labels_are_refused(tmp_path):
    pub.put(tmp_path / "a.png", pub.png(np.zeros((4, 4), np.uint16)))
    with pytest.raises(BadSample, match="8-bit"):
        read_gray(tmp_path / "a.png")
