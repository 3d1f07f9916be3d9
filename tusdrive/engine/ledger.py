"""Saving an upload together with what it holds in the account's ledger and on the disk.

Room is taken and given back by comparing the upload before and after, so it can be neither forgotten nor freed twice:

- `Account.promised` is the sum of `reserved` over the account's open uploads and whole parts,
- `Account.used` is the sum of the sizes of its files that are not deleted,
- `Space.promised` is the sum of `outstanding` over all open uploads.
"""

from __future__ import annotations

from ..domain.account import promise, promise_space
from ..domain.upload import GONE, Kind, Limits, State, Upload
from ..domain.values import evolve
from ..ports import Tx


def held(upload: Upload | None) -> int:
    """Bytes of the account's quota that this upload takes up, apart from files."""
    if upload is None or upload.state in GONE:
        return 0
    if upload.state is State.COMPLETED and upload.kind is not Kind.PARTIAL:
        return 0
    return upload.reserved


def save(tx: Tx, before: Upload | None, after: Upload, limits: Limits, *, free: int | None = None) -> Upload:
    """Save `after`, which was `before`, and settle the ledgers.

    `free` is what the disk has left when the change may ask for more of it; None when it only gives back.
    Raises QuotaExceeded or StorageFull when it holds more than before and there is no room for that.
    """
    more = held(after) - held(before)
    if more:
        account = tx.account(after.account)
        if more > 0:
            tx.save_account(promise(account, more, limits.quota))
        else:
            tx.save_account(evolve(account, promised=account.promised + more))
    further = after.outstanding - (before.outstanding if before else 0)
    if further:
        space = tx.space()
        tx.save_space(promise_space(space, further, free if further > 0 else None))
    tx.save_upload(after)
    return after


def charge(tx: Tx, account_id: str, size: int) -> None:
    """A file of `size` bytes came into being (or went, when negative)."""
    if size:
        account = tx.account(account_id)
        tx.save_account(evolve(account, used=account.used + size))
