"""Conformance checks 67 to 71: expiration."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import tus
from asking import BODY, V, api, content, id_of, length, make, offset, places, stands, told
from harness import Response, Server, eventually

IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)


def expires(answer: Response) -> datetime:
    text = answer.header("upload-expires")
    assert text is not None, answer
    assert IMF_FIXDATE.fullmatch(text), text
    return parsedate_to_datetime(text)


def test_check_067_patch_says_when_it_expires(server: Server) -> None:
    id = make(server, 10)
    left = expires(tus.patch(server, f"/files/{id}", 0, b"abc")) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)


def test_check_068_so_does_creation(server: Server) -> None:
    for answer in (tus.create(server, 10), tus.create(server, 10, body=b"abc"), tus.create(server, None)):
        assert timedelta(hours=23, minutes=59) < expires(answer) - datetime.now(UTC) <= timedelta(hours=24)


def test_check_069_so_does_head_until_it_is_finished(server: Server) -> None:
    id = make(server, 10, body=b"abc")
    assert expires(told(server, id)) > datetime.now(UTC)
    last = tus.patch(server, f"/files/{id}", 3, b"defghij")
    assert (last.status, last.header("upload-expires")) == (204, None)
    assert told(server, id).header("upload-expires") is None


def test_check_069_nothing_expires_where_that_is_off(limited: Server) -> None:
    id = make(limited, 10)
    answers = [tus.create(limited, 10), tus.patch(limited, f"/files/{id}", 0, b"abc"), told(limited, id)]
    assert [answer.header("upload-expires") for answer in answers] == [None, None, None]


def test_check_068_the_time_slides(brief: Server) -> None:
    id = make(brief, 10)
    first = expires(told(brief, id))
    time.sleep(1.1)
    assert expires(tus.patch(brief, f"/files/{id}", 0, b"abc")) > first


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE", "GET"])
def test_check_070_gone_afterwards(brief: Server, method: str) -> None:
    id = make(brief, 10, body=b"abc")
    assert len(places(brief, id)) == 1
    eventually(lambda: not places(brief, id), 6)
    headers = (V, BODY, offset(3)) if method == "PATCH" else (V,)
    answer = brief.request(method, f"/files/{id}", headers, b"d" if method == "PATCH" else b"")
    assert (answer.status, answer.header("upload-offset")) == (410, None)
    assert method == "HEAD" or answer.body.startswith(b"GONE: ")


def test_check_026_patch_of_an_expired_one(brief: Server) -> None:
    id = make(brief, 10)
    eventually(lambda: told(brief, id).status == 410, 6, 0.5)
    assert tus.patch(brief, f"/files/{id}", 0, b"abc").status == 410
    assert api(brief, "GET", f"/files/upload/progress/{id}").json()["status"] == "Expired"


def test_check_070_a_finished_one_stays(brief: Server) -> None:
    id = make(brief, 3, body=b"abc")
    time.sleep(4)
    assert content(brief, id) == b"abc"


def test_check_070_parts_go_too(brief: Server) -> None:
    whole = make(brief, 3, ("Upload-Concat", "partial"), body=b"abc")
    assert told(brief, whole).header("upload-expires") is not None
    eventually(lambda: not places(brief, whole), 6)
    assert told(brief, whole).status == 410


def test_check_071_a_running_patch_is_not_cut(brief: Server) -> None:
    id = make(brief, 20)
    with tus.hung(brief, f"/files/{id}", 0, 20, b"") as connection:
        for _ in range(20):
            time.sleep(0.25)
            connection.send(b"x")
        answer = connection.response("PATCH")
    assert (answer.status, answer.header("upload-offset")) == (204, "20")
    assert content(brief, id) == b"x" * 20


def test_check_071_nor_is_one_that_pauses(brief: Server) -> None:
    """Its time passes while it holds the upload: not cut, or cleanly gone."""
    id = make(brief, 20)
    with tus.hung(brief, f"/files/{id}", 0, 20, b"x" * 10) as connection:
        time.sleep(4.5)
        try:
            connection.send(b"x" * 10)
            answer = connection.response("PATCH")
        except ConnectionError as error:
            pytest.fail(f"cut: {error!r}")
    assert answer.status in (204, 410), answer
    if answer.status == 204:
        assert content(brief, id) == b"x" * 20
    else:
        assert told(brief, id).status == 410
        assert places(brief, id) == []


def test_check_071_creation_with_a_slow_body(brief: Server) -> None:
    with brief.connect() as connection:
        connection.start("POST", "/files", (V, length(10), BODY, ("Content-Length", 10)))
        for _ in range(10):
            time.sleep(0.35)
            connection.send(b"x")
        answer = connection.response("POST")
    assert (answer.status, answer.header("upload-offset")) == (201, "10")
    assert stands(brief, id_of(tus.path(answer))) == 10
