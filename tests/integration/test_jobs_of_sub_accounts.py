"""What an account sees of its customers' jobs."""

import pytest

from aig.wiring import Container
from tests.apps import App
from tests.builders import Account, a_sub_account, an_account
from tests.integration.test_jobs import ordered


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


class TestAParent:
    async def test_lists_and_reads_those_of_a_sub_account(
        self, generations: App, jobs: App, container: Container
    ) -> None:
        parent = await an_account(container)
        (child,) = await a_sub_account(container, parent.id)
        job = await ordered(generations, child)
        whose = {"sub_account": child.id}
        listed = await jobs.client.get("/v1/jobs", params=whose, headers=parent.authorization)
        assert [one["id"] for one in listed.json()["data"]] == [job["id"]]
        read = await jobs.client.get(f"/v1/jobs/{job['id']}", params=whose, headers=parent.authorization)
        assert read.json()["id"] == job["id"]
        own = await jobs.client.get("/v1/jobs", headers=parent.authorization)
        assert own.json()["data"] == []

    async def test_has_to_name_one_of_its_own(self, jobs: App, container: Container, account: Account) -> None:
        stranger = await an_account(container)
        (child,) = await a_sub_account(container, stranger.id)
        for name in (child.id, "sub_none", stranger.id):
            answer = await jobs.client.get("/v1/jobs", params={"sub_account": name}, headers=account.authorization)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")

    async def test_is_told_of_a_parameter_that_is_none(self, jobs: App, account: Account) -> None:
        answer = await jobs.client.get("/v1/jobs", params={"tag": "a"}, headers=account.authorization)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tag")
