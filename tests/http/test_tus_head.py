"""Conformance checks 14 to 36: HEAD and PATCH."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import tus
from asking import BODY, NOWHERE, Header, Row, V, api, at_once, b64, content, length, make, offset, stands, timed, told
from harness import KIB, MIB, Closed, Connection, Pattern, Response, Server, chunked, eventually

METADATA = "zeta YQ==,is_confidential,alpha ,filename d29ybGQ="

LOOKS = [
    Row(id="check-014-new", method="HEAD", headers=(V,), status=200, has={"upload-offset": "0"}),
    Row(id="check-015-length", method="HEAD", headers=(V,), status=200, has={"upload-length": "10"}),
    Row(id="check-016-no-store", method="HEAD", headers=(V,), status=200, has={"cache-control": "no-store"}),
    Row(id="check-016-no-store-404", method="HEAD", path=f"/files/{NOWHERE}", headers=(V,), status=404,
        has={"cache-control": "no-store"}),
    Row(id="check-017-head-unknown", method="HEAD", path=f"/files/{NOWHERE}", headers=(V,), status=404,
        lacks=("upload-offset", "upload-length")),
    Row(id="check-017-head-no-id", method="HEAD", path="/files/abc", headers=(V,), status=404,
        lacks=("upload-offset",)),
    Row(id="check-017-head-upper-case-id", method="HEAD", path=f"/files/{NOWHERE.upper()}", headers=(V,), status=404,
        lacks=("upload-offset",)),
    Row(id="check-020-no-metadata", method="HEAD", headers=(V,), status=200, lacks=("upload-metadata",)),
    Row(id="check-102-no-concat", method="HEAD", headers=(V,), status=200, lacks=("upload-concat",)),
]  # fmt: skip


@pytest.mark.parametrize("row", LOOKS, ids=str)
def test_head(server: Server, row: Row) -> None:
    row.ask(server, make(server, 10))


def test_check_015_completed(server: Server) -> None:
    answer = told(server, make(server, 3, body=b"abc"))
    assert (answer.status, answer.header("upload-offset"), answer.header("upload-length")) == (200, "3", "3")


def test_check_016_no_store_on_410(server: Server) -> None:
    id = make(server, 3)
    tus.delete(server, f"/files/{id}")
    answer = told(server, id)
    assert (answer.status, answer.header("cache-control")) == (410, "no-store")
    assert answer.header("upload-offset") is None


def test_check_017_no_body_ever(server: Server) -> None:
    """Were there one, it would be taken for the beginning of the next answer."""
    with server.connect() as connection:
        for _ in range(3):
            assert connection.exchange("HEAD", f"/files/{NOWHERE}", (V,)).status == 404
            assert connection.exchange("HEAD", "/api/files/nope", ()).status == 404


def cut(server: Server, id: str, at: int, size: int, sent: bytes, *, reset: bool) -> None:
    """A PATCH that announces `size` bytes, brings some, and is gone."""
    with server.connect() as connection:
        connection.start("PATCH", f"/files/{id}", tus.patch_headers(at, size))
        connection.send(sent)
        time.sleep(0.3)
        connection.reset() if reset else connection.close()


@pytest.mark.parametrize("reset", [False, True], ids=["check-018-closed", "check-018-reset"])
def test_a_broken_patch_can_be_gone_on_with(server: Server, reset: bool) -> None:
    data = Pattern(18, 5000).read(0)
    id = make(server, 5000)
    cut(server, id, 0, 5000, data[:1000], reset=reset)
    assert stands(server, id) == 1000
    assert tus.patch(server, f"/files/{id}", 1000, data[1000:]).status == 204
    assert content(server, id) == data


def test_check_031_what_arrived_is_kept(server: Server) -> None:
    data = Pattern(31, 3 * MIB).read(0)
    id = make(server, 3 * MIB)
    cut(server, id, 0, 3 * MIB, data[: 2 * MIB], reset=False)
    kept = stands(server, id)
    assert kept == 2 * MIB
    cut(server, id, kept, MIB, data[kept : kept + 17], reset=True)
    assert stands(server, id) == 2 * MIB + 17
    assert tus.patch(server, f"/files/{id}", 2 * MIB + 17, data[2 * MIB + 17 :]).status == 204
    assert content(server, id) == data


def test_check_019_metadata_comes_back_byte_for_byte(server: Server) -> None:
    id = make(server, 10, ("Upload-Metadata", METADATA))
    assert told(server, id).header("upload-metadata") == METADATA


APPENDS = [
    (Row(id="check-021-append", method="PATCH", headers=(V, BODY, offset(3)), body=b"defg", status=204,
         has={"upload-offset": "7"}, lacks=("content-length",)), 7),
    (Row(id="check-022-no-type", method="PATCH", headers=(V, offset(3)), body=b"d", status=415,
         code="UNSUPPORTED_MEDIA_TYPE"), 3),
    (Row(id="check-022-other-type", method="PATCH", headers=(V, ("Content-Type", "application/octet-stream"), offset(3)),
         body=b"d", status=415, code="UNSUPPORTED_MEDIA_TYPE"), 3),
    (Row(id="check-023-case", method="PATCH", headers=(V, ("Content-Type", "Application/Offset+Octet-Stream"), offset(3)),
         body=b"d", status=204, has={"upload-offset": "4"}), 4),
    (Row(id="check-023-parameter", method="PATCH",
         headers=(V, ("Content-Type", "application/offset+octet-stream; charset=utf-8"), offset(3)), body=b"d",
         status=204, has={"upload-offset": "4"}), 4),
    (Row(id="check-024-too-low", method="PATCH", headers=(V, BODY, offset(0)), body=b"abc", status=409,
         code="OFFSET_MISMATCH", has={"upload-offset": "3"}), 3),
    (Row(id="check-024-too-high", method="PATCH", headers=(V, BODY, offset(5)), body=b"fgh", status=409,
         code="OFFSET_MISMATCH", has={"upload-offset": "3"}), 3),
    (Row(id="check-026-unknown", method="PATCH", path=f"/files/{NOWHERE}", headers=(V, BODY, offset(0)), body=b"d",
         status=404, code="NOT_FOUND", lacks=("upload-offset",)), 3),
    (Row(id="check-027-too-long", method="PATCH", headers=(V, BODY, offset(3)), body=b"12345678", status=413,
         code="SIZE_EXCEEDED"), 3),
    (Row(id="check-029-empty", method="PATCH", headers=(V, BODY, offset(3)), status=204, has={"upload-offset": "3"}), 3),
    (Row(id="check-035-other-length", method="PATCH", headers=(V, BODY, offset(3), length(20)), body=b"d", status=400,
         code="INVALID_LENGTH"), 3),
    (Row(id="check-035-same-length", method="PATCH", headers=(V, BODY, offset(3), length(10)), body=b"d", status=204,
         has={"upload-offset": "4"}), 4),
    *((Row(id=f"check-025-offset-{name}", method="PATCH", headers=(V, BODY, *given), body=b"d", status=400,
           code="INVALID_OFFSET", lacks=("upload-offset",)), 3)
      for name, given in [
          ("missing", ()), ("negative", (offset("-1"),)), ("fraction", (offset("1.5"),)), ("text", (offset("abc"),)),
          ("plus", (offset("+3"),)), ("empty", (offset(""),)), ("2-63", (offset(2**63),)), ("hex", (offset("0x3"),)),
          ("underscore", (offset("1_0"),)), ("twice", (offset(3), offset(3))), ("exponent", (offset("3e0"),)),
          ("fullwidth", (offset("\uff13"),)), ("huge", (offset("9" * 400),)),
      ]),
]  # fmt: skip


@pytest.mark.parametrize(("row", "after"), APPENDS, ids=str)
def test_patch(server: Server, row: Row, after: int) -> None:
    id = make(server, 10, body=b"abc")
    row.ask(server, id)
    answer = told(server, id)
    assert (answer.header("upload-offset"), answer.header("upload-length")) == (str(after), "10")


@pytest.mark.parametrize("pieces", [(b"0123456789abcdef",), (b"0123", b"4567", b"89ab", b"cdef")], ids=["one", "many"])
def test_check_028_chunked_beyond_the_length(server: Server, pieces: tuple[bytes, ...]) -> None:
    id = make(server, 10)
    answer = server.request("PATCH", f"/files/{id}", (V, BODY, offset(0), ("Transfer-Encoding", "chunked")),
                            chunked(*pieces))  # fmt: skip
    assert (answer.status, answer.body.partition(b":")[0]) == (413, b"SIZE_EXCEEDED")
    assert stands(server, id) == 0, "a refused request changes nothing"


def test_check_028_chunked_within_the_length(server: Server) -> None:
    id = make(server, 10)
    answer = server.request("PATCH", f"/files/{id}", (V, BODY, offset(0), ("Transfer-Encoding", "chunked")),
                            chunked(b"01234", b"56789"))  # fmt: skip
    assert (answer.status, answer.header("upload-offset")) == (204, "10")
    assert content(server, id) == b"0123456789"


def test_check_028_stops_reading_at_the_limit(server: Server) -> None:
    """The answer comes while the client still has far more to send, and never ends."""
    id = make(server, 10)
    with server.connect(5) as connection:
        connection.start("PATCH", f"/files/{id}", (V, BODY, offset(0), ("Transfer-Encoding", "chunked")))
        connection.send(chunked(bytes(64 * KIB), end=False))
        assert connection.response("PATCH").status == 413
    assert stands(server, id) == 0


def test_check_030_nothing_more_for_a_finished_upload(server: Server) -> None:
    id = make(server, 3, body=b"abc")
    answer = tus.patch(server, f"/files/{id}", 3, b"")
    assert (answer.status, answer.header("upload-offset")) == (204, "3")
    assert tus.patch(server, f"/files/{id}", 3, b"d").status == 413
    assert content(server, id) == b"abc"


def test_check_032_a_body_that_stops_is_ended_and_kept(hasty: Server) -> None:
    id = make(hasty, 1000)
    with tus.hung(hasty, f"/files/{id}", 0, 1000, b"x" * 100) as connection:
        took, answer = timed(lambda: connection.response("PATCH"))
        closing, closed = timed(connection.at_end)
        assert (closed, closing < 4) == (True, True), "what was left half sent cannot be gone on with"
    assert (answer.status, answer.body.partition(b":")[0]) == (503, b"BODY_TIMEOUT")
    assert 0.3 < took < 3
    assert stands(hasty, id) == 100


def test_check_033_one_of_two_writers_wins(server: Server) -> None:
    size = 256 * KIB
    for _ in range(20):
        id = make(server, size)
        letters = (b"a", b"b")
        answers = at_once(lambda who: tus.patch(server, f"/files/{id}", 0, letters[who] * size), 2)  # noqa: B023
        statuses = sorted(answer.status for answer in answers)
        assert statuses in ([204, 409], [204, 423], [409, 423]), statuses
        reached = stands(server, id)
        if reached < size:  # the first was interrupted on the way, the second came too late
            winner = next(who for who, answer in enumerate(answers) if answer.status == 423)
            assert tus.patch(server, f"/files/{id}", reached, letters[winner] * (size - reached)).status == 204
        assert content(server, id) in (b"a" * size, b"b" * size), "the file is of two writers"


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "PATCH-elsewhere"])
def test_check_034_a_hanging_patch_lets_go_at_once(server: Server, method: str) -> None:
    """Whoever comes, the old request ends and its bytes are kept; the newcomer is told the truth of after that."""
    newcomers: dict[str, Callable[[str], Response]] = {
        "HEAD": lambda id: told(server, id),
        "PATCH": lambda id: tus.patch(server, f"/files/{id}", 0, b"y" * 1000),
        "PATCH-elsewhere": lambda id: tus.patch(server, f"/files/{id}", 500, b"y" * 500),
    }

    def once() -> float:
        id = make(server, 1000)
        with tus.hung(server, f"/files/{id}", 0, 1000, b"x" * 100) as connection:
            time.sleep(0.2)
            took, answer = timed(lambda: newcomers[method](id))
            assert (answer.status, answer.header("upload-offset")) == (200 if method == "HEAD" else 409, "100")
            old = connection.response("PATCH")
            assert (old.status, old.header("upload-offset")) == (423, "100")
            assert old.header("retry-after") == "1"
        assert tus.patch(server, f"/files/{id}", 100, b"y" * 900).status == 204
        assert content(server, id) == b"x" * 100 + b"y" * 900
        return took

    assert min(once() for _ in range(3)) < 0.3


def expecting(server: Server, id: str, at: int, size: int) -> Response:
    with server.connect(5) as connection:
        expect: Header = ("Expect", "100-continue")
        connection.start("PATCH", f"/files/{id}", (*tus.patch_headers(at, size), expect))
        return connection.response("PATCH")


@pytest.mark.parametrize("size", [10, 10 * MIB], ids=["check-036-small", "check-036-large"])
def test_no_continue_for_what_is_refused_anyway(server: Server, size: int) -> None:
    id = make(server, 20 * MIB, body=b"abc")
    answer = expecting(server, id, 5, size)
    assert (answer.status, answer.header("upload-offset"), answer.interim) == (409, "3", ())


def test_check_036_continue_for_what_is_wanted(server: Server) -> None:
    id = make(server, 10)
    with server.connect(5) as connection:
        connection.start("PATCH", f"/files/{id}", (*tus.patch_headers(0, 10), ("Expect", "100-continue")))
        assert _line(connection) == b"HTTP/1.1 100 Continue"
        connection.send(b"0123456789")
        assert connection.response("PATCH").status == 204
    assert content(server, id) == b"0123456789"


def _line(connection: Connection) -> bytes:
    return connection._until(b"\r\n\r\n").partition(b"\r\n")[0]


def test_check_034_a_download_takes_no_lock(server: Server) -> None:
    data = Pattern(34, MIB).read(0)
    id = make(server, MIB, body=data)
    with server.connect() as slow:
        slow.start("GET", f"/files/{id}")
        took, answer = timed(lambda: told(server, id))
        assert (answer.status, took < 1) == (200, True)
        assert slow.response().body == data


def test_check_016_nothing_is_remembered_by_caches(server: Server) -> None:
    id = make(server, 10, ("Upload-Metadata", f"filename {b64(b'a')}"))
    answers = [tus.patch(server, f"/files/{id}", 0, b"abc"), tus.patch(server, f"/files/{id}", 0, b"abc")]
    assert [(answer.status, answer.header("cache-control")) for answer in answers] == [
        (204, "no-store"), (409, "no-store")]  # fmt: skip


def test_check_018_a_lost_answer(server: Server) -> None:
    """All was sent, the client left before the answer: HEAD says so."""
    id = make(server, 1000)
    with server.connect() as connection:
        connection.start("PATCH", f"/files/{id}", tus.patch_headers(0, 1000))
        connection.send(b"x" * 1000)
    assert eventually(lambda: stands(server, id) == 1000)
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "Completed"


def test_check_080_the_connection_can_be_used_again(server: Server) -> None:
    id = make(server, 10, body=b"abc")
    with server.connect() as connection:
        refused = connection.exchange("PATCH", f"/files/{id}", (V, BODY, offset(0)), b"abc")
        assert refused.status == 409
        accepted = connection.exchange("PATCH", f"/files/{id}", (V, BODY, offset(3)), b"defg")
        assert (accepted.status, accepted.header("upload-offset")) == (204, "7")


def test_check_080_or_it_is_closed_when_much_is_left_unread(server: Server) -> None:
    id = make(server, 10 * MIB)
    with server.connect() as connection:
        refused = connection.exchange("PATCH", f"/files/{id}", (V, BODY, offset(3)), bytes(4 * MIB))
        assert (refused.status, refused.header("connection")) == (409, "close")
        with pytest.raises((Closed, ConnectionError)):
            connection.exchange("HEAD", f"/files/{id}", (V,))
