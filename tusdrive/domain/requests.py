"""What clients ask for, once a protocol has understood it. Protocols make these values, the engine acts on them."""

from __future__ import annotations

from dataclasses import dataclass

from .checksum import Checksum, FileHash
from .upload import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """A wish for an upload. Sizes in bytes, times in microseconds since 1970 UTC."""

    kind: Kind = Kind.WHOLE
    length: int | None = None  # None: declared later, or computed from the parts
    auto_finish: bool = True  # becomes a file as soon as all bytes arrived, without being told to
    file_name: str = ""
    content_type: str = ""
    metadata: str | None = None  # Upload-Metadata as sent
    chunk_size: int | None = None  # None: the server's default
    hash: FileHash | None = None  # of the whole file
    pool: str | None = None
    bundle: str | None = None
    parts: tuple[str, ...] = ()  # ids, for Kind.FINAL
    concat: str | None = None  # Upload-Concat as sent
    file_expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Bytes for the end of the prefix."""

    offset: int
    declares: int | None = None  # the upload's length, declared with these bytes
    checksum: Checksum | None = None  # of these bytes
