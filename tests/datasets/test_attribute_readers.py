"""CelebA, LFW-73 and LFWA: label values, splits, sources, and bad rows."""

import numpy as np
import pytest

from faceptor.datasets.formats.matlab import load_mat
from faceptor.datasets.labels import CELEBA_40, LFW_73
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

# --- CelebA -------- -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("csv", [True, False])
def test_celeba_signs_partition_and_groups(csv, tmp_path):
    pub.celeba(tmp_path, csv=csv)
    pub.put(tmp_path / "identity_CelebA.txt", "000001.jpg 7\n000002.jpg 7\n")
    train, test = read("celeba", tmp_path, "train"), read("celeba", tmp_path, "test")
    assert [item.key for item in train] == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert [item.key for item in test] == ["000004.jpg"]
    assert train[0].attributes.tolist() == [0, 1] * 20 and train[1].attributes.tolist() == [1, 0] * 20
    assert train[0].attributes.dtype == np.int8 and train[0].group == train[1].group == "7" and not train[2].group


def test_celeba_bad_lines_and_header(tmp_path):
    pub.celeba(tmp_path)
    path = tmp_path / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    lines[2] = " ".join(lines[2].split()[:-1])
    lines[3] = lines[3].replace(" 1", " 2", 1)
    lines[4] = lines[4].replace("-1", "0")
    path.write_text("\n".join(lines))
    items = read("celeba", tmp_path, "train")
    assert bad(items).keys() == {"000001.jpg", "000002.jpg"}
    assert bad(items)["000001.jpg"].where == "list_attr_celeba.txt:3"
    assert set(good(items)["000003.jpg"].attributes.tolist()) == {1, -1}  # 0 is unknown
    lines[1] = lines[1].replace("Attractive", "Plain")
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="40 attribute names"):
        read("celeba", tmp_path, "train")


# --- LFW-73 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["lfwa", "kumar"])
def test_lfw73_sources_agree(source, tmp_path):
    labels = pub.lfw73(tmp_path)
    train, test = read("lfw73", tmp_path, "train", source=source), read("lfw73", tmp_path, "test", source=source)
    np.testing.assert_array_equal([item.attributes for item in train + test], labels)
    assert len(train) == len(test) == 4 and train[0].key == "Aaron_Eckhart/Aaron_Eckhart_0001.jpg"
    assert not {item.group for item in train} & {item.group for item in test}


def test_lfw73_attributes_are_matched_by_name(tmp_path):
    labels = pub.lfw73(tmp_path)
    content = load_mat(tmp_path / "lfw_att_73.mat", ("name", "label", "AttrName"))
    pub.hdf5_mat(
        tmp_path / "lfw_att_73.mat",
        name=content["name"],
        label=content["label"][:, ::-1].copy(),
        AttrName=[name.upper().replace(" ", "_") for name in LFW_73[::-1]],
    )
    np.testing.assert_array_equal([item.attributes for item in read("lfw73", tmp_path, "train")], labels[:4])


def test_lfw73_scores_without_the_split_divide_by_person(tmp_path):
    pub.lfw73(tmp_path)
    (tmp_path / "indices_train_test.mat").unlink()
    train, test = read("lfw73", tmp_path, "train", source="kumar"), read("lfw73", tmp_path, "test", source="kumar")
    assert len(train) + len(test) == 8 and not {item.group for item in train} & {item.group for item in test}
    with pytest.raises(DataError, match="indices_train_test"):
        read("lfw73", tmp_path, "train")


def test_lfw73_bad_rows(tmp_path):
    pub.lfw73(tmp_path)
    path = tmp_path / "lfw_attributes.txt"
    lines = path.read_text().splitlines()
    lines[2] = "\t".join(lines[2].split("\t")[:-1])
    lines[3] = lines[3].replace("0.75", "nan", 1)
    path.write_text("\n".join(lines))
    rejects = bad(read("lfw73", tmp_path, "train", source="kumar"))
    assert len(rejects) == 2 and {reject.where for reject in rejects.values()} == {
        "lfw_attributes.txt:3", "lfw_attributes.txt:4"}  # fmt: skip
    with pytest.raises(DataError, match="imagenum"):
        path.write_text("nothing here\n")
        read("lfw73", tmp_path, "train", source="kumar")


# --- LFWA -----------------------------------------------------------------------------------------------------------


def test_lfwa_labels_split_and_groups(tmp_path):
    labels = pub.lfwa(tmp_path)
    train, test = read("lfwa", tmp_path, "train"), read("lfwa", tmp_path, "test")
    np.testing.assert_array_equal([item.attributes for item in train + test], labels)
    assert len(train) == len(test) == 4 and train[0].key == "Aaron_Eckhart/Aaron_Eckhart_0001.jpg"
    assert not {item.group for item in train} & {item.group for item in test}


def test_lfwa_tests_on_every_image_if_asked(tmp_path):
    pub.lfwa(tmp_path)
    assert not read("lfwa", tmp_path, "train", protocol="all_test")
    assert len(read("lfwa", tmp_path, "test", protocol="all_test")) == 8
    (tmp_path / "indices_train_test.mat").unlink()
    assert len(read("lfwa", tmp_path, "test", protocol="all_test")) == 8
    with pytest.raises(DataError, match="indices_train_test"):
        read("lfwa", tmp_path, "test")


@pytest.mark.parametrize("suffix", ["txt", "csv"])
@pytest.mark.parametrize("no", ["-1", "0"])
def test_lfwa_lists_in_the_form_of_celeba(suffix, no, tmp_path):
    """Both codes of "no"; attributes in another order; the split from a partition or from the owner's indices."""
    labels = pub.lfwa(tmp_path)
    (tmp_path / "lfw_att_40.mat").unlink()
    names = sorted(str(path.relative_to(tmp_path / "lfw")) for path in (tmp_path / "lfw").rglob("*.jpg"))
    table = [["image_id"] * (suffix == "csv") + list(CELEBA_40[::-1])]
    table += [[name, *["1" if yes else no for yes in row[::-1]]] for name, row in zip(names, labels, strict=True)]
    gap = "," if suffix == "csv" else "  "
    head = ["8"] * (suffix == "txt")
    path = pub.put(tmp_path / f"list_attr_lfwa.{suffix}", "\n".join([*head, *map(gap.join, table)]) + "\n")
    train, test = read("lfwa", tmp_path, "train"), read("lfwa", tmp_path, "test")
    np.testing.assert_array_equal([item.attributes for item in train + test], labels)
    parts = "\n".join(f"{name}{gap}{2 * (place < 3)}" for place, name in enumerate(names))
    pub.put(tmp_path / f"list_eval_partition.{suffix}", parts + "\n")
    assert [item.key for item in read("lfwa", tmp_path, "test")] == names[:3]
    path.write_text(path.read_text().replace(f"{gap}1", f"{gap}yes", 1))
    assert bad(read("lfwa", tmp_path, "test") + read("lfwa", tmp_path, "train")).keys() == {names[0]}
    path.write_text(path.read_text().replace("Attractive", "Plain"))
    with pytest.raises(DataError, match="40 attribute names"):
        read("lfwa", tmp_path, "train")
