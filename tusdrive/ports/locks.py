"""One writer at a time, who lets go when asked."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from .bodies import Stop


class Lock(Protocol):
    """Held while in the `async with`. `stop` is set when somebody else asks for it."""

    stop: Stop


class Locks(Protocol):
    """One writer per upload. Whoever comes asks the holder to let go, and waits until it has.

    A holder must end soon after `stop` is set; whoever holds on longer than the time-out makes the newcomer
    raise Locked. Fair: newcomers get it in order. Kernel or process held: nothing to clean up after a crash.
    """

    def exclusive(self, key: str) -> AbstractAsyncContextManager[Lock]: ...

    def shared(self, key: str) -> AbstractAsyncContextManager[Lock]:
        """Held together with other shared holders, never with an exclusive one."""

    def held(self, key: str) -> bool:
        """Whether somebody holds it now. Nobody is asked to let go."""

    def stop_all(self) -> None:
        """Ask every holder to let go (shutdown)."""
