"""tus 1.0.0 requests, at the level of headers. Numbers in ids are those of the conformance check list."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tusdrive.domain import errors
from tusdrive.domain.checksum import Checksum
from tusdrive.domain.errors import TusdriveError
from tusdrive.domain.requests import Append, NewUpload
from tusdrive.domain.upload import Kind, Limits
from tusdrive.protocols.algorithms import ALGORITHMS
from tusdrive.protocols.dialect import Dialect, Offer, Reply
from tusdrive.protocols.tus import Tus

TUS: Dialect = Tus()
OFFER = Offer(limits=Limits(max_size=1_000_000, expire_after=10**6), algorithms=ALGORITHMS)
BARE = Offer(limits=Limits(), algorithms={}, termination=False, concatenation=False)

T = {b"tus-resumable": b"1.0.0"}
BODY = {b"content-type": b"application/offset+octet-stream"}
RESUMABLE = (b"tus-resumable", b"1.0.0")
NO_STORE = (b"cache-control", b"no-store")
TEXT = (b"content-type", b"text/plain; charset=utf-8")


def part_id(url: str) -> str | None:
    return {"/files/a": "a" * 32, "http://h/files/b": "b" * 32}.get(url)


def create(headers: dict[bytes, bytes], offer: Offer = OFFER) -> tuple[NewUpload, Append | None]:
    return TUS.read_create({**T, **headers}, offer, part_id)


def append(headers: dict[bytes, bytes]) -> Append:
    return TUS.read_append({**T, **BODY, **headers}, OFFER)


def test_it_answers_for_whatever_is_left() -> None:
    assert TUS.name == "tus"
    assert TUS.speaks("POST", T)
    assert TUS.speaks("PATCH", {})


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "HEAD", "PUT"])
@pytest.mark.parametrize("version", [None, b"0.2.2", b"99.0.0", b"", b"1.0", b"1.0.0, 1.0.0"])
def test_checks_1_2_other_versions(method: str, version: bytes | None) -> None:
    headers = {} if version is None else {b"tus-resumable": version}
    with pytest.raises(errors.UnsupportedVersion) as refused:
        TUS.check(method, headers)
    assert TUS.refused(refused.value, None) == Reply(
        412,
        [RESUMABLE, NO_STORE, TEXT, (b"tus-version", b"1.0.0")],
        b"UNSUPPORTED_VERSION: Tus-Resumable must be 1.0.0\n",
    )


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "HEAD"])
def test_our_version(method: str) -> None:
    TUS.check(method, T)


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
@pytest.mark.parametrize("headers", [{}, {b"tus-resumable": b"9.9.9"}])
def test_checks_4_5_no_version_wanted(method: str, headers: dict[bytes, bytes]) -> None:
    TUS.check(method, headers)


def test_checks_4_6_7_8_65_options() -> None:
    assert TUS.options(OFFER) == Reply(
        200,
        [
            (b"tus-version", b"1.0.0"),
            (
                b"tus-extension",
                b"creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation,"
                b"concatenation-unfinished",
            ),
            (b"tus-max-size", b"1000000"),
            (b"tus-checksum-algorithm", b"sha1,md5,sha256,sha512,crc32,xxh3-128"),
        ],
    )


def test_checks_6_7_options_of_a_bare_server() -> None:
    assert TUS.options(BARE) == Reply(
        200,
        [(b"tus-version", b"1.0.0"), (b"tus-extension", b"creation,creation-with-upload,creation-defer-length")],
    )


def test_answers_are_not_shared() -> None:
    TUS.options(OFFER).headers.clear()
    assert len(TUS.options(OFFER).headers) == 4


# ---------------------------------------------------------------------------------------------------- creation


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        pytest.param({b"upload-length": b"100"}, {"length": 100}, id="37"),
        pytest.param({b"upload-length": b"0"}, {"length": 0}, id="43"),
        pytest.param({b"upload-length": b"1", b"content-type": b"image/png"}, {"length": 1}, id="44"),
        pytest.param({b"upload-defer-length": b"1"}, {"length": None}, id="53"),
        pytest.param({b"upload-length": b"1", b"upload-metadata": b""}, {"length": 1}, id="51"),
        pytest.param(
            {b"upload-length": b"1", b"upload-metadata": b"filename d29ybGQ=,is_confidential"},
            {"length": 1, "file_name": "world", "metadata": "filename d29ybGQ=,is_confidential"},
            id="46",
        ),
        pytest.param({b"upload-length": b"1", b"upload-metadata": b"key "}, {"length": 1, "metadata": "key "}, id="47"),
        pytest.param(
            {b"upload-length": b"9", b"upload-concat": b"partial"},
            {"length": 9, "kind": Kind.PARTIAL, "concat": "partial"},
            id="90",
        ),
        pytest.param(
            {b"upload-concat": b"final;/files/a http://h/files/b"},
            {"kind": Kind.FINAL, "parts": ("a" * 32, "b" * 32), "concat": "final;/files/a http://h/files/b"},
            id="91 96",
        ),
        pytest.param(
            {b"upload-concat": b"final;/files/a /files/a", **BODY, b"content-length": b"0"},
            {"kind": Kind.FINAL, "parts": ("a" * 32, "a" * 32), "concat": "final;/files/a /files/a"},
            id="97",
        ),
    ],
)
def test_create(headers: dict[bytes, bytes], wanted: dict[str, object]) -> None:
    assert create(headers) == (NewUpload(**wanted), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        pytest.param({}, errors.InvalidLength, id="38"),
        pytest.param({b"upload-length": b"1", b"upload-defer-length": b"1"}, errors.InvalidLength, id="39"),
        *(
            pytest.param({b"upload-length": value}, errors.InvalidLength, id=f"40 {value!r}")
            for value in (b"-1", b"1.5", b"abc", b"", b"+5", b"1_000", b"1e3")
        ),
        *(
            pytest.param({b"upload-defer-length": value}, errors.InvalidLength, id=f"41 {value!r}")
            for value in (b"0", b"2", b"true", b"", b"1 ")
        ),
        pytest.param({b"upload-length": str(2**63).encode()}, errors.TooLarge, id="2^63"),
        pytest.param({b"upload-length": b"1" + b"0" * 400}, errors.TooLarge, id="10^400"),
        *(
            pytest.param(
                {b"upload-length": b"1", b"upload-metadata": value}, errors.InvalidMetadata, id=f"48-50 {value!r}"
            )
            for value in (b" dmFs", b",a YQ==", b"a b YQ==", b"a YQ==,a YQ==", b"a YQ", "ä YQ==".encode())
        ),
        pytest.param({b"upload-length": b"1", b"upload-metadata": b"a " * 3000}, errors.HeaderTooLarge, id="52"),
        pytest.param({b"upload-concat": b"final;/files/a", b"upload-length": b"5"}, errors.InvalidLength, id="95"),
        pytest.param(
            {b"upload-concat": b"final;/files/a", b"upload-defer-length": b"1"}, errors.InvalidLength, id="95 deferred"
        ),
        pytest.param({b"upload-concat": b"final;/files/a", b"content-length": b"5"}, errors.ModifyFinal, id="95 body"),
        pytest.param(
            {b"upload-concat": b"final;/files/a", b"transfer-encoding": b"chunked"}, errors.ModifyFinal, id="95 chunked"
        ),
        pytest.param({b"upload-concat": b"final;http://evil/files/a"}, errors.InvalidConcat, id="96"),
        *(
            pytest.param({b"upload-concat": value, b"upload-length": b"1"}, errors.InvalidConcat, id=f"98 {value!r}")
            for value in (b"final;", b"foo", b"")
        ),
    ],
)
def test_create_refuses(headers: dict[bytes, bytes], error: type[TusdriveError]) -> None:
    with pytest.raises(error):
        create(headers)


def test_decoded_values_that_may_not_be_names() -> None:
    """Check 50: CR, LF and NUL never reach a header or a path."""
    for raw in (b"a\r\nx: y", b"\0", b"\xff"):
        with pytest.raises(errors.InvalidMetadata):
            create({b"upload-length": b"1", b"upload-metadata": b"filename " + b64encode(raw)})
    new, _ = create({b"upload-length": b"1", b"upload-metadata": b"other DQo=,filetype DQo="})
    assert (new.file_name, new.content_type) == ("", "")


@pytest.mark.parametrize(
    ("values", "name", "kind"),
    [
        ({"filename": "a.txt", "name": "b.txt", "filetype": "text/plain", "type": "a/b"}, "a.txt", "text/plain"),
        ({"relativePath": "null", "name": "b.txt", "type": "image/png"}, "b.txt", "image/png"),
        ({"filename": "", "filetype": "null"}, "", ""),
        ({"filename": "日本.txt", "filetype": "undefined"}, "日本.txt", ""),
    ],
)
def test_names_and_types(values: dict[str, str], name: str, kind: str) -> None:
    header = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())
    new, _ = create({b"upload-length": b"1", b"upload-metadata": header.encode()})
    assert (new.file_name, new.content_type, new.metadata, new.auto_finish) == (name, kind, header, True)


@pytest.mark.parametrize(
    ("pool", "wanted"), [(b"", None), (b"null", None), (b"undefined", None), (b"p-1", "p-1")]
)
def test_pool(pool: bytes, wanted: str | None) -> None:
    new, _ = create({b"upload-length": b"1", b"upload-metadata": b"pool " + b64encode(pool)})
    assert new.pool == wanted


def test_a_pool_that_cannot_be() -> None:
    with pytest.raises(errors.Invalid):
        create({b"upload-length": b"1", b"upload-metadata": b"pool " + b64encode(b"../p")})


def test_concatenation_can_be_off() -> None:
    for concat in (b"partial", b"final;/files/a"):
        with pytest.raises(errors.InvalidConcat, match="this server joins no uploads"):
            create({b"upload-length": b"1", b"upload-concat": concat}, BARE)
    assert create({b"upload-length": b"1"}, BARE)[0].kind is Kind.WHOLE


CRC = Checksum(ALGORITHMS["crc32"], bytes.fromhex("cbf43926"))


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        pytest.param({b"upload-length": b"9"}, Append(offset=0), id="60"),
        pytest.param({b"upload-defer-length": b"1"}, Append(offset=0), id="63"),
        pytest.param({b"upload-length": b"9", b"upload-concat": b"partial"}, Append(offset=0), id="90"),
        pytest.param(
            {b"upload-length": b"9", b"upload-checksum": b"crc32 y/Q5Jg=="}, Append(offset=0, checksum=CRC), id="66"
        ),
    ],
)
@pytest.mark.parametrize("kind", [b"application/offset+octet-stream", b"Application/Offset+Octet-Stream; charset=x"])
def test_creation_with_upload(headers: dict[bytes, bytes], wanted: Append, kind: bytes) -> None:
    assert create({**headers, b"content-type": kind})[1] == wanted


def test_creation_with_a_checksum_that_cannot_be() -> None:
    with pytest.raises(errors.InvalidChecksum):
        create({b"upload-length": b"9", **BODY, b"upload-checksum": b"SHA1 y/Q5Jg=="})


# ---------------------------------------------------------------------------------------------------- append


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        pytest.param({b"upload-offset": b"70"}, Append(offset=70), id="21"),
        pytest.param({b"upload-offset": b"0", b"upload-concat": b"partial"}, Append(offset=0), id="parallel uploads"),
        pytest.param({b"upload-offset": b"5", b"upload-length": b"10"}, Append(offset=5, declares=10), id="55"),
        pytest.param(
            {b"upload-offset": b"5", b"upload-checksum": b"crc32 y/Q5Jg=="}, Append(offset=5, checksum=CRC), id="72"
        ),
    ],
)
def test_append(headers: dict[bytes, bytes], wanted: Append) -> None:
    assert append(headers) == wanted


@pytest.mark.parametrize("kind", [b"APPLICATION/offset+octet-stream", b"application/offset+octet-stream ; charset=x"])
def test_check_23_content_type_in_other_spellings(kind: bytes) -> None:
    assert append({b"content-type": kind, b"upload-offset": b"1"}) == Append(offset=1)


@pytest.mark.parametrize("kind", [None, b"", b"application/octet-stream", b"application/offset+octet-streams", b"x"])
def test_check_22_other_content_types(kind: bytes | None) -> None:
    headers = {**T, b"upload-offset": b"0"} if kind is None else {**T, b"upload-offset": b"0", b"content-type": kind}
    with pytest.raises(errors.UnsupportedMedia):
        TUS.read_append(headers, OFFER)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        pytest.param({}, errors.InvalidOffset, id="25 missing"),
        *(
            pytest.param({b"upload-offset": value}, errors.InvalidOffset, id=f"25 {value[:9]!r}")
            for value in (b"-1", b"1.5", b"abc", b"+1", b"", str(2**63).encode(), b"1" + b"0" * 400)
        ),
        pytest.param({b"upload-offset": b"0", b"upload-length": b"-1"}, errors.InvalidLength, id="55 bad"),
        pytest.param({b"upload-offset": b"0", b"upload-length": b"9" * 20}, errors.TooLarge, id="58 huge"),
        *(
            pytest.param(
                {b"upload-offset": b"0", b"upload-checksum": value}, errors.InvalidChecksum, id=f"74-75 {value!r}"
            )
            for value in (b"sha3 AAAA", b"sha1", b"sha1 !!!!", b"crc32 AAAA", b"CRC32 y/Q5Jg==")
        ),
    ],
)
def test_append_refuses(headers: dict[bytes, bytes], error: type[TusdriveError]) -> None:
    with pytest.raises(error):
        append(headers)


