"""What docs/data.md says of data sets, options and own data is what the code does."""

import re
from pathlib import Path

import pytest
import yaml

from faceptor.config import Crop, parse, preset_text
from faceptor.datasets import READERS
from faceptor.datasets.folders import litter
from faceptor.datasets.readers.generic import wanted_columns
from faceptor.pipeline.experiment import resolve
from faceptor.prepared.blocks import JOURNAL
from faceptor.prepared.prepare import prepare
from faceptor.tasks import KINDS
from tests.datasets import published as pub

TEXT = (Path(__file__).parent.parent / "docs" / "data.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
TABLE = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE))


def merged(base, more):
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    return base | {key: merged(base.get(key), value) for key, value in more.items()}


@pytest.fixture
def own(tmp_path):
    """Parameters with the two blocks of the page: the description in its file, the rest in the embedded preset."""
    description, settings = BLOCKS
    pub.put(tmp_path / "mine/mine.yaml", yaml.safe_dump(description, sort_keys=False))
    values = merged(yaml.safe_load(preset_text("embedded")), settings)
    values["data"]["root"], values["synthesis"] = str(tmp_path), {}
    return resolve(parse(values))


def test_the_example_of_own_data_is_a_configuration_with_every_task_it_names(own):
    for name in BLOCKS[1]["stage1"]["tasks"]:
        spec, settings = own.spec(name), own.settings(name)
        assert settings.samples and spec.dataset == "mine"
        assert KINDS[spec.kind].criterion(spec, **settings.criterion) is not None
    assert own.params.max_rejects("mine") == 0.05
    assert own.readers["mine"].ranges == {"trust": (1, 7), "valence": (-1, 1)}


def test_the_example_is_prepared(own, tmp_path):
    facts = own.readers["mine"].description
    columns = wanted_columns(facts)
    cells = {"mood": "calm", "glasses": "1", "hat": "no", "years": "30", "q7": "4", "val": "", "person": "a",
             "lx": "10", "ly": "12", "rx": "30", "ry": "12", "cx": "20", "cy": "40"}  # fmt: skip
    rows = []
    for i in range(6):
        row = cells | {"file": f"{i}.jpg", "part": "test" if i > 3 else "train"}
        rows.append(",".join(row.get(column, "") for column in columns))
    pub.put(tmp_path / "mine/labels.csv", "\n".join([",".join(columns), *rows]) + "\n")
    for i in range(6):
        pub.put(tmp_path / f"mine/photos/{i}.jpg", pub.jpg(i, 48, 40))
    out = tmp_path / "out"
    card = prepare("mine", tmp_path / "mine", out, validation=0.0, seed=1, reader="generic",
                   options={"description": "mine.yaml"})  # fmt: skip
    assert card["counts"] == {"train": 4, "test": 2} and card["rejects"]["count"] == 0
    for name in set(re.findall(r"`(\w+\.jsonl?)`", TEXT)) - {"shards.json"}:
        assert (out / name).is_file(), name
    assert (out / "train/shards.json").is_file() and not (out / JOURNAL).exists()
    assert {"content_hashes", "split_hashes"} <= card.keys()


def test_the_table_has_every_data_set():
    assert set(TABLE) == set(READERS)


def test_every_option_that_is_named_exists():
    known = {option: {str(v).lower() for r in READERS.values() for v in r.choices.get(option, ())}
             for r in READERS.values() for option in r.choices}  # fmt: skip
    (paragraph,) = [part for part in TEXT.split("\n\n") if part.startswith("Where the field disagrees")]
    named = re.findall(r"`(\w+): (\w+)`", paragraph)
    assert len(named) >= 4
    for option, value in named:
        if option == "kind":  # of a crop
            Crop.model_validate({"kind": value})
            continue
        assert value in known[option], f"{option}: {value}"


def test_every_kind_of_litter_that_is_named_is_passed_over():
    (sentence,) = re.findall(r"What operating systems leave behind \((.*?)\)", " ".join(TEXT.split()))
    for name in re.findall(r"`([^`]+)`", sentence):
        assert litter(name.replace("*", "a")), name
