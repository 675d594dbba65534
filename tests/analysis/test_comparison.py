import contextlib
import io
from pathlib import Path

import pandas as pd
import pytest
from IPython.display import Markdown

from faceptor.analysis import budget, comparison, comparison_figures, paper, tables
from faceptor.pipeline.experiment import preset
from tests.cells import run_cells

ROOT = Path(__file__).parents[2]
NAMES = ("base", "naive", "facexformer")


@pytest.fixture(scope="module")
def configured():
    return {name: preset(name) for name in NAMES}


@pytest.fixture(scope="module")
def notebook():
    """The notebook that shows all this: its names and what it shows."""
    path = ROOT / "notebooks" / "parameter_budget.ipynb"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        names, shown = run_cells(path, {"presets": NAMES, "max_tasks": 4})
    return names | {"said": said.getvalue()}, shown


@pytest.fixture(scope="module")
def found(notebook):
    return notebook[0]["found"]


def test_the_notebook_shows_tables_figures_and_its_conclusions(notebook):
    names, shown = notebook
    tables_shown = [each for each in shown if isinstance(each, pd.DataFrame)]
    assert len(tables_shown) >= 8 and not any(table.empty for table in tables_shown)
    figures = [each for each in shown if hasattr(each, "_repr_png_")]
    assert len(figures) == 5
    text = names["said"] + "".join(getattr(each, "data", "") for each in shown if isinstance(each, Markdown))
    assert "103,200,001" in text and "at 4 tasks" in text


def test_every_printed_count_has_a_row(found):
    table = tables.against_papers(found).set_index(["preset", "what"])
    assert (table["difference"] == table["ours"] - table["printed"]).all()
    parameters = table[table["unit"] == "M"]
    assert len(parameters) == sum(len(paper.PARAMETERS[name]) for name in NAMES)
    assert set(parameters[~parameters["agrees"]].index) == {("naive", "attribute head"), ("facexformer", "total")}
    assert table.loc[("base", "total"), "ours"] == pytest.approx(103.200001)


def test_gflops_are_compared_call_by_call(found):
    table = tables.against_papers(found).query("unit == 'GFLOPs'")
    assert table["preset"].value_counts().to_dict() == {"base": 3, "facexformer": 1}
    assert set(table["printed"]) == {114, 167}
    base = table[table["preset"] == "base"]["ours"].tolist()
    assert base[-1] == pytest.approx(sum(base[:-1])) == pytest.approx(2 * found["base"]["compute"]["macs"] / 1e9)


def test_remarks_say_why_counts_differ(found):
    text = "\n".join(comparison.remarks(found))
    assert "86.8 + 2 x 39.3 + 3 x 3.4 + 1 x 1.0 = 176.6" in text and "178.9" in text
    assert f"{paper.FACEXFORMER_TOTAL:,} parameters" in text  # counted in a model with the tasks of those weights
    assert "not stated" in text


def test_side_by_side_repeats_the_reports(found):
    table = tables.side_by_side(found)
    assert table.index.tolist() == list(NAMES)
    assert table.loc["naive", "parameters, M"] == pytest.approx(178.911058)
    assert table.loc["facexformer", "input, px"] == "224" and table.loc["base", "input, px"] == "512 + 112"
    memory = tables.memory_by_component(found)
    parts = memory.drop(index=["all, GB", "images", "an image, MB"])
    assert parts.sum().to_dict() == pytest.approx(memory.loc["all, GB"].to_dict())


def test_table_1_in_numbers(found):
    table = tables.table_1(found).set_index("paradigm")
    assert table.index.tolist() == [*paper.STORAGE, "FaceXFormer"]
    encoder = found["naive"]["components"]["encoder"]
    fine_tuned = (6 * encoder + sum(paper.NAIVE_HEADS.values())) / 1e6
    assert table.loc[budget.TUNED, "parameters, M"] == pytest.approx(fine_tuned)
    assert table["GMACs"].is_monotonic_decreasing
    assert tables.table_1({"base": found["base"]})["paradigm"].tolist() == [budget.FACEPTOR]


def test_work_is_told_by_the_components_that_hold_the_weights(found):
    for facts in found.values():
        for call in facts["compute"]["passes"]:
            assert set(call["components"]) <= set(facts["components"])
        assert set(facts["compute"]["training_step"]["components"]) <= {*facts["components"], "rest"}
    assert found["naive"]["compute"]["passes"][0]["components"]["heads"] > 4e11


def test_measured_growth_ends_at_the_model():
    naive = preset("naive")
    tasks = list(naive.params.stage1.tasks)
    table = pd.DataFrame(comparison.measured_growth(naive, tasks))
    assert table["tasks"].tolist() == list(range(len(tasks) + 1)) and table["task"].tolist() == ["", *tasks]
    assert table["parameters"].iloc[0] == 86_828_544 and table["parameters"].iloc[-1] == paper.NAIVE_TOTAL
    assert table["added"].sum() == sum(paper.NAIVE_HEADS.values())
    assert table["kilobytes"].sum() == pytest.approx(sum(paper.NAIVE_HEADS.values()) * 4 / 1000)


def test_growth_gives_all_the_same_tasks(configured):
    table = pd.DataFrame(comparison.growth(configured | {"embedded": preset("embedded")}))
    assert table["preset"].unique().tolist() == list(NAMES)
    order = table[table["tasks"] > 0].groupby("preset")["task"].agg(list)
    assert all(tasks == list(preset("full").params.stage1.tasks) for tasks in order)
    added = table.pivot(index="task", columns="preset", values="kilobytes").drop(index="")
    assert added["base"].max() < 250 and added["naive"].max() > 150_000
    assert added.loc["expression_rafdb", "facexformer"] == 0  # the labels of AffectNet: nothing of its own


def test_tasks_one_by_one_and_together(found):
    table = tables.work_by_task(found["naive"]).set_index("task")
    one_by_one = table.loc["all, one by one", "GMACs"]
    assert one_by_one == pytest.approx(table["GMACs"].iloc[:-2].sum()) and one_by_one > table["GMACs"].iloc[-1]


def test_figures_have_titles_and_labelled_axes(configured, found):
    work = tables.work_by_component(found)
    assert isinstance(work, pd.DataFrame) and set(work["preset"]) == set(NAMES)
    for figure in (comparison_figures.growth(comparison.growth(configured)), comparison_figures.work(work)):
        assert figure.get_suptitle() and all(panel.get_xlabel() for panel in figure.axes)
        assert figure._repr_png_().startswith(b"\x89PNG")
