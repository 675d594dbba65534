"""What the notebooks about faces rest on: a tour, cards of data sets, failures and what they share, chosen queries."""

import numpy as np
import pandas as pd
import pytest
import torch

from faceptor.analysis import attention_figures, data_figures, failures, tour
from faceptor.analysis import data_sets as sets
from faceptor.errors import ConfigError, DataError
from faceptor.models.build import build_model
from faceptor.pipeline.experiment import preset
from faceptor.pipeline.pictures import Picture
from faceptor.predict.predictor import answer_image
from faceptor.tasks import task
from tests.models.test_facexformer import toy_model as toy_facexformer
from tests.models.test_ten_kinds import CONFIGS
from tests.models.toy_models import toy_model

TASKS = ("landmarks_aflw19", "parsing_lapa", "age_morph2", "attributes_celeba", "recognition_ms1mv3")


@pytest.fixture(scope="module")
def model():
    return toy_model(tasks=TASKS)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 255, (60, 50, 3), np.uint8)


# --- tour -------------------------------------------------------------------------------------------------------------


def test_the_tour_shows_every_task_and_counts_what_it_owns(model, picture):
    face = answer_image(model, picture, boxes=[(10, 10, 40, 40)])[0]
    figure = tour.answers(picture, face, title="answers")
    titles = [panel.get_title() for panel in figure.axes]
    assert titles[1:] == list(TASKS)
    seen = tour.placed(model, picture, face)
    assert set(seen) == set(TASKS) and tour.crops(model, picture, face).axes
    table = tour.tasks(model)
    queries = model.queries["age_morph2"]
    assert table.loc["age_morph2", "own parameters"] == queries.content.numel() + queries.position.numel()
    assert table.loc["recognition_ms1mv3"].isna()[["labels", "own parameters"]].all()
    assert tour.parts(model)["parameters"].sum() == sum(p.numel() for p in model.parameters())
    assert len(tour.diagram(model).axes[0].texts) == 8


def test_a_photograph_met_by_a_model_of_generated_faces_says_so(picture):
    met = Picture(picture, None, "the photograph a.jpg", photograph=True)
    assert "GENERATED FACES" in met.title(["age_morph2"])
    assert any("do not rely" in line for line in met.notes(["age_morph2"], of=1))
    assert not any("rely" in line for line in met.notes([], of=1))
    drawn = Picture(picture, None, "a generated face", photograph=False)
    assert "GENERATED" not in drawn.title(["age_morph2"]) and len(drawn.notes(["age_morph2"], of=1)) == 1


# --- chosen queries ---------------------------------------------------------------------------------------------------


def test_queries_are_chosen_by_task_and_label(model):
    names = ["age_morph2:30", "parsing_lapa:hair", "gender_utkface:male"]
    found = attention_figures.chosen(model, names, where="notebooks.tour.queries")
    assert [(query.task, query.index) for query in found] == [("age_morph2", 30), ("parsing_lapa", 10)]
    with pytest.raises(ConfigError, match=r"notebooks.tour.queries: parsing_lapa has no query 'hairs'.*hair"):
        attention_figures.chosen(model, ["parsing_lapa:hairs"], where="notebooks.tour.queries")
    with pytest.raises(ConfigError, match="none of these tasks"):
        attention_figures.chosen(model, ["gender_utkface:male"], where="notebooks.tour.queries")
    one_token = toy_facexformer("expression_rafdb")
    assert attention_figures.chosen(one_token, ["expression_rafdb:happy"], where="x")[0].name == "expression_rafdb"


def test_attention_is_drawn_for_every_decoder_layer(model):
    crops = {"age_morph2": np.random.default_rng(0).random((32, 32, 3), np.float32)}
    figure = attention_figures.on_one_face(model, ["age_morph2:30"], crops, where="x")
    assert [panel.get_title() for panel in figure.axes[1:3]] == ["decoder layer 1", "decoder layer 2"]
    with pytest.raises(ConfigError):
        attention_figures.on_one_face(model, ["race_utkface:White"], crops, where="x")
    heads = build_model(CONFIGS["naive"], [task("age_morph2")])
    assert "no queries" in attention_figures.on_one_face(heads, ["age_morph2:30"], crops, where="x").data


def test_before_and_after_gives_every_state_all_of_its_attention(model):
    faces = {"age_morph2": torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))}
    (one,) = attention_figures.looks(model, {}, ["age_morph2:30"], faces, seed=1, where="x")
    assert set(one.maps) == {attention_figures.ONLY}
    assert np.allclose(one.maps[attention_figures.ONLY].sum(axis=(1, 2, 3)), 1, atol=1e-5)
    assert attention_figures.before_and_after([one]).axes
    assert "age_morph2, query 30" in attention_figures.said([one])[0]


# --- data sets --------------------------------------------------------------------------------------------------------


def card(train, val, **more):
    labels = {"train": {"expression": train}, "val": {"expression": val}}
    return {
        "title": "A set", "licence": "research", "redistribution": "no", "generated": True, "columns": ["expression"],
        "counts": {"train": sum(train.values()), "val": sum(val.values())}, "labels": labels, "dropped": {},
        "label_names": {"expression": list(train)}, "ignored": {}, "rejects": {"count": 3},
        "duplicates": {"within": {"train": 1}, "across": {"train/val": 2}},
        "checks": [{"name": "a", "status": "pass"}, {"name": "b", "status": "fail"}],
    } | more  # fmt: skip


def test_splits_that_differ_are_told_from_those_that_do_not():
    alike = {"rafdb": card({"happy": 500, "sad": 500}, {"happy": 52, "sad": 48})}
    unlike = {"rafdb": card({"happy": 500, "sad": 500}, {"happy": 90, "sad": 10})}
    few = {"rafdb": card({"happy": 5, "sad": 5}, {"happy": 1, "sad": 1})}
    assert any("are not told apart" in line for line in sets.conclusions(alike))
    assert any("differ beyond chance in: expression of rafdb" in line for line in sets.conclusions(unlike))
    assert any("undecided" in line for line in sets.conclusions(few))
    assert any("3 faces were rejected, 2 pictures lie in two splits" in line for line in sets.conclusions(few))
    assert any("failed self-checks: rafdb" in line for line in sets.conclusions(few))
    (found,) = sets.distributions(unlike)
    assert found.shares["val"].tolist() == [90, 10] and data_figures.label_shares([found]).axes


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no card"):
        sets.cards_of(preset("embedded"), ["rafdb"], root=tmp_path)
    with pytest.raises(ConfigError, match=r"data_sets: 'rafbd'"):
        sets.cards_of(preset("embedded"), ["rafbd"], root=tmp_path)
    with pytest.raises(DataError, match="no distribution"):
        data_figures.label_shares([])
    with pytest.raises(DataError, match="at least one"):
        data_figures.labelled_faces({"rafdb": []}, {})


# --- failures ---------------------------------------------------------------------------------------------------------


def judged(model, years):
    rng = np.random.default_rng(1)
    samples = [
        {"key": str(i), "image": rng.integers(0, 255, (32, 32, 3), np.uint8), "size": (32, 32), "age": age}
        for i, age in enumerate(years)
    ]
    return failures.judge(model, "age_morph2", samples, batch=16)


def test_the_worst_come_first_with_the_error_of_one_face(model):
    found = judged(model, [5.0, 50.0, 95.0])
    errors = [abs(case.answer.years - case.sample["age"]) for case in found.cases]
    assert [case.value for case in found.cases] == pytest.approx(errors)
    assert errors == sorted(errors, reverse=True)
    assert failures.judged_alone(model, ()) == [name for name in TASKS if name != "recognition_ms1mv3"]


def test_what_sets_the_worst_apart_is_found_and_chance_is_not(model):
    years = [95.0 if i % 5 == 0 else 50.0 for i in range(60)]  # an untrained model says about 50
    found = judged(model, years)
    table = failures.properties(found, {})
    assert len(table) == 60 and "age (years)" in table
    compared = failures.compared(found, table, 0.2)
    assert compared.index[0] == "age (years)" and compared["p"].iloc[0] < 0.01
    assert "differ in age (years) 95 against 50" in failures.conclusions([found], {"age_morph2": compared}, 0.2)[0]
    noise = pd.DataFrame(np.random.default_rng(2).normal(size=(60, 20))).add_prefix("noise ")
    chance = failures.compared(found, noise, 0.2)
    assert chance["p"].min() > failures.LEVEL
    assert "undecided" in failures.conclusions([found], {"age_morph2": chance}, 0.2)[0]
    few = failures.compared(judged(model, years[:6]), table.head(6), 0.2)
    assert few.empty and "undecided" in failures.conclusions([found], {"age_morph2": few}, 0.2)[0]
