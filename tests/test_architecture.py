"""The order of the rooms (`[tool.importlinter]` in pyproject.toml), and what it cannot see."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from importlinter.cli import lint_imports

from tests import imports

ROOT = Path(__file__).parents[1]

# Rooms below `pipeline` that see whole configurations, because these are what they are about; others take typed values.
WHOLE_CONFIGURATIONS = {
    "analysis",  # compares presets with one another, with params.yaml and with the papers
    "config",  # defines them
    "doctor",  # examines what params.yaml names
}

# Below the command line, what functions import of ours, and why not where the file begins: (by whom, what).
LATE = {
    ("doctor.machine", "_compat"),  # torchvision, which the rest of the report does without
    ("doctor.machine", "weights.initialise"),  # torch, the same
    ("predict.results", "predict.parquet"),  # pyarrow, of an extra
    ("synthesis", "datasets.labels"),  # whatever reads data sets: a process for every core draws faces without it
    ("synthesis", "synthesis.contact_sheet"),  # the same
    ("synthesis", "synthesis.writers.write_matlab"),  # the same
    ("tasks", "tasks.losses"),  # torch, which the table of tasks, metrics and predictions do without
    ("transforms.rand_augment", "_compat"),  # torchvision, for one policy
}


def test_rooms_use_only_those_below_them(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT))
    failed = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out


def test_no_late_import_hides_a_circle():
    """Imports inside functions and by name (tables of modules) count."""
    TopologicalSorter({name: imports.imports(name) - {"faceptor"} for name in imports.every_module()}).prepare()


def test_imports_by_name_stay_within_their_room():
    """They are what import-linter does not see."""
    for name in imports.every_module():
        if name != "faceptor":  # which hands out functions of several rooms
            rooms = {each.split(".")[1] for each in imports.named(imports.tree_of(name))}
            assert rooms <= {name.split(".")[1]}, name


def test_below_the_command_line_functions_import_ours_for_a_reason():
    late = {
        (name.removeprefix("faceptor."), imports.module_of(target).removeprefix("faceptor."))
        for name in imports.every_module() if not f"{name}.".startswith("faceptor.cli.")
        for node in ast.walk(imports.tree_of(name)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for target in imports.imported(node).values()
    }  # fmt: skip
    within = {pair: known for pair in late for known in LATE if all(map(is_or_lies_in, pair, known))}
    assert late <= within.keys()
    assert set(within.values()) == LATE


def is_or_lies_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def test_below_the_pipeline_functions_take_typed_values_and_not_all_parameters():
    rooms = {"faceptor", "cli", "pipeline", *WHOLE_CONFIGURATIONS}
    for name in imports.every_module():
        if name.split(".")[:2][-1] not in rooms:
            assert "Params" not in imports.imported(imports.tree_of(name)), name


def test_one_loader_reads_yaml():
    """`faceptor.config.yaml12`; presets are read with their comments where they are written whole."""
    readers = {"faceptor.config.yaml12", "faceptor.config.preset_files"}
    for name in imports.every_module():
        code = ast.unparse(imports.tree_of(name))
        assert "safe_load" not in code and "yaml.load" not in code, name
        assert "ruamel" not in code or name in readers, name
