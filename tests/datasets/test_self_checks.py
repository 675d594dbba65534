"""Self-checks of a data set look at the data: each of these passes on sound data and fails on data that lie."""

import ast
import inspect

import pytest
import scipy.io

from faceptor.datasets import READERS
from faceptor.datasets.reader import Reader
from faceptor.datasets.readers import aflw19
from tests.datasets import published as pub


def checks(name, root, **options):
    reader = READERS[name](root, **options)
    for split in ("train", "test"):
        list(reader.read(split))
    return {check.name: check.status for check in reader.checks()}


def status(name, root, part, **options):
    (found,) = [status for check, status in checks(name, root, **options).items() if part in check]
    return found


def test_labels_without_a_picture(tmp_path):
    pub.lapa(tmp_path)
    assert status("lapa", tmp_path, "has its picture") == "pass"
    next(path for path in sorted(tmp_path.rglob("train/images/*"))).unlink()
    assert status("lapa", tmp_path, "has its picture") == "fail"


def test_a_mapping_that_was_cut_off(tmp_path):
    pub.celebamaskhq(tmp_path)
    assert status("celebamaskhq", tmp_path, "is named in") == "pass"
    path = tmp_path / "CelebA-HQ-to-CelebA-mapping.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert status("celebamaskhq", tmp_path, "is named in") == "fail"


def test_a_record_that_counts_other_identities(tmp_path):
    pub.ms1mv3(tmp_path)
    contents = {key: pub.header(float((key - 1) // 2), key) + pub.jpg(key, 112, 112) for key in range(1, 13)}
    for people, expected in ((6.0, "pass"), (7.0, "fail")):
        pub.recordio(tmp_path, contents | {0: pub.header([13.0, 13.0 + people], 0)})
        assert status("ms1mv3", tmp_path, "record 0 counts") == expected


def test_another_number_of_frontal_faces(tmp_path, monkeypatch):
    pub.aflw19(tmp_path)
    (tmp_path / "GENERATED").unlink(missing_ok=True)
    info = scipy.io.loadmat(tmp_path / "AFLWinfo_release.mat")
    monkeypatch.setattr(aflw19, "TRAIN_ROWS", 4)
    monkeypatch.setattr(aflw19, "FRONTAL_TEST_FACES", (2,))
    test = info["ra"].ravel()[4:] - 1
    for hidden, expected in ((0, "pass"), (1, "fail")):
        info["mask_new"][test] = 1
        info["mask_new"][test[:hidden], 0] = 0
        scipy.io.savemat(tmp_path / "AFLWinfo_release.mat", {k: v for k, v in info.items() if not k.startswith("__")})
        assert status("aflw19", tmp_path, "frontal") == expected


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_no_check_has_its_outcome_written_into_it(reader):
    """A `Check` whose status is "pass" or "fail" in so many words says nothing of the data."""
    if reader.checks is Reader.checks:
        return
    tree = ast.parse(inspect.getsource(inspect.getmodule(reader.checks)))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Check":
            assert not (isinstance(call.args[1], ast.Constant) and call.args[1].value in ("pass", "fail")), call.lineno


def test_sound_data_pass(tmp_path):
    for name in ("celeba", "morph2", "utkface", "lapa"):
        pub.BUILDERS[name](tmp_path / name)
        assert "fail" not in checks(name, tmp_path / name).values(), name
