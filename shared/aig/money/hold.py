"""The first phase of a charge: how much to set aside, and what becomes of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aig.modalities.usage import COUNT_UNITS, INPUT_UNITS, OUTPUT_UNITS, Unit
from aig.money.pricing import Prices, Rates, has_price, price_of, with_fee
from aig.money.units import Nano

MIN_OUTPUT_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper bounds of a run: its input, output tokens for each of `samples` answers, and the classes of both.

    `counts` bounds the units that are not tokens. `least_output` are the output tokens that are worth a run.
    """

    input_tokens: int
    output_tokens: int
    samples: int = 1
    input_units: Collection[Unit] = INPUT_UNITS
    output_units: Collection[Unit] = OUTPUT_UNITS
    counts: Mapping[Unit, int] = field(default_factory=dict)
    least_output: int = MIN_OUTPUT_TOKENS


@dataclass(frozen=True, slots=True)
class Bid:
    """What a candidate's prices are, and what bounds its run: models differ in both."""

    bounds: Bounds
    prices: Prices
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """`amount` covers the bounded input and `output_tokens` for each sample, whichever candidate serves."""

    amount: Nano
    output_tokens: int


def _dearest(classes: Collection[Unit], rates: Rates) -> int:
    """What a token costs at most: of which class it will be, nobody knows before.

    What has no price is never charged, and so needs no hold.
    """
    return max([price_of(unit, rates) for unit in classes if has_price(unit, rates)], default=0)


def _most(bounds: Bounds, output_tokens: int, rates: Rates) -> Nano:
    """What no honest run exceeds. A unit that the request cannot be billed in, it has no bound for, and none of."""
    counted = sum([price * bounds.counts.get(unit, 0) for unit, price in rates.items() if unit in COUNT_UNITS])
    read = bounds.input_tokens * _dearest(bounds.input_units, rates)
    written = output_tokens * _dearest(bounds.output_units, rates) if output_tokens else 0
    return with_fee(counted + read + written)


def _amount(bids: Sequence[Bid], output_tokens: int) -> Nano:
    amounts: list[Nano] = []
    for bid in bids:
        bounds = bid.bounds
        output = min(output_tokens, bounds.output_tokens) * bounds.samples
        amounts += [
            _most(bounds, output, rates) for rates in bid.prices.possible_rates(bounds.input_tokens, bid.service_tier)
        ]
    return max(amounts)


def _most_output(bids: Sequence[Bid]) -> int:
    return max(bid.bounds.output_tokens for bid in bids)


def worst_case(bids: Sequence[Bid]) -> Quote:
    """The hold that no honest run can exceed, whichever candidate serves it."""
    most = _most_output(bids)
    return Quote(_amount(bids, most), most)


def affordable(bids: Sequence[Bid], room: int) -> Quote | None:
    """The largest quote within `room` nano-USD, or None if not even a short answer fits.

    Worth running: the whole input and the least output of each, or all that was asked for, if that is less.
    """
    high = _most_output(bids)
    low = max(min(bid.bounds.least_output, bid.bounds.output_tokens) for bid in bids)
    if _amount(bids, low) > room:
        return None
    while low < high:  # the price is monotonic in the tokens: bisect
        middle = (low + high + 1) // 2
        if _amount(bids, middle) <= room:
            low = middle
        else:
            high = middle - 1
    return Quote(_amount(bids, low), low)


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one request. `prices` is the snapshot it will be settled by; `expires_at` unix seconds.

    `prices` goes by the candidate's key, `provider/vendor/model`; `model` is the first that was to be tried. `spends`
    names the counters that its charge counts in, as `<owner>#<period>`; those in `capped` count the hold too. `free`
    holds are of the free tier: they cost nothing. `shard` is that of the wallet which it is taken from.
    """

    request_id: str
    account_id: str
    key_id: str
    amount: Nano
    model: str
    prices: Mapping[str, Prices]
    created_at: int
    expires_at: int
    parent_id: str | None = None  # whose wallet pays, if it is a sub-account's
    spends: tuple[str, ...] = ()
    capped: tuple[str, ...] = ()
    free: bool = False
    shard: int = 0

    @property
    def payer_id(self) -> str:
        """The account whose wallet it is taken from."""
        return self.parent_id or self.account_id

    def on(self, shard: int) -> "Hold":
        """The same, taken from that shard."""
        return self if shard == self.shard else replace(self, shard=shard)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a hold resolves: `charged` to the customer, `released` back, `shortfall` borne by the platform."""

    charged: Nano
    released: Nano
    shortfall: Nano


def settle(hold: Hold, price: Nano) -> Settlement:
    """A customer never pays more than was held: a cap is a hard line, and an excess is the platform's loss."""
    if hold.free:
        return Settlement(Nano(0), Nano(0), Nano(0))
    charged = min(price, hold.amount)
    return Settlement(Nano(charged), Nano(hold.amount - charged), Nano(price - charged))
