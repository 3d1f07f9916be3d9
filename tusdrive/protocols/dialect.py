"""What a resumable upload protocol is to the rest of the server: headers in, domain values out, and back.

One implementation per protocol. None of them does I/O or needs a clock, so callers can serve every protocol with the
same few lines: pick the first dialect that speaks, check, read, act, render.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..domain.checksum import Algorithm
from ..domain.requests import Append, NewUpload
from ..domain.upload import Limits, Upload
from .fields import Headers

PartId = Callable[[str], str | None]
"""An address that a client named, to the id of the upload it belongs to; None when it is not one of ours."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer without its framing: Content-Length is for whoever sends it, which also drops the body on HEAD."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Offer:
    """What this server offers to every dialect. Compared by identity: made once, so that answers can be cached."""

    limits: Limits
    algorithms: Mapping[str, Algorithm]
    termination: bool = True
    concatenation: bool = True


class Dialect(Protocol):
    """One resumable upload protocol. `method` is upper case, after any override."""

    name: str

    def speaks(self, method: str, headers: Headers) -> bool:
        """Whether the request is in this protocol. The last dialect asked answers for everything that is left."""

    def check(self, method: str, headers: Headers) -> None:
        """Refuse a version that is not spoken. Raises UnsupportedVersion."""

    def read_create(self, headers: Headers, offer: Offer, part_id: PartId) -> tuple[NewUpload, Append | None]:
        """The upload that is wished for, and the bytes at offset 0 that come with it, if the body holds such.

        The second value speaks of the headers alone; whether there is a body at all is for the caller to see.
        Raises Invalid and its kinds, TooLarge, ModifyFinal, NotFound.
        """

    def read_append(self, headers: Headers, offer: Offer) -> Append:
        """The bytes that the request brings. Raises UnsupportedMedia, Invalid and its kinds, TooLarge."""

    def created(self, upload: Upload, location: str, with_upload: bool) -> Reply:
        """The upload was made. `location` is its address; `with_upload`: bytes came with the request."""

    def appended(self, upload: Upload) -> Reply:
        """Bytes were taken."""

    def described(self, upload: Upload) -> Reply:
        """How the upload stands."""

    def removed(self) -> Reply:
        """The upload was removed."""

    def options(self, offer: Offer) -> Reply:
        """What the server can do."""

    def refused(self, error: Exception, upload: Upload | None) -> Reply:
        """The request failed. `upload` is its upload as it stands now, where that is known and may be told."""
