"""Method override where there are accounts: it is the effective method that is authorised."""

from __future__ import annotations

import pytest
import tus
from asking import BODY, Header, V, content, id_of, length, offset, override
from harness import Server

NOBODY: Header = ("Authorization", "Bearer none")


def bearer(token: str) -> Header:
    return "Authorization", f"Bearer {token}"


@pytest.fixture
def upload(accounts: Server, anna: str) -> tuple[str, str]:
    """Anna's upload of "abc", of which "ab" arrived: its path, and the query with its capability."""
    answer = accounts.request("POST", "/files", (V, BODY, length(3), bearer(anna)), b"ab")
    path, _, query = tus.path(answer).partition("?")
    return path, query


VERBS = ["HEAD", "PATCH", "DELETE", "GET"]


def ask(server: Server, real: str, method: str, path: str, *headers: Header) -> int:
    body = b"c" if method == "PATCH" else b""
    return server.request(real, path, (V, BODY, offset(2), override(method), *headers), body).status


def stands(server: Server, upload: tuple[str, str], token: str) -> int:
    return server.request("HEAD", upload[0], (V, bearer(token))).number("upload-offset")


@pytest.mark.parametrize("real", ["POST", "GET", "OPTIONS"])
@pytest.mark.parametrize("method", VERBS)
def test_nobody_gets_in_by_another_verb(
    accounts: Server, anna: str, bert: str, upload: tuple[str, str], real: str, method: str
) -> None:
    assert ask(accounts, real, method, upload[0], NOBODY) == 401
    assert ask(accounts, real, method, upload[0], bearer(bert)) == 404
    assert stands(accounts, upload, anna) == 2


def test_an_override_of_options_lets_nobody_create(accounts: Server) -> None:
    assert accounts.request("OPTIONS", "/files", (V, length(3), override("POST"), NOBODY)).status == 401


def test_a_capability_is_good_for_its_upload_alone(accounts: Server, anna: str, upload: tuple[str, str]) -> None:
    path, query = upload
    other = id_of(tus.path(accounts.request("POST", "/files", (V, length(3), bearer(anna)))))
    shown = ("X-Upload-Token", query.partition("=")[2])
    assert ask(accounts, "POST", "HEAD", f"/files/{other}?{query}", NOBODY) == 401
    assert ask(accounts, "POST", "HEAD", f"{path}?{query}", NOBODY) == 200
    assert ask(accounts, "POST", "HEAD", path, NOBODY, shown) == 200
    assert ask(accounts, "POST", "GET", f"{path}?{query}", NOBODY) == 401, "downloads need a login"
    assert ask(accounts, "POST", "PATCH", f"{path}?{query}", NOBODY) == 204
    assert ask(accounts, "POST", "DELETE", f"{path}?{query}", NOBODY) == 404, "finished: it is a file now"
    assert accounts.request("POST", f"/files?{query}", (V, length(3), NOBODY)).status == 401
    assert content(accounts, id_of(path), bearer(anna)) == b"abc"


def test_the_owner_and_the_admin_may(accounts: Server, anna: str, upload: tuple[str, str]) -> None:
    assert ask(accounts, "POST", "HEAD", upload[0]) == 200, "the admin"
    assert ask(accounts, "POST", "PATCH", upload[0], bearer(anna)) == 204
    assert ask(accounts, "GET", "DELETE", upload[0], bearer(anna)) == 204
    assert ask(accounts, "POST", "HEAD", upload[0], bearer(anna)) == 410
