"""The papers' numbers, what would produce them, and what is measured here beside them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from faceptor.analysis import counterparts, experiments, paper_results
from faceptor.analysis.counterparts import Found
from faceptor.analysis.paper_results import MODEL, Printed, printed
from faceptor.config import load_preset
from faceptor.config.sections import unspelled
from faceptor.tasks import KINDS

ROOT = Path(__file__).parents[2]
RUNS = pd.DataFrame(columns=experiments.COLUMNS)


@pytest.fixture(scope="module")
def here():
    return Found(load_preset("embedded"), ROOT, RUNS, counts={("faceptor", "total"): 103.2})


def test_every_value_of_their_own_has_a_command_and_data():
    for value in paper_results.own_values():
        system, column = printed().systems[value.method], printed().columns[value.column]
        params = paper_results.shipped(system.preset)
        if column.tests == (MODEL,):
            continue
        tasks = {*params.stage1.tasks, *params.transfer.tasks}
        elsewhere = {f"{task}@{each}" for task in tasks for each in params.evaluate.test_sets.get(task, ())}
        assert set(column.tests) <= tasks | elsewhere, value
        if system.model:
            assert system.model in params.evaluate.models, value
        if system.transfer:
            dataset = unspelled(paper_results.dataset_key(column.tests[0]))
            assert dataset in params.transfer.matrix.dataset and system.transfer in params.transfer.matrix.mode, value
        if not (system.model or system.transfer):
            named = (system.called or paper_results.variant_of(system, value.column)).split()
            assert set(named) <= set(params.experiments.variants), value
        assert paper_results.data(value) and paper_results.command(value).startswith("faceptor params use"), value


def test_printed_metrics_are_those_of_the_kinds():
    for name, column in printed().columns.items():
        if column.tests != (MODEL,):
            assert paper_results.better_up(name) is KINDS[column.tests[0].split("_")[0]].higher_is_better


def test_the_row_that_stands_for_another_system_is_said_to():
    values = {(v.paper, v.table, v.method, v.column): v for v in paper_results.values()}
    wrong = values["facexformer", "5", "Faceptor", "300W"]
    assert wrong.printed == values["faceptor", "3", "Naive Faceptor", "300W"].printed
    assert wrong.printed != values["faceptor", "5", "Faceptor-Full", "300W"].printed
    assert "a" in paper_results.marks_of(wrong).split()
    assert not paper_results.marks_of(values["faceptor", "5", "Faceptor-Full", "COFW"])


def test_a_row_as_long_as_its_head():
    broken = printed().model_dump(mode="json")
    broken["tables"][0]["rows"]["Naive Faceptor"].append(1.0)
    with pytest.raises(ValidationError, match="Naive Faceptor: expected 14 values, found 15"):
        Printed.model_validate(broken)


def test_counterparts_are_of_the_same_structure_and_tasks(here):
    table = counterparts.beside(here).set_index(["where", "system", "what"])
    own = json.loads((ROOT / "results/evaluate/details/stage2.json").read_text())["tasks"]["age_morph2"]
    found = table.loc["Faceptor, Table 3", "Faceptor-Base", "MORPH II"]
    assert (found["here"], found["low"]) == (own["metrics"]["mae"], own["intervals"]["mae"][0])
    assert found["on"] == "stage2, generated faces" and found["printed"] == 1.869
    assert not table.loc["Faceptor, Table 6", "Faceptor-Full", "MORPH II"]["on"]  # of thirteen sets, not of seven
    assert table.loc["FaceXFormer, Table 5", "FaceXFormer", "BIWI"]["on"] == "facexformer, generated faces of aflw2000"
    assert table.loc["Faceptor, Table 9", "Faceptor, prompt", "LaPa"]["on"].startswith("lapa-prompt")
    assert table.loc["Faceptor, Table 3", "Faceptor-Base", "parameters"]["here"] == 103.2


def test_a_variant_over_seeds_is_a_counterpart(here):
    rows = [("la_directly", s, "age_morph2", "morph2", True, "mae", True, m, 0.5) for s, m in ((1, 5.0), (2, 7.0))]
    runs = pd.DataFrame(rows, columns=experiments.COLUMNS)
    table = counterparts.beside(Found(here.params, ROOT, runs)).set_index(["where", "system", "what"])
    found = table.loc["Faceptor, Table 4", "Faceptor, Layer-Attention from the start", "MORPH II"]
    assert found["here"] == 6.0 and found["on"] == "la_directly, 2 seeds, generated faces"
    assert found["low"] < 5.0 and found["high"] > 7.0


def test_no_printed_value_is_left_out(here):
    table = counterparts.beside(here)
    assert len(table) == len(paper_results.own_values())
    told = "".join(counterparts.to_run(table, "Faceptor")["printed"])
    assert "WFLW 4.03" in told
    quoted = "".join(paper_results.quoted_rows()["printed, the best first"])
    assert "DTLD+ 4.05" in quoted and "Faceptor-Full 4.03 (own)" in quoted
