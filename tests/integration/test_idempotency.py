"""One Idempotency-Key is one effect and one answer, by the route that has it and by the log that any route may use."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request

from aig.errors import Conflict, UpstreamError
from aig.http.idempotency import Idempotent
from aig.idempotency import KEPT_S, LEASE_S, Answer, Claim
from aig.ports import StoreBusy
from aig.wiring import Container
from tests.apps import App
from tests.builders import Account, an_account
from tests.integration.test_budgets import refusal
from tests.integration.test_top_ups import BODY, ask
from tests.stripe_account import StripeAccount
from tests.unit.clock import FixedClock


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container, "1.00")


class TestTwice:
    """One Idempotency-Key."""

    async def test_the_same_answer_and_one_page(self, payments: App, stripe: StripeAccount, account: Account) -> None:
        first = await ask(payments, account, idempotency_key="a")
        second = await ask(payments, account, dict(reversed(BODY.items())), idempotency_key="a")
        assert first.status_code == second.status_code == 200
        assert first.json() == second.json()
        assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
        assert len(stripe.asked) == 1
        other = await ask(payments, account, idempotency_key="b")
        assert other.json()["id"] != first.json()["id"]

    async def test_another_body_is_a_conflict(self, payments: App, stripe: StripeAccount, account: Account) -> None:
        await ask(payments, account, idempotency_key="a")
        answer = await ask(payments, account, {**BODY, "amount": "26.00"}, idempotency_key="a")
        assert refusal(answer) == (409, "conflict_error", "idempotency_mismatch")
        assert len(stripe.asked) == 1

    async def test_a_key_is_an_accounts_own(self, payments: App, account: Account, container: Container) -> None:
        mine = await ask(payments, account, idempotency_key="a")
        theirs = await ask(payments, await an_account(container), {**BODY, "amount": "26.00"}, idempotency_key="a")
        assert theirs.status_code == 200
        assert theirs.json()["id"] != mine.json()["id"]

    @pytest.mark.parametrize("key", ["", "a" * 256])
    async def test_what_is_no_key(self, payments: App, account: Account, key: str) -> None:
        answer = await ask(payments, account, idempotency_key=key)
        assert refusal(answer)[0] == 400
        assert answer.json()["error"]["param"] == "Idempotency-Key"

    async def test_an_answer_of_stripes_that_got_lost_is_no_second_page(
        self, payments: App, stripe: StripeAccount, account: Account
    ) -> None:
        stripe.cut = True
        assert (await ask(payments, account, idempotency_key="a")).status_code == 502
        stripe.cut = False
        answer = await ask(payments, account, idempotency_key="a")
        assert answer.status_code == 200
        assert {asked.headers["idempotency-key"] for asked in stripe.asked} == {answer.json()["id"]}
        assert len(stripe.sessions) == 1


class TestTheLog:
    """What the store does with a key, by itself: any route may use it."""

    async def claim(self, container: Container, account: Account, now: int, body: str = "f") -> Claim | Answer:
        subject = container.ids.new("topup")
        return await container.idempotency.claim(account.id, "name", body, subject, now)

    async def test_while_it_is_worked_on_nobody_else_may_and_after_a_death_the_next_goes_on(
        self, container: Container, account: Account
    ) -> None:
        first = await self.claim(container, account, 1000)
        assert isinstance(first, Claim)
        with pytest.raises(Conflict) as refused:
            await self.claim(container, account, 1000 + LEASE_S - 1)
        assert refused.value.code == "idempotency_in_progress"
        second = await self.claim(container, account, 1000 + LEASE_S)
        assert isinstance(second, Claim)
        assert second.subject == first.subject
        await container.idempotency.finish(first, Answer(200, "late"))  # the dead one was only slow
        await container.idempotency.finish(second, Answer(201, "{}"))
        assert await self.claim(container, account, 1000 + LEASE_S) == Answer(201, "{}")

    async def test_what_failed_may_be_tried_again_at_once(self, container: Container, account: Account) -> None:
        first = await self.claim(container, account, 1000)
        assert isinstance(first, Claim)
        await container.idempotency.release(first)
        with pytest.raises(Conflict) as refused:
            await self.claim(container, account, 1000, "g")
        assert refused.value.code == "idempotency_mismatch"
        second = await self.claim(container, account, 1000)
        assert isinstance(second, Claim)
        assert second.subject == first.subject

    async def test_after_a_day_the_key_is_free(self, container: Container, account: Account) -> None:
        first = await self.claim(container, account, 1000)
        assert isinstance(first, Claim)
        await container.idempotency.finish(first, Answer(200, "{}"))
        assert await self.claim(container, account, 1000 + KEPT_S - 1) == Answer(200, "{}")
        again = await self.claim(container, account, 1000 + KEPT_S, "g")
        assert isinstance(again, Claim)
        assert again.subject != first.subject

    async def test_a_store_that_cannot_note_the_answer_does_not_take_it_away(self) -> None:
        class Log:
            async def claim(self, tenant: str, name: str, fingerprint: str, subject: str, now: int) -> Claim:
                return Claim(tenant, name, "topup_first", "token")

            async def finish(self, claim: Claim, answer: Answer) -> None:
                raise StoreBusy("busy")

            async def release(self, claim: Claim) -> None:
                raise StoreBusy("busy")

        async def work(subject: str) -> dict[str, str]:
            return {"id": subject}

        async def broken(subject: str) -> dict[str, str]:
            raise UpstreamError("timeout")

        request = Request({"type": "http", "headers": [(b"idempotency-key", b"a")]})
        asked = partial(Idempotent(Log(), FixedClock()).once, request, "acct_1", "op", {}, "topup_second")
        answer = await asked(work, status=202)
        assert (answer.status_code, json.loads(bytes(answer.body))) == (202, {"id": "topup_first"})
        with pytest.raises(UpstreamError):
            await asked(broken)

    async def test_two_keys_on_one_request_are_refused(self, payments: App, account: Account) -> None:
        headers = [*account.authorization.items(), ("idempotency-key", "a"), ("idempotency-key", "b")]
        answer = await payments.client.post("/v1/wallet/top-ups", json=BODY, headers=headers)
        assert answer.json()["error"]["param"] == "Idempotency-Key"

    async def test_a_secret_is_revealed_each_time_and_never_stored(
        self, container: Container, account: Account
    ) -> None:
        async def work(subject: str) -> Mapping[str, Any]:
            return {"id": subject}

        async def reveal(body: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**body, "key": f"secret of {body['id']}"}

        request = Request({"type": "http", "headers": [(b"idempotency-key", b"a")]})
        idempotent = Idempotent(container.idempotency, container.clock)
        bodies = [
            json.loads(bytes((await idempotent.once(request, account.id, "op", {}, sub, work, reveal=reveal)).body))
            for sub in ("sub_1", "sub_2")
        ]
        assert bodies == [{"id": "sub_1", "key": "secret of sub_1"}] * 2
        stored = await container.table.query("pk = :pk", {":pk": account.id})
        assert "secret of" not in repr(stored)
