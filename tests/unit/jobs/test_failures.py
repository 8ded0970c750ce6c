"""Why jobs fail, in words that say what to do next and whose fault it was."""

import pytest

from aig.errors import InvalidRequest
from aig.jobs import failures
from aig.jobs.job import Failure
from aig.modalities.job import Failed
from tests.unit.jobs.orders import a_job

TYPES = {"invalid_request_error", "provider_error", "timeout_error", "internal_error"}
ALL = [
    failures.LOST,
    failures.UNKNOWN,
    failures.UNUSABLE,
    failures.GONE,
    failures.PICTURE_GONE,
    failures.INTERNAL,
    failures.EXPIRED,
    failures.too_late(a_job()),
    failures.too_late(a_job(status="processing")),
    failures.told(Failed("rejected")),
    failures.told(Failed("rejected", "content_policy_violation")),
    failures.told(Failed("unavailable")),
    failures.told(Failed("unavailable", "out_of_capacity")),
]


@pytest.mark.parametrize("failure", ALL, ids=lambda failure: failure.code)
def test_each_says_that_nothing_was_charged_and_what_to_do(failure: Failure) -> None:
    assert failure.type in TYPES
    assert "Nothing was charged." in failure.message
    assert failure.message.endswith(".")
    assert any(word in failure.message for word in ("Send it again", "Use another model", "Change the request"))


def test_a_deadline_is_that_of_the_queue_or_of_the_provider() -> None:
    assert failures.too_late(a_job()).code == "queue_timeout"
    assert failures.too_late(a_job(status="processing")).code == "upstream_timeout"


def test_what_the_client_has_to_change_is_an_error_of_the_request() -> None:
    moderated = failures.told(Failed("rejected", "content_policy_violation"))
    assert (moderated.type, moderated.code) == ("invalid_request_error", "content_policy_violation")
    assert "refuses this content" in moderated.message
    other = failures.told(Failed("rejected", "face_not_found"))
    assert (other.type, other.code) == ("invalid_request_error", "face_not_found")
    assert "face_not_found" in other.message
    assert failures.told(Failed("rejected")).code == "invalid_value"


def test_what_is_the_provider_s_fault_is_an_error_of_the_provider() -> None:
    assert (failures.told(Failed("unavailable")).type, failures.told(Failed("unavailable")).code) == (
        "provider_error",
        "provider_failed",
    )
    assert failures.told(Failed("unavailable", "out_of_capacity")).code == "out_of_capacity"


def test_an_error_of_ours_keeps_its_words_and_says_that_it_cost_nothing() -> None:
    failure = failures.of_error(InvalidRequest("Change the size.", code="bad_size", param="size"))
    assert failure.to_json() == {
        "type": "invalid_request_error",
        "code": "bad_size",
        "message": "Change the size. Nothing was charged.",
        "param": "size",
    }


def test_a_machine_that_gave_up_says_for_what() -> None:
    assert failures.of_cause("ResultLost") == failures.UNUSABLE
    for cause in ("KeyError", "States.Timeout", None):
        assert failures.of_cause(cause) == failures.INTERNAL
