"""`faceptor doctor data` on tiny data sets in their owners' layouts."""

import json
import shutil
from typing import ClassVar

import pytest
import yaml
from typer.testing import CliRunner

from faceptor.cli import app
from faceptor.config import load_preset, parse, preset_text
from faceptor.config.sections import spelled
from faceptor.datasets import READERS
from faceptor.datasets.reader import MARKER, Listed, Reader, Record
from faceptor.doctor import survey as surveying
from faceptor.doctor.data import examine_data
from faceptor.doctor.show import console, data_report
from faceptor.errors import ConfigError
from faceptor.prepared.prepare import prepare
from tests.datasets import published

LAYOUTS = {
    "300w": published.w300, "aflw19": published.aflw19, "celebamaskhq": published.celebamaskhq, "lapa": published.lapa,
    "morph2": published.morph2, "affectnet": published.affectnet, "rafdb": published.rafdb, "celeba": published.celeba,
    "ms1mv3": published.ms1mv3, "lfw73": published.lfw73, "utkface": published.utkface, "fairface": published.fairface,
    "lfwa": published.lfwa, "ferplus": published.ferplus, "ffhqaging": published.ffhqaging, "wflw": published.wflw,
    "cofw": published.cofw, "300wlp": published.w300lp, "aflw2000": published.aflw2000, "biwi": published.biwi,
    "300vw": published.w300vw, "facesynthetics": published.facesynthetics, "digiface": published.digiface,
}  # fmt: skip


def parameters(root, **datasets):
    """The embedded preset with these data sets alone, real ones, of which half may be unusable."""
    values = yaml.safe_load(preset_text("embedded"))
    values["data"] |= {"root": str(root), "prepared": str(root / "prepared"), "max_rejects": 0.5}
    values["synthesis"] = {}
    for name, block in datasets.items():
        values["datasets"].setdefault(spelled(name), {"path": name, "role": "joint"}).update(block | {"path": name})
    return parse(values)


RELAXED = {"options": {"strict_counts": False}}


def look(root, *names, datasets=None, **settings):
    params = parameters(root, **(dict.fromkeys(names, RELAXED) if datasets is None else datasets))
    return examine_data(params, names=names, **settings)


def text(facts):
    shown = console(file=None)
    with shown.capture() as captured:
        for part in data_report(facts):
            shown.print(part)
    return captured.get()


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_reader_is_surveyed_through_the_same_seam(name, tmp_path):
    LAYOUTS[name](tmp_path / name)
    block = RELAXED | ({"verification": []} if name == "ms1mv3" else {})
    sets = {name: block}
    quick, deep = (look(tmp_path, name, datasets=sets, deep=deep)["datasets"][name] for deep in (False, True))
    assert quick["state"] == deep["state"] == "found", quick["problems"] + deep["problems"]
    reader = READERS[name](tmp_path / name)
    listed = {split: len(list(reader.read(split))) for split in ("train", "test")}
    for facts in (quick, deep):
        found = {split: entry["samples"] for split, entry in facts["splits"].items()}
        assert found == {split: count for split, count in listed.items() if count}
        assert all(entry["exact"] for entry in facts["splits"].values())
    unusable = {split: entry["unusable"] for split, entry in deep["splits"].items()}
    opened = {split: entry["decoded"] for split, entry in deep["splits"].items()}
    assert all(opened[split] == listed[split] - unusable[split] for split in opened)
    json.dumps(quick)


def test_every_registered_data_set_is_told(tmp_path):
    facts = look(tmp_path, datasets={})
    assert list(facts["datasets"]) == list(READERS)
    for name, entry in facts["datasets"].items():
        kind = READERS[name]
        assert entry["state"] == "absent"
        assert (entry["licence"], entry["ask"], entry["published"]) == (kind.licence, kind.source, kind.published)
        assert set(entry["options"]) == set(kind.choices)
    said = text(facts)
    assert all(f" {name}  " in said for name in READERS)
    assert "\x1b" not in said  # no terminal, no colour


def test_a_missing_file_stops_the_set_and_is_named(tmp_path):
    published.celeba(tmp_path / "celeba")
    (partition,) = (tmp_path / "celeba").rglob("list_eval_partition.txt")
    partition.unlink()
    facts = look(tmp_path, "celeba")
    entry = facts["datasets"]["celeba"]
    assert (entry["state"], entry["ok"], facts["summary"]["ok"]) == ("incomplete", False, False)
    assert [p["blocking"] for p in entry["problems"]] == [True]
    assert "list_eval_partition" in entry["problems"][0]["what"]
    assert entry["ask"] in text(facts)


def test_unusable_samples_are_quoted_with_file_and_line_and_counted(tmp_path):
    root = tmp_path / "fairface"
    published.fairface(root)
    rows = (root / "fairface_label_train.csv").read_text().splitlines()
    (root / "fairface_label_train.csv").write_text(
        "\n".join([*rows, *(f"train/90{i}.jpg,{rows[1].split(',', 1)[1]}" for i in range(3))]) + "\n"
    )
    entry = look(tmp_path, "fairface")["datasets"]["fairface"]
    first = next(p for p in entry["problems"] if "missing" in p["what"])
    assert first["count"] == 3
    assert first["where"] == f"fairface_label_train.csv:{len(rows) + 1}"


def test_few_unusable_samples_are_a_note_and_many_an_error(tmp_path):
    published.w300(tmp_path / "300w")
    broken = sorted((tmp_path / "300w/helen/trainset").glob("*.pts"))[0]
    broken.write_text("version: 1\n{\n1 2\n}\n")
    params = parameters(tmp_path, **{"300w": RELAXED})
    strict = params.model_copy(update={"data": params.data.model_copy(update={"max_rejects": 0.01})})
    assert examine_data(params, names=["300w"])["datasets"]["300w"]["state"] == "found"
    easy = examine_data(params, names=["300w"])["datasets"]["300w"]
    entry = examine_data(strict, names=["300w"])["datasets"]["300w"]
    assert (easy["state"], entry["state"]) == ("found", "incomplete")
    where = broken.relative_to(tmp_path / "300w").as_posix()
    sample = [[p for p in each["problems"] if p["where"] == where] for each in (easy, entry)]
    assert sample[0] == sample[1] and len(sample[0]) == 1  # the same sample is as bad, whatever share is allowed
    (stop,) = [p for p in entry["problems"] if "datasets._300w.max_rejects" in p["what"]]
    assert stop["blocking"] and not [p for p in easy["problems"] if "max_rejects" in p["what"]]


def test_a_data_set_has_its_own_share_of_unusable_samples(tmp_path):
    published.w300(tmp_path / "300w")
    sorted((tmp_path / "300w/helen/trainset").glob("*.pts"))[0].write_text("version: 1\n{\n1 2\n}\n")
    params = parameters(tmp_path, **{"300w": RELAXED | {"max_rejects": 0.5}})
    params = params.model_copy(update={"data": params.data.model_copy(update={"max_rejects": 0.01})})
    assert params.max_rejects("300w") == 0.5 and params.max_rejects("morph2") == 0.01
    assert examine_data(params, names=["300w"])["datasets"]["300w"]["state"] == "found"


def test_damaged_prepared_data_are_wrong_and_shared_pictures_a_note(tmp_path):
    published.rafdb(tmp_path / "rafdb")
    params = parameters(tmp_path, rafdb=RELAXED)
    params = params.model_copy(update={"data": params.data.model_copy(update={"prepared": tmp_path / "prepared"})})
    out = params.prepared("rafdb")
    prepare("rafdb", tmp_path / "rafdb", out, validation=0.0, seed=1, options={"strict_counts": False})
    assert examine_data(params, names=["rafdb"])["datasets"]["rafdb"]["ok"]
    card = json.loads((out / "card.json").read_text())
    (out / "card.json").write_text(json.dumps(card | {"duplicates": {"across": {"train/test": 3}}}))
    entry = examine_data(params, names=["rafdb"])["datasets"]["rafdb"]
    assert entry["ok"] and any("duplicates.jsonl" in p["what"] and not p["blocking"] for p in entry["problems"])
    shard = out / "test/data-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:-9] + b"\0" * 9)
    entry = examine_data(params, names=["rafdb"])["datasets"]["rafdb"]
    assert not entry["ok"] and any("test/data-00000.arrow" in p["what"] for p in entry["problems"])


def test_a_tenth_of_a_set_whose_releases_differ_is_incomplete_but_goes_on(tmp_path):
    published.affectnet(tmp_path / "affectnet")
    entry = look(tmp_path, "affectnet", datasets={"affectnet": {"options": {}}})["datasets"]["affectnet"]
    assert (entry["state"], entry["ok"]) == ("incomplete", True)
    assert look(tmp_path, "affectnet")["datasets"]["affectnet"]["state"] == "found"  # told so: strict_counts false


def test_a_count_unlike_the_published_one_is_an_error_unless_told_otherwise(tmp_path):
    published.rafdb(tmp_path / "rafdb")
    assert look(tmp_path, "rafdb")["datasets"]["rafdb"]["state"] == "found"
    entry = look(tmp_path, "rafdb", datasets={"rafdb": {}})["datasets"]["rafdb"]
    assert entry["state"] == "incomplete"
    assert "fewer than published" in entry["problems"][0]["what"]


def test_a_damaged_image_is_found_by_the_deep_look(tmp_path):
    published.rafdb(tmp_path / "rafdb")
    image = sorted((tmp_path / "rafdb").rglob("train_*.jpg"))[0]
    image.write_bytes(image.read_bytes()[:300])
    entry = look(tmp_path, "rafdb", deep=True)["datasets"]["rafdb"]
    assert image.name in entry["problems"][-1]["where"]


def test_generated_faces_are_told_apart_and_not_measured_by_published_counts(tmp_path):
    published.rafdb(tmp_path / "rafdb")
    counts = {split: len(list(READERS["rafdb"](tmp_path / "rafdb").read(split))) for split in ("train", "test")}
    (tmp_path / "rafdb" / MARKER).write_text(f"note\ncounts: {counts}\n")
    facts = look(tmp_path, "rafdb", datasets={"rafdb": {}})
    entry = facts["datasets"]["rafdb"]
    assert entry["generated"] and entry["state"] == "found"
    assert "found, generated faces" in text(facts)


def test_wrong_options_are_the_finding_of_one_set(tmp_path):
    published.rafdb(tmp_path / "rafdb")
    params = parameters(tmp_path)
    block = params.datasets["rafdb"].model_copy(update={"options": {"images": "sideways"}})
    params = params.model_copy(update={"datasets": params.datasets | {"rafdb": block}})
    entry = examine_data(params, names=["rafdb"])["datasets"]["rafdb"]
    assert entry["state"] == "incomplete"
    assert "sideways" in entry["problems"][0]["what"]


# --- absent data sets ------------------------------------------------------------------------------------------------


def test_a_folder_of_another_name_is_pointed_out(tmp_path):
    published.celeba(tmp_path / "CelebA")
    entry = look(tmp_path, datasets={})["datasets"]["celeba"]
    assert entry["state"] == "absent"
    assert "CelebA" in entry["remedy"] and "datasets.celeba.path" in entry["remedy"]


def test_absent_is_no_error_where_the_pipeline_generates_or_has_prepared_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # data.prepared is relative
    params = load_preset("embedded")
    disk = params.model_copy(update={"data": params.data.model_copy(update={"root": tmp_path})})
    assert examine_data(disk)["summary"]["ok"]  # data.root: `dvc repro` fills it
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert examine_data(disk, root=elsewhere)["summary"]["wrong"] == [n for n in READERS if n in params.datasets]
    assert examine_data(disk, names=["wflw"])["summary"]["wrong"] == ["wflw"]  # asked for by name


def test_unknown_names_and_roots_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected one of 300w"):
        look(tmp_path, "301w", datasets={})
    with pytest.raises(ConfigError, match="expected a folder"):
        examine_data(parameters(tmp_path), root=tmp_path / "nowhere")


# --- pace ------------------------------------------------------------------------------------------------------------


class Slow(Reader):
    """A thousand samples, every fifth of which its label excludes."""

    name, title, source, licence = "slow", "slow", "nowhere", "none"
    published: ClassVar = {"train": 1000}

    def read(self, split):
        for number in range(1000 if split == "train" else 0):
            item = self.attempt(str(number), "list", self._record, str(number))
            if not isinstance(item, Record) or number % 5:
                yield item

    def _record(self, key):
        return Record(key=key, split="train", image=b"")


@pytest.fixture
def clock(monkeypatch):
    """A clock that opening a sample moves on by one second, and a reader of images that always succeeds."""
    now = [0.0]
    monkeypatch.setattr(surveying, "perf_counter", lambda: now[0])
    monkeypatch.setattr(surveying, "checked", lambda reader, item: item)

    def record(self, key):
        now[0] += 1.0
        return Record(key=key, split="train", image=b"")

    monkeypatch.setattr(Slow, "_record", record)
    return now


def test_slow_sets_are_sampled_to_the_end_and_estimated(clock, tmp_path):
    found = surveying.survey(Slow(tmp_path), seconds=600.0)
    split = found.splits["train"]
    assert not split.stopped
    assert 200 < split.tried < 400
    assert split.listed > split.opened
    assert not split.exact and not found.counts
    assert abs(split.samples - 800) < 40
    assert clock[0] < 600


def test_what_takes_far_too_long_is_given_up(clock, tmp_path):
    split = surveying.survey(Slow(tmp_path), seconds=2.0).splits["train"]
    assert split.stopped and split.listed < 100
    assert not split.exact


def test_deep_opens_everything_however_slow(clock, tmp_path):
    found = surveying.survey(Slow(tmp_path), deep=True, seconds=1.0)
    assert found.counts == {"train": 800}


@pytest.mark.parametrize(("name", "split"), [("300vw", "test"), ("ms1mv3", "train")])
def test_a_quick_look_at_records_and_videos_counts_what_it_does_not_open(name, split, tmp_path, monkeypatch):
    monkeypatch.setattr("faceptor.datasets.readers.ms1mv3.MAX_RECORDS_SKIMMED", 2)
    LAYOUTS[name](tmp_path)
    reader = READERS[name](tmp_path)
    items = list(reader.skim(split))
    assert sum(item.count if isinstance(item, Listed) else 1 for item in items) == len(list(reader.read(split)))
    if name == "ms1mv3":
        assert sum(isinstance(item, Record) for item in items) <= 2


# --- the command -----------------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", "data", *map(str, arguments)])


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load(preset_text("embedded"))
    values["data"] |= {"root": "raw", "max_rejects": 0.5}
    values["synthesis"] = {}
    values["datasets"]["rafdb"] |= RELAXED
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    published.rafdb(tmp_path / "raw/rafdb")
    return tmp_path


def test_exit_code_and_summary_line(project):
    good = run("rafdb")
    assert good.exit_code == 0, good.output
    assert good.output.strip().splitlines()[-1].startswith("1 found, 0 incomplete, 0 absent; nothing is wrong")
    everything = run()
    assert everything.exit_code == 1
    assert "celeba" in everything.output.strip().splitlines()[-1]
    shutil.rmtree(project / "raw/rafdb/basic/Image/aligned")
    assert run("rafdb").exit_code == 1


def test_json_is_complete(project):
    facts = json.loads(run("--json", "--root", project / "raw").output)
    assert set(facts["datasets"]) == set(READERS)
    entry = facts["datasets"]["rafdb"]
    assert {"state", "licence", "ask", "published", "splits", "problems", "options", "protocol"} <= set(entry)
