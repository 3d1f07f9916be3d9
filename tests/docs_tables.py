"""The tables of the README that are made from the code. `python tests/docs_tables.py --write` puts them there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tusdrive.app import create_app
from tusdrive.domain import errors
from tusdrive.domain.upload import TRANSITIONS, Action
from tusdrive.protocols.problem import status_of
from tusdrive.protocols.tus import STATUS
from tusdrive.settings import Settings, settings_table

README = Path(__file__).parent.parent / "README.md"


def routes_table() -> str:
    """Every route; those under /drive are the same as those under /api."""
    rows = ["| path | methods |", "|---|---|"]
    for route in create_app(Settings()).routes:
        path, methods = route.path, sorted(getattr(route, "methods", None) or ())
        if path.startswith("/drive"):
            continue
        if not methods:
            rows.append(f"| `{path}` | OPTIONS, POST |")
            rows.append(f"| `{path}/{{id}}` | DELETE, GET, HEAD, OPTIONS, PATCH |")
        else:
            rows.append(f"| `{path}` | {', '.join(methods)} |")
    return "\n".join(rows)


def error_classes() -> list[type[errors.TusdriveError]]:
    return [
        value for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.TusdriveError)
    ]


def errors_table() -> str:
    """Every error code, with its status in the REST API, and in tus where that differs."""
    rows = ["| code | REST | tus | meaning |", "|---|---|---|---|"]
    for kind in sorted(error_classes(), key=lambda each: each.code):
        rest, tus = status_of(kind()), status_of(kind(), STATUS)
        rows.append(f"| `{kind.code}` | {rest} | {tus} | {kind().message} |")
    return "\n".join(rows)


def states_table() -> str:
    """Which action leads from which state to which."""
    actions = list(Action)
    rows = ["| from | " + " | ".join(each.value for each in actions) + " |", "|---" * (len(actions) + 1) + "|"]
    for state, steps in TRANSITIONS.items():
        cells = [steps[each].value if each in steps else "" for each in actions]
        rows.append(f"| **{state.value}** | " + " | ".join(cells) + " |")
    return "\n".join(rows)


TABLES = {"settings": settings_table, "routes": routes_table, "errors": errors_table, "states": states_table}


def section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)


def filled(text: str) -> str:
    for name, make in TABLES.items():
        text = section(name).sub(lambda found, make=make: found[1] + make() + "\n" + found[2], text)
    return text


if __name__ == "__main__":
    wanted = filled(README.read_text())
    if "--write" in sys.argv:
        README.write_text(wanted)
    elif wanted != README.read_text():
        sys.exit("README.md is out of date: python tests/docs_tables.py --write")
