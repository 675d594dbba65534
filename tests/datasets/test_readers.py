"""What holds for every reader: complete records, clear errors, no way out of the folder."""

import numpy as np
import pytest

from faceptor.datasets import READERS, reader_class
from faceptor.datasets.reader import BadSample, Reader, landmark_box, share
from faceptor.errors import ConfigError, DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read


@pytest.mark.parametrize("name", READERS)
def test_every_sample_of_a_published_layout_is_a_record(name, tmp_path):
    pub.BUILDERS[name](tmp_path)
    reader = READERS[name](tmp_path)
    train, test = list(reader.read("train")), list(reader.read("test"))
    assert not bad(train + test)
    assert len(good(train)) == len(train) and ("train" not in reader.published or train)
    assert len(good(test)) == len(test) and (train or test)
    for item in train + test:
        assert all(getattr(item, column) is not None for column in reader.columns)
        assert isinstance(item.image, bytes) or item.image.is_file()
    assert not good(train).keys() & good(test).keys()
    pub.put(tmp_path / "GENERATED", "")  # else some miss the rest of the published faces
    assert all(check.status in ("pass", "na") for check in reader.checks())


@pytest.mark.parametrize("name", READERS)
def test_reading_twice_gives_the_same_order(name, tmp_path):
    pub.BUILDERS[name](tmp_path)
    assert [item.key for item in read(name, tmp_path, "train")] == [item.key for item in read(name, tmp_path, "train")]


@pytest.mark.parametrize("name", READERS)
def test_an_empty_folder_names_what_is_missing_and_where_to_get_it(name, tmp_path):
    with pytest.raises(DataError) as error:
        read(name, tmp_path, "train")
        read(name, tmp_path, "test")
    assert "expected" in str(error.value) and "faceptor synthesize" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_facts_are_complete(name):
    reader = READERS[name]
    assert reader.title and reader.source and reader.licence and reader.redistribution
    assert reader.published and min(reader.published.values()) > 0


def test_unknown_names_and_options_are_config_errors(tmp_path):
    with pytest.raises(ConfigError, match="300w"):
        reader_class("300-w")
    with pytest.raises(ConfigError, match="protocol"):
        READERS["morph2"](tmp_path, protocl="random_80_20")
    with pytest.raises(ConfigError, match="subject_exclusive"):
        READERS["morph2"](tmp_path, protocol="by_moon")
    with pytest.raises(ConfigError, match="strict_counts"):
        READERS["300w"](tmp_path, strict_counts="no")
    with pytest.raises(ConfigError, match="verification"):
        READERS["ms1mv3"](tmp_path, verification=["lfw2"])


# --- paths --------------------------------------------------------------------------------------------------------


class Anything(Reader):
    name = title = source = licence = "anything"

    def read(self, split):
        return iter(())


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg", "", "a\0b.jpg", "\udcff.jpg"])
def test_a_path_may_not_leave_the_folder(path, tmp_path):
    root = tmp_path / "set"
    pub.put(tmp_path / "secret.jpg", pub.jpg())
    root.mkdir()
    with pytest.raises(BadSample):
        Anything(root).image(path)


def test_a_link_may_not_leave_the_folder_but_the_folder_may_be_a_link(tmp_path):
    pub.put(tmp_path / "set/a.jpg", pub.jpg())
    pub.put(tmp_path / "secret.jpg", pub.jpg())
    (tmp_path / "set/b.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert Anything(tmp_path / "link").image("a.jpg").is_file()
    with pytest.raises(BadSample, match="symbolic link"):
        Anything(tmp_path / "link").image("b.jpg")


def test_an_image_is_found_under_another_extension_or_case(tmp_path):
    pub.put(tmp_path / "a.PNG", pub.png(pub.picture()))
    assert Anything(tmp_path).image("a.jpg").name == "a.PNG"


# --- rules ----------------------------------------------------------------------------------------------------------


def test_landmark_box_by_hand():
    box = landmark_box(np.array([[10.2, 20.0], [30.7, 45.5]], np.float32))
    assert box.tolist() == [7.5, 20.0, 33.5, 46.0]  # x 10..31, y 20..46: centre (20.5, 33), side 26


def test_shares_are_uniform_and_depend_on_the_seed():
    shares = np.array([share(1, str(i)) for i in range(2000)])
    assert shares.min() >= 0 and shares.max() < 1 and abs(shares.mean() - 0.5) < 0.02
    assert share(1, "a") != share(2, "a")
