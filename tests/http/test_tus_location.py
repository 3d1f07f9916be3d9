"""Location: right wherever the server stands, and never taken from whoever is not trusted."""

from __future__ import annotations

import http.client

import pytest
import tus
from asking import Header, V, id_of, length, make, told
from harness import Response, Server

ID = "([0-9a-f]{32})"


def location(answer: Response) -> str:
    """The Location of a creation, with the id cut off."""
    assert answer.status == 201, answer
    found = answer.header("location")
    assert found is not None
    head, _, id = found.partition("?")[0].rpartition("/")
    assert len(id) == 32
    return head + "/"


def create(server: Server, *headers: Header) -> str:
    return location(server.request("POST", "/files", (V, length(3), *headers)))


CLIENTS = ("for=192.0.2.60;proto=https;by=203.0.113.43;host=up.example", "for=\"[2001:db8::1]\"")
PROXIES = [
    ("nothing", (), "http://127.0.0.1:{port}/files/"),
    ("host", (("Host", "up.example"),), "http://up.example/files/"),
    ("host-and-port", (("Host", "up.example:8443"),), "http://up.example:8443/files/"),
    ("proto", (("X-Forwarded-Proto", "https"), ("Host", "up.example")), "https://up.example/files/"),
    ("proto-default-port", (("X-Forwarded-Proto", "https"), ("Host", "up.example:443")), "https://up.example/files/"),
    ("x-host", (("X-Forwarded-Host", "up.example"),), "http://up.example/files/"),
    ("x-all", (("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "up.example"), ("X-Forwarded-Port", "8443"),
               ("X-Forwarded-Prefix", "/cloud")), "https://up.example:8443/cloud/files/"),
    ("x-default-port", (("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "up.example"),
                        ("X-Forwarded-Port", "443")), "https://up.example/files/"),
    ("x-prefix-slash", (("X-Forwarded-Prefix", "/cloud/"), ("Host", "up.example")), "http://up.example/cloud/files/"),
    ("forwarded", (("Forwarded", ", ".join(CLIENTS)),), "https://up.example/files/"),
    ("forwarded-quoted", (("Forwarded", 'proto=https;host="up.example:8443"'),), "https://up.example:8443/files/"),
    ("forwarded-wins", (("Forwarded", "proto=https;host=up.example"), ("X-Forwarded-Host", "other.example"),
                        ("X-Forwarded-Proto", "http")), "https://up.example/files/"),
    ("row-of-proxies", (("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "up.example, inner")),
     "https://up.example/files/"),
    ("unsound-host", (("X-Forwarded-Host", "up.example/evil"), ("Host", "up.example")), "http://up.example/files/"),
    ("unsound-proto", (("X-Forwarded-Proto", "javascript"), ("Host", "up.example")), "http://up.example/files/"),
    ("unsound-prefix", (("X-Forwarded-Prefix", "/../x"), ("Host", "up.example")), "http://up.example/files/"),
    ("unsound-port", (("X-Forwarded-Port", "80/x"), ("Host", "up.example")), "http://up.example/files/"),
]  # fmt: skip
TOLD = ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Prefix", "/x"), (
    "X-Forwarded-Port", "1"), ("Forwarded", "proto=https;host=evil.example")  # fmt: skip


@pytest.mark.parametrize(("headers", "expected"), [row[1:] for row in PROXIES], ids=[row[0] for row in PROXIES])
def test_behind_a_trusted_proxy(proxied: Server, headers: tuple[Header, ...], expected: str) -> None:
    assert create(proxied, *headers) == expected.format(port=proxied.port)


@pytest.mark.parametrize("header", TOLD, ids=lambda header: header[0])
def test_nobody_else_is_believed(server: Server, header: Header) -> None:
    assert create(server, header) == f"http://127.0.0.1:{server.port}/files/"


def test_not_even_where_a_proxy_is_expected(proxied: Server) -> None:
    """The same headers from another address than the proxy's."""
    stranger = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=10, source_address=("127.0.0.2", 0))
    headers = {name: str(value) for name, value in (V, length(3), *TOLD)}
    stranger.request("POST", "/files", headers=headers)
    answer = stranger.getresponse()
    assert answer.status == 201
    assert str(answer.getheader("Location")).startswith(f"http://127.0.0.1:{proxied.port}/files/")
    answer.close()
    stranger.close()


@pytest.mark.parametrize(("headers", "expected"), [
    ((), "/files/"),
    ((("X-Forwarded-Prefix", "/cloud"), ("X-Forwarded-Proto", "https")), "/cloud/files/"),
])  # fmt: skip
def test_relative_on_request(relative: Server, headers: tuple[Header, ...], expected: str) -> None:
    assert create(relative, *headers) == expected


def test_an_unsound_host_gives_a_relative_one(server: Server) -> None:
    for host in ("a b", "up.example/x", "", "up.example:99999999", "user@up.example"):
        answer = server.request("POST", "/files", (V, length(3), ("Host", host)))
        assert answer.status == 400 or location(answer) == "/files/", host


def test_parts_may_be_named_as_clients_see_them(proxied: Server) -> None:
    id = make(proxied, 3, ("Upload-Concat", "partial"), body=b"abc")
    seen = (("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "up.example"), ("X-Forwarded-Prefix", "/cloud"))
    for url, status in ((f"https://up.example/cloud/files/{id}", 201), (f"/cloud/files/{id}", 201),
                        (f"/files/{id}", 201), (f"https://evil.example/cloud/files/{id}", 400),
                        (f"http://127.0.0.1:{proxied.port}/files/{id}", 400)):  # fmt: skip
        answer = proxied.request("POST", "/files", (V, ("Upload-Concat", f"final;{url}"), *seen))
        assert answer.status == status, url


def test_a_capability_goes_with_it_where_there_are_accounts(accounts: Server, server: Server) -> None:
    found = tus.create(accounts, 3).header("location") or ""
    address, _, query = found.partition("?")
    assert query.startswith("uploadToken=")
    assert len(query) == len("uploadToken=") + 32
    assert "?" not in (tus.create(server, 3).header("location") or "?")
    assert told(accounts, id_of(address)).status == 200


def test_rest_names_the_same_address(proxied: Server) -> None:
    asked = b'{"fileName":"a","fileSize":3,"contentType":"text/plain"}'
    headers = (("Content-Type", "application/json"), ("X-Forwarded-Proto", "https"), ("Host", "up.example"))
    answer = proxied.request("POST", "/api/files/upload/create", headers, asked).json()
    assert answer["uploadUrl"] == f"https://up.example/files/{answer['taskId']}"
