"""The HTTP surface as clients see it: real servers on real ports, one for each way to configure them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asking import end
from harness import Server, token


def _serving(name: str, *options: str, auth: str = "none") -> Callable[..., Any]:
    """A server that is started when it is first asked for, and checked at the end of the session."""

    @pytest.fixture(scope="session", name=name)
    def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        with Server(tmp_path_factory.mktemp(name) / "data", *options, auth=auth) as server:
            yield server
            end(server)

    return serving


server = _serving("server")
limited = _serving("limited", "--max-size", "200KiB", "--sync-every", "64KiB", "--expire-after", "0")
accounts = _serving("accounts", "--jwt-leeway", "0", auth="jwt")
brief = _serving("brief", "--expire-after", "2s")
hasty = _serving("hasty", "--body-idle", "0.5s")
proxied = _serving("proxied", "--behind-proxy", "127.0.0.1/32")
relative = _serving("relative", "--location", "relative", "--behind-proxy", "127.0.0.1/32")
snake = _serving("snake", "--json-case", "snake")
closed = _serving("closed", "--cors-origin", "https://app.example")


@pytest.fixture(scope="session")
def anna(accounts: Server) -> str:
    """The token of an account without roles."""
    return token(accounts, "--account", "anna")


@pytest.fixture(scope="session")
def bert(accounts: Server) -> str:
    return token(accounts, "--account", "bert")


@pytest.fixture
def fresh(tmp_path: Any) -> Iterator[Server]:
    """A server for one test, which may stop it and look into its data."""
    with Server(tmp_path / "data", auth="none") as server:
        yield server
