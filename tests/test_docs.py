"""README and the pages hold what they promise: commands parse, keys, paths, links, terms and snippets exist."""

import ast
import re
import shlex
import tomllib
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser

from faceptor.config import load_params, load_preset, preset_names
from faceptor.config.sections import Section
from faceptor.datasets import READERS
from faceptor.pipeline.experiment import load
from tests.test_cli import parse

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "data/*.md", "data/pretrained/*.md")
    for path in ROOT.glob(pattern)
)
IN_GIT = ("faceptor/", "tests/", "docs/", "notebooks/", "tools/", "results/")
PLACEHOLDER = re.compile(r"<[^>]*>")


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language; "" for those that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for named, block in found if named == language]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def inline(text: str) -> list[str]:
    """What stands between backticks in prose, on one line each."""
    return [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", prose(text))]


def commands(text: str) -> list[str]:
    """Commands of shell blocks and of the prose."""
    lines = [line for block in blocks(text, "") for line in block.splitlines()]
    parts = [part.strip() for code in [*lines, *inline(text)] for part in re.split(r"\s#\s|&&", code)]
    return [part for part in parts if re.match(r"(\.venv/bin/)?(faceptor|dvc|make|python -m) ", part)]


def check_command(command: str) -> None:
    """Raise unless the program knows its words."""
    words = shlex.split(re.sub(r"^\.venv/bin/", "", command))
    if words[0] == "faceptor":
        parse(words[1:])
    elif words[0] == "dvc":
        get_main_parser().parse_args(words[1:])
        for setting in (value for flag, value in pairwise(words) if flag == "-S"):
            check_setting(setting)
    elif words[0] == "make":
        targets = re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE)
        assert words[1] in targets, f"make {words[1]}"
    else:
        import_module(words[2])


def check_setting(setting: str) -> None:
    """Raise unless `key=value` sets what params.yaml has."""
    node = yaml.safe_load(text_of("params.yaml"))
    for part in setting.split("=")[0].split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]


def known_keys() -> set[str]:
    """Every key of a preset, and every field that a section of params.yaml may have."""
    found: set[str] = set()
    trees = [load_preset(name).model_dump(mode="json") for name in preset_names()]
    while trees:
        tree = trees.pop()
        if isinstance(tree, dict):
            found |= tree.keys()
        trees += tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    sections = [Section]
    while sections:
        sections += (section := sections.pop()).__subclasses__()
        found |= section.model_fields.keys()
    return found


def strange_keys(text: str, known: set[str]) -> list[str]:
    """Dotted keys of params.yaml in the prose, of which a part exists nowhere."""
    top = load_params(ROOT / "params.yaml").model_dump().keys()
    dotted = [code for code in inline(text) if re.fullmatch(r"\w+(\.(\w+|<\w+>))+", code)]
    mine = [code for code in dotted if code.split(".")[0] in top and not code.endswith((".json", ".safetensors"))]
    return [code for code in mine if set(PLACEHOLDER.sub("", code).replace("_300w", "300w").split(".")) - known - {""}]


def absent_paths(text: str) -> list[str]:
    """Paths into the parts of the repository that Git holds and that are not there; <name> stands for any."""
    named = [code.split("#")[0] for code in inline(text) if code.startswith(IN_GIT) and " " not in code]
    return [path for path in named if not any(ROOT.glob(PLACEHOLDER.sub("*", path).rstrip("/")))]


def broken_links(page: str, text: str) -> list[str]:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", prose(text)) if "://" not in target]
    return [target for target in targets if not ((ROOT / page).parent / target.split("#")[0]).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page):
    for command in commands(text_of(page)):
        check_command(command)


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_links_lead_somewhere(page):
    assert not absent_paths(text_of(page)) + broken_links(page, text_of(page))


def test_keys_are_those_of_params_yaml():
    known = known_keys()
    assert {page: keys for page in PAGES if (keys := strange_keys(text_of(page), known))} == {}


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles_and_its_names_exist(page):
    for snippet in blocks(text_of(page), "python"):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.Import):
                assert all(import_module(alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert all(hasattr(import_module(node.module), alias.name) for alias in node.names), node.module
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "faceptor":
                assert hasattr(import_module("faceptor"), node.attr), node.attr


def test_what_is_wrong_is_found():
    with pytest.raises(Exception, match="No such option"):
        check_command("faceptor predict --colour photo.jpg --out answers")
    strange = ("make coffee", "dvc repro --colour", "dvc exp run -S stage1.stepz=4", "python -m tools.nothing")
    for command in strange:
        with pytest.raises((AssertionError, KeyError, ModuleNotFoundError, DvcParserError)):
            check_command(command)
    text = "see `faceptor/nowhere.py`, `stage1.selekt` and [a page](docs/none.md); run `faceptor\ndoctor`"
    assert absent_paths(text) == ["faceptor/nowhere.py"] and strange_keys(text, {"stage1"}) == ["stage1.selekt"]
    assert broken_links("README.md", text) == ["docs/none.md"] and commands(text) == ["faceptor doctor"]


def test_the_readme_is_short_and_names_every_room():
    text = text_of("README.md")
    assert len(text.splitlines()) <= 120
    (tree,) = [block for block in blocks(text, "") if block.startswith("params.yaml")]
    rooms = {path.parent.name for path in ROOT.glob("faceptor/*/__init__.py")}
    inside = tree[tree.index("faceptor/ ") : tree.index("tests/ ")].split("\n", 1)[1]
    assert set(re.findall(r"(?:^  |\s{2,})([a-z]+)/ ", inside, re.MULTILINE)) == rooms
    extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    assert set(re.findall(r"'\.\[(\w+)\]'", text)) <= extras.keys()


def test_the_readme_counts_right():
    words = " ".join(text_of("README.md").split())
    assert f"reads {len(READERS)} data sets" in words
    params = load_params(ROOT / "params.yaml")
    steps = [params.stage1.steps, *(baseline.train.steps for baseline in params.baselines.values())]
    assert f"({', '.join(map(str, steps[:-1]))} and {steps[-1]} steps)" in words


def test_tables_of_the_pages_are_complete():
    text = text_of("docs/experiments.md")
    before, after = text.split("## Stages")
    presets, stages = (re.findall(r"^\| `([\w*]+)` ", part, re.MULTILINE) for part in (before, after.split("\n## ")[0]))
    assert set(presets) == set(preset_names())
    pipeline = yaml.safe_load(text_of("dvc.yaml"))["stages"]
    assert {re.sub("^report_.*", "report_*", name) for name in pipeline} == set(stages)


def test_the_citation_is_of_this_version():
    citation, project = yaml.safe_load(text_of("CITATION.cff")), tomllib.loads(text_of("pyproject.toml"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    papers = {paper["url"].rsplit("/", 1)[1] for paper in citation["references"]}
    assert papers == set(re.findall(r"arXiv:(\d+\.\d+)", text_of("README.md")))


def test_the_glossary_names_what_exists():
    kind = import_module("faceptor.tasks").Kind
    for name in re.findall(r"`Kind\.(\w+)`", text_of("docs/glossary.md")):
        assert name in {*dir(kind), *kind.__annotations__}


def test_the_results_are_those_of_the_last_run(monkeypatch):
    from faceptor.pipeline.readme import PAGE, README, between_markers, block, found, page

    monkeypatch.chdir(ROOT)
    results = found(load(ROOT / "params.yaml"))
    assert README.read_text() == between_markers(README.read_text(), block(results))
    assert PAGE.read_text() == page(results)
