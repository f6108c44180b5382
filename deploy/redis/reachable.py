"""Which top-level names of our code a program can reach: what its user of the store is granted goes by it.

A name stands for its whole definition: of a class every method, of a function all that it mentions. What is
mentioned only in an annotation is not reached.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ((ROOT / "shared", "sluicegate"), (ROOT, "services"))


class Name(NamedTuple):
    """A top-level name of a module, like ("sluicegate.store.claims", "claim")."""

    module: str
    name: str


def reached(*modules: str) -> dict[Name, ast.stmt]:
    """Everything that is defined in these modules, and all that it leads to."""
    todo = [Name(module, name) for module in modules for name in _definitions(module)]
    found: dict[Name, ast.stmt] = {}
    while todo:
        name = todo.pop()
        if name in found or name.module not in _files():
            continue
        if (statement := _definitions(name.module).get(name.name)) is not None:
            found[name] = statement
            todo += _mentioned(name)
        elif (leads_to := _imports(name.module).get(name.name)) is not None:
            todo += _as_name(leads_to)
    return found


def modules_below(package: str) -> list[str]:
    return [module for module in _files() if module == package or module.startswith(f"{package}.")]


@cache
def _files() -> dict[str, Path]:
    found = {}
    for base, package in PACKAGES:
        for path in (base / package).rglob("*.py"):
            module = ".".join(path.relative_to(base).with_suffix("").parts)
            found[module.removesuffix(".__init__")] = path
    return found


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_files()[module].read_text())


@cache
def _definitions(module: str) -> dict[str, ast.stmt]:
    """Top-level functions, classes and assignments, by name."""
    found: dict[str, ast.stmt] = {}
    for statement in _tree(module).body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            found.update(dict.fromkeys(names, statement))
    return found


@cache
def _imports(module: str) -> dict[str, str]:
    """What is imported anywhere in a module: the name it has there -> its full name."""
    found: dict[str, str] = {}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found.update((each.asname or each.name, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)
    return found


@cache
def _mentioned(name: Name) -> frozenset[Name]:
    own, imported = _definitions(name.module), _imports(name.module)
    found: set[Name] = set()
    for chain in set(_chains(own[name.name])):
        first = chain[0]
        if first in own:
            found.add(Name(name.module, first))
        if first in imported:  # in some function of the module: there it may hide a name of the module
            found.update(_as_name(".".join((imported[first], *chain[1:]))))
    return frozenset(found)


def _as_name(full: str) -> Iterator[Name]:
    """`sluicegate.store.claims.claim.x` -> claim of sluicegate.store.claims: the longest module wins."""
    parts = full.split(".")
    for at in range(len(parts) - 1, 0, -1):
        if (module := ".".join(parts[:at])) in _files():
            yield Name(module, parts[at])
            return


def _chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every `a.b.c` below a node as ("a", "b", "c"), those of annotations left out."""
    if isinstance(node, ast.Name):
        yield (node.id,)
        return
    if isinstance(node, ast.Attribute):
        names, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            names.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield (inner.id, *reversed(names))
        else:
            yield from _chains(inner)
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _chains(child)
