"""Room in an account and on the disk, who may touch what, and files that are gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tusdrive.domain.account import Account, Principal, Space, promise, promise_space
from tusdrive.domain.errors import Gone, QuotaExceeded, StorageFull
from tusdrive.domain.file import File, refuse_absent


def test_promise() -> None:
    before = Account(id="ann", used=50, promised=20)
    assert promise(before, 30, 100) == Account(id="ann", used=50, promised=50)
    assert promise(before, 10**15, None).promised == 20 + 10**15
    with pytest.raises(QuotaExceeded) as refused:
        promise(before, 31, 100)
    assert refused.value.details == {"used": 50, "promised": 20, "requested": 31, "quota": 100}


def test_an_account_of_its_own_quota() -> None:
    assert promise(Account(id="ann", quota=200), 150, 100).promised == 150
    with pytest.raises(QuotaExceeded):
        promise(Account(id="ann", quota=0), 1, None)


def test_promise_space() -> None:
    assert promise_space(Space(promised=60), 40, 100) == Space(promised=100)
    assert promise_space(Space(promised=60), 10**15, None).promised == 60 + 10**15
    assert promise_space(Space(promised=60), 0, 10) == Space(promised=60)
    with pytest.raises(StorageFull) as refused:
        promise_space(Space(promised=60), 41, 100)
    assert refused.value.details == {"requested": 41, "available": 40}
    with pytest.raises(StorageFull) as refused:
        promise_space(Space(promised=60), 1, 10)
    assert refused.value.details == {"requested": 1, "available": 0}


@pytest.mark.parametrize(
    ("who", "wanted"),
    [
        (Principal(account="ann"), True),
        (Principal(account="bob"), False),
        (Principal(account="bob", roles=frozenset({"admin"})), True),
        (Principal(account="ann", upload="a" * 32), False),
        (Principal(account="ann", roles=frozenset({"admin"}), upload="a" * 32), False),
    ],
)
def test_may_touch(who: Principal, wanted: bool) -> None:
    assert who.may_touch("ann") is wanted


def test_absent_files() -> None:
    file = File(id="f", account="ann", upload="u", blob="b", name="n", content_type="", size=1, expires_at=10)
    refuse_absent(file, 9)
    with pytest.raises(Gone, match="expired"):
        refuse_absent(file, 10)
    with pytest.raises(Gone, match="deleted"):
        refuse_absent(replace(file, deleted_at=5), 9)
    refuse_absent(replace(file, expires_at=None), 99)
