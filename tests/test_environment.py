"""pyproject.toml, constraints.txt and environment.yml describe one environment, and this is it."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = ("torch", "timm", "dvc", "jupyterlab", "papermill", "numpy", "seaborn", "einops")


def pins() -> dict[str, str]:
    lines = [line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): exact for name, exact in pairs}


def requirements() -> list[Requirement]:
    return [Requirement(text) for text in sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"])]


def test_every_requirement_has_one_exact_pin_in_its_range():
    known = pins()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in known, f"{name} of pyproject.toml is not pinned in constraints.txt"
        assert known[name] in requirement.specifier


def test_packages_that_were_asked_for_are_required():
    assert {canonicalize_name(r.name) for r in requirements()} >= set(ASKED)


@pytest.mark.parametrize("name", sorted({canonicalize_name(r.name) for r in requirements()}))
def test_this_environment_has_the_pinned_version(name):
    assert version(name).split("+")[0] == pins()[name]


def test_conda_takes_python_from_conda_and_all_else_from_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, nested = environment["dependencies"]
    assert python.split("=")[1] in SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert nested["pip"] == ["-c constraints.txt", "-e .[train,notebooks,export,dev]"]


def test_makefile_installs_from_the_same_files():
    text = (ROOT / "Makefile").read_text()
    assert "-c constraints.txt" in text
    assert "'.[train,notebooks,export,dev]'" in text


def closure(texts: list[str]) -> set[str]:
    """Packages that these requirements bring."""
    found, waiting = set(), [Requirement(text) for text in texts]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name not in found:
            found.add(name)
            inner = map(Requirement, requires(name) or ())
            waiting += [one for one in inner if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def test_the_core_alone_loads_predicts_and_counts():
    core = closure(PROJECT["dependencies"]) | {"faceptor"}
    extra = [
        module
        for module, packages in packages_distributions().items()
        if core.isdisjoint(map(canonicalize_name, packages))
    ]
    assert {"pyarrow", "dvc", "pandas", "matplotlib", "jupyterlab", "pytest"} <= set(extra)
    run = [sys.executable, "-m", "tests.core_only", *extra]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_pinned_torch_and_torchvision_belong_together():
    minor = {name: int(pins()[name].split(".")[1]) for name in ("torch", "torchvision")}
    assert minor["torchvision"] - minor["torch"] == 15


def test_an_environment_that_was_moved_with_its_checkout_runs_the_code_beside_it(tmp_path):
    old, new = tmp_path / "old", tmp_path / "a new name"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", old / ".venv"], check=True)
    (old / "faceptor").mkdir()
    (old / "faceptor" / "__init__.py").write_text("print(__file__)")
    packages = next(old.glob(".venv/lib/python*/site-packages"))
    (packages / "__editable__.faceptor-0.1.0.pth").write_text(f"{old}\n")
    facts = packages / "faceptor-0.1.0.dist-info" / "direct_url.json"
    facts.parent.mkdir()
    facts.write_text(json.dumps({"url": old.as_uri(), "dir_info": {"editable": True}}))
    script = old / ".venv" / "bin" / "faceptor"
    script.write_text(f"#!{old}/.venv/bin/python\nimport faceptor\n")
    script.chmod(0o755)

    old.rename(new)
    relocate = [new / ".venv/bin/python", ROOT / ".ci/relocate.py"]
    assert subprocess.run(relocate, check=True, capture_output=True).stdout
    old.mkdir()  # somebody else's now
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run([new / ".venv/bin/faceptor"], check=True, capture_output=True, env=plain, cwd=tmp_path)
    assert Path(said.stdout.decode().strip()) == new / "faceptor" / "__init__.py"
    assert not subprocess.run(relocate, check=True, capture_output=True).stdout  # at home: nothing to do
    assert "relocate.py" in (ROOT / "Makefile").read_text()
