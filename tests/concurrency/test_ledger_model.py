"""Any sequence of movements leaves the store as a model of a few integers says, also where replies get lost.

The model knows nothing of shards: a wallet that is split between any two steps is the same wallet.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from typing_extensions import override

from aig.aws.shards import PACE_S, Shards
from aig.holding import HOLD_TTL_S
from aig.modalities.usage import Usage
from aig.money.hold import Hold, settle
from aig.money.ledger import Adjustment, Credit, Debit, Loss, LossReason, Refund
from aig.money.pricing import Prices
from aig.money.units import Nano
from aig.ports import HoldRefused, NotCovered
from aig.sweep import CLOCK_SKEW_S
from ops.books import books, violations
from tests.concurrency.core import Core, Tenant
from tests.concurrency.fault_proxy import (
    CONFLICT,
    LOST_REPLY,
    LOST_REQUEST,
    THROTTLED,
    Fault,
    Proxy,
    first_sends,
    nothing,
)
from tests.unit.clock import FixedClock

T = TypeVar("T")

BALANCE = 3_000
CAP = 5_000
AMOUNTS = st.integers(0, 2_000)


@dataclass(slots=True)
class Model:
    """What the account should have."""

    available: int = BALANCE
    room: int = CAP
    losses: int = 0


@dataclass(slots=True)
class Taken:
    """A hold and what the model says became of it."""

    hold: Hold
    phase: str = "held"
    charged: int = 0


class Ledger(RuleBasedStateMachine):
    """One account; its clients reach DynamoDB Local through the proxy."""

    holds = Bundle("holds")

    def __init__(self, endpoint: str, table: str) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self.clock = FixedClock(1_000_000.0)
        self.model = Model()
        self.taken: list[Taken] = []
        self.payments: list[Credit] = []
        self.returned: dict[str, int] = {}  # by the payment's id
        self.core = Core(endpoint, table)
        self.proxy = Proxy(endpoint)
        self._run(self.proxy.start())
        self.tenant = self._run(self.core.tenant(BALANCE, cap=CAP))
        self.ports = self.core.container(self.proxy.endpoint, self.clock)
        self.shards = Shards(self.ports.table, self.clock)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @override
    def teardown(self) -> None:
        self.proxy.expect(nothing)
        self._run(self.core.sweep())
        self._run(self.core.close())
        self._run(self.proxy.stop())
        self._runner.close()

    @rule(fault=st.sampled_from([LOST_REQUEST, LOST_REPLY, THROTTLED, CONFLICT]), times=st.integers(1, 2))
    def trouble(self, fault: Fault, times: int) -> None:
        """From here on each transaction has to be sent more than once."""
        self.proxy.expect(first_sends(fault, times))

    @rule()
    def calm(self) -> None:
        self.proxy.expect(nothing)

    @rule(amount=st.integers(1, 4_000))
    def top_up(self, amount: int) -> None:
        self.payments.append(Credit(self.ports.ids.new("topup"), Nano(amount), int(self.clock.time)))
        assert self._run(self.ports.wallets.credit(self.tenant.id, self.payments[-1]))
        self.model.available += amount

    @rule()
    def the_same_payment_again(self) -> None:
        if self.payments:
            assert not self._run(self.ports.wallets.credit(self.tenant.id, self.payments[-1]))

    @rule(amount=st.integers(1, 3_000), at_once=st.integers(1, 2))
    def refund(self, amount: int, at_once: int) -> None:
        """Of the payment that came last."""
        if not self.payments:
            return
        credit = self.payments[-1]
        refund = Refund(self.ports.ids.new("refund"), credit.id, Nano(amount), int(self.clock.time))
        left = min(self.model.available, credit.amount - self.returned.get(credit.id, 0))
        if amount > left:
            with pytest.raises(NotCovered):
                self._run(self.ports.ledger.refund(self.tenant.id, refund))
            return
        assert self._resolved([self.ports.ledger.refund(self.tenant.id, refund) for _ in range(at_once)])
        self.returned[credit.id] = self.returned.get(credit.id, 0) + amount
        self.model.available -= amount

    @rule(amount=st.integers(-2_000, 2_000).filter(bool), at_once=st.integers(1, 2))
    def adjust(self, amount: int, at_once: int) -> None:
        adjustment = Adjustment(self.ports.ids.new("adj"), Nano(amount), int(self.clock.time))
        if self.model.available + amount < 0:
            with pytest.raises(NotCovered):
                self._run(self.ports.ledger.adjust(self.tenant.id, adjustment))
            return
        assert self._resolved([self.ports.ledger.adjust(self.tenant.id, adjustment) for _ in range(at_once)])
        self.model.available += amount

    @rule(ours=st.booleans())
    def split(self, ours: bool) -> None:
        """Twice as many shards, or not quite, where there is trouble; opened by us or behind our back."""
        self.clock.time += PACE_S
        if ours:
            self._run(self.shards.grow(self.tenant.id))
        else:
            self._run(Shards(self.core.container(self.proxy.endpoint).table, self.clock).grow(self.tenant.id))

    @rule()
    def authenticate_again(self) -> None:
        self.tenant = Tenant(self.tenant.account, self._run(self.core.caller(self.tenant.account.key)))

    @rule()
    def look_at_the_wallet(self) -> None:
        wallet = self._run(self.ports.wallets.wallet(self.tenant.id))
        held = sum(taken.hold.amount for taken in self.taken if taken.phase == "held")
        assert (wallet.available, wallet.held) == (self.model.available, held)

    @rule(target=holds, amount=AMOUNTS)
    def take(self, amount: int) -> Any:
        now = int(self.clock.time)
        ids = (self.ports.ids.new("req"), self.tenant.id, self.tenant.caller.key_id)
        name = f"{self.tenant.caller.key_id}#all"
        prices = {"sandbox/sandbox/echo": Prices({})}
        hold = Hold(*ids, Nano(amount), "sandbox/echo", prices, now, now + HOLD_TTL_S, spends=(name,), capped=(name,))
        refusal = {"balance"} if amount > self.model.available else set[str]()
        refusal |= {"cap"} if amount > self.model.room else set()
        if refusal:
            with pytest.raises(HoldRefused) as refused:
                self._run(self.ports.wallets.take(hold, self.tenant.caller))
            assert refused.value.limits == refusal
            return multiple()
        taken = self._run(self.ports.wallets.take(hold, self.tenant.caller))
        self.model.available -= amount
        self.model.room -= amount
        self.taken.append(Taken(taken))
        return self.taken[-1]

    @rule(amount=AMOUNTS)
    def charge_at_once(self, amount: int) -> None:
        """As for an answer from the cache."""
        now, wallets = int(self.clock.time), self.ports.wallets
        ids = (self.ports.ids.new("req"), self.tenant.id, self.tenant.caller.key_id)
        prices = {"sandbox/sandbox/echo": Prices({})}
        counter = (f"{self.tenant.caller.key_id}#all",)
        hold = Hold(*ids, Nano(amount), "sandbox/echo", prices, now, now + HOLD_TTL_S, spends=counter, capped=counter)
        name = self.ports.ids.new("txn")
        debit = Debit(name, ids[0], hold.model, "sandbox", Nano(amount), Nano(0), Usage({}), now, cache_hit=True)
        charge = wallets.charge(hold, self.tenant.caller, settle(hold, Nano(amount)), debit)
        refusal = {"balance"} if amount > self.model.available else set[str]()
        refusal |= {"cap"} if amount > self.model.room else set()
        if refusal:
            with pytest.raises(HoldRefused) as refused:
                self._run(charge)
            assert refused.value.limits == refusal
            return
        self._run(charge)
        self.model.available -= amount
        self.model.room -= amount
        self.taken.append(Taken(hold, "posted", amount))

    @rule(taken=holds, cost=st.integers(0, 3_000), at_once=st.integers(1, 2))
    def post(self, taken: Taken, cost: int, at_once: int) -> None:
        hold = taken.hold
        settlement = settle(hold, Nano(cost))

        def attempt() -> Coroutine[Any, Any, bool]:
            debit = Debit(
                id=self.ports.ids.new("txn"),
                request_id=hold.request_id,
                model=hold.model,
                provider="sandbox",
                amount=settlement.charged,
                upstream_cost=Nano(cost),
                usage=Usage({}),
                created_at=int(self.clock.time),
            )
            losses = [self._loss(hold, "over_hold")] if settlement.shortfall else []
            return self.ports.wallets.post(hold, settlement, debit, *losses)

        assert self._resolved([attempt() for _ in range(at_once)]) == (taken.phase == "held")
        if taken.phase == "held":
            taken.phase, taken.charged = "posted", settlement.charged
            self._release(settlement.released)
            self.model.losses += bool(settlement.shortfall)

    @rule(taken=holds, broken=st.booleans(), at_once=st.integers(1, 2))
    def void(self, taken: Taken, broken: bool, at_once: int) -> None:
        hold = taken.hold
        voids = [
            self.ports.wallets.void(hold, *([self._loss(hold, "broken_stream")] if broken else ()))
            for _ in range(at_once)
        ]
        assert self._resolved(voids) == (taken.phase == "held")
        if taken.phase == "held":
            taken.phase = "void"
            self._release(hold.amount)
            self.model.losses += broken

    @rule(seconds=st.sampled_from([0, 60, HOLD_TTL_S, HOLD_TTL_S + CLOCK_SKEW_S, HOLD_TTL_S + CLOCK_SKEW_S + 1]))
    def sweep(self, seconds: int) -> None:
        self.clock.time += seconds
        over = [
            taken
            for taken in self.taken
            if taken.phase == "held" and taken.hold.expires_at < self.clock.time - CLOCK_SKEW_S
        ]
        assert self._run(self.core.sweep(self.clock, self.proxy.endpoint)) == len(over)
        for taken in over:
            taken.phase = "void"
            self._release(taken.hold.amount)
        self.model.losses += len(over)

    def _resolved(self, attempts: list[Coroutine[Any, Any, bool]]) -> bool:
        """Whether one of the attempts did it; never may two."""

        async def all_at_once() -> list[bool]:
            return list(await asyncio.gather(*attempts))

        done = sum(self._run(all_at_once()))
        assert done <= 1
        return done == 1

    def _release(self, amount: int) -> None:
        self.model.available += amount
        self.model.room += amount

    def _loss(self, hold: Hold, reason: LossReason) -> Loss:
        ids = (self.ports.ids.new("txn"), hold.request_id, hold.account_id)
        return Loss(*ids, hold.model, "sandbox", Nano(1), reason, int(self.clock.time))

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        rows = self._run(self.core.rows_of(self.tenant))
        assert violations(rows) == []
        found = books(rows)[self.tenant.id]
        assert found.available == self.model.available
        assert found.held == sum(taken.hold.amount for taken in self.taken if taken.phase == "held")
        assert CAP - found.used(self.tenant.caller.key_id) == self.model.room
        assert {name: (hold["phase"], hold.get("charged", 0)) for name, hold in found.holds.items()} == {
            taken.hold.request_id: (taken.phase, taken.charged) for taken in self.taken
        }
        assert len(found.losses) == self.model.losses


def test_any_sequence_of_movements_is_what_the_model_says(dynamodb_local: str, core_table: str) -> None:
    class Here(Ledger):
        def __init__(self) -> None:
            super().__init__(dynamodb_local, core_table)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # to shrink a failure would take longer than a test may
            suppress_health_check=list(HealthCheck),
        ),
    )
