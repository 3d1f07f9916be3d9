"""What happens while something large is being joined or verified: every order of events ends well."""

from __future__ import annotations

import threading
import time

import pytest
import tus
from asking import V, api, content, finish, id_of, make, places, put, refusal, stands, task, told
from harness import MIB, Pattern, Response, Server, eventually

PARTIAL = ("Upload-Concat", "partial")


@pytest.fixture(scope="module")
def halves(server: Server) -> tuple[str, str]:
    """Two whole parts of 40 MiB each."""
    ids = [make(server, 40 * MIB, PARTIAL) for _ in range(2)]
    for seed, id in enumerate(ids):
        assert tus.patch(server, f"/files/{id}", 0, Pattern(seed, 40 * MIB).read(0), timeout=60).status == 204
    return ids[0], ids[1]


def join(server: Server, *ids: str) -> str:
    urls = " ".join(f"/files/{id}" for id in ids)
    answer = server.request("POST", "/files", (V, ("Upload-Concat", f"final;{urls}")))
    assert answer.status == 201, answer
    return id_of(tus.path(answer))


@pytest.mark.parametrize("delay", [0, 0.01, 0.03, 0.1])
def test_a_final_is_deleted_while_it_is_joined(server: Server, halves: tuple[str, str], delay: float) -> None:
    id = join(server, *halves)
    time.sleep(delay)
    assert tus.delete(server, f"/files/{id}").status == 204
    assert told(server, id).status == 410
    time.sleep(0.5)
    assert eventually(lambda: places(server, id) == [])
    assert [stands(server, half) for half in halves] == [40 * MIB] * 2


@pytest.mark.parametrize("delay", [0, 0.01, 0.03, 0.1])
def test_a_part_is_deleted_while_it_is_joined(server: Server, halves: tuple[str, str], delay: float) -> None:
    extra = make(server, 3, PARTIAL, body=b"abc")
    id = join(server, *halves, extra)
    time.sleep(delay)
    assert tus.delete(server, f"/files/{extra}").status == 204
    end = eventually(lambda: _ended(server, id))
    if end == "Completed":
        assert content(server, id)[-3:] == b"abc"
        assert tus.delete(server, f"/files/{id}").status == 204
    assert told(server, id).status == 410
    assert eventually(lambda: places(server, id) == [])


def _ended(server: Server, id: str) -> str | None:
    status = api(server, "GET", f"/files/upload/progress/{id}").json()["status"]
    return status if status in ("Completed", "Failed") else None


def whole(server: Server, seed: int, hash: str | None = None) -> tuple[str, Pattern]:
    """A REST task of 64 MiB that only has to be completed."""
    pattern = Pattern(seed, 64 * MIB)
    id = task(server, b"", chunk_size=16 * MIB, fileSize=pattern.length, hash=hash or pattern.sha256())
    for index in range(4):
        assert put(server, id, index, pattern.read(index * 16 * MIB, (index + 1) * 16 * MIB)).status == 200
    return id, pattern


@pytest.mark.parametrize("delay", [0, 0.005, 0.02])
def test_cancelled_while_it_is_verified(server: Server, delay: float) -> None:
    id, _ = whole(server, int(1000 + delay * 1000))
    answers: list[Response] = []
    asking = threading.Thread(target=lambda: answers.append(finish(server, id)))
    asking.start()
    time.sleep(delay)
    cancelled = api(server, "DELETE", f"/files/upload/task/{id}")
    asking.join(30)
    if cancelled.status == 200:
        assert refusal(answers[0]) == (410, "GONE")
        assert eventually(lambda: places(server, id) == [])
    else:
        assert refusal(cancelled) == (409, "CONFLICT")
        assert answers[0].status == 200


def test_bytes_for_what_is_being_verified(server: Server) -> None:
    """Neither PATCH nor chunk changes anything; whoever asks is told, and the file is right."""
    id, pattern = whole(server, 2000)
    answers: list[Response] = []
    asking = threading.Thread(target=lambda: answers.append(finish(server, id)))
    asking.start()
    while asking.is_alive():
        assert tus.patch(server, f"/files/{id}", pattern.length, b"").status in (204, 409)
        assert put(server, id, 0, bytes(16 * MIB)).status == 409
        assert told(server, id).header("upload-offset") == str(pattern.length)
    asking.join()
    assert answers[0].status == 200
    assert pattern.differs(content(server, id)) is None


def test_the_client_that_completes_leaves(server: Server) -> None:
    """Verification goes on without it, and whoever asks next gets the file."""
    id, pattern = whole(server, 3000)
    with server.connect() as connection:
        connection.start("POST", f"/api/files/upload/complete/{id}", (("Content-Length", 0),))
        time.sleep(0.01)
    assert finish(server, id).json()["hash"] == pattern.sha256()


def test_shutdown_in_the_midst_of_it(fresh: Server) -> None:
    """SIGTERM while verifying and joining: after the start both are done, once."""
    id, pattern = whole(fresh, 4000)
    parts = [make(fresh, 40 * MIB, PARTIAL) for _ in range(2)]
    for seed, part in enumerate(parts):
        assert tus.patch(fresh, f"/files/{part}", 0, Pattern(seed, 40 * MIB).read(0), timeout=60).status == 204
    with fresh.connect() as connection:
        connection.start("POST", f"/api/files/upload/complete/{id}", (("Content-Length", 0),))
        final = join(fresh, *parts)
        assert fresh.stop() == 0
    fresh.start()
    assert finish(fresh, id).json()["hash"] == pattern.sha256()
    assert eventually(lambda: told(fresh, final).header("upload-offset") == str(80 * MIB))
    assert Pattern(1, 40 * MIB).differs(content(fresh, final)[40 * MIB :]) is None
