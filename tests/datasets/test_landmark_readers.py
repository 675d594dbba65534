"""300W and AFLW: index bases, boxes, subsets, groups, and one bad annotation at a time."""

import numpy as np
import pytest
import scipy.io

from faceptor.datasets import READERS
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

# --- 300W ---------------------------------------------------------------------------------------------------------


def test_300w_points_are_zero_based_and_the_box_follows_whole_pixels(tmp_path):
    pub.w300(tmp_path)
    face = good(read("300w", tmp_path, "train"))["afw/134212_1"]
    np.testing.assert_allclose(face.landmarks, pub.face68(0.25), atol=1e-5)
    x, y = pub.face68(0.25).T
    side = max(np.ceil(x.max()) - np.floor(x.min()), np.ceil(y.max()) - np.floor(y.min()))
    assert face.box[2] - face.box[0] == face.box[3] - face.box[1] == side
    assert (face.box[0] + face.box[2]) / 2 == (np.floor(x.min()) + np.ceil(x.max())) / 2


def test_300w_subsets_groups_and_the_name_with_a_space(tmp_path):
    pub.w300(tmp_path)
    train, test = good(read("300w", tmp_path, "train")), good(read("300w", tmp_path, "test"))
    assert len(train) == 6 and len(test) == 4
    assert train["afw/134212_1"].group == train["afw/134212_2"].group != train["lfpw/trainset/image_0001"].group
    assert train["lfpw/trainset/image_0001"].group != train["lfpw/trainset/image_0002"].group
    assert test["ibug/image_092_01"].subsets == ("challenge",) and test["ibug/image_092_01"].image.name.count(" ")
    assert test["helen/testset/296814969_3"].subsets == test["lfpw/testset/image_0001"].subsets == ("common",)


def test_300w_csv_lists_give_the_same_points_and_box(tmp_path):
    pub.w300(tmp_path)
    train, test = good(read("300w", tmp_path, "train")), good(read("300w", tmp_path, "test"))
    for name, records in {"train": train, "valid": test}.items():
        images = {f"{key}.{'png' if 'lfpw' in key else 'jpg'}": record.landmarks for key, record in records.items()}
        pub.csv300w(tmp_path, f"face_landmarks_300w_{name}.csv", images)
    for split, records in {"train": train, "test": test}.items():
        listed = good(read("300w", tmp_path, split, annotations="csv"))
        assert listed.keys() == records.keys()
        for key, record in records.items():
            np.testing.assert_allclose(listed[key].landmarks, record.landmarks, atol=1e-4)
            np.testing.assert_allclose(listed[key].box, record.box, atol=1e-4)
            assert listed[key].subsets == record.subsets
    (check,) = READERS["300w"](tmp_path).checks()
    assert check.status == "pass"


def test_300w_shifted_csv_fails_its_check(tmp_path):
    pub.w300(tmp_path)
    pub.csv300w(tmp_path, "face_landmarks_300w_train.csv", {"afw/134212_1.jpg": pub.face68(0.25) + 1})
    (check,) = READERS["300w"](tmp_path).checks()
    assert check.status == "fail"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (pub.pts_text(pub.face68()[:67]), "expected 68 points, found 67"),
        (pub.pts_text(np.full((68, 2), np.nan)), "finite"),
        (pub.pts_text(np.full((68, 2), np.inf)), "finite"),
        ("version: 1\nn_points: 68\n1 2\n", "braces"),
        ("version: 1\nn_points: 99999999999\n{\n1 2 3\n}\n", "pairs"),
        (pub.pts_text(pub.face68()).replace("25", "2x5"), "number"),
        ("{" + "1 2 " * 300000, "larger than"),
    ],
)
def test_300w_one_bad_annotation_is_rejected_alone(text, reason, tmp_path):
    pub.w300(tmp_path)
    pub.put(tmp_path / "helen/trainset/2.pts", text)
    items = read("300w", tmp_path, "train")
    assert len(good(items)) == 5
    (reject,) = bad(items).values()
    assert reject.key == "helen/trainset/2" and reject.where == "helen/trainset/2.pts" and reason in reject.reason


def test_300w_halves_of_a_pair_are_rejected(tmp_path):
    pub.w300(tmp_path)
    (tmp_path / "afw/134212_1.pts").unlink()
    (tmp_path / "afw/134212_2.jpg").unlink()
    assert bad(read("300w", tmp_path, "train")).keys() == {"afw/134212_1", "afw/134212_2"}


# --- AFLW ---------------------------------------------------------------------------------------------------------


def test_aflw_box_points_permutation_and_frontal_subset(tmp_path):
    order = pub.aflw19(tmp_path)
    train, test = read("aflw19", tmp_path, "train"), read("aflw19", tmp_path, "test")
    assert [int(item.key.split(":")[0]) for item in train + test] == order.tolist()
    assert train[0].box.tolist() == [5, 7, 45, 55]
    np.testing.assert_allclose(train[0].landmarks[:, 0], np.linspace(10, 40, 19) + order[0], rtol=1e-6)
    np.testing.assert_allclose(train[0].landmarks[:, 1], np.linspace(12, 50, 19), rtol=1e-6)
    frontal = {int(item.key.split(":")[0]): bool(item.subsets) for item in test}
    assert all(frontal[row] == (row != 3) for row in frontal)
    by_row = {int(item.key.split(":")[0]): item for item in train + test}
    assert by_row[0].group == by_row[1].group  # one photograph


def test_aflw_bad_rows_and_bad_permutation(tmp_path):
    pub.aflw19(tmp_path)
    content = scipy.io.loadmat(tmp_path / "AFLWinfo_release.mat")
    content["data"][2, 5] = np.nan
    content["nameList"][0, 0] = "../../secret.jpg"
    fields = {key: content[key] for key in ("nameList", "bbox", "data", "mask_new", "ra")}
    scipy.io.savemat(tmp_path / "AFLWinfo_release.mat", fields)
    rejects = bad(read("aflw19", tmp_path, "train"))
    assert len(rejects) == 2 and {"finite", "folder"} <= {r.reason.split()[-1] for r in rejects.values()}
    fields["ra"][0, 0] = 99
    scipy.io.savemat(tmp_path / "AFLWinfo_release.mat", fields)
    with pytest.raises(DataError, match="permutation"):
        read("aflw19", tmp_path, "train")
