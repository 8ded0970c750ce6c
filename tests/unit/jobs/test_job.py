"""What is said of a job by its state."""

import pytest

from aig.jobs.job import ENDED, KINDS, STATUSES, Placed, Status
from tests.unit.jobs.orders import a_job


def test_the_states_and_which_of_them_are_the_end() -> None:
    assert STATUSES == ("queued", "processing", "completed", "failed", "cancelled")
    assert KINDS == ("video", "music", "three_d")
    assert set(STATUSES) - ENDED == {"queued", "processing"}


@pytest.mark.parametrize("status", STATUSES)
def test_a_job_knows_whether_it_has_ended(status: Status) -> None:
    assert a_job(status=status).ended == (status in ENDED)


def test_whose_it_is_follows_who_has_it() -> None:
    queued, taken = a_job(), a_job(status="processing", candidate="spare/other/film-2")
    assert (queued.provider, queued.model) == (None, "maker/film")
    assert (taken.provider, taken.model) == ("spare", "other/film-2")


def test_a_sub_account_s_job_is_its_parent_s_to_pay() -> None:
    assert a_job().order.payer_id == "acct_1"
    assert a_job(order={"parent_id": "acct_9"}).order.payer_id == "acct_9"


def test_a_prompt_is_in_no_log() -> None:
    assert "secret" not in repr(Placed(a_job(), {"prompt": "secret"}))
