"""Clock and names, which the rules take as arguments."""

from __future__ import annotations

from collections.abc import Callable

Now = Callable[[], int]
"""The wall clock in microseconds since 1970 UTC."""

NewId = Callable[[], str]
"""A fresh id: 32 lower-case hex digits, the second it is made in and 96 random bits."""
