"""May these bytes be written, where, and how many? Asked before a body is read; a refusal changes nothing.

Refusals come in a fixed order: unknown, gone, state, offset, size, checksum.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ChunkOutOfRange, InvalidLength, ModifyFinal, OffsetMismatch, SizeExceeded, TooLarge, WrongState
from .upload import Kind, Limits, State, Upload, check_size, refuse_gone


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to write: from `start`, at most up to `limit` (None: no end known yet)."""

    start: int
    limit: int | None
    length: int | None  # what the upload's length will be, when it is declared with these bytes


def grant_append(
    upload: Upload, *, offset: int, size: int | None, declares: int | None, limits: Limits
) -> Grant:
    """May `size` bytes (None: not known beforehand) be appended at `offset`, the length declared as `declares`?

    Raises, in this order: Gone, ModifyFinal, WrongState, OffsetMismatch, InvalidLength, TooLarge, SizeExceeded.
    A finished upload grants an empty append at its end (tus clients ask for one after a lost answer).
    """
    refuse_gone(upload)
    if upload.kind is Kind.FINAL:
        raise ModifyFinal()
    if upload.state is State.VERIFYING:
        raise WrongState("the upload is being verified", state=upload.state.value)
    if offset != upload.offset:
        raise OffsetMismatch(expected=upload.offset, provided=offset)
    length = _declared(upload, declares, size, limits)
    limit = length if length is not None else limits.max_size
    if size is not None and limit is not None and offset + size > limit:
        kind = SizeExceeded if length is not None else TooLarge
        raise kind(remaining=limit - offset, requested=size)
    return Grant(offset, limit, length)


def _declared(upload: Upload, declares: int | None, size: int | None, limits: Limits) -> int | None:
    if declares is None or declares == upload.length:
        return upload.length
    if upload.length is not None:
        raise InvalidLength("the length of an upload cannot be changed", length=upload.length)
    if declares < upload.received.end:
        raise InvalidLength("the length is less than what arrived", received=upload.received.end)
    check_size(declares, limits)
    return declares


@dataclass(frozen=True, slots=True)
class ChunkGrant:
    """Permission to put one chunk. `repeat` when all its bytes are there: then they may only be compared."""

    start: int
    end: int
    repeat: bool


def grant_chunk(upload: Upload, index: int, size: int | None) -> ChunkGrant:
    """May a body of `size` bytes (None: not known beforehand) be put as chunk `index`?

    Raises Gone, ModifyFinal, WrongState, ChunkOutOfRange, SizeExceeded.
    """
    refuse_gone(upload)
    if upload.kind is Kind.FINAL:
        raise ModifyFinal()
    if upload.length is None:
        raise WrongState("the upload has no length yet, so it has no chunks")
    start, end = upload.chunk_span(index)
    check_chunk_size(size, end - start, index)
    repeat = upload.received.covers(start, end)
    if not repeat and upload.state is not State.ACTIVE:
        raise WrongState(f"the upload is {upload.state.value}", state=upload.state.value)
    return ChunkGrant(start, end, repeat)


def check_chunk_size(size: int | None, wanted: int, index: int) -> None:
    """Raises SizeExceeded (too long) or ChunkOutOfRange (too short) unless a body has exactly the chunk's length."""
    if size is None or size == wanted:
        return
    kind = SizeExceeded if size > wanted else ChunkOutOfRange
    raise kind(f"chunk {index} must have {wanted} bytes", chunkIndex=index, expected=wanted, received=size)
