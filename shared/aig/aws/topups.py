"""Top-ups that customers pay for: topup#<id> under the account."""

from collections.abc import Sequence
from typing import Any

from aig.aws.ledger import credit_actions, payment_key, refund_actions
from aig.aws.shards import Shards
from aig.aws.table import Table
from aig.money.ledger import Credit, Refund
from aig.money.units import Nano
from aig.payments import Checkout, Phase, TopUp


class DynamoTopUps:
    def __init__(self, table: Table, shards: Shards) -> None:
        self._table = table
        self._shards = shards

    async def begin(self, top_up: TopUp) -> TopUp:
        """The stored one: an earlier try may have made it."""
        item: dict[str, Any] = {
            "pk": top_up.account_id,
            "sk": f"topup#{top_up.id}",
            "amount": top_up.amount,
            "source": top_up.provider,
            "phase": top_up.phase,
            "refunded": 0,
            "disputed": 0,
            "created_at": top_up.created_at,
        }
        if await self._table.put_new(item):
            return top_up
        return await self.get(top_up.account_id, top_up.id) or top_up

    async def get(self, account_id: str, top_up_id: str) -> TopUp | None:
        item = await self._table.get(account_id, f"topup#{top_up_id}")
        return _load(item) if item else None

    async def opened(self, top_up: TopUp, checkout: Checkout) -> None:
        await self._table.update(
            top_up.account_id,
            f"topup#{top_up.id}",
            "SET checkout_session = :session, checkout_url = :url",
            {":session": checkout.session, ":url": checkout.url},
        )

    async def move(self, top_up: TopUp, phase: Phase, before: Sequence[Phase]) -> bool:
        """False if it is in none of the phases `before`: it stays where it is."""
        values: dict[str, Any] = {":phase": phase, **{f":before{number}": name for number, name in enumerate(before)}}
        known = ", ".join(f":before{number}" for number in range(len(before)))
        return await self._table.update_if(
            top_up.account_id, f"topup#{top_up.id}", "SET phase = :phase", values, f"phase IN ({known})"
        )

    async def pay(self, top_up: TopUp, credit: Credit) -> bool:
        """The credit, and what its payment is found by. False if the top-up was paid before, or has gone back."""
        account, table = top_up.account_id, self._table
        paid = table.update_action(
            account,
            f"topup#{top_up.id}",
            "SET phase = :paid, credit_id = :credit",
            {":paid": "paid", ":credit": credit.id, ":amount": credit.amount, ":none": 0},
            "phase <> :paid AND amount = :amount AND refunded = :none AND disputed = :none",
        )
        return not await table.transact([paid, *credit_actions(table, account, credit, top_up.id)])

    async def paid_with(self, provider: str, payment: str) -> tuple[str, str] | None:
        """The account and the top-up that a provider's payment was for."""
        item = await self._table.get(*payment_key(provider, payment))
        return (item["account_id"], item["top_up_id"]) if item and "top_up_id" in item else None

    async def take_back(self, before: TopUp, after: TopUp, refund: Refund | None) -> bool:
        """Note what went back, and book it. False if another event was first, or the wallet has less by now."""
        account, table = before.account_id, self._table
        note = table.update_action(
            account,
            f"topup#{before.id}",
            "SET refunded = :refunded, disputed = :disputed",
            {
                ":refunded": after.refunded,
                ":disputed": after.disputed,
                ":refunded_before": before.refunded,
                ":disputed_before": before.disputed,
            },
            "refunded = :refunded_before AND disputed = :disputed_before",
        )
        if refund is not None:
            await self._shards.collect(account, refund.amount)
        return not await table.transact([note, *(refund_actions(table, account, refund) if refund else ())])


def _load(item: dict[str, Any]) -> TopUp:
    return TopUp(
        id=item["sk"].partition("#")[2],
        account_id=item["pk"],
        provider=item["source"],
        amount=Nano(item["amount"]),
        created_at=item["created_at"],
        phase=item["phase"],
        session=item.get("checkout_session"),
        checkout_url=item.get("checkout_url"),
        credit_id=item.get("credit_id"),
        refunded=Nano(item["refunded"]),
        disputed=Nano(item["disputed"]),
    )
