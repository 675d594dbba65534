"""Tables and verdicts from made-up runs whose answers are known."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from faceptor.analysis import experiments, paper_claims, verdicts
from faceptor.config import load_params
from faceptor.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
SEEDS = (1, 2, 3)
MAE = {"plain": (5.0, 6.0, 7.0), "better": (4.0, 5.9, 6.1), "worse": (9.0, 10.0, 11.1), "lonely": (5.0,)}


def params(variants=tuple(MAE), seeds=SEEDS):
    settings = SimpleNamespace(variants=dict.fromkeys(variants), seeds=seeds)
    return SimpleNamespace(
        experiments=settings, stage1=SimpleNamespace(tasks={}), transfer=SimpleNamespace(tasks={})
    )  # fmt: skip


def write(root, variant, seed, tests, **more):
    path = experiments.run_path(root, variant, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"variant": variant, "seed": seed, "tests": tests} | more))


def test_of(dataset, headline, value, skill, **more):
    return {"dataset": dataset, "headline": headline, "skill": skill, "metrics": {headline: value}} | more


test_of.__test__ = False


@pytest.fixture
def root(tmp_path):
    for variant, values in MAE.items():
        for seed, mae in zip(SEEDS, values, strict=False):
            accuracy = 100 - 3 * mae
            groups = {"race": {"a": accuracy + 2, "b": accuracy - 1, "c": accuracy}}
            tests = {
                "age_morph2": test_of("morph2", "mae", mae, 1 - mae / 20),
                "gender_fairface": test_of("fairface", "accuracy", accuracy, accuracy / 100, groups=groups),
            }
            write(tmp_path, variant, seed, tests, forgotten={"morph2": 0.1 * seed}, total_parameters=10)
    return tmp_path


def test_runs_are_those_of_the_parameters(root):
    asked = params()
    (root / experiments.RUNS / "stray-1.json").write_text("{")
    table = experiments.load_runs(asked, root)
    assert list(table.columns) == experiments.COLUMNS
    assert set(table["variant"]) == set(MAE)
    assert experiments.missing_runs(asked, root) == [("lonely", 2), ("lonely", 3)]
    assert experiments.load_runs(params(("nothing",)), root).empty
    assert (table["metric"] == "gap_by_race").sum() == 3 * 3 + 1


def test_one_row_per_metric_with_what_follows_from_groups_and_counts(root):
    table = experiments.load_runs(params(), root)
    one = table[(table["variant"] == "plain") & (table["seed"] == 2)].set_index(["test", "metric"])["value"]
    assert one.to_dict() == pytest.approx({
        ("age_morph2", "mae"): 6.0, ("age_morph2", "skill_lost"): 0.2, ("gender_fairface", "accuracy"): 82.0,
        ("gender_fairface", "gap_by_race"): 3.0, ("gender_fairface", "worst_by_race"): 81.0,
        ("model", "total_parameters"): 10.0,
    })  # fmt: skip


def test_a_file_of_another_run_is_refused(root):
    path = experiments.run_path(root, "plain", 1)
    path.write_text(experiments.run_path(root, "better", 1).read_text())
    with pytest.raises(DataError, match=r"plain-1.json: expected the run plain-1, found that of better-1"):
        experiments.load_runs(params(), root)


def test_the_paired_difference_is_that_of_the_paired_t_test(root):
    table = experiments.load_runs(params(), root)
    found = experiments.paired_difference(table, "better", "plain", ["age_morph2"])
    expected = ttest_rel(MAE["better"], MAE["plain"]).confidence_interval(experiments.LEVEL)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(np.mean(MAE["better"]) - np.mean(MAE["plain"]))
    assert found.gain() == pytest.approx((-found.mean, -expected.high, -expected.low))  # fewer years are better
    assert found.seeds == SEEDS and not found.higher_is_better


def test_several_tests_are_compared_by_their_mean_skill(root):
    table, tests = experiments.load_runs(params(), root), ["age_morph2", "gender_fairface"]
    found = experiments.paired_difference(table, "worse", "plain", tests, "skill")
    gaps = np.array(MAE["worse"]) - np.array(MAE["plain"])
    assert found.values == pytest.approx(-(gaps / 20 + 3 * gaps / 100) / 2)
    with pytest.raises(ConfigError, match="no mean of different metrics"):
        experiments.paired_difference(table, "worse", "plain", tests)


@pytest.mark.parametrize(
    "test, metric, better",
    [
        ("age_morph2", "mae", False), ("age_morph2", "cs5", True), ("age_morph2", "skill", True),
        ("landmarks_aflw19", "nme_box", False), ("landmarks_aflw19", "auc_box_7", True),
        ("race_fairface", "calibration_error", False), ("gender_fairface", "gap_by_race", False),
        ("age_morph2", "worst_by_race", False), ("parsing_lapa", "skill_lost", False), ("model", "steps", False),
    ],
)  # fmt: skip
def test_which_way_is_better(test, metric, better):
    assert experiments.higher_is_better(test, metric) is better


def claim(**changes):
    plain = {
        "name": "c", "paper": "faceptor", "where": "Table 0", "says": "s", "first": "worse", "second": "plain",
        "tests": "age_morph2", "expects": "worse",
    }  # fmt: skip
    return paper_claims.Claim.model_validate(plain | changes)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, verdicts.HOLDS),
        ({"expects": "better"}, verdicts.FAILS),
        ({"first": "better", "expects": "better"}, verdicts.OPEN),  # -1, -0.1, -0.9: three seeds are too few
        ({"first": ["worse", "better"]}, verdicts.OPEN),
        ({"tests": ["age_morph2", "gender_fairface"], "rule": "mean", "metric": "skill"}, verdicts.HOLDS),
        ({"expects": "close", "within": 0.5}, verdicts.FAILS),
        ({"expects": "close", "within": 20}, verdicts.HOLDS),
        ({"expects": "not_worse", "within": 0}, verdicts.FAILS),
        ({"first": "plain", "second": "worse", "expects": "not_worse", "within": 0}, verdicts.HOLDS),
        ({"first": "lonely"}, verdicts.OPEN),
        ({"first": "absent"}, verdicts.NOT_RUN),
        ({"first": ["absent", "worse"], "expects": "better"}, verdicts.FAILS),
    ],
)
def test_verdicts(root, changes, expected):
    table = experiments.load_runs(params(), root)
    assert verdicts.judge_claim(claim(**changes), table).verdict == expected


def test_what_neither_has_learnt_decides_nothing(tmp_path):
    for variant, skill in (("worse", -0.4), ("plain", -0.1)):
        for seed in SEEDS:
            write(tmp_path, variant, seed, {"age_morph2": test_of("morph2", "mae", 10 - 10 * skill, skill)})
    table = experiments.load_runs(params(), tmp_path)
    judged = verdicts.judge_claim(claim(), table)
    assert judged.comparisons[0].difference.decided and not judged.comparisons[0].learnt
    assert judged.verdict == verdicts.OPEN


def test_nothing_is_run_and_no_claim_is_lost(tmp_path):
    claims = paper_claims.Claims(claims=(claim(), claim(name="d")))
    judged = verdicts.judge(claims, experiments.load_runs(params(), tmp_path))
    written = verdicts.as_json(claims, judged)
    assert [each["verdict"] for each in written["claims"]] == [verdicts.NOT_RUN] * 2
    assert len(verdicts.as_table(judged)) == 2 and "NaN" not in json.dumps(written)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"first": "beter"}, "c: first: no variant 'beter'; did you mean 'better'"),
        ({"tests": "age_morph"}, None),
        ({"tests": "old_morph2"}, "c: tests: no task 'old_morph2'"),
        ({"metric": "heedline"}, "c: metric: no 'heedline' of age_morph2"),
        ({"expects": "close"}, "within: needed by not_worse and close alone"),
        ({"exspects": "better"}, "exspects: unknown key; did you mean 'expects'"),
    ],
)
def test_a_claim_that_names_what_is_not_there(root, tmp_path, changes, message):
    path = tmp_path / "claims.yaml"
    path.write_text(json.dumps({"claims": [claim().model_dump(exclude_unset=True) | changes]}))
    if message:
        with pytest.raises(ConfigError, match=message):
            paper_claims.load_claims(path, params())
    else:  # of a kind that exists: only the runs know
        claims = paper_claims.load_claims(path, params())
        with pytest.raises(ConfigError, match="c: worse: age_morph: no such test in its runs; did you mean 'age_mor"):
            verdicts.judge(claims, experiments.load_runs(params(), root))


def test_the_committed_claims_name_what_is_there_and_are_all_judged():
    asked, written = load_params(ROOT / "params.yaml"), ROOT / verdicts.WRITTEN
    claims = paper_claims.load_claims(ROOT / paper_claims.FILE, asked)
    stored = json.loads(written.read_text())
    assert [each["name"] for each in stored["claims"]] == [claim.name for claim in claims.claims]
    judged = verdicts.judge(claims, experiments.load_runs(asked, ROOT))
    assert json.loads(json.dumps(verdicts.as_json(claims, judged))).items() <= stored.items()
