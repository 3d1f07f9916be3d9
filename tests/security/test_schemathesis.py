"""schemathesis over the OpenAPI document that the server serves: no answer of 5xx, and every answer as documented."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import schemathesis
from guarded import Guarded
from harness import FULL
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

EACH = 20 if FULL else 6
"""Cases per operation and mode; there are some thirty operations, and two modes."""

_ID = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(scope="module")
def document(guarded: Guarded) -> Any:
    return schemathesis.openapi.from_url(f"http://{guarded.host}:{guarded.port}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_answers_as_its_document_says(guarded: Guarded, document: Any, mode: GenerationMode) -> None:
    counts: Counter[int] = Counter()
    failures = []
    for result in document.get_all_operations():
        try:
            _exercise(guarded, result.ok(), mode, counts)
        except Exception as exc:
            failures.append(exc)
    if failures:
        raise ExceptionGroup(f"{len(failures)} operations answer otherwise than the document says", failures)
    assert sum(counts.values()) >= (500 if FULL else 150)
    assert [status for status in counts if status >= 500] == []
    assert {400, 404, 200} <= set(counts)


def _exercise(guarded: Guarded, operation: Any, mode: GenerationMode, counts: Counter[int]) -> None:
    @settings(
        max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        derandomize=not FULL, phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        _aim(guarded, case)
        answer = case.call_and_validate(headers={"Authorization": f"Bearer {guarded.ann}"})
        counts[answer.status_code] += 1

    run()


def _aim(guarded: Guarded, case: schemathesis.Case) -> None:
    """Let half of the requests that name something name something that is there."""
    for name, value in case.path_parameters.items():
        if name in ("id", "taskId") and _ID.fullmatch(str(value)) and int(value[0], 16) % 2:
            is_file = case.path.startswith("/api/files/{id}")
            case.path_parameters[name] = guarded.finished().file if is_file else guarded.open_upload().id
