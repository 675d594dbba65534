"""What damaged copies brought to light: each of these once gave another exception, a wrong label or no word at all."""

import os

import cv2
import numpy as np
import pytest
import scipy.io

from faceptor.datasets import READERS
from faceptor.datasets.formats.matlab import load_mat
from faceptor.datasets.formats.textfiles import table
from faceptor.datasets.reader import BadSample, number, printable
from faceptor.datasets.values import MAX_TEXT_CHARACTERS
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read


@pytest.mark.parametrize("text", ["1_0", "٣", "²", "１", b"1_0", "0x10", "9" * 5000, "nan", "-inf", ""])
def test_only_plain_digits_are_numbers(text):
    with pytest.raises(BadSample):
        number(text)


def test_text_for_messages_is_one_line_of_utf_8():
    for text in ("a\nb", "\udcff", "\ud800", "a\r\x1b[31mb", "a\u2028b"):
        assert len(printable(text).splitlines()) == 1 and printable(text).encode() and printable(text) != text
    assert printable("é ü") == "é ü"


def test_a_marker_that_is_no_text_and_one_with_a_huge_number(tmp_path):
    pub.rafdb(tmp_path)
    for content in (b"\xff\xfe", b"counts: {'train': " + b"9" * 5000 + b"}\n"):
        pub.put(tmp_path / "GENERATED", content)
        assert READERS["rafdb"](tmp_path).generated and READERS["rafdb"](tmp_path).generated_counts == {}


def test_a_name_with_two_values_has_none():
    assert table([["a", "0"], ["b", "1"], ["a", "2"], ["b", "1"], ["c"]]) == {"a": "", "b": "1"}


def test_an_image_in_two_parts_of_the_partition_of_celeba_is_rejected(tmp_path):
    pub.celeba(tmp_path)
    path = next(tmp_path.rglob("list_eval_partition.txt"))
    first = path.read_text().split()[0]
    before = good(read("celeba", tmp_path, "train"))
    path.write_text(path.read_text() + f"{first} 2\n")
    items = read("celeba", tmp_path, "train") + read("celeba", tmp_path, "test")
    assert bad(items).keys() == {first} and good(items).keys() >= before.keys() - {first}


def test_ferplus_files_that_are_shifted_against_each_other_are_refused(tmp_path):
    pub.ferplus(tmp_path)
    path = tmp_path / "fer2013.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[2:], lines[-1]]))  # one lost, one twice: as many as before
    with pytest.raises(DataError, match="do not belong together"):
        read("ferplus", tmp_path, "train")


def test_ferplus_rows_of_an_unknown_part_are_rejected_once(tmp_path):
    pub.ferplus_folders(tmp_path, votes_inside=False)
    path = next(tmp_path.rglob("fer2013new.csv"))
    path.write_text(path.read_text().replace("Training", "Trainin", 1))
    assert len(bad(read("ferplus", tmp_path, "train") + read("ferplus", tmp_path, "test"))) == 1


def test_a_list_of_utkface_without_its_header_loses_no_row(tmp_path):
    pub.utkface(tmp_path)
    path = next(tmp_path.rglob("*train.csv"))
    before = read("utkface", tmp_path, "train")
    path.write_text(path.read_text().split("\n", 1)[1])
    assert [item.key for item in read("utkface", tmp_path, "train")] == [item.key for item in before]


def test_rows_of_lfwa_that_are_no_rows_or_in_both_splits(tmp_path):
    pub.lfwa(tmp_path)
    path = next(tmp_path.rglob("indices_train_test.mat"))
    content = load_mat(path, ("indices_img_train", "indices_img_test"))
    train, test = (value.astype(float) for value in content.values())
    for value, reason in ((train.flat[0] + 0.5, "rows in"), (np.nan, "rows in"), (test.flat[0], "both")):
        changed = train.copy()
        changed.flat[0] = value
        scipy.io.savemat(path, content | {"indices_img_train": changed})
        with pytest.raises(DataError, match=reason):
            read("lfwa", tmp_path, "train")


def test_a_frame_lost_inside_a_video_fails_a_check(tmp_path):
    home = tmp_path / "300VW_Dataset_2015_12_14/114"
    home.mkdir(parents=True)
    video = cv2.VideoWriter(str(home / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for frame in range(4):
        video.write(np.full((48, 64, 3), 50 * frame, np.uint8))
        pub.put(home / f"annot/{frame + 1:06d}.pts", pub.pts_text(pub.face68()))
    video.release()
    whole = (home / "vid.avi").read_bytes()
    frames = [at for at in range(len(whole)) if whole[at : at + 3] == b"\xff\xd8\xff"]
    for data, status in ((whole, "pass"), (whole[: frames[1] - 8] + b"99xx" + whole[frames[1] - 4 :], "fail")):
        (home / "vid.avi").write_bytes(data)
        reader = READERS["300vw"](tmp_path)
        list(reader.read("test"))
        assert [check.status for check in reader.checks()] == [status]


def test_a_list_of_files_under_the_name_of_a_video_is_not_followed(tmp_path):
    home = tmp_path / "300VW_Dataset_2015_12_14/114"
    pub.put(home / "vid.avi", "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    pub.put(home / "annot/000001.pts", pub.pts_text(pub.face68()))
    assert "not an AVI file" in bad(read("300vw", tmp_path, "test"))["114/000001"].reason


def test_a_pipe_in_place_of_a_list_is_not_waited_for(tmp_path):
    pub.rafdb(tmp_path)
    path = tmp_path / "basic/EmoLabel/list_patition_label.txt"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="regular file"):
        read("rafdb", tmp_path, "train")


def test_rejects_of_long_names_are_brief(tmp_path):
    pub.rafdb(tmp_path)
    path = tmp_path / "basic/EmoLabel/list_patition_label.txt"
    path.write_text(path.read_text() + f"train_{'d/' * 3000}x.jpg 1\n")
    (reject,) = bad(read("rafdb", tmp_path, "train")).values()
    longest = max(map(len, (reject.key, reject.where, reject.reason)))
    assert longest <= MAX_TEXT_CHARACTERS and "characters)" in reject.key
