"""pyproject.toml, constraints.txt and environment.yml describe one environment, and this is it."""

import tomllib
from importlib.metadata import version
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
    return [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]


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
    assert nested["pip"] == ["-c constraints.txt", "-e .[dev]"]


def test_makefile_installs_from_the_same_files():
    text = (ROOT / "Makefile").read_text()
    assert "-c constraints.txt" in text
    assert "'.[dev]'" in text


def test_pinned_torch_and_torchvision_belong_together():
    minor = {name: int(pins()[name].split(".")[1]) for name in ("torch", "torchvision")}
    assert minor["torchvision"] - minor["torch"] == 15
