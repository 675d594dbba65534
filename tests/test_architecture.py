"""The order of the rooms (`[tool.importlinter]` in pyproject.toml), and what it cannot see."""

import ast
from collections.abc import Iterator
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "faceptor"

# Rooms below `pipeline` that see whole configurations, because these are what they are about; others take typed values.
WHOLE_CONFIGURATIONS = {
    "analysis",  # compares presets with one another, with params.yaml and with the papers
    "config",  # defines them
    "doctor",  # examines what params.yaml names
}
NOT_YET_TYPED = {"weights/starting.py"}  # to be emptied

# Modules whose functions import a module of this package: each must be there for a heavy library, not for a circle.
LATE_IMPORTS = {
    "doctor/machine.py",  # torchvision, which the rest of the report does without
    "transforms/rand_augment.py",  # torchvision, for one policy
    "predict/__init__.py",  # torch, once the package is called
}
LATE_ROOM = "faceptor.tasks.losses"  # torch, which the kinds of task do without until they train or answer
NOT_YET_AT_THE_TOP = {  # to be emptied
    "synthesis/__init__.py", "synthesis/writers/aflw19.py", "synthesis/writers/celeba.py",
    "synthesis/writers/lfw73.py", "synthesis/writers/lfwa.py", "tasks/__init__.py",
}  # fmt: skip


def test_rooms_use_only_those_below_them(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT))
    failed = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out


def modules(*, without: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.Module]]:
    """(path below the package, syntax tree) of every module, but for some rooms."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.split("/")[0] not in without:
            yield name, ast.parse(path.read_text())


def imports_of_ours(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for each in ast.walk(node):
        names = [each.module or ""] if isinstance(each, ast.ImportFrom) else []
        names += [alias.name for alias in each.names] if isinstance(each, ast.Import) else []
        if any(name.split(".")[0] == "faceptor" for name in names):
            yield each


def late_imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Those in functions, but for modules of LATE_ROOM."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for each in imports_of_ours(node):
                if isinstance(each, ast.Import) or not (each.module or "").startswith(LATE_ROOM):
                    yield each


def test_below_the_command_line_no_function_imports_ours():
    late = {name for name, tree in modules(without=("cli",)) if next(late_imports(tree), None)}
    assert late <= LATE_IMPORTS | NOT_YET_AT_THE_TOP


def test_below_the_pipeline_functions_take_typed_values_and_not_all_parameters():
    takers = {
        name for name, tree in modules(without=("cli", "pipeline", *WHOLE_CONFIGURATIONS))
        if any("Params" in (alias.name for alias in each.names) for each in imports_of_ours(tree))
    }  # fmt: skip
    assert takers <= NOT_YET_TYPED
