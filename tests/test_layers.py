"""The house rules that a machine can check: who imports whom, and how large things are."""

from __future__ import annotations

import ast
import functools
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tusdrive"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_MODULE = 320
MAX_FUNCTION = 45
MEDIAN_FUNCTION = 10

PURE = ("domain", "protocols")
UNCLEAN = {"aiofiles", "aiosqlite", "anyio", "asyncio", "datetime.now", "logging", "os", "random", "secrets", "socket",
           "sqlite3", "starlette", "threading", "time", "uvicorn"}  # fmt: skip
OPTIONAL = {"uvloop", "asyncpg", "obstore", "redis"}

# Reads downwards; parts of one line do not know each other.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("logs", "server"),
    ("app",),
    ("services",),
    ("settings",),
    ("http",),
    ("protocols", "engine", "storage", "transport"),
    ("ports", "units"),
    ("domain",),
)


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Every import of a module, wherever it stands, as absolute dotted names."""
    package = ["tusdrive", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            if len(base) == 1 and base[0] == "tusdrive":
                yield from ((node, f"tusdrive.{alias.name}") for alias in node.names)
            else:
                yield node, ".".join(base)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(part: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if part in layer)


def own_imports(path: Path) -> set[str]:
    """Parts of the package that a module imports, other than its own."""
    found = {name.split(".")[1] for _, name in imports(path) if name.startswith("tusdrive.")}
    return found - {part_of(path), "__version__"}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    assert [each for each in functions(path) if each[1] > MAX_FUNCTION] == []


def test_most_functions_are_shorter() -> None:
    lengths = [length for path in MODULES for _, length in functions(path)]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        # The front door: `from tusdrive import create_app`.
        assert own_imports(path) <= {"app", "settings"}
        return
    mine = layer_of(part)
    assert {other for other in own_imports(path) if layer_of(other) <= mine} == set()


def test_settings_are_a_leaf() -> None:
    assert own_imports(PACKAGE / "settings.py") == {"domain", "units"}
    assert own_imports(PACKAGE / "units.py") == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rules_and_translations_are_pure(path: Path) -> None:
    if part_of(path) in PURE:
        assert {name for _, name in imports(path) if name.split(".")[0] in UNCLEAN} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_stand_at_the_top(path: Path) -> None:
    """Of our own package: a late import hides a cycle. Optional drivers stand in modules of their own."""
    tree = tree_of(path)
    top = {id(node) for node in tree.body}
    for node in tree.body:
        if isinstance(node, ast.If | ast.Try):
            top |= {id(each) for each in ast.walk(node)}
    late = {name for node, name in imports(path) if id(node) not in top and name.startswith("tusdrive")}
    if part_of(path) == "services":
        late = {name for name in late if name.rsplit(".", 1)[-1] not in ("postgres", "s3", "redis")}
    # `tusdrive/__init__.py` may put off its front door until it is asked for.
    assert late == set() or part_of(path) == "__init__"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_command_line_reads_the_environment(path: Path) -> None:
    if part_of(path) == "cli":
        return
    read = [
        node for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
    ]  # fmt: skip
    assert read == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_left_to_do(path: Path) -> None:
    text = path.read_text("utf-8")
    assert [word for word in ("TODO", "FIXME", "XXX", "NotImplementedError") if word in text] == []


def test_import_linter() -> None:
    """The same layers, as import-linter sees them; it also follows imports of imports."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
