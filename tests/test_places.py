"""`~` and `$VAR` are filled in wherever params.yaml holds a path."""

from pathlib import Path

import pytest
import yaml

from faceptor.config import parse, preset_text
from faceptor.doctor.data import examine_data
from faceptor.errors import ConfigError
from tests.datasets import published

PLACES = {
    "data.root": lambda params: params.data.root,
    "data.prepared": lambda params: params.data.prepared,
    "data.follow_links": lambda params: params.data.follow_links[0],
    "datasets.lapa.path": lambda params: params.datasets["lapa"].path,
    "model.encoder.pretrained": lambda params: params.model.encoder.pretrained,
}


def with_place(key, text):
    values = yaml.safe_load(preset_text("embedded"))
    values["synthesis"] = {}
    *sections, last = key.split(".")
    block = values
    for section in sections:
        block = block[section]
    block[last] = [text] if key == "data.follow_links" else text
    return parse(values)


@pytest.mark.parametrize("key", PLACES)
def test_home_and_variables_are_filled_in(key, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FACES", "/disk/faces")
    for text, expected in {
        "~": tmp_path, "~/faces": tmp_path / "faces", "a~b": Path("a~b"), "plain/path": Path("plain/path"),
        "$FACES": Path("/disk/faces"), "${FACES}/a": Path("/disk/faces/a"),
        "$FACES/$FACES": Path("/disk/faces/disk/faces"),
    }.items():  # fmt: skip
        assert PLACES[key](with_place(key, text)) == expected


@pytest.mark.parametrize("key", PLACES)
def test_what_cannot_be_filled_in_is_refused_by_its_key(key, monkeypatch):
    monkeypatch.delenv("NO_SUCH_PLACE", raising=False)
    for text in ("$NO_SUCH_PLACE/faces", "${NO_SUCH_PLACE}", "~no_such_user_here/faces"):
        with pytest.raises(ConfigError, match=key.replace("data.follow_links", "follow_links")) as caught:
            with_place(key, text)
        assert "\n" not in str(caught.value)


def test_doctor_finds_data_below_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    published.rafdb(tmp_path / "faces/rafdb")
    facts = examine_data(with_place("data.root", "~/faces"), names=["rafdb"])
    assert facts["root"] == str(tmp_path / "faces") and facts["datasets"]["rafdb"]["state"] != "absent"
    facts = examine_data(with_place("data.root", "elsewhere"), names=["rafdb"], root=Path("~/faces"))
    assert facts["datasets"]["rafdb"]["state"] != "absent"
