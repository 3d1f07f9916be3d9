"""The scenarios. Each is one module here, found by its name:

- its docstring's first line is its help;
- `PEERS`: names of the peers it measures when none are asked for;
- `run(bench: Bench) -> Report`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def load() -> dict[str, ModuleType]:
    """All scenarios by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}
