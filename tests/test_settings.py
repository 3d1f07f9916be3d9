"""Settings: how values are written, who wins, what the spec's names mean, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tusdrive import units
from tusdrive.domain.upload import Limits
from tusdrive.settings import OPTIONS, SettingError, Settings, flag, limits, load, settings_table


def loaded(*, env: dict[str, str] | None = None, config: str | None = None, **flags: str) -> Settings:
    return load(flags, env or {}, config).settings


# ---- how values are written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("10GiB", 10737418240),
        ("10gib", 10737418240),
        ("10 GiB", 10737418240),
        ("10G", 10737418240),
        ("10GB", 10000000000),
        ("500kB", 500000),
        ("1.5MiB", 1572864),
        ("512b", 512),
        ("2TiB", 2199023255552),
    ],
)
def test_size(text: str, value: int) -> None:
    assert units.read_size(text) == value


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_000", "1e3", "ten", "10 X", "10GiBs", "٣", "1.", ".5", "9" * 17])
def test_size_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size"):
        units.read_size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("30", 30.0),
        ("1.5", 1.5),
        ("30s", 30.0),
        ("500ms", 0.5),
        ("60m", 3600.0),
        ("60min", 3600.0),
        ("24h", 86400.0),
        ("7d", 604800.0),
        ("2w", 1209600.0),
        ("1h30m", 5400.0),
        ("1H 30M", 5400.0),
    ],
)
def test_duration(text: str, value: float) -> None:
    assert units.read_duration(text) == value


@pytest.mark.parametrize("text", ["", "-1", "h", "1y", "1h30", "1 2", "1e3", "inf", "nan", "1_0s"])
def test_duration_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        units.read_duration(text)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1, "1"), (1024, "1KiB"), (5242880, "5MiB"), (1025, "1025"), (10**9, "1000000000")]
)
def test_show_size(value: int, text: str) -> None:
    assert units.show_size(value) == text
    assert units.read_size(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5s"), (30.0, "30s"), (3600.0, "60m"), (86400.0, "24h"), (604800.0, "7d"), (1234567.0, "1234567s")],
)
def test_show_duration(value: float, text: str) -> None:
    assert units.show_duration(value) == text
    assert units.read_duration(text) == value


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("info", "info"),
        ("WARN", "warning"),
        ("Information", "info"),
        ("Trace", "debug"),
        ("tusdrive.engine:debug", "tusdrive.engine:debug"),
        ("tusdrive:Warning", "tusdrive:warning"),
        ("DysonNetwork.Drive.Storage:Debug", "debug"),
        ("tusdriven:debug", "debug"),
    ],
)
def test_log_level(text: str, level: str) -> None:
    assert loaded(log_level=text).log_level == level


def test_defaults_can_be_written_down() -> None:
    for name, option in OPTIONS.items():
        assert option.kind.read(option.kind.show(option.default)) == option.default, name


def test_defaults() -> None:
    assert dataclasses.asdict(loaded()) == {
        "host": "127.0.0.1",
        "port": 8080,
        "unix_socket": None,
        "tls_cert": None,
        "tls_key": None,
        "behind_proxy": (),
        "base_path": "/files",
        "data": Path("data"),
        "durability": "durable",
        "reserve": 67108864,
        "sync_every": 8388608,
        "write_threads": 16,
        "hash": "auto",
        "default_pool": None,
        "max_size": None,
        "quota": None,
        "expire_after": 86400.0,
        "cleanup_interval": 3600.0,
        "default_chunk_size": 5242880,
        "max_chunk_size": 16777216,
        "max_chunks": 100000,
        "body_idle": 30.0,
        "lock_timeout": 10.0,
        "max_header": 32768,
        "auth": "jwt",
        "jwt_secret_file": None,
        "jwks": None,
        "jwt_audience": None,
        "jwt_issuer": None,
        "jwt_leeway": 10.0,
        "upload_tokens": True,
        "cors_origin": ("*",),
        "location": "absolute",
        "json_case": "camel",
        "docs": True,
        "log_format": "text",
        "log_level": "info",
        "shutdown_grace": 10.0,
    }
    assert Settings() == loaded()


def test_limits_match_the_domain_by_default() -> None:
    assert limits(Settings()) == Limits(expire_after=86_400_000_000)


def test_limits() -> None:
    settings = loaded(max_size="1GiB", quota="2GiB", expire_after="1.5s", max_chunk_size="8MiB", max_chunks="7",
                      default_chunk_size="1MiB")
    assert limits(settings) == Limits(
        max_size=1 << 30, quota=2 << 30, expire_after=1_500_000, max_chunk_size=8 << 20, max_chunks=7,
        default_chunk_size=1 << 20,
    )
    assert limits(loaded(expire_after="never")).expire_after is None


def test_secret_file() -> None:
    assert loaded(data="/srv/x").secret_file == Path("/srv/x/secret")
    assert loaded(data="/srv/x", jwt_secret_file="/run/secret").secret_file == Path("/run/secret")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_size", "10GiB", 10 << 30),
        ("max_size", "off", None),
        ("max_size", "Unlimited", None),
        ("quota", "0", 0),
        ("expire_after", "7d", 604800.0),
        ("expire_after", "0", None),
        ("expire_after", "off", None),
        ("behind_proxy", "10.1.2.3/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
        ("behind_proxy", "off", ()),
        ("cors_origin", "https://A.example,http://[::1]:3000", ("https://a.example", "http://[::1]:3000")),
        ("cors_origin", "off", ()),
        ("upload_tokens", "Off", False),
        ("docs", "yes", True),
        ("port", "0", 0),
        ("base_path", "/uploads/tus/", "/uploads/tus"),
        ("base_path", "/api/tus", "/api/tus"),
        ("base_path", "/", "/"),
        ("default_pool", "550E8400-E29B-41D4-A716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("jwks", "https://id.example/keys", "https://id.example/keys"),
        ("jwks", "keys.json", "keys.json"),
        ("data", "~/x", Path.home() / "x"),
        ("json_case", "SNAKE", "snake"),
    ],
)
def test_value(name: str, text: str, value: Any) -> None:
    assert getattr(loaded(**{name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("max_size", "10Zorks", "must be a size such as 500MB, 10GiB or 1048576"),
        ("max_size", "0", "must be at least 1"),
        ("max_size", "-1", "must be a size such as 500MB, 10GiB or 1048576"),
        ("expire_after", "soon", "must be a duration such as 30s, 24h or 7d"),
        ("cleanup_interval", "0", "must be at least 1s"),
        ("port", "65536", "must be a whole number from 0 to 65535"),
        ("port", "80.0", "must be a whole number from 0 to 65535"),
        ("port", "٨٠", "must be a whole number from 0 to 65535"),
        ("max_chunks", "0", "must be a whole number of at least 1"),
        ("durability", "eventual", "must be durable or relaxed"),
        ("auth", "basic", "must be jwt or none"),
        ("docs", "maybe", "must be on or off"),
        ("behind_proxy", "10.0.0.0/33", "must be networks such as 10.0.0.0/8 ('10.0.0.0/33' is not)"),
        ("behind_proxy", "*", "must be networks such as 10.0.0.0/8 ('*' is not)"),
        ("cors_origin", "app.example", "must be origins such as https://app.example, or * ('app.example' is not)"),
        ("cors_origin", "https://a.example/x", "must be origins such as https://app.example, or * "
         "('https://a.example/x' is not)"),
        ("base_path", "files", "must be a path such as /files"),
        ("base_path", "/a/../b", "must be a path such as /files"),
        ("base_path", "/a//b", "must be a path such as /files"),
        ("base_path", "/a?b", "must be a path such as /files"),
        ("base_path", "/api", "must not lie where the REST API is"),
        ("base_path", "/api/files/", "must not lie where the REST API is"),
        ("base_path", "/drive/files/x", "must not lie where the REST API is"),
        ("base_path", "/health", "must not lie where the REST API is"),
        ("default_pool", "main", "must be a UUID"),
        ("jwks", "file:///etc/passwd", "must be a file or an https URL"),
        ("log_level", "loud", "must be debug, info, warning, error or critical, or MODULE:LEVEL"),
        ("host", "", "must be printable text"),
        ("data", "", "must be a path"),
        ("data", "a\0b", "must be a path"),
    ],
)  # fmt: skip
def test_value_refused(name: str, text: str, why: str) -> None:
    with pytest.raises(SettingError) as caught:
        loaded(**{name: text})
    assert str(caught.value) == f"{name} = {text!r} (from {flag(name)}): {why}"


def test_values_that_contradict_each_other() -> None:
    with pytest.raises(SettingError, match="tls_cert and tls_key: give both or neither"):
        loaded(tls_cert="/c.pem")
    with pytest.raises(SettingError, match=r"default_chunk_size must not be over max_chunk_size \(5MiB > 1MiB\)"):
        loaded(max_chunk_size="1MiB")
    with pytest.raises(SettingError, match="give both or neither"):
        Settings(tls_key=Path("/k.pem"))


# ---- who wins


def test_flag_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "tusdrive.toml"
    file.write_text("port = 1\nmax_size = '1KiB'\nquota = 5\n")
    env = {"TUSDRIVE_PORT": "2", "TUSDRIVE_MAX_SIZE": "2KiB"}
    found = load({"port": "3"}, env, str(file))
    assert (found.settings.port, found.settings.max_size, found.settings.quota) == (3, 2048, 5)
    assert found.settings.host == "127.0.0.1"
    assert (found.sources["port"], found.sources["max_size"]) == ("--port", "TUSDRIVE_MAX_SIZE")
    assert (found.sources["quota"], found.sources["host"]) == (str(file), "default")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_has_all_three_names(name: str, tmp_path: Path) -> None:
    option = OPTIONS[name]
    text = option.kind.show(option.default)
    file = tmp_path / "t.toml"
    file.write_text(f"{name} = '{text}'\n")
    assert load({}, {f"TUSDRIVE_{name.upper()}": text}).sources[name] == f"TUSDRIVE_{name.upper()}"
    assert load({}, {}, str(file)).sources[name] == str(file)
    assert load({name: text}, {}).sources[name] == "--" + name.replace("_", "-")


def test_a_wrong_value_is_named_even_if_another_wins() -> None:
    with pytest.raises(SettingError, match=r"port = 'x' \(from TUSDRIVE_PORT\)"):
        loaded(env={"TUSDRIVE_PORT": "x"}, port="1")


def test_empty_variable_counts_as_none() -> None:
    assert loaded(env={"TUSDRIVE_PORT": "", "UPLOAD_MAX_CHUNK_SIZE": ""}) == Settings()


# ---- the spec's names


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("STORAGE_UPLOADS_PATH", "/tmp/uploads", "data", Path("/tmp/uploads")),
        ("STORAGE_PREFERRED_REMOTE", "550e8400-e29b-41d4-a716-446655440000", "default_pool",
         "550e8400-e29b-41d4-a716-446655440000"),
        ("UPLOAD_DEFAULT_CHUNK_SIZE", "5242880", "default_chunk_size", 5242880),
        ("UPLOAD_MAX_CHUNK_SIZE", "16777216", "max_chunk_size", 16777216),
        ("UPLOAD_STALE_THRESHOLD_HOURS", "24", "expire_after", 86400.0),
        ("UPLOAD_STALE_THRESHOLD_HOURS", "0", "expire_after", None),
        ("UPLOAD_CLEANUP_INTERVAL_MINUTES", "60", "cleanup_interval", 3600.0),
        ("LOG_LEVEL", "DysonNetwork.Drive.Storage:Debug", "log_level", "debug"),
    ],
)  # fmt: skip
def test_alias(variable: str, text: str, name: str, value: Any) -> None:
    found = load({}, {variable: text})
    assert getattr(found.settings, name) == value
    assert found.sources[name] == variable


def test_own_name_wins_over_alias() -> None:
    env = {"TUSDRIVE_DATA": "/a", "STORAGE_UPLOADS_PATH": "/b"}
    assert loaded(env=env).data == Path("/a")


def test_wrong_alias_is_named() -> None:
    with pytest.raises(SettingError, match=r"expire_after = 'xh' \(from UPLOAD_STALE_THRESHOLD_HOURS\)"):
        loaded(env={"UPLOAD_STALE_THRESHOLD_HOURS": "x"})


def test_variables_without_effect_are_told() -> None:
    env = {"UPLOAD_CACHE_DURATION_MINUTES": "30", "TUSDRIVE_MAXSIZE": "1", "TUSDRIVE_CONFIG": "", "TUSDRIVE_FULL": "1",
           "TUSDRIVE_PORT": "1", "PATH": "x"}  # fmt: skip
    assert load({}, env).notes == (
        "UPLOAD_CACHE_DURATION_MINUTES has no effect: there is no cache whose age could be set; "
        "tasks are always read fresh",
        "TUSDRIVE_MAXSIZE is no setting",
    )


def test_every_name_of_the_spec_is_known() -> None:
    aliases = {alias for option in OPTIONS.values() for alias, _ in option.aliases}
    assert aliases == {
        "STORAGE_UPLOADS_PATH", "STORAGE_PREFERRED_REMOTE", "UPLOAD_DEFAULT_CHUNK_SIZE", "UPLOAD_MAX_CHUNK_SIZE",
        "UPLOAD_STALE_THRESHOLD_HOURS", "UPLOAD_CLEANUP_INTERVAL_MINUTES", "LOG_LEVEL",
    }  # fmt: skip


# ---- the file


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("[tusdrive]\nport = 81\n[other]\nx = 1", "port", 81),
        ("port = 81", "port", 81),
        ("max_size = '10GiB'", "max_size", 10 << 30),
        ("max_size = 1024", "max_size", 1024),
        ("expire_after = false", "expire_after", None),
        ("body_idle = 1.5", "body_idle", 1.5),
        ("docs = false", "docs", False),
        ("docs = true", "docs", True),
        ("cors_origin = ['https://a.example', 'https://b.example']", "cors_origin",
         ("https://a.example", "https://b.example")),
        ("cors_origin = []", "cors_origin", ()),
    ],
)  # fmt: skip
def test_file(text: str, name: str, value: Any, tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(text)
    assert getattr(loaded(config=str(file)), name) == value
    assert getattr(loaded(env={"TUSDRIVE_CONFIG": str(file)}), name) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max-size = 1", r"max-size \(from FILE\): there is no such setting; max_size\?"),
        ("wibble = 1", r"wibble \(from FILE\): there is no such setting"),
        ("[tusdrive]\nports = 1", r"ports \(from FILE\): there is no such setting; port\?"),
        ("tusdrive = 1", r"FILE: tusdrive must be a table"),
        ("port = 'x'", r"port = 'x' \(from FILE\): must be a whole number from 0 to 65535"),
        ("port = {}", r"port \(from FILE\): must be text, a number, on or off, or a list of texts"),
        ("cors_origin = [1]", r"cors_origin \(from FILE\): must be text, a number, on or off, or a list of texts"),
        ("port = 1979-05-27", r"port \(from FILE\): must be text, a number, on or off, or a list of texts"),
        ("port = ", r"FILE \(from --config\): Invalid value \(at end of document\)"),
        ("port = 1\nport = 2", r"FILE \(from --config\): Cannot overwrite a value \(at end of document\)"),
    ],
)
def test_file_refused(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=why.replace("FILE", re.escape(str(file)))):
        loaded(config=str(file))


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"/none.toml \(from TUSDRIVE_CONFIG\): No such file or directory"):
        loaded(env={"TUSDRIVE_CONFIG": str(tmp_path / "none.toml")})


def test_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"t\.toml"):
        loaded(config=str(tmp_path / "t.toml"))


# ---- the table


def test_table() -> None:
    rows = settings_table().splitlines()
    assert rows[0] == "| setting | default | what it says | other names |"
    assert len(rows) == 2 + len(OPTIONS)
    assert (
        "| `expire_after` | `24h` | unfinished uploads go after this long without activity "
        "| `UPLOAD_STALE_THRESHOLD_HOURS` |"
    ) in rows
    assert all(row.count("|") - row.count("\\|") == 5 for row in rows)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]
