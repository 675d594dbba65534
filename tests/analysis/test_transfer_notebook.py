"""What `transfer` and `ablations` make of made-up runs and of the committed results."""

import ast
import json
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.display import Markdown
from matplotlib.figure import Figure

from faceptor.analysis import ablations, experiment_figures, experiments, transfer, transfer_figures
from faceptor.config import load_preset
from faceptor.config.experiments import Variant
from faceptor.errors import ConfigError, DataError
from faceptor.tasks import KINDS
from tests.analysis.test_experiments import MAE, params, root, test_of, write  # noqa: F401

ROOT = Path(__file__).parents[2]


def shown(name, **parameters):
    """What the cells of a notebook show, run one after the other in this process."""
    names, values = {}, []
    for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4).cells:
        if cell.cell_type == "code":
            *body, last = ast.parse(cell.source).body
            expression = isinstance(last, ast.Expr)
            exec(compile(ast.Module(body if expression else [*body, last], []), name, "exec"), names)
            values += [eval(compile(ast.Expression(last.value), name, "eval"), names)] if expression else []
            names |= parameters if "parameters" in cell.metadata.get("tags", []) else {}
    return values


def checkout(folder):
    """A folder with what the notebooks read, but no runs."""
    for name in ("params.yaml", "experiments", "results/evaluate/details", "results/transfer/details",
                 "results/preprocess"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    return folder


def words(values):
    return "\n".join(value.data for value in values if isinstance(value, Markdown))


@pytest.mark.parametrize("name, pictures", [("ablations", 0), ("transfer", 1)])
def test_without_runs_it_says_so(name, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout(tmp_path))
    values = shown(name)
    assert sum(isinstance(value, Figure) for value in values) == pictures
    assert "was run with these parameters" in words(values)


def test_ablations_of_two_variants(tmp_path, monkeypatch):
    monkeypatch.chdir(checkout(tmp_path))
    tasks = load_preset("embedded").stage1.tasks
    for name, value in (("faceptor", 80), ("naive", 70)):
        for seed in (1, 2, 3):
            headline = {task: KINDS[task.split("_")[0]].headline for task in tasks}
            made = {task: test_of(task, headline[task], value + seed, value / 100) for task in tasks}
            write(tmp_path, name, seed, made, total_parameters=1000 * value)
    values = shown("ablations", variants=["naive"], metric="headline")
    assert sum(isinstance(value, Figure) for value in values) == 2
    assert "| holds | faceptor : naive | expression_rafdb | accuracy | 3 | +10.00 [+10.00, +10.00] | 90.38 : 87.58" in (
        words(values)
    )
    with pytest.raises(ConfigError, match="metric: no test has 'acuracy' here; did you mean 'accuracy'"):
        shown("ablations", variants=["naive"], metric="acuracy")


def variant(mode, faces=None):
    overrides = {"transfer.matrix.mode": [mode]} | ({"transfer.tasks.parsing_lapa.faces": faces} if faces else {})
    return Variant(start="stage1", trains="transfer", overrides=overrides)


@pytest.fixture
def taught(tmp_path):
    """Two modes on all 100 faces and on 10 of them: full needs the faces, prompt does not."""
    card = tmp_path / "results/preprocess/lapa.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"counts": {"train": 100}}))
    skills = {"prompt_all": 0.30, "prompt_few": 0.29, "full_all": 0.60, "full_few": 0.10}
    variants = {name: variant(name.split("_")[0], 10 if "few" in name else None) for name in skills}
    for name, skill in skills.items():
        for seed in (1, 2, 3):
            entry = test_of("lapa", "f1_mean", 50.0, skill + 0.001 * seed, trainable_parameters=7)
            write(tmp_path, name, seed, {"parsing_lapa": entry}, forgotten={"lapa": 0.0 if "prompt" in name else 0.2})
    matrix = SimpleNamespace(mode=("prompt", "full"))
    asked = SimpleNamespace(
        experiments=SimpleNamespace(variants=variants, seeds=(1, 2, 3)), transfer=SimpleNamespace(matrix=matrix)
    )
    return asked, tmp_path, experiments.load_runs(asked, tmp_path)


def test_modes_and_fractions_come_from_the_overrides(taught):
    found = transfer.over_fractions(taught[0], taught[1], taught[2])
    few = found[found["variant"] == "full_few"]
    assert set(few["faces"]) == {10} and set(few["share"]) == {0.1} and set(few["lost"]) == {0.2}
    assert set(found.loc[found["variant"] == "prompt_all", "faces"]) == {100} and set(found["trainable"]) == {7.0}
    assert set(transfer.over_fractions(*taught, modes=["prompt"])["mode"]) == {"prompt"}
    said = " ".join(transfer.conclusions(transfer.in_pipeline(load_preset("embedded"), ROOT), found))
    assert "with 10 faces prompt is ahead" in said and "with 100 faces full is ahead" in said


def test_figures_show_every_mode(taught):
    figure = transfer_figures.over_fractions(transfer.over_fractions(*taught))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["prompt (PT)", "full (FPFT)"]
    assert "nothing was run" in transfer_figures.over_fractions(transfer.over_fractions(*taught, modes=["lora"])).data
    with pytest.raises(DataError, match="nothing to draw"):
        experiment_figures.difference_dots([])


def test_table_9_beside_the_committed_transfers():
    found = transfer.table_9(transfer.in_pipeline(load_preset("embedded"), ROOT)).set_index(["data set", "mode"])
    assert found.loc[("LaPa", "full (FPFT)"), "printed"] == 92.7
    assert found["here"].str.contains(r"\[").all()


def test_which_variants_are_shown(root):  # noqa: F811
    asked, table = params(), experiments.load_runs(params(), root)
    assert ablations.wanted(asked, ["w*"], baseline="plain") == ["plain", "worse"]
    assert ablations.comparable(table, ablations.wanted(asked, [], baseline="plain")) == [*list(MAE)[1:]]
    with pytest.raises(ConfigError, match=r"variants: 'x\*' matches no variant"):
        ablations.wanted(asked, ["x*"], baseline="plain")
    with pytest.raises(ConfigError, match="baseline: no variant 'plian'; did you mean 'plain'"):
        ablations.wanted(asked, [], baseline="plian")


def test_conclusions_of_ablations_are_computed(root):  # noqa: F811
    table = experiments.load_runs(params(), root)
    found = ablations.differences(table, ["worse", "better", "lonely"], "plain")
    said = ablations.conclusions(found, [])
    assert "1 worse (worse)" in said[0] and "2 undecided" in said[0]
    gains = ablations.gains_by_test(table, ["worse"], "plain", "headline").set_index("test")
    assert gains.loc["age_morph2", "gain"] < 0 and gains.loc["age_morph2", "decided"]
    assert ablations.conclusions([], [])[0] == ablations.NOT_RUN


def test_a_variant_is_added_as_the_docs_say():
    block = ablations.HOW_TO_ADD[: ablations.HOW_TO_ADD.rindex("```")]
    assert block.strip() in (ROOT / "docs/experiments.md").read_text()
