"""From a top-up to the wallet: the checkout that is begun, and what the payment provider's events make of it."""

from dataclasses import dataclass, replace

from aig import payments
from aig.clock import Clock
from aig.errors import AIGError, InvalidRequest, Overloaded, ProviderUnavailable, UpstreamError, UpstreamTimeout
from aig.ids import derived
from aig.money.ledger import Credit, Refund
from aig.money.units import Nano, usd
from aig.payments import Access, News, Pages, PaymentAdapter, TopUp
from aig.ports import Secrets, StoreBusy, Telemetry, TopUps, Wallets

RACES = 8
RETRY_AFTER_S = 60
IN_FLIGHT_S = 3600  # every hold that was open when the money went back is resolved by then


@dataclass(frozen=True, slots=True)
class TopUpPorts:
    top_ups: TopUps
    wallets: Wallets
    secrets: Secrets
    telemetry: Telemetry
    clock: Clock


async def secret(secrets: Secrets, name: str) -> str:
    """Raises ProviderUnavailable that names the key."""
    value = await secrets.get(name)
    if value is None:
        raise ProviderUnavailable(
            f"Payments are not set up here: the operator has to set {name}. Ask the operator for a top-up.",
            code="not_configured",
        )
    return value


async def access(ports: TopUpPorts, adapter: PaymentAdapter) -> Access:
    """Raises ProviderUnavailable."""
    api_key = await secret(ports.secrets, adapter.key_name)
    return Access(await ports.secrets.get(adapter.base_url_name) or adapter.base_url, api_key)


async def begin(ports: TopUpPorts, adapter: PaymentAdapter, reach: Access, wanted: TopUp, pages: Pages) -> TopUp:
    """A top-up with the page to pay it at. The same id again goes on with what is there. Raises AIGError."""
    top_up = await ports.top_ups.begin(wanted)
    if top_up.checkout_url is not None:
        return top_up
    try:
        checkout = await adapter.checkout(reach, top_up, pages)
    except UpstreamError as error:
        raise _refusal(ports.telemetry, top_up, error) from error
    await ports.top_ups.opened(top_up, checkout)
    return replace(top_up, session=checkout.session, checkout_url=checkout.url)


def _refusal(telemetry: Telemetry, top_up: TopUp, error: UpstreamError) -> AIGError:
    if error.kind == "rejected" and error.param in ("success_url", "cancel_url"):
        return InvalidRequest(f"The payment provider does not take this {error.param}. Correct it.", param=error.param)
    if error.kind in ("auth", "rejected"):
        fields = {"kind": error.kind, "status": error.status, "param": error.param}
        telemetry.alarm("PaymentProviderRefused", provider=top_up.provider, **fields)
    if error.kind == "timeout":
        return UpstreamTimeout("The payment provider did not answer in time. Send the request again.")
    return ProviderUnavailable("The payment provider could not make the checkout. Send the request again later.")


async def book(ports: TopUpPorts, provider: str, news: News) -> None:
    """What an event says, done once however often it comes. What cannot be booked is an alarm, for a person to look at.

    Raises Overloaded for a refund that has overtaken its payment or waits for calls in flight, and StoreBusy: the
    provider sends the event again.
    """
    top_up = await _named(ports, provider, news)
    if top_up is None:
        _alarm(ports, provider, news, "unknown_payment")
    elif news.kind in ("refunded", "disputed"):
        await _book_return(ports, top_up, news)
    elif top_up.session is not None and top_up.session != news.session:
        _alarm(ports, provider, news, "other_session")
    elif news.kind == "paid":
        await _book_payment(ports, top_up, news)
    elif news.kind == "processing":
        await ports.top_ups.move(top_up, "processing", ("pending",))
    else:
        await ports.top_ups.move(top_up, "failed", ("pending", "processing"))


async def _named(ports: TopUpPorts, provider: str, news: News) -> TopUp | None:
    owner = (news.account_id, news.top_up_id)
    if not payments.is_reference(*owner) and news.payment:
        owner = await ports.top_ups.paid_with(provider, news.payment) or owner
    account_id, top_up_id = owner
    if account_id is None or top_up_id is None or not payments.is_reference(account_id, top_up_id):
        return None
    found = await ports.top_ups.get(account_id, top_up_id)
    return found if found is not None and found.provider == provider else None


async def _book_payment(ports: TopUpPorts, top_up: TopUp, news: News) -> None:
    if top_up.phase == "paid":
        return
    if news.amount != top_up.amount or news.payment is None or news.session is None:
        _alarm(ports, top_up.provider, news, "other_amount")
        await ports.top_ups.move(top_up, "failed", ("pending", "processing"))
        return
    credit = Credit(
        id=derived("topup", news.at, f"{top_up.provider}:{news.session}"),
        amount=top_up.amount,
        created_at=news.at,
        source=top_up.provider,
        payment=news.payment,
    )
    if await ports.top_ups.pay(top_up, credit):
        return
    found = await ports.top_ups.get(top_up.account_id, top_up.id)
    if found is None or found.phase != "paid":  # it was another event of the same payment, or something is very wrong
        _alarm(ports, top_up.provider, news, "not_credited")


async def _book_return(ports: TopUpPorts, top_up: TopUp, news: News) -> None:
    """Take back what went back, as far as the wallet has it: what was spent before is the platform's loss."""
    if news.amount is None:
        _alarm(ports, top_up.provider, news, "other_currency")
        return
    if top_up.phase in ("pending", "processing"):
        raise Overloaded("The payment itself is not booked yet. Send the event again.", retry_after=RETRY_AFTER_S)
    if news.kind == "disputed" and news.amount > top_up.disputed:
        _alarm(ports, top_up.provider, news, "dispute")
    for _ in range(RACES):
        after = payments.with_return(top_up, news)
        if after == top_up:
            return
        wallet = await ports.wallets.look(top_up.account_id)
        refund = _refund(top_up, after, news, wallet.available)
        waits = ports.clock.now() < news.at + IN_FLIGHT_S
        if refund is not None and refund.uncovered and not (wallet.held and waits):
            # What is missing in a look may be on its way from shard to shard: no loss is booked for it.
            wallet = await ports.wallets.wallet(top_up.account_id)
            refund = _refund(top_up, after, news, wallet.available)
        # What calls in flight hold may come free: it is waited for, but what is there is taken at once.
        early = refund is not None and refund.uncovered and wallet.held and waits
        if refund is not None and early:
            after = payments.with_part(top_up, news.kind, refund.amount)
            refund = _refund(top_up, after, news, wallet.available)
        if after == top_up or await ports.top_ups.take_back(top_up, after, refund):
            if early:
                raise Overloaded("Calls in flight hold the rest. Send the event again.", retry_after=RETRY_AFTER_S)
            if refund is not None and refund.uncovered:
                _alarm(ports, top_up.provider, news, "not_covered", uncovered=usd(refund.uncovered))
            return
        top_up = await ports.top_ups.get(top_up.account_id, top_up.id) or top_up
    raise StoreBusy("the wallet changed each time")


def _refund(before: TopUp, after: TopUp, news: News, available: int) -> Refund | None:
    """None where nothing more goes back than is known, or nothing was credited."""
    back = after.returned - before.returned
    if back <= 0 or before.credit_id is None:
        return None
    taken = min(back, max(0, available))
    return Refund(
        id=derived("refund", news.at, f"{before.id}:{after.refunded}:{after.disputed}"),
        credit_id=before.credit_id,
        amount=Nano(taken),
        created_at=news.at,
        source=before.provider,
        note="dispute" if news.kind == "disputed" else "",
        uncovered=Nano(back - taken),
    )


def _alarm(ports: TopUpPorts, provider: str, news: News, why: str, **more: str) -> None:
    fields = {"provider": provider, "kind": news.kind, "payment": news.payment, "session": news.session}
    ports.telemetry.alarm("PaymentNeedsAttention", reason=why, **fields, **more)
