"""What a function of the package runs, by reading the code: the modules that it imports, and that these import.

Modules of `pipeline` are followed name by name, because one file holds the functions of several stages; of a class that
a function there has as an argument, the methods that it names. Of all other rooms a module counts as a whole. An import
inside a function counts, one under TYPE_CHECKING does not; so does a text that is the name of a module, with which
tables import late (not that of a package: its files are read so).
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "faceptor"


@cache
def path_of(module: str) -> Path | None:
    """The file of a module, if there is such a module."""
    base = ROOT.joinpath(*module.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text())


def is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE and path_of(module) is not None


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            waiting += ast.iter_child_nodes(node)


def imported(tree: ast.AST) -> dict[str, str]:
    """Name -> what of ours it stands for, "faceptor.room.module" or "faceptor.room.module.name"."""
    found = {}
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and is_ours(node.module or ""):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names if is_ours(alias.name)}
    return found


def module_of(target: str) -> str:
    """The module of "faceptor.room.module.name.method"."""
    while target and not is_ours(target):
        target = target.rpartition(".")[0]
    return target


def named(tree: ast.AST) -> set[str]:
    """Modules of ours that a text names."""
    texts = (node.value for node in nodes(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    texts = {text for text in texts if re.fullmatch(rf"{PACKAGE}(\.\w+)+", text)}
    return {text for text in texts if is_ours(text) and path_of(text).name != "__init__.py"}


def every_module() -> list[str]:
    files = (file.relative_to(ROOT).with_suffix("") for file in sorted((ROOT / PACKAGE).rglob("*.py")))
    return [".".join(file.parts).removesuffix(".__init__") for file in files]


@cache
def imports(module: str) -> frozenset[str]:
    tree = tree_of(module)
    return frozenset({module_of(target) for target in imported(tree).values()} | named(tree))


def packages(module: str) -> list[str]:
    """The packages around a module, whose code runs when it is imported; not the outermost, which imports nothing."""
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(2, len(parts))]


def definitions(module: str) -> dict[str, list[ast.AST]]:
    """Name, or Class.method, -> the statements of a module that define it."""
    found: dict[str, list[ast.AST]] = {}
    for node in tree_of(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, []).append(node)
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            found |= {f"{node.name}.{each.name}": [each] for each in methods if isinstance(node, ast.ClassDef)}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                found |= {each.id: [node] for each in ast.walk(target) if isinstance(each, ast.Name)}
    return found


def run_by(functions: Iterable[str], *, but: frozenset[str] = frozenset()) -> set[str]:
    """The modules that functions ("faceptor.pipeline.module.function") run, those of `pipeline` among them.

    but: modules and packages that are not followed, nor named.
    """
    whole, by_name, waiting = set(), set(), list(functions)
    while waiting:
        target = waiting.pop()
        module = module_of(target)
        if any(f"{module}.".startswith(f"{each}.") for each in but):
            continue
        if module.startswith(f"{PACKAGE}.pipeline.") and target != module:
            if target not in by_name:
                by_name.add(target)
                waiting += _used(module, target.removeprefix(f"{module}."))
        elif module not in whole:
            whole.add(module)
            waiting += [*imports(module), *packages(module)]
    return whole | {module_of(target) for target in by_name}


def _used(module: str, name: str) -> Iterator[str]:
    """What a name of a module uses: names of the same module, what it imports, methods of its arguments' classes."""
    known, own = imported(tree_of(module)), definitions(module)
    if name in known:
        yield known[name]
    for node in own.get(name, ()):
        yield from imported(node).values()
        yield from named(node)
        yield from (known.get(each, f"{module}.{each}") for each in _names(node, run=True) if each in known | own)
        attributes = {
            each.attr for each in nodes(node)
            if isinstance(each, ast.Attribute) and not ast.unparse(each.value).endswith("params")  # of params.yaml
        }  # fmt: skip
        for each in {*_names(node, run=False), name.partition(".")[0]}:
            target = known.get(each, f"{module}.{each}")
            methods = definitions(module_of(target)) if target.startswith(f"{PACKAGE}.pipeline.") else {}
            yield from (f"{target}.{attr}" for attr in attributes if f"{each}.{attr}" in methods)


def _names(node: ast.AST, *, run: bool) -> set[str]:
    """Names in the code of a statement; run=False: in the types of arguments and variables, which run nothing."""
    found = set()
    for field, value in ast.iter_fields(node):
        typed = field in ("annotation", "returns")
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST) and not (typed and run):
                found |= _names(each, run=True) if typed else _names(each, run=run)
    return found | ({node.id} if isinstance(node, ast.Name) and run else set())
