"""The interfaces between the parts, each with what it guarantees. No optional methods.

Adapters live in `storage` and `transport`; `services` decides which fills which port. Adapters translate every I/O
error where they see it: StorageFull for a full disk, StorageFailed for the rest, `raise X from exc`.
"""

from .bodies import Body, Drained, End, Stop
from .chunks import ChunkFile, ChunkStore, Source
from .locks import Lock, Locks
from .state import Page, Sort, StateStore, Stats, Tx
from .who import NewId, Now

__all__ = [
    "Body",
    "ChunkFile",
    "ChunkStore",
    "Drained",
    "End",
    "Lock",
    "Locks",
    "NewId",
    "Now",
    "Page",
    "Sort",
    "Source",
    "StateStore",
    "Stats",
    "Stop",
    "Tx",
]
