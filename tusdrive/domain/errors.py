"""Everything that can be refused, or go wrong, in words that no protocol owns.

    TusdriveError
    ├── Invalid                the request says something that cannot be
    │   ├── InvalidOffset      Upload-Offset is no whole number
    │   ├── InvalidLength      a size is no whole number, or contradicts another
    │   ├── InvalidMetadata    metadata that does not parse
    │   ├── InvalidChecksum    a checksum that does not parse, or an unknown algorithm
    │   ├── InvalidConcat      a list of parts that does not parse, or parts that cannot be joined
    │   └── ChunkOutOfRange    a chunk index or length that the upload does not have
    ├── Unauthenticated        nobody, or nobody we can believe
    ├── Forbidden              somebody, but not for this
    │   ├── ModifyFinal        bytes for an upload that is made of other uploads
    │   └── OriginNotAllowed   a page of a foreign origin
    ├── NotFound               there is none, or none for you
    ├── Gone                   there was one: cancelled, expired or deleted
    ├── MethodNotAllowed       the address exists, the verb does not
    ├── Conflict               not in this state
    │   ├── OffsetMismatch     bytes for another place than the end of the prefix
    │   ├── ChunkExists        the chunk is already there (details say whether it is the same)
    │   ├── BytesDiffer        other bytes are there already
    │   ├── MissingChunks      completion asked for before all bytes arrived
    │   └── WrongState         the upload has ended, or is being finished
    ├── UnsupportedVersion     a protocol version we do not speak
    ├── PreconditionFailed     the file is not, or no longer, the one that was asked about
    ├── TooLarge               more than a limit allows
    │   ├── SizeExceeded       more bytes than the upload was declared to have
    │   └── HeaderTooLarge     a header, or all of them, over the cap
    ├── UnsupportedMedia       a body of another type than the verb takes
    ├── RangeNotSatisfiable    a range outside the file
    ├── HashMismatch           the whole file has another hash than was declared
    ├── ChecksumMismatch       one request's bytes have another checksum than it said
    ├── QuotaExceeded          the account has no room for this
    ├── StorageFull            the disk has no room for this
    ├── Locked                 somebody holds the upload and does not let go
    ├── Interrupted            another request took the upload over
    ├── BodyTimeout            the body stopped coming
    ├── Incomplete             the body ended before it should
    ├── Busy                   too much at once; try again
    ├── ShuttingDown           the server is about to stop
    └── StorageFailed          the disk or the database failed
"""

from __future__ import annotations

from typing import Any, ClassVar


class TusdriveError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "SERVER_ERROR"

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.details = details
        super().__init__(self.message)


class Invalid(TusdriveError):
    """The request is not valid."""

    code = "VALIDATION_ERROR"


class InvalidOffset(Invalid):
    """Upload-Offset must be a whole number of at most 16 digits."""

    code = "INVALID_OFFSET"


class InvalidLength(Invalid):
    """A size must be a whole number of at most 16 digits."""

    code = "INVALID_LENGTH"


class InvalidMetadata(Invalid):
    """The metadata does not parse."""

    code = "INVALID_METADATA"


class InvalidChecksum(Invalid):
    """The checksum does not parse, or its algorithm is not offered."""

    code = "INVALID_CHECKSUM"


class InvalidConcat(Invalid):
    """The uploads named cannot be joined."""

    code = "INVALID_CONCAT"


class ChunkOutOfRange(Invalid):
    """The upload has no such chunk."""

    code = "CHUNK_OUT_OF_RANGE"


class Unauthenticated(TusdriveError):
    """A valid bearer token is required."""

    code = "UNAUTHORIZED"


class Forbidden(TusdriveError):
    """You may not do this."""

    code = "FORBIDDEN"


class ModifyFinal(Forbidden):
    """A final upload is made of its parts and takes no bytes."""

    code = "MODIFY_FINAL"


class OriginNotAllowed(Forbidden):
    """Pages of this origin may not use the server."""

    code = "ORIGIN_NOT_ALLOWED"


class NotFound(TusdriveError):
    """There is nothing here."""

    code = "NOT_FOUND"


class Gone(TusdriveError):
    """It was here, and is no longer."""

    code = "GONE"


class MethodNotAllowed(TusdriveError):
    """This address does not know that method."""

    code = "METHOD_NOT_ALLOWED"


class Conflict(TusdriveError):
    """The request does not fit the present state."""

    code = "CONFLICT"


class OffsetMismatch(Conflict):
    """Upload-Offset is not where the upload stands; ask with HEAD and go on from there."""

    code = "OFFSET_MISMATCH"


class ChunkExists(Conflict):
    """The chunk is already there."""

    code = "CHUNK_EXISTS"


class BytesDiffer(Conflict):
    """Other bytes are there already; what was acknowledged is never written over."""

    code = "BYTES_DIFFER"


class MissingChunks(Conflict):
    """Some chunks have not arrived; send them, then complete again."""

    code = "CHUNKS_MISSING"


class WrongState(Conflict):
    """The upload takes no more of this."""

    code = "WRONG_STATE"


class UnsupportedVersion(TusdriveError):
    """Tus-Resumable must name a version that the server speaks."""

    code = "UNSUPPORTED_VERSION"


class PreconditionFailed(TusdriveError):
    """The file is not the one that the request was made for."""

    code = "PRECONDITION_FAILED"


class TooLarge(TusdriveError):
    """The upload is larger than the server takes."""

    code = "TOO_LARGE"


class SizeExceeded(TooLarge):
    """The body holds more than the upload has left."""

    code = "SIZE_EXCEEDED"


class HeaderTooLarge(TooLarge):
    """The request headers are too large."""

    code = "HEADER_TOO_LARGE"


class UnsupportedMedia(TusdriveError):
    """The body is not of the type that is wanted here."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class RangeNotSatisfiable(TusdriveError):
    """The file has no such range."""

    code = "RANGE_NOT_SATISFIABLE"


class HashMismatch(TusdriveError):
    """The bytes that arrived do not have the hash that was declared."""

    code = "HASH_MISMATCH"


class ChecksumMismatch(TusdriveError):
    """The bytes of this request do not have the checksum it gave; they were discarded."""

    code = "CHECKSUM_MISMATCH"


class QuotaExceeded(TusdriveError):
    """The account has no room for this upload."""

    code = "QUOTA_EXCEEDED"


class StorageFull(TusdriveError):
    """The server has no room for this upload."""

    code = "STORAGE_FULL"


class Locked(TusdriveError):
    """Another request holds the upload; try again in a moment."""

    code = "UPLOAD_LOCKED"


class Interrupted(TusdriveError):
    """Another request took over this upload; what had arrived was kept."""

    code = "UPLOAD_INTERRUPTED"


class BodyTimeout(TusdriveError):
    """The body stopped coming; what had arrived was kept."""

    code = "BODY_TIMEOUT"


class Incomplete(TusdriveError):
    """The body ended before it was whole."""

    code = "INCOMPLETE_BODY"


class Busy(TusdriveError):
    """The server is busy; try again in a moment."""

    code = "BUSY"


class ShuttingDown(TusdriveError):
    """The server is stopping; try again in a moment."""

    code = "SHUTTING_DOWN"


class StorageFailed(TusdriveError):
    """The server could not store or read the data."""

    code = "STORAGE_FAILED"
