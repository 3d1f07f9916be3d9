"""Who asks, and how much room an account has.

The ledger counts two things per account: `used`, the bytes of its files, and `promised`, the bytes set aside for
uploads that are under way. Room is taken when an upload is created, and given back exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import QuotaExceeded, StorageFull
from .values import evolve

ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a request speaks for.

    `upload` is set when all that was shown is the capability of one upload: then nothing else may be touched.
    """

    account: str
    roles: frozenset[str] = frozenset()
    upload: str | None = None

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    def may_touch(self, owner: str) -> bool:
        """Owner or admin. Callers answer NotFound when this is false."""
        return self.upload is None and (self.is_admin or self.account == owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account's ledger, in bytes. `quota` is this account's own limit; None means the server's default."""

    id: str
    quota: int | None = None
    used: int = 0
    promised: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Bytes promised to running uploads, of all accounts, that the disk has not yet set aside."""

    promised: int = 0


def promise(account: Account, size: int, default_quota: int | None) -> Account:
    """Set `size` bytes aside for an upload. Raises QuotaExceeded when used + promised + size is over the quota."""
    quota = default_quota if account.quota is None else account.quota
    if quota is not None and account.used + account.promised + size > quota:
        raise QuotaExceeded(used=account.used, promised=account.promised, requested=size, quota=quota)
    return evolve(account, promised=account.promised + size)


def promise_space(space: Space, size: int, free: int | None) -> Space:
    """Set `size` bytes of disk aside. `free` is what the disk has left, less the reserve; None means unlimited.

    Raises StorageFull when promised + size does not fit.
    """
    if free is not None and size > 0 and space.promised + size > free:
        raise StorageFull(requested=size, available=max(0, free - space.promised))
    return evolve(space, promised=space.promised + size)
