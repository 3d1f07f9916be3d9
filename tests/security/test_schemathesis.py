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
from schemathesis.specs.openapi.checks import negative_data_rejection

EACH = 40 if FULL else 8
"""Cases per operation and mode; there are some thirty operations, and two modes."""

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

_ID = re.compile(r"[0-9a-f]{32}")


# What schemathesis does not expect of itself: tus answers 412 for a version, 413 and 507 for sizes, 460 for checksums;
# what was deleted is 410. And what a schema cannot say (an offset, a date that must lie ahead, headers that exclude each
# other) makes a request that fits it a wrong one.
_REFUSALS = ["400", "401", "403", "404", "405", "409", "410", "412", "413", "415", "416", "422", "460", "507"]
CONFIG = schemathesis.Config.from_dict({
    # Parameters that nobody knows are ignored, and who asks is said by the test.
    "generation": {"allow-extra-parameters": False, "with-security-parameters": False},
    "checks": {
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "507"]},
        "negative_data_rejection": {"expected-statuses": _REFUSALS},
        "missing_required_header": {"expected-statuses": _REFUSALS},
        "positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", *_REFUSALS]},
    },
})


@pytest.fixture(scope="module")
def document(guarded: Guarded) -> Any:
    return schemathesis.openapi.from_url(f"http://{guarded.host}:{guarded.port}/openapi.json", config=CONFIG)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_answers_as_its_document_says(guarded: Guarded, document: Any, mode: GenerationMode) -> None:
    counts: Counter[int] = Counter()
    failures = []
    for result in document.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not any(operation.iter_parameters()) and not operation.body:
            continue  # nothing in it could be wrong
        try:
            _exercise(guarded, operation, mode, counts)
        except Exception as exc:
            failures.append(exc)
    if failures:
        raise ExceptionGroup(f"{len(failures)} operations answer otherwise than the document says", failures)
    assert sum(counts.values()) >= (500 if FULL else 150)
    assert {status for status in counts if status >= 500} <= {507}
    assert {404, 200 if mode is GenerationMode.POSITIVE else 400} <= set(counts)


def _exercise(guarded: Guarded, operation: Any, mode: GenerationMode, counts: Counter[int]) -> None:
    @settings(
        max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        derandomize=not FULL, phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        _aim(guarded, case)
        # What is empty is as good as absent, and of a parameter that comes several times the last counts.
        given = [*case.query.values(), *(case.body.values() if isinstance(case.body, dict) else ())]
        lax = "" in given or any(isinstance(value, list | dict) for value in case.query.values())
        lenient = [negative_data_rejection] if lax else []
        headers = {"Authorization": f"Bearer {guarded.ann}"}
        answer = case.call_and_validate(headers=headers, excluded_checks=lenient)
        counts[answer.status_code] += 1

    run()


def _aim(guarded: Guarded, case: schemathesis.Case) -> None:
    """Let half of the requests that name something name something that is there."""
    for name, value in case.path_parameters.items():
        if name in ("id", "taskId") and _ID.fullmatch(str(value)) and int(value[0], 16) % 2:
            is_file = case.path.startswith("/api/files/{id}")
            case.path_parameters[name] = guarded.finished().file if is_file else guarded.open_upload().id
