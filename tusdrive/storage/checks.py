"""What no store can keep, refused when it is saved, so that one bad value cannot spoil a batch of good ones.

Numbers must fit 64 bits, text must be Unicode without lone surrogates, and names that rows are found by hold no NUL.
All raise Invalid. Protocols refuse such input earlier and say so better.
"""

from __future__ import annotations

from ..domain.account import Account, Space
from ..domain.errors import Invalid
from ..domain.file import Blob, File
from ..domain.upload import Upload

LARGEST = 2**63 - 1
"""Of all integers, in bytes or microseconds."""


def check_upload(upload: Upload) -> None:
    u = upload
    check_names(f"{u.id}{u.account}{u.place}{u.file_id}")
    check_text(f"{u.file_name}{u.content_type}{u.metadata}{u.pool}{u.bundle}{u.concat}{u.error}")
    if u.hash is not None:
        check_names(u.hash.algorithm + u.hash.hex)
    if u.parts:
        check_names("".join(u.parts))
    check_numbers(u.length, u.received.prefix, u.received.end, u.allocated, u.reserved, u.chunk_size, u.expires_at)
    check_numbers(u.file_expires_at, u.created_at, u.updated_at, u.active_at, u.ended_at)


def check_file(file: File) -> None:
    f = file
    check_names(f"{f.id}{f.account}{f.upload}{f.blob}{f.sha256}{f.md5}")
    check_text(f"{f.name}{f.content_type}{f.pool}{f.bundle}")
    check_numbers(f.size, f.expires_at, f.created_at, f.updated_at, f.deleted_at)


def check_blob(blob: Blob) -> None:
    check_names(f"{blob.id}{blob.place}{blob.sha256}")
    check_numbers(blob.size, blob.refs, blob.created_at)


def check_account(account: Account) -> None:
    check_names(account.id)
    check_numbers(account.quota, account.used, account.promised)


def check_space(space: Space) -> None:
    check_numbers(space.promised)


def check_text(text: str) -> None:
    """Raises Invalid for a lone surrogate. Several texts may be put together, this runs for every change."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise Invalid("text must be valid Unicode") from exc


def check_names(names: str) -> None:
    """Raises Invalid for a lone surrogate or NUL."""
    check_text(names)
    if "\0" in names:
        raise Invalid("names must not hold NUL")


def check_numbers(*numbers: int | None) -> None:
    """Raises Invalid for one that 64 bits cannot hold."""
    for number in numbers:
        if number is not None and not -LARGEST <= number <= LARGEST:
            raise Invalid("a number is too large", largest=LARGEST)
