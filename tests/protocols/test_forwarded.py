"""Where we are, as clients see it, and which addresses are ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusdrive.protocols.forwarded import part_id, public_base

HOST = {b"host": b"inner:8080"}


def base(headers: dict[bytes, bytes], *, scheme: str = "http", root: str = "", trusted: bool = True) -> str:
    return public_base(scheme=scheme, root_path=root, headers={**HOST, **headers}, trusted=trusted)


FORWARDED = {
    b"forwarded": b"for=1.2.3.4;proto=https;host=evil.example",
    b"x-forwarded-proto": b"https",
    b"x-forwarded-host": b"evil.example",
    b"x-forwarded-port": b"99",
    b"x-forwarded-prefix": b"/evil",
}


def test_nothing_is_believed_of_strangers() -> None:
    assert base(FORWARDED, trusted=False) == "http://inner:8080"


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, "http://inner:8080"),
        ({b"x-forwarded-proto": b"https"}, "https://inner:8080"),
        ({b"x-forwarded-proto": b"HTTPS"}, "https://inner:8080"),
        ({b"x-forwarded-host": b"up.example"}, "http://up.example"),
        ({b"x-forwarded-host": b"Up.Example:8443", b"x-forwarded-proto": b"https"}, "https://up.example:8443"),
        ({b"x-forwarded-host": b"up.example:443", b"x-forwarded-proto": b"https"}, "https://up.example"),
        ({b"x-forwarded-host": b"up.example:80"}, "http://up.example"),
        ({b"x-forwarded-host": b"up.example:443"}, "http://up.example:443"),
        ({b"x-forwarded-host": b"up.example", b"x-forwarded-port": b"8443"}, "http://up.example:8443"),
        ({b"x-forwarded-host": b"up.example", b"x-forwarded-port": b"80"}, "http://up.example"),
        ({b"x-forwarded-host": b"up.example:1", b"x-forwarded-port": b"2"}, "http://up.example:1"),
        ({b"x-forwarded-port": b"2"}, "http://inner:8080"),
        ({b"host": b"up.example", b"x-forwarded-port": b"8443"}, "http://up.example:8443"),
        ({b"x-forwarded-host": b"[2001:db8::1]:8443"}, "http://[2001:db8::1]:8443"),
        ({b"x-forwarded-host": b"[::1]", b"x-forwarded-port": b"81"}, "http://[::1]:81"),
        ({b"x-forwarded-host": b"first.example, second.example"}, "http://first.example"),
        ({b"x-forwarded-proto": b"https,http"}, "https://inner:8080"),
        ({b"x-forwarded-prefix": b"/drive"}, "http://inner:8080/drive"),
        ({b"x-forwarded-prefix": b"/a/b/"}, "http://inner:8080/a/b"),
        ({b"x-forwarded-prefix": b"/"}, "http://inner:8080"),
        ({b"forwarded": b"for=1.2.3.4;proto=https;host=up.example"}, "https://up.example"),
        ({b"forwarded": b'For="[::1]:5";Proto=HTTPS; Host="up.example:8443"'}, "https://up.example:8443"),
        ({b"forwarded": b"host=up.example, host=other"}, "http://up.example"),
        ({b"forwarded": b"for=1.2.3.4"}, "http://inner:8080"),
        ({b"forwarded": b"host=a.example", b"x-forwarded-host": b"b.example"}, "http://a.example"),
        ({b"forwarded": b"host=a.example", b"x-forwarded-port": b"99"}, "http://a.example"),
        ({b"forwarded": b"proto=https", b"x-forwarded-host": b"b.example"}, "https://b.example"),
        # What cannot be is as good as not said.
        ({b"x-forwarded-proto": b"gopher"}, "http://inner:8080"),
        ({b"x-forwarded-proto": b"javascript:"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"evil.example/x"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"user@evil.example"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"evil.example\r\nx: y"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"<script>"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"-evil"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"\xe4.example"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"a:b"}, "http://inner:8080"),
        ({b"x-forwarded-host": b"up.example", b"x-forwarded-port": b"8_0"}, "http://up.example"),
        ({b"x-forwarded-host": b"up.example", b"x-forwarded-port": b"123456"}, "http://up.example"),
        ({b"x-forwarded-host": b"up.example", b"x-forwarded-port": b"\xb2"}, "http://up.example"),
        ({b"x-forwarded-prefix": b"drive"}, "http://inner:8080"),
        ({b"x-forwarded-prefix": b"//evil.example"}, "http://inner:8080"),
        ({b"x-forwarded-prefix": b"/a/../b"}, "http://inner:8080"),
        ({b"x-forwarded-prefix": b"/a/./b"}, "http://inner:8080"),
        ({b"x-forwarded-prefix": b"/a?b"}, "http://inner:8080"),
        ({b"x-forwarded-prefix": b"/%2e%2e"}, "http://inner:8080"),
    ],
)
def test_trusted_proxies(headers: dict[bytes, bytes], wanted: str) -> None:
    assert base(headers) == wanted


@pytest.mark.parametrize(
    ("root", "prefix", "wanted"),
    [
        ("", b"", "http://inner:8080"),
        ("/app", b"", "http://inner:8080/app"),
        ("/app/", b"", "http://inner:8080/app"),
        ("/mein ordner", b"", "http://inner:8080/mein%20ordner"),
        ("/ä", b"", "http://inner:8080/%C3%A4"),
        ("/app", b"/drive", "http://inner:8080/drive/app"),
        ("/drive", b"/drive", "http://inner:8080/drive"),
        ("/drive/app", b"/drive", "http://inner:8080/drive/app"),
        ("/drives", b"/drive", "http://inner:8080/drive/drives"),
    ],
)
def test_mounted(root: str, prefix: bytes, wanted: str) -> None:
    assert base({b"x-forwarded-prefix": prefix}, root=root) == wanted
    if not prefix:
        assert base({}, root=root, trusted=False) == wanted


@pytest.mark.parametrize("host", [b"", b"a b", b"evil/..", b"a:b:c", b"user@host", b"\xff", b"h\n"])
@pytest.mark.parametrize("trusted", [True, False])
def test_without_a_sound_host_there_is_only_a_path(host: bytes, trusted: bool) -> None:
    assert base({b"host": host}, root="/app", trusted=trusted) == "/app"


def test_no_host_header_at_all() -> None:
    assert public_base(scheme="http", root_path="", headers={}, trusted=False) == ""


@pytest.mark.parametrize(
    ("scheme", "host", "wanted"),
    [
        ("https", b"up.example:443", "https://up.example"),
        ("http", b"up.example:443", "http://up.example:443"),
        ("HTTP", b"UP.example:80", "http://up.example"),
        ("ws", b"up.example:80", "ws://up.example:80"),
    ],
)
def test_default_ports(scheme: str, host: bytes, wanted: str) -> None:
    assert base({b"host": host}, scheme=scheme, trusted=False) == wanted


ID = "0123456789abcdef0123456789abcdef"
OURS = "https://up.example:8443/drive"


def ours(url: str, base: str = OURS, base_path: str = "/files") -> str | None:
    return part_id(url, base=base, base_path=base_path)


@pytest.mark.parametrize(
    "url",
    [
        f"https://up.example:8443/drive/files/{ID}",
        f"http://up.example:8443/drive/files/{ID}",
        f"HTTPS://UP.EXAMPLE:8443/drive/files/{ID}",
        f"https://up.example:8443/files/{ID}",
        f"/drive/files/{ID}",
        f"/files/{ID}",
        f"/files/{ID}/",
        f"/files/{ID}?uploadToken=x.y/z%2e#",
        f"/files/{ID}/?x",
    ],
)
def test_our_addresses(url: str) -> None:
    assert ours(url) == ID


@pytest.mark.parametrize(
    "url",
    [
        "", "/", "files", ID, f"files/{ID}", f"./files/{ID}", f"../files/{ID}", "/files", "/files/", f"/other/{ID}",
        f"/files/{ID[:-1]}", f"/files/{ID}0", f"/files/{ID.upper()}", f"/files/{ID}//", f"/files//{ID}",
        f"/files/../files/{ID}", f"/files/./{ID}", f"/files/x/../{ID}", f"/files/{ID}/..", f"/files/%2e%2e/{ID}",
        f"/files%2f{ID}", f"/files/%30{ID[1:]}", f"/files/{ID}\0", f"/files/\0{ID}", f"/files/{ID}%00",
        f"/files\\{ID}", f"/files/{ID}#x", f"/files/{ID};x", f"/Files/{ID}", f"//up.example:8443/files/{ID}",
        f"https://evil.example/files/{ID}", f"https://up.example/files/{ID}", f"https://up.example:443/files/{ID}",
        f"https://user@up.example:8443/files/{ID}", f"https://up.example:8443@evil.example/files/{ID}",
        f"https://evil.example#up.example:8443/files/{ID}", f"https://up.example:8443.evil.example/files/{ID}",
        f"https:///files/{ID}", f"https:/up.example:8443/files/{ID}", f"ftp://up.example:8443/files/{ID}",
        f"file:///files/{ID}", f"https://up.example:8443\\files/{ID}", f"https://up.example:8443?/files/{ID}",
        f" /files/{ID}", f"https://up.example:8443/drive/drive/files/{ID}", f"/files/１{ID[1:]}",
        f"https://up.example:8443 /files/{ID}", f"https://[up.example]:8443/files/{ID}",
    ],
)  # fmt: skip
def test_addresses_of_others(url: str) -> None:
    assert ours(url) is None


def test_other_bases() -> None:
    assert ours(f"/{ID}", "http://h", "/") == ID
    assert ours(f"http://h:80/{ID}", "http://h", "") == ID
    assert ours(f"http://h/files/{ID}", "http://h") == ID
    assert ours(f"http://h/files/{ID}", "/drive") is None, "we do not know our host"
    assert ours(f"/drive/files/{ID}", "/drive") == ID
    assert ours(f"/files/{ID}", "") == ID
    assert ours(f"/mein%20ordner/files/{ID}", "http://h/mein%20ordner") == ID
    assert ours(f"/mein ordner/files/{ID}", "http://h/mein%20ordner") is None


@given(st.text() | st.text(st.sampled_from("/.%2ef0:@?#\\abc ")).map(lambda tail: "/files/" + tail))
def test_whatever_comes_out_is_an_id(url: str) -> None:
    found = ours(url)
    assert found is None or (len(found) == 32 and set(found) <= set("0123456789abcdef"))
