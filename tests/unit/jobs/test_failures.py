"""What clients read of jobs that came to nothing."""

import pytest

from aig.errors import InvalidRequest, ProviderUnavailable
from aig.jobs import failures
from aig.jobs.job import Failure
from aig.modalities.job import Failed
from tests.unit.jobs.orders import a_job

ALL = (
    failures.LOST,
    failures.UNKNOWN,
    failures.UNUSABLE,
    failures.GONE,
    failures.INTERNAL,
    failures.PICTURE_GONE,
    failures.EXPIRED,
    failures.too_late(a_job()),
    failures.too_late(a_job(status="processing")),
    failures.told(Failed("unavailable")),
    failures.told(Failed("rejected")),
    failures.told(Failed("rejected", "content_policy_violation")),
)


@pytest.mark.parametrize("failure", ALL, ids=lambda failure: failure.code)
def test_each_says_that_it_cost_nothing_and_what_to_do_next(failure: Failure) -> None:
    assert "Nothing was charged." in failure.message
    assert any(word in failure.message for word in ("Send it again", "Use another model", "Change the request"))
    assert failure.type in ("invalid_request_error", "provider_error", "timeout_error", "internal_error")
    assert failure.to_json().keys() == {"type", "code", "message", "param"}


def test_a_job_is_too_late_in_the_queue_or_at_its_provider() -> None:
    assert failures.too_late(a_job()).code == "queue_timeout"
    assert failures.too_late(a_job(status="processing")).code == "upstream_timeout"


@pytest.mark.parametrize(
    ("failed", "type_", "code", "says"),
    [
        (Failed("rejected"), "invalid_request_error", "invalid_value", "refused the job (code invalid_value)"),
        (Failed("rejected", "invalid_image"), "invalid_request_error", "invalid_image", "(code invalid_image)"),
        (
            Failed("rejected", "content_policy_violation"), "invalid_request_error", "content_policy_violation",
            "refuses this content",
        ),
        (Failed("unavailable"), "provider_error", "provider_failed", "could not finish the job"),
        (Failed("unavailable", "out_of_capacity"), "provider_error", "out_of_capacity", "use another model"),
    ],
)  # fmt: skip
def test_what_a_provider_ends_a_job_with(failed: Failed, type_: str, code: str, says: str) -> None:
    failure = failures.told(failed)
    assert (failure.type, failure.code) == (type_, code)
    assert says in failure.message


def test_an_error_of_ours_is_told_as_it_is() -> None:
    error = InvalidRequest("It makes ten seconds.", param="duration")
    assert failures.of_error(error) == Failure(error.type, error.code, "It makes ten seconds.", "duration")
    assert failures.of_error(ProviderUnavailable("Later.")).param is None


@pytest.mark.parametrize(
    ("cause", "failure"),
    [
        ("ResultLost", failures.UNUSABLE),
        ("StoreBusy", failures.INTERNAL),
        ("States.Timeout", failures.INTERNAL),
        ("", failures.INTERNAL),
        (None, failures.INTERNAL),
    ],
)
def test_what_a_machine_gave_up_for(cause: str | None, failure: Failure) -> None:
    assert failures.of_cause(cause) is failure
