"""The one file in a multipart/form-data body, as a body of its own (RFC 7578, RFC 2046 section 5.1).

The boundary is searched in the stream as it comes: no temporary file, no more memory than a piece.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from python_multipart.multipart import parse_options_header

from ..domain.errors import BodyTimeout, Incomplete, Interrupted, Invalid
from ..ports import Body, End, Stop
from .pulled import Piece, PulledBody
from .waiting import Never, Patience

PIECE = 1024 * 1024  # bytes asked of the body below at a time
MOST_HEADER = 8 * 1024  # bytes of one part's headers
MOST_IGNORED = 16 * 1024  # bytes of preamble, other fields and epilogue together
MOST_PADDING = 64  # blanks between a boundary and its line's end
MOST_PARTS = 64

_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_LINE = re.compile(rb"--|[ \t]{0,%d}\r\n" % MOST_PADDING)
_LINE_BEGUN = re.compile(rb"-?|[ \t]{1,%d}\r?|\r" % MOST_PADDING)
_PLAIN = frozenset({b"binary", b"8bit", b"7bit"})


class _At(Enum):
    """What the bytes at the front of the buffer are."""

    PREAMBLE = "preamble"  # before the first boundary
    HEAD = "head"  # a part's headers
    FIELD = "field"  # a part nobody asked for
    PAYLOAD = "payload"  # the file
    EPILOGUE = "epilogue"  # after the closing boundary
    DONE = "done"  # the body below has ended, as it should


class _Delimiter(NamedTuple):
    """A boundary's line: where it begins and ends in the buffer, and whether it is the last one."""

    start: int
    end: int
    closing: bool


class MultipartBody(PulledBody):
    """A Body of the bytes of the part named `field` in `body`, which is of `content_type`.

    There must be one such part and no other file. Other fields are skipped, before it and after it. It ends with ENDED
    only when the form was closed as it should be. `open` and `finish` need not be called; what they would raise for a
    malformed form (Invalid) comes out of `drain_to`, `read` and `text` then.
    Raises Invalid for a content type without a usable boundary.
    """

    def __init__(self, body: Body, content_type: bytes, *, field: str = "chunk", idle: float = 30.0) -> None:
        super().__init__(idle)
        self._body = body
        self._field = field.encode()
        self._delimiter = b"\r\n--" + _boundary(content_type)
        # The first boundary may open the body; with a line's end before it, it looks like the others.
        self._buffer: bytes = b"\r\n"
        self._at = _At.PREAMBLE
        self._found = False
        self._parts = 0
        self._ignored = 0
        self._cut = False

    @property
    def length(self) -> int | None:
        """Not known before the end."""
        return None

    async def whole(self, cap: int) -> None:
        """None: a form is read as it comes."""

    async def open(self, *, stop: Stop | None = None) -> None:
        """Read up to the file's first byte. Raises Invalid, Incomplete, BodyTimeout, Interrupted."""
        _raise_for(await self._reach_payload(stop or Never()))

    async def finish(self, *, stop: Stop | None = None) -> None:
        """Read what follows the file, once that is drained, to the end. Raises as `open` does."""
        _raise_for(End.CUT if self._cut else await self._walk(_At.DONE, stop or Never()))

    def _outlook(self) -> End | None:
        return End.ENDED if self._at is _At.DONE else None

    async def _next(self, patience: Patience) -> Piece | End:
        if (end := await self._reach_payload(patience.stop)) is not None:
            return end
        while self._at is _At.PAYLOAD:
            if piece := self._payload():
                return piece
            if self._at is _At.PAYLOAD:
                end = End.PAUSE if patience.over else await self._more(patience.stop)
                if end is not None:
                    return end
        return await self._walk(_At.DONE, patience.stop) or End.ENDED

    async def _reach_payload(self, stop: Stop) -> End | None:
        return None if self._found else await self._walk(_At.PAYLOAD, stop)

    async def _walk(self, goal: _At, stop: Stop) -> End | None:
        """Skip and parse until the buffer begins with `goal`. None when it does, else why it does not yet."""
        while self._at is not goal:
            if not self._step():
                end = await self._more(stop)
                if end is not None:
                    return end
        return None

    async def _more(self, stop: Stop) -> End | None:
        if self._cut:
            return End.CUT
        piece, end = await self._body.read(PIECE, stop=stop)
        if end is End.ENDED and self._at is _At.EPILOGUE:
            self._at = _At.DONE
            return None
        if end in (End.ENDED, End.CUT):
            self._cut = True
            return End.CUT
        self._buffer = self._buffer + piece if self._buffer else piece
        return end

    def _step(self) -> bool:
        """One step with what is in the buffer. False when it takes more. Raises Invalid."""
        if self._at is _At.HEAD:
            return self._head()
        if self._at is _At.EPILOGUE:
            self._skip(len(self._buffer))
            return False
        if self._at is _At.PAYLOAD:
            raise RuntimeError("the file has not been read to its end")
        found = self._search()
        if isinstance(found, int):
            self._skip(found)
            return False
        self._skip(found.start)
        self._pass(found._replace(start=0, end=found.end - found.start))
        return True

    def _payload(self) -> Piece:
        """The file's bytes that are in the buffer for sure."""
        found = self._search()
        if isinstance(found, int):
            piece, self._buffer = memoryview(self._buffer)[:found], self._buffer[found:]
            return piece
        piece = memoryview(self._buffer)[: found.start]
        self._pass(found)
        return piece

    def _search(self) -> _Delimiter | int:
        """The first boundary's line in the buffer; or else how many bytes at its front are surely part of none."""
        buffer, delimiter = self._buffer, self._delimiter
        start = buffer.find(delimiter)
        while start >= 0:
            after = start + len(delimiter)
            line = _LINE.match(buffer, after)
            if line is not None:
                return _Delimiter(start, line.end(), line.group() == b"--")
            if _LINE_BEGUN.fullmatch(buffer, after):
                return start
            # Longer than the boundary: text that begins like it. RFC 2046 forbids that, but no client looks.
            start = buffer.find(delimiter, start + 2)
        # A boundary holds no CR, so one that is cut off here begins at the last CR.
        start = buffer.rfind(b"\r", max(0, len(buffer) - len(delimiter) + 1))
        return start if start >= 0 and delimiter.startswith(buffer[start:]) else len(buffer)

    def _pass(self, delimiter: _Delimiter) -> None:
        self._buffer = self._buffer[delimiter.end :]
        self._at = _At.EPILOGUE if delimiter.closing else _At.HEAD
        if delimiter.closing and not self._found:
            raise Invalid(f"the form has no file named {self._field.decode()}")

    def _skip(self, size: int) -> None:
        self._buffer = self._buffer[size:]
        self._ignored += size
        if self._ignored > MOST_IGNORED:
            raise Invalid(f"the form has more than {MOST_IGNORED} bytes around its file")

    def _head(self) -> bool:
        end = 0 if self._buffer.startswith(b"\r\n") else self._buffer.find(b"\r\n\r\n") + 2
        if (len(self._buffer) if end == 1 else end) > MOST_HEADER:
            raise Invalid(f"a part of the form has more than {MOST_HEADER} bytes of headers")
        if end == 1:
            return False
        head, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Invalid(f"the form has more than {MOST_PARTS} parts")
        self._at = _At.PAYLOAD if self._is_ours(head) else _At.FIELD
        return True

    def _is_ours(self, head: bytes) -> bool:
        headers = _headers(head)
        kind, options = parse_options_header(headers.get(b"content-disposition"))
        name = options.get(b"name")
        if kind != b"form-data" or name is None:
            raise Invalid("a part of the form has no name")
        if headers.get(b"content-transfer-encoding", b"binary").lower() not in _PLAIN:
            raise Invalid("a part of the form is encoded; send it as it is")
        ours = name == self._field
        if (ours and self._found) or (not ours and b"filename" in options):
            raise Invalid(f"the form must have one file, named {self._field.decode()}")
        self._found = self._found or ours
        return ours


def _boundary(content_type: bytes) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise Invalid("a form must be multipart/form-data with a boundary of 1 to 70 characters")
    return boundary


def _headers(head: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name.strip() or name[:1] in b" \t" or name in headers:
            raise Invalid("a part of the form has malformed headers")
        headers[name] = value.strip(b" \t")
    return headers


def _raise_for(end: End | None) -> None:
    if end is End.SLOW:
        raise BodyTimeout
    if end is End.STOPPED:
        raise Interrupted
    if end is not None:
        raise Incomplete
