"""Holds, and what may become of them, without a call behind them."""

from aig.modalities.usage import Usage
from aig.money.hold import Hold
from aig.money.ledger import Credit, Debit, Loss
from aig.money.pricing import Prices
from aig.money.units import Nano
from tests.concurrency.core import Tenant

HELD, CHARGE, COST, CREDIT = Nano(1_000), Nano(700), Nano(600), Nano(5)


def a_hold(tenant: Tenant, number: int) -> Hold:
    """A hold that is past its time from the start."""
    return Hold(
        request_id=f"req_{tenant.id}_{number}",
        account_id=tenant.id,
        key_id=tenant.caller.key_id,
        amount=HELD,
        model="sandbox/echo",
        prices={"sandbox/sandbox/echo": Prices({})},
        created_at=0,
        expires_at=960,
        spends=(name := f"{tenant.caller.key_id}#all",),
        capped=(name,) if tenant.caller.own.cap is not None else (),
    )


def a_debit(hold: Hold, name: str = "debit") -> Debit:
    return Debit(f"{hold.request_id}_{name}", hold.request_id, hold.model, "sandbox", CHARGE, COST, Usage({}), 0)


def a_loss(hold: Hold, name: str = "loss") -> Loss:
    ids = (f"{hold.request_id}_{name}", hold.request_id, hold.account_id)
    return Loss(*ids, hold.model, "sandbox", Nano(0), "expired_hold", 0)


def a_credit(tenant: Tenant, number: int) -> Credit:
    return Credit(f"topup_{tenant.id}_{number}", CREDIT, 0)
