"""Tasks outside the table: of further copies of published sets, of other protocols, of users' own data."""

from dataclasses import replace

import pytest
import yaml

from faceptor.config import parse, preset_text
from faceptor.datasets.labels import EXPRESSIONS_8, LAPA_11
from faceptor.errors import ConfigError
from faceptor.pipeline.experiment import resolve
from faceptor.tasks import KINDS, TASKS, task
from faceptor.tasks.custom import with_own
from tests.datasets.test_generic_reader import own


def embedded(**datasets):
    values = yaml.safe_load(preset_text("embedded"))
    values["datasets"] |= datasets
    return values


def test_a_second_copy_of_a_published_set_has_tasks_of_its_own():
    block = {"reader": "morph2", "path": "morph2", "role": "joint", "options": {"protocol": "random_80_20"}}
    values = embedded(morph2_random=block)
    values["stage1"]["tasks"]["age_morph2_random"] = values["stage1"]["tasks"]["age_morph2"]
    experiment = resolve(parse(values))
    spec = experiment.spec("age_morph2_random")
    assert spec.dataset == "morph2_random" and spec.labels == TASKS["age_morph2"].labels
    assert experiment.readers["morph2_random"].options["protocol"] == "random_80_20"
    assert experiment.prepared("morph2_random") != experiment.prepared("morph2")


def test_protocols_that_change_the_classes_change_the_task():
    ferplus = {"path": "ferplus", "role": "joint", "options": {"expressions": 8}}
    celebamaskhq = {"path": "celebamaskhq", "role": "joint", "options": {"classes": 11}}
    experiment = resolve(parse(embedded(ferplus=ferplus, celebamaskhq=celebamaskhq)))
    assert experiment.spec("expression_ferplus").labels == EXPRESSIONS_8
    merged = experiment.spec("parsing_celebamaskhq")
    assert merged.labels == LAPA_11 and merged.options == {"background": 0, "scheme": "LaPa"}
    assert KINDS["parsing"].metric(merged).foreground().sum() == 10
    assert task("expression_ferplus").queries == 7  # the table stays as it is
    assert resolve(parse(embedded())).specs == TASKS


def test_own_tasks_are_known_from_the_file_or_from_the_prepared_data(tmp_path):
    own(tmp_path / "mine")
    values = embedded(
        mine={"reader": "generic", "path": "mine", "role": "joint", "options": {"description": "mine.yaml"}}
    )
    values["data"]["root"], values["data"]["prepared"] = str(tmp_path), str(tmp_path / "prepared")
    values["stage1"]["tasks"]["expression_mine"] = values["stage1"]["tasks"]["expression_rafdb"]
    experiment = resolve(parse(values))
    assert set(experiment.specs) - set(TASKS) == {"landmarks_mine", "age_mine", "expression_mine", "attributes_mine"}

    from faceptor.pipeline.data import preprocess_set

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        preprocess_set(experiment, "mine")
    (tmp_path / "mine").rename(tmp_path / "elsewhere")
    assert resolve(parse(values)).specs == experiment.specs
    values["stage1"]["tasks"]["gender_mine"] = values["stage1"]["tasks"]["expression_rafdb"]
    with pytest.raises(ConfigError, match=r"task .gender_mine. is unknown.*landmarks_mine"):
        resolve(parse(values))


def test_a_name_of_the_table_belongs_to_its_data_set():
    with pytest.raises(ConfigError, match=r"task 'age_morph2' is taken by morph2"):
        with_own([replace(TASKS["age_morph2"], dataset="mine")])


def test_cofw_is_measured_by_both_distances():
    options = task("landmarks_cofw").options
    assert options["headline"] == "nme_inter_ocular"
    assert options["normalisers"] == {"nme_inter_ocular": ((8,), (9,)), "nme_inter_pupil": ((16,), (17,))}
