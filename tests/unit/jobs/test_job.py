"""What a job says of itself."""

import pytest

from aig.jobs.job import ENDED, STATUSES, Placed, Status
from tests.unit.jobs.orders import a_job, an_order


@pytest.mark.parametrize("status", STATUSES)
def test_three_statuses_are_ends(status: Status) -> None:
    assert a_job(status=status).ended is (status in ENDED) is (status not in ("queued", "processing"))


def test_its_model_is_the_first_that_is_to_be_tried_until_one_has_it() -> None:
    job = a_job()
    assert (job.id, job.model, job.provider) == ("job_1", "maker/film", None)
    taken = a_job(candidate="spare/maker/film-2")
    assert (taken.model, taken.provider) == ("maker/film-2", "spare")


def test_who_pays_is_the_account_above_where_there_is_one() -> None:
    assert an_order().payer_id == "acct_1"
    assert an_order(parent_id="acct_0").payer_id == "acct_0"


def test_no_log_has_the_body_of_an_order() -> None:
    assert "a boat" not in repr(Placed(a_job(), {"prompt": "a boat"}))
