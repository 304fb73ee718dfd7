"""Finds the files of this package that a module depends on."""

import ast
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def source_files(modules: Iterable[str], left_out: Collection[str] = ()) -> set[Path]:
    """The files of the modules and of all modules of this package that they import, also within functions.

    Args:
        left_out: modules that are left out, with what only they import.
    """
    without = {file for name in left_out for file in module_files(name)[:1]}
    found: set[Path] = set()
    waiting = list(modules)
    names = set(waiting)
    while waiting:
        for file in module_files(waiting.pop()):
            if file not in found and file not in without:
                found.add(file)
                new = imported_names(file) - names
                names |= new
                waiting += new
    return found


def imported_names(file: Path) -> frozenset[str]:
    """The names of this package that a file imports, such as ``unroll.nn.gru``; not all of them are modules."""
    return _imported_names(file.read_text(encoding="utf-8"))


@cache
def _imported_names(code: str) -> frozenset[str]:
    names: set[str] = set()
    for node in _statements(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name for name in names if name.startswith("unroll."))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements, also within others; `ast.walk` would visit every expression too."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):
            waiting += getattr(node, part, ())


def module_files(name: str) -> list[Path]:
    """The files of a module or package and of its parent packages; empty if the name is not a module."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    own = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    around = [parent / "__init__.py" for parent in path.parents if PACKAGE in parent.parents]
    return own + around if own else []
