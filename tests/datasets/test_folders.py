"""What operating systems leave in folders is no data, and links lead out of a data set only where the user says so."""

import os
import shutil
from pathlib import Path

import pytest

from faceptor.datasets import READERS
from faceptor.datasets.folders import litter
from faceptor.datasets.reader import BadSample, Record, Reject
from faceptor.errors import DataError
from faceptor.prepared.prepare import prepare
from tests.datasets import published as pub

TWIN = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "  # how an AppleDouble file begins
LISTING = ("300w", "lapa", "300wlp", "aflw2000", "biwi", "300vw", "facesynthetics", "digiface")  # go by what is there


def outcome(reader):
    """(keys of the records, rejects) of both splits; what stops the reader counts as one reject."""
    records, rejects = [], []
    try:
        for split in ("train", "test"):
            for item in reader.read(split):
                (records if isinstance(item, Record) else rejects).append(item)
    except DataError as error:
        rejects.append(Reject("", "", str(error)))
    return [record.key for record in records], [reject.reason for reject in rejects]


def add_litter(root):
    """As unpacking an archive from a Mac, and then looking at it on Windows, leave it."""
    files = [path for path in root.rglob("*") if path.is_file()]
    for path in files:
        pub.put(path.with_name(f"._{path.name}"), TWIN)
        pub.put(root / "__MACOSX" / path.relative_to(root).with_name(f"._{path.name}"), TWIN)
    for folder in {path.parent for path in files}:
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            pub.put(folder / name, b"\x00junk")


@pytest.mark.parametrize("name", READERS)
def test_twins_and_thumbnails_change_nothing(name, tmp_path):
    pub.BUILDERS[name](tmp_path / "raw")
    before = outcome(READERS[name](tmp_path / "raw"))
    add_litter(tmp_path / "raw")
    assert outcome(reader := READERS[name](tmp_path / "raw")) == before
    assert name not in LISTING or reader.ignored["._*"] > 0


@pytest.mark.parametrize("name", ["morph2", "affectnet", "utkface"])
def test_twins_beside_data_without_lists_change_nothing(name, tmp_path):
    root, options = tmp_path / "raw", {}
    if name == "morph2":  # ids and ages from the names of the files
        pub.morph2(root)
        for path in root.glob("*.csv"):
            path.unlink()
    elif name == "affectnet":
        pub.affectnet_npy(root)
    else:
        pub.utkface(root)
        options = {"protocol": "random_80_20"}
    before = outcome(READERS[name](root, **options))
    assert before[0] and not before[1]
    add_litter(root)
    assert outcome(reader := READERS[name](root, **options)) == before
    assert reader.ignored["._*"] > 0


def test_the_card_counts_what_was_passed_over(tmp_path):
    pub.lapa(tmp_path / "raw")
    options = {"validation": 0.0, "seed": 1, "options": {"strict_counts": False}}
    clean = prepare("lapa", tmp_path / "raw", tmp_path / "clean", **options)
    add_litter(tmp_path / "raw")
    card = prepare("lapa", tmp_path / "raw", tmp_path / "out", **options)
    assert clean["ignored"] == {} and card["rejects"]["count"] == 0
    pictures = sum(card["counts"].values())
    assert card["ignored"]["._*"] >= pictures and card["ignored"]["__MACOSX"] == 1
    assert card | {"ignored": {}} == clean


@pytest.mark.parametrize(
    "name",
    ["._a.jpg", ".DS_Store", "__MACOSX", "Thumbs.db", "Desktop.ini", "@eaDir", ".ipynb_checkpoints"],
)
def test_litter_is_known_by_name(name):
    assert litter(name)


@pytest.mark.parametrize("name", ["a.jpg", "_a.jpg", ".hidden.jpg", "Thumbs.jpg", "macosx", "a._b.jpg", "desktop.jpg"])
def test_what_somebody_named_is_no_litter(name):
    assert litter(name) is None


# --- links --------------------------------------------------------------------------------------------------------


def move_out(root, away, *, files):
    """Folders (or files) at the top go to another disk; links lead there."""
    away.mkdir()
    for path in sorted(root.iterdir()):
        if path.is_file() == files and path.name != "GENERATED":
            shutil.move(path, away / path.name)
            path.symlink_to(away / path.name)


@pytest.mark.parametrize("files", [False, True], ids=["folders", "files"])
@pytest.mark.parametrize("name", READERS)
def test_links_to_another_disk_where_the_user_allows_them(name, files, tmp_path):
    root, away = tmp_path / "raw", tmp_path / "disk"
    pub.BUILDERS[name](root)
    before = outcome(READERS[name](root))
    move_out(root, away, files=files)
    if not any(away.iterdir()):
        pytest.skip("nothing of this kind at the top")
    _, reasons = outcome(READERS[name](root))
    assert reasons and all("data.follow_links" in reason for reason in reasons if "symbolic link" in reason)
    assert any("data.follow_links" in reason for reason in reasons)
    for allowed in (True, [away], [tmp_path / "other", away]):
        assert outcome(READERS[name](root, follow_links=allowed)) == before
    _, reasons = outcome(READERS[name](root, follow_links=[tmp_path / "other"]))
    assert any("data.follow_links" in reason for reason in reasons)


def test_names_with_dots_stay_inside_even_where_links_are_followed(tmp_path):
    pub.put(tmp_path / "secret.jpg", b"x")
    (tmp_path / "set").mkdir()
    reader = READERS["rafdb"](tmp_path / "set", follow_links=True)
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "a/../../secret.jpg"):
        with pytest.raises(BadSample, match="stay inside"):
            reader.image(name)


def test_an_allowed_folder_is_no_prefix_of_another(tmp_path):
    pub.put(tmp_path / "disk2/a.jpg", b"x")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.jpg").symlink_to(tmp_path / "disk2/a.jpg")
    with pytest.raises(BadSample, match="follow_links"):
        READERS["rafdb"](tmp_path / "set", follow_links=[tmp_path / "disk"]).image("a.jpg")
    assert READERS["rafdb"](tmp_path / "set", follow_links=[tmp_path / "disk2/"]).image("a.jpg").is_file()


def test_a_circle_of_links_is_walked_once(tmp_path):
    pub.morph2(tmp_path)
    for path in tmp_path.glob("*.csv"):
        path.unlink()
    before = outcome(READERS["morph2"](tmp_path))
    (tmp_path / "again").symlink_to(tmp_path)
    (next(path for path in sorted(tmp_path.iterdir()) if path.is_dir()) / "up").symlink_to(tmp_path)
    assert len(outcome(READERS["morph2"](tmp_path, follow_links=True))[0]) <= 2 * len(before[0])
    assert outcome(READERS["morph2"](tmp_path)) == before


def test_the_stage_follows_links_as_params_say(tmp_path, monkeypatch):
    from faceptor.config import load_preset
    from faceptor.pipeline.data import preprocess_set
    from faceptor.pipeline.experiment import resolve

    monkeypatch.chdir(tmp_path)
    pub.rafdb(tmp_path / "faces/rafdb")
    (tmp_path / "disk").mkdir()
    shutil.move(tmp_path / "faces/rafdb/basic", tmp_path / "disk/basic")
    os.symlink(tmp_path / "disk/basic", tmp_path / "faces/rafdb/basic")
    params = load_preset("embedded")
    block = params.datasets["rafdb"].model_copy(update={"options": {"strict_counts": False}})

    def with_links(links):
        data = params.data.model_copy(update={"root": tmp_path / "faces", "follow_links": links, "validation": 0.0})
        return resolve(params.model_copy(update={"data": data, "datasets": params.datasets | {"rafdb": block}}))

    with pytest.raises(DataError, match=r"data\.follow_links"):
        preprocess_set(with_links(False), "rafdb")
    assert preprocess_set(with_links((Path("disk"),)), "rafdb")["rejects"]["count"] == 0
