"""Who may do what: every route of the application, every verb, every kind of caller.

The owner and admins may; for everybody else what exists is the same as what does not, to the byte. The table below
has a row for each route, and a route without one fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from guarded import APPEND, DATA, JSON, NOBODYS, OCTETS, VERSION, Guarded, Thing
from harness import Response

from tusdrive import create_app
from tusdrive.app import PREFIXES
from tusdrive.settings import Settings

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT_", "PROPFIND")
OVERRIDES = ("GET", "HEAD", "PATCH", "DELETE", "OPTIONS", "PUT", "TRACE", "POST", "nonsense")
ANYBODY, LOGIN, UPLOAD, FILE = "anybody", "login", "upload", "file"


@dataclass(frozen=True)
class Cell:
    """One verb of one route: who it is for, what is sent, and what the owner is told."""

    whom: str
    status: int
    headers: tuple[tuple[str, str | int], ...] = ()
    body: bytes = b""
    capability: bool = True  # whether the upload's own capability is enough, where it is for uploads


_CREATE = json.dumps({"fileName": "x", "fileSize": 3, "contentType": "text/plain"}).encode()
_PATCH = (VERSION, APPEND, ("Upload-Offset", 1024))
_CHUNK = Cell(UPLOAD, 200, (OCTETS,), DATA[1024:2048])

REST: dict[str, dict[str, Cell]] = {
    "/files/upload/create": {"POST": Cell(LOGIN, 200, (JSON,), _CREATE)},
    "/files/upload/chunk/{task_id}/{index}": {"POST": _CHUNK, "PUT": _CHUNK},
    "/files/upload/complete/{task_id}": {"POST": Cell(UPLOAD, 409)},
    "/files/upload/tasks": {"GET": Cell(LOGIN, 200)},
    "/files/upload/tasks/recent": {"GET": Cell(LOGIN, 200)},
    "/files/upload/tasks/cleanup": {"DELETE": Cell(LOGIN, 200)},
    "/files/upload/tasks/{task_id}/details": {"GET": Cell(UPLOAD, 200)},
    "/files/upload/progress/{task_id}": {"GET": Cell(UPLOAD, 200)},
    "/files/upload/resume/{task_id}": {"GET": Cell(UPLOAD, 200)},
    "/files/upload/task/{task_id}": {"DELETE": Cell(UPLOAD, 200)},
    "/files/upload/stats": {"GET": Cell(LOGIN, 200)},
    "/files/me": {"GET": Cell(LOGIN, 200)},
    "/files/{file_id}": {"GET": Cell(FILE, 200), "DELETE": Cell(FILE, 204)},
    "/files/{file_id}/info": {"GET": Cell(FILE, 200)},
    "/files/{file_id}/name": {"PATCH": Cell(FILE, 200, (JSON,), b'"new-name"')},
}
OPERATIONS: dict[str, dict[str, Cell]] = {
    path: {"GET": Cell(ANYBODY, 200)} for path in ("/health", "/health/uploads", "/alive", "/openapi.json")
}
RESUMABLE: dict[str, dict[str, Cell]] = {
    "/files": {
        "POST": Cell(LOGIN, 201, (VERSION, ("Upload-Length", 3))),
        "OPTIONS": Cell(ANYBODY, 200),
    },
    "/files/{task_id}": {
        "HEAD": Cell(UPLOAD, 200, (VERSION,)),
        "GET": Cell(UPLOAD, 409, capability=False),
        "PATCH": Cell(UPLOAD, 204, _PATCH, DATA[1024:2048]),
        "DELETE": Cell(UPLOAD, 204, (VERSION,)),
        "OPTIONS": Cell(ANYBODY, 200),
    },
}
TABLE = {
    **{prefix + path: cells for prefix in PREFIXES for path, cells in REST.items()},
    **OPERATIONS,
    **RESUMABLE,
}
BELOW = {"/files": "/files/{task_id}"}
"""Routes that serve everything below their path too."""


@dataclass(frozen=True)
class Asked:
    """A verb as it is sent, and as it counts."""

    sent: str
    counts: str
    headers: tuple[tuple[str, str], ...] = ()


def test_every_route_has_its_row(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path / "data"))
    paths = {route.path for route in app.routes}  # type: ignore[attr-defined]
    paths |= {BELOW[path] for path in paths if path in BELOW}
    assert paths == set(TABLE)


def test_every_verb_of_every_route_has_its_cell(tmp_path: Path) -> None:
    for route in create_app(Settings(data=tmp_path / "data")).routes:
        methods = getattr(route, "methods", None)
        if methods is not None:
            cells = TABLE[route.path]  # type: ignore[attr-defined]
            assert methods - {"HEAD"} == set(cells), route


def _asked(path: str) -> Iterator[Asked]:
    for verb in VERBS:
        yield Asked(verb, verb)
    for verb in OVERRIDES:
        effective = verb.upper() if path in RESUMABLE else "POST"
        yield Asked("POST", effective, (("X-HTTP-Method-Override", verb),))


def _cell(path: str, verb: str) -> Cell | None:
    cells = TABLE[path]
    if verb == "HEAD" and "HEAD" not in cells and path not in RESUMABLE:
        return cells.get("GET")
    return cells.get(verb)


def _fill(path: str, thing: Thing) -> str:
    return path.format(task_id=thing.id, file_id=thing.file, index=1)


class Matrix:
    """Asks for one route under all names."""

    def __init__(self, guarded: Guarded, path: str, upload: Thing, done: Thing) -> None:
        self.guarded, self.path = guarded, path
        self.thing = Thing(upload.id, upload.capability, done.file)
        self.missing = Thing(NOBODYS, "A" * 32, NOBODYS)

    def ask(self, token: str | None, asked: Asked, thing: Thing, capability: str = "", header: bool = False) -> Response:
        cell = _cell(self.path, asked.counts)
        headers, body = (cell.headers, cell.body) if cell else ((VERSION,), b"")
        path = _fill(self.path, thing)
        extra: tuple[tuple[str, str], ...] = ()
        if capability and header:
            extra = (("X-Upload-Token", capability),)
        elif capability:
            path += f"?uploadToken={capability}"
        answer = self.guarded.ask(token, asked.sent, path, (*headers, *asked.headers, *extra), body)
        assert answer.status < 500, (asked, path, answer)
        return answer

    def same_for_what_is_not_there(self, token: str | None, asked: Asked, **more: object) -> Response:
        """The answer, which is the same for something that does not exist."""
        answer = self.ask(token, asked, self.thing, **more)  # type: ignore[arg-type]
        assert _seen(answer) == _seen(self.ask(token, asked, self.missing, **more)), (asked, self.path)  # type: ignore[arg-type]
        return answer


def _fresh(guarded: Guarded, cell: Cell | None, asked: Asked, upload: Thing, done: Thing) -> tuple[Thing, Thing]:
    """Things to ask for: new ones where the answer may change or end them."""
    if cell is None or cell.whom in (ANYBODY, LOGIN) or asked.counts in ("GET", "HEAD"):
        return upload, done
    return (guarded.open_upload(), done) if cell.whom == UPLOAD else (upload, guarded.finished())


def _seen(answer: Response) -> tuple[object, ...]:
    """All of an answer that a client can tell two things apart by; ids of the request itself left out."""
    body: object = answer.body
    if answer.body and (answer.header("content-type") or "").startswith("application/json"):
        told = answer.json()
        if isinstance(told, dict):
            told.pop("traceId", None)
        body = told
    kept = sorted(pair for pair in answer.headers if pair[0] not in ("date", "x-request-id"))
    return answer.status, kept, body


@pytest.fixture(scope="module")
def upload(guarded: Guarded) -> Thing:
    return guarded.open_upload()


@pytest.fixture(scope="module")
def done(guarded: Guarded) -> Thing:
    return guarded.finished()


@pytest.fixture
def matrix(guarded: Guarded, path: str, upload: Thing, done: Thing) -> Iterator[Matrix]:
    """Afterwards everything of Ann's must be as it was."""
    yield Matrix(guarded, path, upload, done)
    head = guarded.ask(guarded.ann, "HEAD", f"/files/{upload.id}", (VERSION,))
    assert (head.status, head.number("upload-offset")) == (200, 1024)
    assert guarded.ask(guarded.ann, "GET", f"/api/files/{done.file}").body == DATA
    assert guarded.ask(guarded.ann, "GET", f"/api/files/{done.file}/info").json()["name"] == "secret-name"


@pytest.mark.parametrize("path", sorted(TABLE))
def test_nobody_gets_in(guarded: Guarded, matrix: Matrix, path: str) -> None:
    """No token, or one that is none: 401 where a login is needed, the same whether a thing exists or not."""
    other = guarded.open_upload(guarded.bob)
    nobodies: list[tuple[str | None, str]] = [
        (None, ""), ("", ""), ("garbage", ""), (guarded.expired, ""), (guarded.ann[:-4] + "AAAA", ""),
        (None, other.capability), (None, "A" * 32), (None, "%C3%BC"), (guarded.expired, other.capability),
    ]  # fmt: skip
    for asked in _asked(path):
        cell = _cell(path, asked.counts)
        for token, capability in nobodies:
            for header in (True, False) if capability else (False,):
                answer = matrix.same_for_what_is_not_there(token, asked, capability=capability, header=header)
                if cell is None:
                    assert answer.status in (400, 401, 405), (asked, answer)
                elif cell.whom == ANYBODY:
                    assert answer.status == cell.status
                else:
                    assert answer.status == 401, (asked, token, answer)
                    assert answer.header("www-authenticate") == "Bearer"


@pytest.mark.parametrize("path", sorted(TABLE))
def test_somebody_else_finds_nothing(guarded: Guarded, matrix: Matrix, path: str) -> None:
    """A stranger with a good token: 404 for all of Ann's, to the byte what is said of things that do not exist."""
    other = guarded.open_upload(guarded.bob)
    for asked in _asked(path):
        cell = _cell(path, asked.counts)
        for capability in ("", other.capability):
            answer = matrix.same_for_what_is_not_there(guarded.bob, asked, capability=capability) if (
                "{" in path
            ) else matrix.ask(guarded.bob, asked, matrix.thing, capability=capability)  # fmt: skip
            if cell is None:
                assert answer.status in (400, 404, 405), (asked, answer)
            elif cell.whom in (UPLOAD, FILE):
                assert answer.status == 404, (asked, answer)
            else:
                assert answer.status == cell.status, (asked, answer)
            for secret in (matrix.thing.id, matrix.thing.file, "secret-name", '"ann"'):
                assert secret.encode() not in answer.body, (asked, answer)


@pytest.mark.parametrize("path", sorted(TABLE))
@pytest.mark.parametrize("who", ["ann", "root"])
def test_the_owner_and_admins_may(guarded: Guarded, upload: Thing, done: Thing, path: str, who: str) -> None:
    token = getattr(guarded, who)
    for asked in _asked(path):
        cell = _cell(path, asked.counts)
        fresh = Matrix(guarded, path, *_fresh(guarded, cell, asked, upload, done))
        answer = fresh.ask(token, asked, fresh.thing)
        if cell is None:
            assert answer.status in (400, 404, 405), (asked, answer)
            continue
        assert answer.status == cell.status, (asked, answer)
        if cell.whom in (UPLOAD, FILE):
            assert fresh.ask(token, asked, fresh.missing).status == 404


@pytest.mark.parametrize("path", sorted(TABLE))
def test_a_capability_is_good_for_its_upload_alone(guarded: Guarded, upload: Thing, done: Thing, path: str) -> None:
    """It serves where a token is missing or has ended, for its upload, and for nothing else of its owner's."""
    another = guarded.open_upload()
    for asked in _asked(path):
        cell = _cell(path, asked.counts)
        for token in (None, guarded.expired):
            for header in (True, False):
                things = _fresh(guarded, cell, asked, upload, done)
                fresh = Matrix(guarded, path, *things)
                wrong = fresh.ask(token, asked, fresh.thing, capability=another.capability, header=header)
                answer = fresh.ask(token, asked, fresh.thing, capability=things[0].capability, header=header)
                if cell is None:
                    assert answer.status in (400, 401, 405), (asked, answer)
                elif cell.whom == ANYBODY:
                    assert answer.status == wrong.status == cell.status
                elif cell.whom == UPLOAD and cell.capability:
                    assert (answer.status, wrong.status) == (cell.status, 401), (asked, answer)
                else:
                    assert (answer.status, wrong.status) == (401, 401), (asked, answer)


def test_a_capability_ends_with_its_upload(guarded: Guarded) -> None:
    """It cannot delete, read or rename what the upload became."""
    done = guarded.finished()
    query = f"?uploadToken={done.capability}"
    assert guarded.ask(None, "HEAD", f"/files/{done.id}{query}", (VERSION,)).status == 200
    for method, path in (
        ("DELETE", f"/files/{done.id}{query}"),
        ("GET", f"/files/{done.id}{query}"),
        ("GET", f"/api/files/{done.file}{query}"),
        ("DELETE", f"/api/files/{done.file}{query}"),
        ("DELETE", f"/api/files/upload/task/{done.id}{query}"),
        ("PATCH", f"/api/files/{done.file}/name{query}"),
    ):
        answer = guarded.ask(None, method, path, (VERSION, JSON), b'"x"' if method == "PATCH" else b"")
        assert answer.status in (401, 404, 409), (method, path, answer)
    assert guarded.ask(guarded.ann, "GET", f"/api/files/{done.file}").body == DATA


def test_parts_of_somebody_else_are_parts_that_do_not_exist(guarded: Guarded) -> None:
    part = guarded.finished(guarded.ann, ("Upload-Concat", "partial"))
    whole = guarded.finished(guarded.ann)
    answers = []
    for id in (part.id, whole.id, NOBODYS):
        headers = (VERSION, ("Upload-Concat", f"final;/files/{id}"))
        answers.append(_seen(guarded.ask(guarded.bob, "POST", "/files", headers)))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 400
    own = guarded.ask(guarded.ann, "POST", "/files", (VERSION, ("Upload-Concat", f"final;/files/{part.id}")))
    assert own.status == 201


def test_two_authorizations_are_none(guarded: Guarded, done: Thing) -> None:
    headers = [("Authorization", f"Bearer {guarded.ann}"), ("Authorization", f"Bearer {guarded.bob}")]
    for pairs in (headers, headers[::-1]):
        assert guarded.ask(None, "GET", f"/api/files/{done.file}", pairs).status == 401
