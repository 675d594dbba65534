"""The cells of a notebook in this process: a kernel takes ten seconds to start. tests/analysis executes one with it."""

import ast
from pathlib import Path
from typing import Any

import nbformat


def run_cells(notebook: Path, parameters: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Every code cell, with these values in place of those of the cell of parameters.

    Returns the names that are left, and what the cells show: the values of the expressions that they end with.
    """
    names: dict[str, Any] = {}
    shown = []
    for cell in nbformat.read(notebook, 4).cells:
        if cell.cell_type != "code":
            continue
        body = ast.parse(cell.source).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), str(notebook), "exec"), names)
        if last:
            shown.append(eval(compile(ast.Expression(last.value), str(notebook), "eval"), names))
        if "parameters" in cell.metadata.get("tags", ()):
            names |= parameters
    return names, shown
