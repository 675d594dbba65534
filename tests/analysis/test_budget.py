import json
from math import floor

import pytest
import torch
import typer
from typer.testing import CliRunner

from faceptor.analysis import budget, claims, comparison, figures, paper, tables
from faceptor.cli.budget import budget_command
from faceptor.config import preset_names, preset_text
from faceptor.errors import ConfigError
from faceptor.pipeline.experiment import preset, side_by_side


@pytest.fixture(scope="module")
def base():
    return budget.meta_model(preset("base"))


def test_base_splits_as_the_paper_says(base):
    assert budget.components(base) == {
        "encoder": 86_828_544, "decoder": 14_661_376, "pixel_decoder": 525_312, "rest": 1_184_769,
    }  # fmt: skip
    table = tables.parts(base).set_index(["component", "part"])["parameters"]
    assert table.sum() == 103_200_001
    # As counted in the released weights; norms belong to the block they follow or precede.
    assert table["decoder", "cross-attention"] == table["decoder", "self-attention"] == 9 * 263_680
    assert table["decoder", "feed-forward"] == 9 * 1_051_392
    assert table["decoder", "position P of the keys"] == 131_584
    assert table["decoder", "queries of all tasks"] == 123_904
    assert table["encoder", "position table"] == 787_200
    assert table["rest", "identity output"] == 987_136


def test_full_counts_103_335_681():
    assert sum(budget.components(budget.meta_model(preset("full"))).values()) == 103_335_681


@pytest.mark.parametrize("name", preset_names())
def test_every_parameter_belongs_to_a_named_part(name):
    model = budget.meta_model(preset(name))
    table = tables.parts(model)
    assert set(table["component"]) <= set(budget.COMPONENTS)
    assert table["parameters"].sum() == sum(parameter.numel() for parameter in model.parameters())
    assert all(parameter.is_meta for parameter in model.parameters())


def test_a_task_owns_its_queries(base):
    table = tables.per_task(base).set_index("task")
    age = table.loc["age_morph2"]
    assert (age["queries"], age["content"], age["position"]) == (101, 101 * 256, 101 * 256)
    assert age["kilobytes"] == pytest.approx(101 * 256 * 2 * 4 / 1000)
    assert age["level_paper"] == 6 * 256
    assert age["level_released"] == 5 * 256 + 5 * (768 * 256 + 256) == 985_600
    assert table.loc["recognition_ms1mv3", ["queries", "parameters", "level_paper", "level_released"]].eq(0).all()
    assert table["parameters"].sum() == 123_904


def test_a_model_without_queries_owns_heads():
    """Naive Faceptor: a kind's head comes with its first task; what a further task brings is one linear map."""
    naive = budget.meta_model(preset("naive"))
    assert sum(budget.components(naive).values()) == paper.NAIVE_TOTAL
    assert {row.part: row.parameters for row in tables.parts(naive).query("component == 'heads'").itertuples()} == (
        paper.NAIVE_HEADS
    )
    table = tables.per_task(naive).set_index("task")
    linear = 512 * 7 + 7
    assert table.loc[["expression_affectnet", "expression_rafdb"], "parameters"].eq(linear).all()
    assert table.loc["expression_rafdb", "with_kind"] == paper.NAIVE_HEADS["expression"] - linear
    assert table.loc["age_morph2", "parameters"] == table.loc["age_morph2", "with_kind"] == paper.NAIVE_HEADS["age"]
    assert table["queries"].eq(0).all() and table["level_paper"].eq(0).all()


def test_counting_what_tasks_own_leaves_the_model_alone(base):
    before = (list(base.tasks), budget.size(base.parameters()))
    owned = budget.ownership(base)
    assert (list(base.tasks), budget.size(base.parameters())) == before
    assert sum(row["parameters"] for row in owned.values()) == 123_904
    assert owned["expression_rafdb"] == {"parameters": 7 * 512, "with_kind": 7 * 512}


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_what_layer_attention_adds_is_what_enabling_it_adds(base, mode):
    model = budget.meta_model(preset("embedded"))
    before = sum(budget.components(model).values())
    with torch.device("meta"):
        model.enable_layer_attention("age_morph2", mode)
    assert sum(budget.components(model).values()) - before == budget.layer_attention_size(model, mode)


def test_the_classifier_is_listed_apart():
    assert budget.training_only(preset("base")) == {"recognition_ms1mv3": 93_431 * 512}
    embedded = preset("embedded")
    people = embedded.params.synthesis["ms1mv3"].identities
    assert budget.training_only(embedded) == {"recognition_ms1mv3": people * embedded.params.model.embedding}


def test_growth_is_table_1():
    table = tables.growth(budget.Costs(backbone=100, head=30, shared=40, queries=1), max_tasks=3)
    wide = table.pivot(index="tasks", columns="paradigm", values="parameters")
    assert wide[budget.TUNED].tolist() == [130, 260, 390]
    assert wide[budget.NAIVE].tolist() == [130, 160, 190]
    assert wide[budget.FACEPTOR].tolist() == [141, 142, 143]


@pytest.mark.parametrize("costs, expected", [((30, 40, 1), 2), ((20, 40, 0), 3), ((5, 40, 5), None), ((50, 40, 1), 1)])
def test_break_even_is_the_first_count_at_which_sharing_is_smaller(costs, expected):
    head, shared, queries = costs
    cost = budget.Costs(backbone=100, head=head, shared=shared, queries=queries)
    assert budget.break_even(cost) == expected
    if expected:
        assert budget.STORAGE[budget.FACEPTOR](cost, expected) < budget.STORAGE[budget.NAIVE](cost, expected)
        assert budget.STORAGE[budget.FACEPTOR](cost, expected - 1) >= budget.STORAGE[budget.NAIVE](cost, expected - 1)


def test_six_tasks_give_the_totals_of_table_3(base):
    cost = budget.costs(base)
    assert budget.STORAGE[budget.FACEPTOR](cost, 6) == pytest.approx(103_200_001)
    assert budget.STORAGE[budget.NAIVE](cost, 6) == pytest.approx(paper.NAIVE_TOTAL)
    assert claims.naive_total(86_828_544) == paper.NAIVE_TOTAL


def test_the_papers_split_agrees_and_its_attribute_head_does_not(base):
    table = claims.against_paper(base).set_index("what")
    assert table.filter(like="Faceptor-Base", axis=0)["agrees"].all()
    assert table.loc["Naive Faceptor, total", "agrees"]
    head = table.loc["Naive Faceptor, one attribute head"]
    assert not head["agrees"] and floor(10 * head["ours"]) == 41
    assert table.loc["Naive Faceptor, encoder and heads as printed", "ours"] == pytest.approx(
        86.8 + 2 * 39.3 + 3 * 3.4 + 1
    )
    assert (table["difference"] == table["ours"] - table["paper"]).all()


def test_counts_decide_between_readings():
    table = claims.options(preset("base")).set_index(["option", "value"])
    agrees = table["agrees"]
    assert agrees["as configured, stage 1", ""] and agrees["layer_attention.mode, stage 2", "paper"]
    assert not agrees["decoder.position", "paper"] and not agrees["encoder.extras", "False"]
    # The released form: five vectors and five projections, once for all tasks.
    assert table["total, M"]["layer_attention.mode, stage 2", "released"] == pytest.approx(103.200001 + 0.9856)


def test_conclusions_carry_the_numbers(base):
    text = "\n".join(claims.conclusions(base, claims.options(preset("base")), max_tasks=12))
    assert "103,200,001" in text and "at 12 tasks" in text and "decoder.position = paper" in text


def test_configurations_add_the_file_only_if_it_differs(tmp_path):

    file = tmp_path / "params.yaml"
    file.write_text(preset_text("embedded"))
    assert set(side_by_side(file=file)) == set(preset_names())
    file.write_text(file.read_text().replace("depth: 2, heads: 8, hidden: 256", "depth: 3, heads: 8, hidden: 256"))
    assert set(side_by_side(file=file)) == {*preset_names(), "params.yaml"}
    assert set(side_by_side(["base"], file=file)) == {"base"}
    with pytest.raises(ConfigError, match="expected one of"):
        side_by_side(["bass"])


def test_the_verb_prints_json_and_tables(monkeypatch):
    counted, count = {}, comparison.reports

    def counted_once(configured, **options):
        key = repr((list(configured), options))
        if key not in counted:
            counted[key] = count(configured, **options)
        return counted[key]

    monkeypatch.setattr(comparison, "reports", counted_once)
    app = typer.Typer()
    app.command()(budget_command)
    machine = CliRunner().invoke(app, ["embedded", "--json"])  # small, for time: the paper's counts are tested above
    found = json.loads(machine.stdout)
    assert list(found) == ["embedded"]
    report, experiment = found["embedded"], preset("embedded")
    assert report["components"] == budget.components(budget.meta_model(experiment))
    assert report["total"] == sum(report["components"].values())
    assert sum(report["parts"]["encoder"].values()) == report["components"]["encoder"]
    assert set(report["tasks"]) == set(report["compute"]["tasks"])
    people = CliRunner().invoke(app, ["--preset", "embedded"])
    assert people.exit_code == 0 and "recognition_ms1mv3" in people.stdout and "GMACs" in people.stdout
    assert len(counted) == 1  # the tables and the JSON are of the same counts
    assert isinstance(CliRunner().invoke(app, ["-p", "bass"]).exception, ConfigError)


def test_figures_have_titles_and_labelled_axes(base):
    for figure in (
        figures.component_bars({"base": tables.parts(base)}),
        figures.task_bars(tables.per_task(base), title="tasks"),
        figures.growth_lines(tables.growth_by_mix(base, max_tasks=4)),
    ):
        assert figure.get_suptitle() and all(panel.get_xlabel() for panel in figure.axes)
        assert figure._repr_png_().startswith(b"\x89PNG")
