"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import docs_tables
import pytest

from tusdrive.domain.errors import TusdriveError
from tusdrive.settings import OPTIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(docs_tables.TABLES))
def test_the_tables_are_those_of_the_code(name: str) -> None:
    found = docs_tables.section(name).search(README)
    assert found is not None, f"README.md has no table {name}"
    assert found[0] == f"<!-- {name} -->\n{docs_tables.TABLES[name]()}\n<!-- /{name} -->"


def test_every_setting_is_in_the_table() -> None:
    table = docs_tables.section("settings").search(README)
    assert table is not None
    assert {name for name in OPTIONS if f"| `{name}` |" not in table[0]} == set()


def test_every_package_is_on_the_map() -> None:
    packages = {path.parent.name for path in (ROOT / "tusdrive").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in README} == set()


def test_the_files_that_are_named_exist() -> None:
    named = re.findall(r"`((?:tests|bench)/[A-Za-z0-9_./-]+\.(?:py|md|mjs|c))`", README)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_error_tree_in_the_docstring_is_complete() -> None:
    from tusdrive.domain import errors

    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in docs_tables.error_classes()} - {TusdriveError.__name__}


def test_error_codes_are_unique() -> None:
    codes = [kind.code for kind in docs_tables.error_classes()]
    assert len(codes) == len(set(codes))
