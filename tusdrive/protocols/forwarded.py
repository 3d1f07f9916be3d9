"""Our own address as clients see it, and which addresses are ours.

Forwarded (RFC 7239) and X-Forwarded-Proto, -Host, -Port and -Prefix count only when the peer is a trusted proxy.
Where several values stand in a row the first is taken: that proxy saw the client.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from .fields import Headers, is_upload_id

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"([^"\\]*)"|([^\s;,"]*))\s*(?:;|$)')
_OWN_PORT = re.compile(r":[0-9]+$")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}


def public_base(*, scheme: str, root_path: str, headers: Headers, trusted: bool) -> str:
    """What goes in front of `/files/...` in addresses for this request's client; no slash at the end.

    `https://host:port/prefix`, or only the path when no sound host is named. `root_path` is the decoded path that the
    application is mounted at; `trusted` says that the peer is a proxy whose Forwarded headers may be believed.
    A host or prefix with characters that cannot be in one is as good as none.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    if not trusted:
        return _base(scheme.lower(), host, _quoted(root_path))
    told = _forwarded(headers)
    host = told.get("host", host)
    if "port" in told and not _OWN_PORT.search(host):
        host = f"{host}:{told['port']}"
    path, prefix = _quoted(root_path), told.get("prefix", "")
    if path != prefix and not path.startswith(prefix + "/"):
        path = prefix + path
    return _base(told.get("proto", scheme.lower()), host, path)


def part_id(url: str, *, base: str, base_path: str) -> str | None:
    """The id of the upload that a client's address names; None unless it is one of ours.

    `base` is this request's public_base, `base_path` where uploads are below it (`/files`). The address is absolute
    (http or https, our host) or a path from the root, with or without the prefix that a proxy takes away. A query is
    ignored, a slash at the end allowed; nothing is decoded and nothing resolved, so that no path leads elsewhere.
    """
    host, prefixes = _own(base, base_path)
    path = _own_path(url.partition("?")[0], host)
    for prefix in prefixes:
        if path.startswith(prefix):
            name = path[len(prefix) :].removesuffix("/")
            if is_upload_id(name):
                return name
    return None


@lru_cache(maxsize=256)
def _base(scheme: str, host: str, path: str) -> str:
    authority = _authority(host, scheme)
    return f"{scheme}://{authority}{path}" if authority else path


@lru_cache(maxsize=256)
def _own(base: str, base_path: str) -> tuple[str, tuple[str, str]]:
    """Our host, and the beginnings of our paths."""
    scheme, separator, rest = base.partition("://")
    authority, slash, path = rest.partition("/") if separator else ("", "", base)
    below = base_path.rstrip("/") + "/"
    return _authority(authority, scheme), (slash + path + below, below)


def _own_path(url: str, host: str) -> str:
    """The path of an address that is ours, else the empty string."""
    if url.startswith("/"):
        return url
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    scheme = scheme.lower()
    if not host or scheme not in _DEFAULT_PORT or _authority(authority, scheme) != host:
        return ""
    return slash + path


def _authority(host: str, scheme: str) -> str:
    """Host and port in one spelling: lower case, without the scheme's own port. Empty when it is none."""
    if _HOST.fullmatch(host) is None:
        return ""
    return host.lower().removesuffix(_DEFAULT_PORT.get(scheme, "\0"))


def _quoted(root_path: str) -> str:
    return quote(root_path.rstrip("/"), safe="/~!$&'()*+,;=:@")


def _forwarded(headers: Headers) -> dict[str, str]:
    """What proxies said that may be believed: proto, host, port, prefix. Forwarded wins over X-Forwarded-*."""
    said = {name: _first(headers, b"x-forwarded-" + name.encode()) for name in ("proto", "host", "port", "prefix")}
    for key, quoted, plain in _PAIR.findall(_first(headers, b"forwarded")):
        name = key.lower()
        if name in ("proto", "host"):
            said[name] = quoted or plain
        if name == "host":
            said["port"] = ""  # it is in the host, or it is the scheme's own
    said["proto"] = said["proto"].lower()
    said["prefix"] = said["prefix"].rstrip("/")
    return {name: value for name, value in said.items() if _is_sound(name, value)}


def _is_sound(name: str, value: str) -> bool:
    if name == "proto":
        return value in _DEFAULT_PORT
    if name == "host":
        return _HOST.fullmatch(value) is not None
    if name == "port":
        return value.isascii() and value.isdigit() and len(value) <= 5
    return _PREFIX.fullmatch(value) is not None and not {".", ".."} & set(value.split("/"))


def _first(headers: Headers, name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").partition(",")[0].strip()
