"""dvc.yaml, params.yaml and the notebooks hold together."""

import configparser
import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from faceptor.config import load_preset, preset_names, preset_text
from faceptor.config.sections import spelled

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_stage_is_a_verb_of_the_package():
    for name, stage in PIPELINE.items():
        command = stage.get("do", stage)["cmd"]
        assert re.match(r"python -m faceptor \w+", command), name


def test_code_dependencies_exist():
    for name, stage in PIPELINE.items():
        for dependency in stage.get("do", stage).get("deps", []):
            if dependency.startswith(("faceptor/", "notebooks/")):
                assert (ROOT / dependency).exists(), f"{name}: {dependency}"


@pytest.mark.parametrize("preset", preset_names())
def test_parameter_dependencies_exist(preset):
    def value(key: str):
        node = params
        for part in key.split("${")[0].rstrip(".").split("."):
            assert part in node, key
            node = node[part]
        return node

    params = yaml.safe_load(preset_text(preset))
    for stage in PIPELINE.values():
        if value(stage.get("foreach", "${seed}")[2:-1]):  # of nothing, there is no stage
            for key in stage.get("do", stage).get("params", []):
                value(key)


@pytest.mark.parametrize("preset", preset_names())
def test_dvc_resolves_every_preset(preset, tmp_path):
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    (tmp_path / "params.yaml").write_text(preset_text(preset))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with Repo.init(str(tmp_path)) as repo:
        stages = repo.index.stages
    names = {stage.name for stage in stages}
    params = load_preset(preset)
    assert names >= {f"preprocess@{spelled(name)}" for name in params.datasets}
    assert names >= {f"train_stage2@{name}" for name in params.stage2.tasks}
    assert names >= {f"transfer@{d}-{m}" for d in params.transfer.matrix.dataset for m in params.transfer.matrix.mode}
    assert {n for n in names if n.startswith("synthesize@")} == {
        f"synthesize@{spelled(name)}" for name in params.synthesis
    }
    made = [Path(out.fs_path) for stage in stages for out in stage.outs]
    for stage in stages:
        for dependency in (Path(d.fs_path) for d in stage.deps if Path(d.fs_path).is_relative_to(tmp_path / "models")):
            near = [out for out in made if out.is_relative_to(dependency) or dependency.is_relative_to(out)]
            assert near, f"{stage.name}: nothing makes {dependency.relative_to(tmp_path)}"


def test_plots_page_loads_nothing_and_other_local_settings_stay(tmp_path):
    from dvc_render.html import render_html
    from dvc_render.vega import VegaRenderer

    (tmp_path / "config.local").write_text("[core]\n    remote = disk\n")
    library = "window.vegaEmbed = (place, spec) => 0; // </script> in a string ends no script"
    runpy.run_path(str(ROOT / ".ci" / "plots.py"))["install"](library, tmp_path)
    settings = configparser.ConfigParser()
    settings.read(tmp_path / "config.local")
    assert settings["core"]["remote"] == "disk"

    points = [{"step": 1, "loss": 2.0, "rev": "workspace"}, {"step": 2, "loss": 1.0, "rev": "workspace"}]
    renderer = VegaRenderer(points, "loss", x="step", y="loss", template="linear")
    page = tmp_path / "page" / "index.html"
    render_html([renderer], page, html_template=tmp_path / settings["plots"]["html_template"])
    text = page.read_text()
    assert library.replace("</", r"<\/") in text and '"loss": 2.0' in text
    assert not re.search(r"(src|href)\s*=|@import|import\s*\(", text)
