"""The tree keeps its shape: imports go one way, nothing runs at import, each script has its test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "shared/sluicegate"
SERVICES = ROOT / "services"
SCRIPTS = sorted(path for path in (LIBRARY / "store/lua").glob("*.lua") if not path.name.startswith("_"))
MODULES = sorted([*LIBRARY.rglob("*.py"), *SERVICES.rglob("*.py")])

KNOWS_REDIS = re.compile(r"sluicegate/store/")
KNOWS_AIOHTTP = re.compile(
    r"sluicegate/(http|client)/|sluicegate/auth/jwks\.py|sluicegate/dev/(front|proxy)\.py|"
    r"services/\w+/((app|routes|keys)\.py|(handlers|dashboard)/)"
)
HARMLESS = (
    ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.FunctionDef,
    ast.AsyncFunctionDef, ast.ClassDef, ast.Delete, ast.Assert, ast.Pass,
)  # fmt: skip


def place(path: Path) -> str:
    return path.relative_to(LIBRARY.parent if path.is_relative_to(LIBRARY) else ROOT).as_posix()


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Full names of the modules that a file imports, anywhere in it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    package = Path(place(path)).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def offenders(package: str, allowed: re.Pattern[str]) -> list[str]:
    return [
        place(path)
        for path in MODULES
        if not allowed.match(place(path))
        and any(name == package or name.startswith(f"{package}.") for name in imports(path))
    ]


@pytest.mark.parametrize("outside", ["services", "tests", "benchmarks", "examples"])
def test_the_library_imports_nothing_that_stands_on_it(outside: str) -> None:
    assert offenders(outside, re.compile("services/" if outside == "services" else "$^")) == []


def test_a_service_never_imports_another_service() -> None:
    found = [
        (place(path), name)
        for path in SERVICES.rglob("*.py")
        for name in imports(path)
        if name.startswith("services.") and name.split(".")[1] != path.relative_to(SERVICES).parts[0]
    ]
    assert found == []


def test_only_the_store_knows_redis() -> None:
    assert offenders("redis", KNOWS_REDIS) == []


def test_only_the_http_parts_know_aiohttp() -> None:
    assert offenders("aiohttp", KNOWS_AIOHTTP) == []


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_nothing_runs_at_import(path: Path) -> None:
    """A module defines; only `if __name__ == "__main__"` and imports that depend on the platform decide."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.If | ast.Try):
            guard = ast.unparse(node.test) if isinstance(node, ast.If) else ""
            inner = [each for each in node.body if not isinstance(each, HARMLESS)]
            assert not inner or guard == "__name__ == '__main__'", (
                f"{place(path)}:{node.lineno} runs at import"
            )
            continue
        assert isinstance(node, HARMLESS), f"{place(path)}:{node.lineno} runs at import"


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager"])
def test_no_file_is_named_for_nothing(name: str) -> None:
    assert [place(path) for path in MODULES if name in path.stem.split("_")] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_has_its_transition_test(script: Path) -> None:
    assert (ROOT / f"tests/transitions/test_{script.stem}.py").is_file()
