"""What ports.StateStore and ports.Tx promise, for every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from states import NOON, Clock, blob, file, save, upload

from tusdrive.domain.account import Account, Space
from tusdrive.domain.checksum import FileHash
from tusdrive.domain.errors import Invalid, NotFound, ShuttingDown, StorageFailed
from tusdrive.domain.events import Event
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Kind, State
from tusdrive.ports import Page, Sort, StateStore, Tx

FULL_UPLOAD = upload(
    "full",
    account="Ünal",
    kind=Kind.FINAL,
    state=State.ASSEMBLING,
    length=2**53 + 1,
    received=Ranges(10, ((20, 30), (40, 2**53 + 1))),
    allocated=64,
    reserved=2**62,
    auto_finish=False,
    file_name='a\0b\x1a0 "quoted" \\ \r\n \u202e \ufffe 😀.txt',
    content_type="text/plain; charset=utf-8",
    metadata="filename YQ==,empty",
    chunk_size=1024,
    hash=FileHash("sha256", "ab" * 32),
    pool="pool",
    bundle="bundle",
    parts=("p2", "p1", "p3"),
    concat="final;/files/p2 /files/p1 /files/p3",
    file_id="f9",
    error="it\0broke",
    emitted=100.0 / 3,
    expires_at=NOON + 1,
    file_expires_at=NOON + 2,
    created_at=NOON + 3,
    updated_at=NOON + 4,
    active_at=NOON + 5,
    ended_at=NOON + 6,
)
FULL_FILE = file(
    "full", account="Ünal", upload="u", blob="b", name="\0\x1a1 😀", content_type="a/b", size=2**62,
    sha256="ab" * 32, md5="cd" * 16, pool="p", bundle="q", expires_at=1, created_at=2, updated_at=3, deleted_at=4,
)  # fmt: skip
FULL_BLOB = blob("full", place="2025110912/x", size=2**62, refs=7, sha256="ab" * 32, created_at=5)


async def events(state: StateStore, account: str = "ann") -> list[Event]:
    return await state.events(account, 0, 1000)


@pytest.fixture
def again(state: StateStore) -> Any:
    """Closes the store and opens it again, so that nothing comes from a cache."""

    async def run() -> None:
        await state.close()
        await state.open()

    return run


# ------------------------------------------------------------------------------------------------- values


async def test_every_field_of_an_upload_comes_back(state: StateStore) -> None:
    await save(state, FULL_UPLOAD)
    assert await state.upload("full") == FULL_UPLOAD
    listed, total = await state.list_uploads("Ünal", None, Page())
    assert (listed, total) == ([FULL_UPLOAD], 1)
    bare = upload("bare")
    await save(state, bare)
    assert await state.upload("bare") == bare


async def test_every_field_of_a_file_and_a_blob_comes_back(state: StateStore) -> None:
    await save(state, FULL_FILE, FULL_BLOB)
    assert await state.file("full") == FULL_FILE
    assert await state.blob("full") == FULL_BLOB


async def test_what_is_not_there(state: StateStore) -> None:
    for odd in ("nothing", "", "a\0b", "\ud800", "x" * 10_000):
        assert await state.upload(odd) is None
        assert await state.file(odd) is None
        assert await state.blob(odd) is None
        assert await state.account(odd) == Account(id=odd)
        assert await state.list_uploads(odd, None, Page()) == ([], 0)
        assert await state.list_files(odd, Page(), NOON) == ([], 0)
        assert await events(state, odd) == []
        assert await state.apply(lambda tx, id=odd: (tx.upload(id), tx.file(id), tx.blob(id))) == (None, None, None)


async def test_a_saved_value_replaces_the_old_one_whole(state: StateStore) -> None:
    await save(state, FULL_UPLOAD, FULL_FILE, FULL_BLOB)
    for value in (upload("full", parts=("q",)), file("full"), blob("full")):
        await save(state, value)
    assert await state.upload("full") == upload("full", parts=("q",))
    assert await state.file("full") == file("full")
    assert await state.blob("full") == blob("full")


async def test_a_value_that_was_read_is_replaced_whole_too(state: StateStore, again: Any) -> None:
    await save(state, upload("full"))

    def change(tx: Tx) -> None:
        assert tx.upload("full") is not None
        tx.save_upload(FULL_UPLOAD)

    await state.apply(change)
    await again()
    assert await state.upload("full") == FULL_UPLOAD


async def test_removing(state: StateStore) -> None:
    await save(state, upload("u1", received=Ranges(0, ((5, 6),)), parts=("p",)), blob("b1"))
    await state.apply(lambda tx: tx.remove_upload("u1"))
    await state.apply(lambda tx: tx.remove_blob("b1"))
    await state.apply(lambda tx: (tx.remove_upload("u1"), tx.remove_blob("nothing")))
    assert await state.upload("u1") is None
    assert await state.blob("b1") is None
    await save(state, upload("u1"))
    assert await state.upload("u1") == upload("u1")


async def test_removed_and_saved_again_in_one_change(state: StateStore) -> None:
    await save(state, upload("u1", received=Ranges(0, ((5, 6), (8, 9))), parts=("p",)))

    def change(tx: Tx) -> None:
        tx.remove_upload("u1")
        assert tx.upload("u1") is None
        tx.save_upload(upload("u1", received=Ranges(0, ((8, 10),))))

    await state.apply(change)
    assert await state.upload("u1") == upload("u1", received=Ranges(0, ((8, 10),)))


async def test_ledgers(state: StateStore) -> None:
    ann = Account(id="ann", quota=10, used=2**62, promised=2**62)
    assert await state.apply(lambda tx: (tx.account("ann"), tx.space())) == (Account(id="ann"), Space())
    await state.apply(lambda tx: (tx.save_account(ann), tx.save_space(Space(promised=2**62))))
    assert await state.account("ann") == ann
    assert await state.apply(lambda tx: (tx.account("ann"), tx.space())) == (ann, Space(promised=2**62))


# ---------------------------------------------------------------------------------------------- changes


async def test_a_change_sees_what_it_saved_and_the_time(state: StateStore, clock: Clock) -> None:
    def change(tx: Tx) -> list[Any]:
        tx.save_upload(upload("u1"))
        tx.save_file(file("f1"))
        tx.save_blob(blob("b1"))
        tx.save_account(Account(id="ann", used=1))
        tx.save_space(Space(promised=2))
        return [tx.upload("u1"), tx.file("f1"), tx.blob("b1"), tx.account("ann").used, tx.space().promised, tx.now]

    clock.at = NOON + 7
    assert await state.apply(change) == [upload("u1"), file("f1"), blob("b1"), 1, 2, NOON + 7]


async def test_a_change_that_raises_leaves_no_trace_and_its_neighbours_commit(state: StateStore) -> None:
    await save(state, upload("old", received=Ranges(0, ((5, 6),))), blob("b1"))

    def good(id: str) -> Any:
        def change(tx: Tx) -> None:
            tx.save_upload(upload(id))
            tx.emit(Event("ann", "good", {"id": id}, NOON))

        return change

    def bad(tx: Tx) -> None:
        tx.save_upload(upload("bad"))
        tx.save_upload(upload("old", length=99))
        tx.save_file(file("bad"))
        tx.remove_blob("b1")
        tx.save_account(Account(id="ann", used=5))
        tx.save_space(Space(promised=5))
        tx.emit(Event("ann", "bad", {}, NOON))
        raise NotFound("no")

    changes = [good("g1"), bad, good("g2"), bad, good("g3")]
    answers = await asyncio.gather(*map(state.apply, changes), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), NotFound, type(None), NotFound, type(None)]
    assert await state.upload("bad") is None
    assert await state.upload("old") == upload("old", received=Ranges(0, ((5, 6),)))
    assert await state.file("bad") is None
    assert await state.blob("b1") == blob("b1")
    assert await state.account("ann") == Account(id="ann")
    assert await state.apply(lambda tx: tx.space()) == Space()
    assert [(e.seq, e.type, e.data) for e in await events(state)] == [
        (1, "good", {"id": "g1"}), (2, "good", {"id": "g2"}), (3, "good", {"id": "g3"}),
    ]  # fmt: skip
    assert [await state.upload(id) is not None for id in ("g1", "g2", "g3")] == [True, True, True]


async def test_changes_run_alone_one_after_the_other(state: StateStore) -> None:
    def add(tx: Tx) -> int:
        account = tx.account("ann")
        tx.save_account(replace(account, used=account.used + 1))
        return account.used

    seen = await asyncio.gather(*(state.apply(add) for _ in range(300)))
    assert sorted(seen) == list(range(300))
    assert (await state.account("ann")).used == 300


async def test_any_exception_reaches_its_caller(state: StateStore) -> None:
    def stop(tx: Tx) -> None:
        raise StopIteration

    for error in (KeyError("k"), MemoryError(), ZeroDivisionError()):

        def fail(tx: Tx, error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)):
            await state.apply(fail)
    with pytest.raises(RuntimeError):
        await state.apply(stop)
    assert await state.apply(lambda tx: "still here") == "still here"


async def test_a_closed_store_takes_no_changes(state: StateStore) -> None:
    await save(state, upload("u1"))
    await state.close()
    with pytest.raises(ShuttingDown):
        await state.apply(lambda tx: None)
    await state.close()
    await state.open()
    assert await state.upload("u1") == upload("u1")
    assert await state.apply(lambda tx: tx.upload("u1")) == upload("u1")


# ---------------------------------------------------------------------------------------- what cannot be kept


@pytest.mark.parametrize(
    "value",
    [
        upload("bad", file_name="a\ud800b"),
        upload("bad", metadata="\udfff"),
        upload("bad", account="\ud83d", file_name="\ude00"),  # not even when two fields together would make a pair
        upload("bad\0"),
        upload("bad", account="a\0b"),
        upload("bad", parts=("p", "\ud800")),
        upload("bad", length=2**63),
        upload("bad", received=Ranges(0, ((1, 2**64),))),
        upload("bad", expires_at=-(2**63) - 1),
        file("bad", name="\ud800"),
        file("bad", size=2**63),
        file("bad", account="\0"),
        blob("bad", size=2**65),
        blob("bad", place="\ud800"),
    ],
)
async def test_what_no_store_can_keep_is_invalid_and_spoils_nothing_else(state: StateStore, value: Any) -> None:
    answers = await asyncio.gather(
        save(state, upload("before")), save(state, upload("same"), value), save(state, upload("after")),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(answer) for answer in answers] == [type(None), Invalid, type(None)]
    assert await state.upload("before") == upload("before")
    assert await state.upload("after") == upload("after")
    assert await state.upload("same") is None


async def test_ledgers_and_events_that_cannot_be_kept(state: StateStore) -> None:
    async def refused(change: Any) -> None:
        with pytest.raises(Invalid):
            await state.apply(change)

    await refused(lambda tx: tx.save_account(Account(id="ann", promised=2**63)))
    await refused(lambda tx: tx.save_space(Space(promised=2**63)))
    await refused(lambda tx: tx.emit(Event("ann", "t", {"name": "\ud800"}, NOON)))
    await refused(lambda tx: tx.emit(Event("ann", "t", {"what": object()}, NOON)))
    await refused(lambda tx: tx.emit(Event("a\0", "t", {}, NOON)))
    assert await events(state) == []
    await state.apply(lambda tx: tx.emit(Event("ann", "t", {}, NOON)))
    assert [e.seq for e in await events(state)] == [1]


# ---------------------------------------------------------------------------------------- queries of a change


async def test_waiting_on(state: StateStore) -> None:
    final = {"kind": Kind.FINAL, "state": State.ASSEMBLING}
    await save(
        state,
        upload("f2", parts=("p1", "p2", "p1"), created_at=2, **final),
        upload("f1", parts=("p1",), created_at=1, **final),
        upload("f3", parts=("p2",), **final),
        upload("done", parts=("p1",), kind=Kind.FINAL, state=State.COMPLETED),
    )
    assert [u.id for u in await state.apply(lambda tx: tx.waiting_on("p1"))] == ["f1", "f2"]

    def change(tx: Tx) -> list[str]:
        tx.remove_upload("f1")
        tx.save_upload(upload("f3", parts=("p1",), created_at=3, **final))
        tx.save_upload(upload("f0", parts=("p9", "p1"), created_at=0, **final))
        return [u.id for u in tx.waiting_on("p1")]

    assert await state.apply(change) == ["f0", "f2", "f3"]
    assert [u.id for u in await state.apply(lambda tx: tx.waiting_on("p1"))] == ["f0", "f2", "f3"]
    assert [u.id for u in await state.apply(lambda tx: tx.waiting_on("p2"))] == ["f2"]
    assert await state.apply(lambda tx: tx.waiting_on("nobody")) == []


async def test_file_by_hash(state: StateStore) -> None:
    sha, md5 = "ab" * 32, "cd" * 16
    await save(
        state,
        file("f1", sha256=sha, created_at=1),
        file("f2", sha256=sha, md5=md5, created_at=2, expires_at=NOON + 1),
        file("f3", sha256=sha, created_at=3, deleted_at=5),
        file("f4", sha256=sha, created_at=4, account="bob"),
        file("f5", sha256=sha, created_at=5, size=4),
    )

    async def found(algorithm: str, hex: str, now: int = NOON, account: str = "ann") -> str | None:
        result = await state.apply(lambda tx: tx.file_by_hash(account, algorithm, hex, 3, now))
        return result.id if result else None

    assert await found("sha256", sha) == "f2"
    assert await found("sha256", sha, NOON + 1) == "f1"
    assert await found("sha256", sha, account="bob") == "f4"
    assert await found("md5", md5) == "f2"
    assert await found("md5", sha) is None
    assert await found("sha256", "00" * 32) is None

    def change(tx: Tx) -> list[str]:
        results = []
        tx.save_file(file("f2", sha256=sha, created_at=2, deleted_at=NOON))
        results.append(tx.file_by_hash("ann", "sha256", sha, 3, NOON))
        tx.save_file(file("f6", sha256=sha, created_at=6))
        results.append(tx.file_by_hash("ann", "sha256", sha, 3, NOON))
        return [result.id for result in results if result]

    assert await state.apply(change) == ["f1", "f6"]
    assert await found("sha256", sha) == "f6"


async def test_blob_by_hash(state: StateStore) -> None:
    sha = "ab" * 32
    await save(state, blob("b1"), blob("b2", sha256=sha))

    def asked(tx: Tx) -> str | None:
        found = tx.blob_by_hash(sha, 3)
        return found.id if found else None

    assert await state.apply(asked) == "b2"
    assert await state.apply(lambda tx: tx.blob_by_hash(sha, 4)) is None

    def move(tx: Tx) -> list[str | None]:
        before = asked(tx)
        tx.remove_blob("b2")
        between = asked(tx)
        tx.save_blob(blob("b1", sha256=sha))
        return [before, between, asked(tx)]

    assert await state.apply(move) == ["b2", None, "b1"]
    assert await state.apply(asked) == "b1"


async def test_two_blobs_never_have_the_same_hash(state: StateStore) -> None:
    await save(state, blob("b1", sha256="ab" * 32))
    changes = [save(state, blob("b2", sha256="ab" * 32)), save(state, blob("b3")), save(state, blob("b1", refs=2))]
    answers = await asyncio.gather(
        *changes, save(state, blob("b1", refs=2, sha256="ab" * 32)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [StorageFailed, type(None), type(None), type(None)]
    assert await state.blob("b2") is None
    assert await state.blob("b1") == blob("b1", refs=2, sha256="ab" * 32)


async def test_files_of_blob(state: StateStore) -> None:
    await save(
        state, file("f2", created_at=2), file("f1", created_at=1, deleted_at=9), file("f3", blob="other"),
    )  # fmt: skip

    def change(tx: Tx) -> list[str]:
        tx.save_file(file("f3", created_at=3))
        tx.save_file(file("f2", blob="other"))
        return [f.id for f in tx.files_of_blob("b1")]

    assert [f.id for f in await state.apply(lambda tx: tx.files_of_blob("b1"))] == ["f1", "f2"]
    assert await state.apply(change) == ["f1", "f3"]
    assert [f.id for f in await state.apply(lambda tx: tx.files_of_blob("b1"))] == ["f1", "f3"]


async def test_queries_see_what_other_changes_of_the_same_commit_saved(state: StateStore) -> None:
    """Many at once, so that some share a commit: each must find what all before it saved."""
    final = {"kind": Kind.FINAL, "state": State.ASSEMBLING}

    def change(tx: Tx) -> tuple[int, int]:
        n = len(tx.waiting_on("p"))
        tx.save_upload(upload(f"f{n}", parts=("p",), **final))
        files = len(tx.files_of_blob("b1"))
        tx.save_file(file(f"f{files}"))
        return n, files

    seen = await asyncio.gather(*(state.apply(change) for _ in range(50)))
    assert sorted(seen) == [(n, n) for n in range(50)]


# ---------------------------------------------------------------------------------------------------- events


async def test_events_are_numbered_per_account_without_gaps(state: StateStore) -> None:
    def tell(account: str, n: int) -> Any:
        def change(tx: Tx) -> None:
            tx.emit(Event(account, "first", {"n": n}, NOON + n))
            tx.emit(Event(account, "second", {"n": n, "name": "\0 é 😀", "list": [1, None, 1.5]}, NOON + n))
            if n % 3 == 0:
                raise NotFound()

        return change

    jobs = [state.apply(tell(account, n)) for n in range(60) for account in ("ann", "bob")]
    await asyncio.gather(*jobs, return_exceptions=True)
    for account in ("ann", "bob"):
        told = await events(state, account)
        assert [e.seq for e in told] == list(range(1, 81))
        assert all(first.data["n"] == second.data["n"] for first, second in zip(told[::2], told[1::2], strict=True))
    last = (await events(state))[-1]
    assert last == Event("ann", "second", {"n": 59, "name": "\0 é 😀", "list": [1, None, 1.5]}, NOON + 59, 80)
    assert [e.seq for e in await state.events("ann", 10, 3)] == [11, 12, 13]
    assert await state.events("ann", 80, 3) == []
    assert await state.events("ann", 2**70, 3) == []


async def test_trimmed_events_keep_their_numbers_taken(state: StateStore) -> None:
    for n in range(5):
        await state.apply(lambda tx, n=n: tx.emit(Event("ann", "t", {}, NOON + n)))
    assert await state.trim_events(NOON + 5) == 5
    assert await state.trim_events(NOON + 5) == 0
    assert await events(state) == []
    await state.apply(lambda tx: tx.emit(Event("ann", "t", {}, NOON + 1)))
    await state.apply(lambda tx: tx.emit(Event("ann", "t", {}, NOON + 2)))
    assert [e.seq for e in await events(state)] == [6, 7]
    assert await state.trim_events(NOON + 2) == 1
    assert [e.seq for e in await events(state)] == [7]


async def test_a_listener_cannot_change_what_was_told(state: StateStore) -> None:
    data: dict[str, Any] = {"n": 1}
    await state.apply(lambda tx: tx.emit(Event("ann", "t", data, NOON)))
    data["n"] = 2
    (await events(state))[0].data["n"] = 3
    assert [e.data for e in await events(state)] == [{"n": 1}]


# -------------------------------------------------------------------------------------------------- listings


UPLOADS = [
    upload("a", file_name="Banana", length=30, created_at=1, updated_at=9, active_at=4, state=State.ACTIVE),
    upload("b", file_name="apple", length=None, created_at=2, updated_at=8, active_at=4, state=State.COMPLETED),
    upload("c", file_name="Zebra", length=10, created_at=3, updated_at=7, active_at=5, state=State.FAILED),
    upload("d", file_name="élan", length=10, created_at=4, updated_at=6, active_at=3, state=State.VERIFYING),
    upload("e", file_name="apple", length=2**62, created_at=5, updated_at=5, active_at=1, state=State.CANCELLED),
]


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [
        (Sort.NAME, "acbed"),
        (Sort.SIZE, "bcdae"),
        (Sort.CREATED, "abcde"),
        (Sort.UPDATED, "edcba"),
        (Sort.ACTIVE, "edabc"),
    ],
)
async def test_uploads_are_listed_in_order_and_in_pages(state: StateStore, sort: Sort, ascending: str) -> None:
    parts = [upload("p1", kind=Kind.PARTIAL), upload("p2", kind=Kind.PARTIAL, state=State.COMPLETED)]
    await save(state, *UPLOADS, *parts, upload("x", account="bob"))

    async def ids(states: frozenset[State] | None = None, **page: Any) -> tuple[str, int]:
        found, total = await state.list_uploads("ann", states, Page(sort=sort, **page))
        return "".join(u.id for u in found), total

    assert await ids(descending=False) == (ascending, 5)
    assert await ids(descending=True) == (ascending[::-1], 5)
    assert await ids(descending=False, offset=1, limit=2) == (ascending[1:3], 5)
    assert await ids(descending=False, offset=4, limit=2) == (ascending[4:], 5)
    assert await ids(descending=False, offset=5) == ("", 5)
    assert await ids(descending=False, limit=0) == ("", 5)
    assert await ids(descending=False, offset=2**70) == ("", 5)
    some = frozenset({State.ACTIVE, State.CANCELLED, State.VERIFYING})
    assert await ids(some, descending=False) == ("".join(id for id in ascending if id in "ade"), 3)
    assert await ids(frozenset({State.EXPIRED})) == ("", 0)
    assert await ids(frozenset()) == ("", 0)


FILES = [
    file("a", name="Banana", size=30, created_at=1, updated_at=9),
    file("b", name="apple", size=2**62, created_at=2, updated_at=8, expires_at=NOON + 1),
    file("c", name="Zebra", size=10, created_at=3, updated_at=7),
    file("d", name="élan", size=10, created_at=4, updated_at=7),
]


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [
        (Sort.NAME, "acbd"),
        (Sort.SIZE, "cdab"),
        (Sort.CREATED, "abcd"),
        (Sort.UPDATED, "cdba"),
        (Sort.ACTIVE, "cdba"),
    ],
)
async def test_files_are_listed_in_order_and_in_pages(state: StateStore, sort: Sort, ascending: str) -> None:
    absent = [file("x", account="bob"), file("y", deleted_at=1), file("z", expires_at=NOON)]
    await save(state, *FILES, *absent)

    async def ids(now: int = NOON, **page: Any) -> tuple[str, int]:
        found, total = await state.list_files("ann", Page(sort=sort, **page), now)
        return "".join(f.id for f in found), total

    assert await ids(descending=False) == (ascending, 4)
    assert await ids(descending=True) == (ascending[::-1], 4)
    assert await ids(descending=False, offset=1, limit=2) == (ascending[1:3], 4)
    assert await ids(descending=False, offset=9) == ("", 4)
    assert await ids(NOON + 1, descending=False) == (ascending.replace("b", ""), 3)
    assert (await ids(NOON - 1))[1] == 5


async def test_stats(state: StateStore) -> None:
    assert (await state.stats("ann")).average_progress == 0.0
    await save(
        state,
        upload("a", length=100, received=Ranges(10, ((20, 30), (40, 45)))),  # 25 %
        upload("b", length=0),  # 100 %
        upload("c", length=None, received=Ranges(7)),  # 0 %
        upload("d", length=10, received=Ranges(10), state=State.VERIFYING),  # 100 %
        upload("e", length=10, received=Ranges(10), state=State.COMPLETED),
        upload("f", length=10, received=Ranges(9), state=State.FAILED),
        upload("g", length=10, received=Ranges(9), state=State.CANCELLED),
        upload("h", length=9, received=Ranges(9), state=State.COMPLETED, kind=Kind.PARTIAL),
        upload("i", length=9, received=Ranges(1), kind=Kind.PARTIAL),
        upload("j", length=9, received=Ranges(1), account="bob"),
    )
    stats = await state.stats("ann")
    assert stats.by_state == {
        State.ACTIVE: 3, State.ASSEMBLING: 0, State.VERIFYING: 1, State.COMPLETED: 1, State.FAILED: 1,
        State.CANCELLED: 1, State.EXPIRED: 0,
    }  # fmt: skip
    assert stats.uploaded_bytes == 25 + 0 + 7 + 10 + 10
    assert stats.average_progress == 56.25


# ---------------------------------------------------------------------------------------------------- sweeps


async def test_open_uploads(state: StateStore) -> None:
    states = {s.value: upload(s.value, state=s, created_at=-n) for n, s in enumerate(State)}
    await save(state, *states.values(), upload("other", account="bob", created_at=7, received=Ranges(1, ((3, 4),))))
    assert [u.id for u in await state.open_uploads()] == ["verifying", "assembling", "active", "other"]
    assert (await state.open_uploads())[-1].received == Ranges(1, ((3, 4),))


async def test_expired_uploads(state: StateStore) -> None:
    old = {"expires_at": NOON}
    await save(
        state,
        *(upload(s.value, state=s, **old) for s in State),
        upload("part", kind=Kind.PARTIAL, state=State.COMPLETED, expires_at=NOON - 1),
        upload("open part", kind=Kind.PARTIAL, expires_at=NOON - 2),
        upload("fresh", expires_at=NOON + 1),
        upload("never"),
    )
    assert await state.expired_uploads(NOON, 9) == ["open part", "part", "active", "assembling"]
    assert await state.expired_uploads(NOON, 2) == ["open part", "part"]
    assert await state.expired_uploads(NOON - 3, 9) == []


async def test_stale_ended(state: StateStore) -> None:
    await save(state, *(upload(s.value, state=s, ended_at=NOON) for s in State))
    await save(state, upload("older", state=State.FAILED, ended_at=NOON - 1), upload("never", state=State.FAILED))
    assert await state.stale_ended(NOON + 1, 9) == ["older", "cancelled", "expired", "failed"]
    assert await state.stale_ended(NOON + 1, 1) == ["older"]
    assert await state.stale_ended(NOON, 9) == ["older"]


async def test_expired_files(state: StateStore) -> None:
    await save(
        state, file("b", expires_at=NOON), file("a", expires_at=NOON - 1), file("c", expires_at=NOON + 1),
        file("d"), file("e", expires_at=NOON, deleted_at=1),
    )  # fmt: skip
    assert await state.expired_files(NOON, 9) == ["a", "b"]
    assert await state.expired_files(NOON, 1) == ["a"]


async def test_unhashed_blobs(state: StateStore) -> None:
    await save(state, blob("b", created_at=2), blob("a", created_at=1), blob("c", sha256="ab" * 32))
    assert await state.unhashed_blobs(9) == [blob("a", created_at=1), blob("b", created_at=2)]
    assert await state.unhashed_blobs(1) == [blob("a", created_at=1)]


async def test_places(state: StateStore) -> None:
    await save(state, blob("b1"), blob("b2", place="shared"), upload("shared", place="shared"))
    await save(state, *(upload(s.value, state=s, place=s.value, received=Ranges(7)) for s in State))
    whole = {"kind": Kind.PARTIAL, "state": State.COMPLETED}
    await save(state, upload("part", place="part", received=Ranges(2, ((4, 6), (8, 9))), **whole))
    await save(state, upload("gone", kind=Kind.PARTIAL, state=State.CANCELLED, place="gone"))
    assert await state.places() == {
        "2025110912/b1": 3, "shared": 3, "active": 7, "assembling": 7, "verifying": 7, "part": 9,
    }  # fmt: skip


async def test_recount_finds_what_does_not_add_up(state: StateStore) -> None:
    await save(
        state,
        file("f1", size=100),
        file("f2", size=20, deleted_at=1),
        upload("u1", reserved=1000, allocated=10, received=Ranges(5, ((8, 40),))),  # outstanding 963: 37 arrived
        upload("u2", reserved=200, state=State.VERIFYING, allocated=150),  # outstanding 50
        upload("u3", reserved=30, state=State.COMPLETED, kind=Kind.PARTIAL),
        upload("u4", reserved=4, state=State.COMPLETED),
        upload("u5", reserved=5, state=State.FAILED),
        upload("u6", reserved=7, allocated=9),  # outstanding 0
        upload("u7", reserved=2, account="bob", state=State.ASSEMBLING, kind=Kind.FINAL),  # outstanding 2
    )
    counted = Account(id="ann", used=100, promised=1237)
    assert await state.recount() == {
        "ann": (Account(id="ann"), counted),
        "bob": (Account(id="bob"), Account(id="bob", promised=2)),
        "": (Account(id=""), Account(id="", promised=1015)),
    }
    await state.apply(lambda tx: (tx.save_account(counted), tx.save_space(Space(promised=1015))))
    await state.apply(lambda tx: tx.save_account(Account(id="bob", promised=2)))
    assert await state.recount() == {}
    empty = Account(id="eve", quota=5, used=1)
    await state.apply(lambda tx: tx.save_account(empty))
    await state.apply(lambda tx: tx.save_account(replace(counted, quota=9, used=99)))
    assert await state.recount() == {
        "eve": (empty, Account(id="eve", quota=5)),
        "ann": (replace(counted, quota=9, used=99), replace(counted, quota=9)),
    }


async def test_facts(state: StateStore) -> None:
    facts = state.facts()
    assert facts["engine"] in ("memory", "sqlite")
    assert facts["durability"] in ("none", "relaxed")
    assert facts["queue"] == 0
