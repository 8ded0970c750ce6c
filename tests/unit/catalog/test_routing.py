"""Who may serve a request, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from aig.catalog.model import Catalog, Model, Offer, Provider, Quality, builtin
from aig.catalog.routing import Candidate, Routing, Situation, Standing, _expected_cost, candidates
from aig.errors import Forbidden, InvalidRequest, ModelNotFound, ProviderUnavailable
from aig.modalities import chat_body
from aig.modalities.demand import UNBOUNDED_TOKENS, Demand
from aig.modalities.image import ImageRequest
from aig.modalities.upstream import Timeouts
from aig.money.pricing import Hours, Prices
from aig.money.units import Pico

DOLLAR = 1_000_000


def offer(name: str, read: int, written: int, *tiers: str, key: str | None = None) -> Offer:
    provider = Provider(name, name, "openai_compatible", f"https://{name}.example", key, "max_tokens", Timeouts())
    prices = Prices({"input_tokens": Pico(read), "output_tokens": Pico(written)})
    return Offer(provider, "m", Prices(prices.rates, tiers=dict.fromkeys(tiers, prices)), "test", "2026-01-01")


def model(
    slug: str,
    *offers: Offer,
    can: tuple[str, ...] = ("chat",),
    modality: str = "text",
    score: float | None = None,
    context: int = 100_000,
    deprecated: str | None = None,
    sandbox: bool = False,
) -> Model:
    quality = Quality(score, "test", "2026-01-01") if score is not None else None
    return Model(
        slug, slug, modality, frozenset(can), context, 1000, None, None, sandbox, offers,
        deprecated=deprecated, quality=quality,
    )  # fmt: skip


class World:
    """Models, and what is known of them at this moment."""

    def __init__(self, *models: Model) -> None:
        self.catalog = Catalog(
            {offer.provider.name: offer.provider for model in models for offer in model.offers},
            {model.slug: model for model in models},
        )
        self.available = set(self.catalog.providers)
        self.standings: dict[str, Standing] = {}
        self.allowed: set[str] | None = None
        self.lacks: dict[str, tuple[str, ...]] = {}  # where it is not the key, or the base URL, alone
        self.now = 0.0
        self.chosen: Sequence[Candidate] = ()

    def keys(self, demand: Demand, routing: Routing = "auto") -> list[str]:
        """The candidates, by their keys."""
        situation = Situation(
            may_use=lambda slug: self.allowed is None or slug in self.allowed,
            missing={name: self._missing(provider) for name, provider in self.catalog.providers.items()},
            standing=lambda candidate: self.standings.get(candidate.key, Standing()),
            now=self.now,
            today="2026-11-24",
        )
        self.chosen = candidates(self.catalog, demand, routing, situation)
        return [candidate.key for candidate in self.chosen]

    def _missing(self, provider: Provider) -> tuple[str, ...]:
        if provider.name in self.available:
            return ()
        return self.lacks.get(provider.name, (provider.key_name or provider.base_url_variable,))


def demand(
    *models: str, can: tuple[str, ...] = ("chat",), tier: str | None = None, read: int = 4000, **preferences: Any
) -> Demand:
    return Demand(models, frozenset(can), read, 800, preferences=preferences, service_tier=tier)


# A thousand tokens are read and eight hundred written.
DEAR, CHEAP, MIDDLE = offer("dear", 10, 10), offer("cheap", 1, 5), offer("middle", 9, 5)
ALL = {"dear", "cheap", "middle"}


@pytest.fixture
def three() -> World:
    return World(model("v/m", DEAR, CHEAP, MIDDLE))


def test_what_is_sold_by_other_units_is_compared_by_a_usual_run() -> None:
    models, demand = builtin().models, ImageRequest((), "a cat").demand
    slugs = ("black-forest-labs/flux-1-schnell", "black-forest-labs/flux-dev", "openai/gpt-image-2")
    costs = [_expected_cost(Candidate(models[slug], models[slug].offers[0]), demand) / 10**12 for slug in slugs]
    assert costs == sorted(costs)
    assert 0.001 < costs[0] < costs[1] < costs[2] < 0.1  # dollars


class TestOneModel:
    @pytest.mark.parametrize(
        ("available", "preferences", "names"),
        [
            (ALL, {}, ["cheap", "middle", "dear"]),
            ({"dear", "middle"}, {}, ["middle", "dear"]),
            ({"dear", "another"}, {}, ["dear"]),
            (ALL, {"only": ["dear"]}, ["dear"]),
            (ALL, {"only": ["dear", "middle", "unknown"]}, ["middle", "dear"]),
            (ALL, {"ignore": ["cheap"]}, ["middle", "dear"]),
            (ALL, {"order": ["dear"]}, ["dear", "cheap", "middle"]),
            (ALL, {"order": ["dear", "middle"]}, ["dear", "middle", "cheap"]),
            (ALL, {"order": ["unknown", "middle"]}, ["middle", "cheap", "dear"]),
            (ALL, {"order": ["dear", "cheap"], "only": ["cheap", "middle"], "ignore": ["middle"]}, ["cheap"]),
        ],
    )
    def test_the_cheap_first_within_what_the_client_prefers(
        self, three: World, available: set[str], preferences: Mapping[str, Any], names: list[str]
    ) -> None:
        three.available = available
        assert three.keys(demand("v/m", **preferences)) == [f"{name}/v/m" for name in names]

    def test_health_goes_before_price_and_the_clients_order_before_health(self, three: World) -> None:
        three.standings = {"cheap/v/m": Standing("down"), "middle/v/m": Standing("degraded")}
        assert three.keys(demand("v/m")) == ["dear/v/m", "middle/v/m", "cheap/v/m"]
        assert three.keys(demand("v/m", order=["cheap"])) == ["cheap/v/m", "dear/v/m", "middle/v/m"]
        three.standings = {"cheap/v/m": Standing("healthy", 10, 5.0)}
        assert three.keys(demand("v/m")) == ["cheap/v/m", "middle/v/m", "dear/v/m"]

    def test_no_more_than_three(self) -> None:
        world = World(model("v/m", *(offer(f"p{number}", number, number) for number in range(1, 6))))
        assert world.keys(demand("v/m")) == ["p1/v/m", "p2/v/m", "p3/v/m"]

    def test_nobody_is_set_up(self) -> None:
        world = World(model("v/m", offer("a", 1, 1, key="A_API_KEY"), offer("b-c", 1, 1)))
        world.available = {"another"}
        with pytest.raises(ProviderUnavailable, match=r"v/m .*A_API_KEY or AIG_B_C_BASE_URL") as raised:
            world.keys(demand("v/m"))
        assert raised.value.code == "provider_not_configured"

    @pytest.mark.parametrize(
        ("lacks", "told"),
        [
            (("A_KEY",), "A_KEY or AIG_B_BASE_URL"),
            (("AIG_A_BASE_URL",), "AIG_A_BASE_URL or AIG_B_BASE_URL"),
            (("A_KEY", "AIG_A_BASE_URL"), "A_KEY and AIG_A_BASE_URL, or AIG_B_BASE_URL"),
        ],
    )
    def test_what_is_really_missing_is_named(self, lacks: tuple[str, ...], told: str) -> None:
        world = World(model("v/m", offer("a", 1, 1, key="A_KEY"), offer("b", 1, 1)))
        world.available, world.lacks = set(), {"a": lacks}
        with pytest.raises(ProviderUnavailable, match=f"the operator sets {told}\\.$"):
            world.keys(demand("v/m"))

    @pytest.mark.parametrize("preferences", [{"only": ["a"]}, {"ignore": ["b"]}])
    def test_of_those_that_the_client_lets_serve_nobody_is_set_up(self, preferences: Mapping[str, Any]) -> None:
        world = World(model("v/m", offer("a", 1, 1, key="A_API_KEY"), offer("b", 1, 1, key="B_API_KEY")))
        world.available = {"b"}
        with pytest.raises(ProviderUnavailable, match=r"the operator sets A_API_KEY\.$"):
            world.keys(demand("v/m", **preferences))

    @pytest.mark.parametrize("preferences", [{"only": []}, {"only": ["unknown"]}, {"ignore": [*ALL]}])
    def test_the_client_left_nobody(self, three: World, preferences: Mapping[str, Any]) -> None:
        with pytest.raises(InvalidRequest, match="v/m") as raised:
            three.keys(demand("v/m", **preferences))
        assert raised.value.param == "provider"

    def test_a_tier_with_a_price_of_its_own_is_served_where_it_has_one(self) -> None:
        world = World(model("v/m", offer("a", 1, 1), offer("b", 2, 2, "flex")))
        assert world.keys(demand("v/m", tier="flex")) == ["b/v/m"]
        assert world.keys(demand("v/m", tier="default")) == ["a/v/m", "b/v/m"]
        with pytest.raises(InvalidRequest, match="no service tier priority") as raised:
            world.keys(demand("v/m", tier="priority"))
        assert raised.value.param == "service_tier"

    def test_sampling_is_set_where_it_may_be(self) -> None:
        fixed = replace(offer("a", 1, 1), quirks=frozenset({"fixed_sampling"}))
        world = World(model("v/m", fixed, offer("b", 2, 2)), model("v/fixed", fixed))
        wanted = replace(demand("v/m"), sampling=("temperature",))
        assert world.keys(demand("v/m")) == ["a/v/m", "b/v/m"]
        assert world.keys(wanted) == ["b/v/m"]
        assert world.keys(replace(wanted, models=())) == ["b/v/m"]
        with pytest.raises(InvalidRequest, match="takes no temperature") as raised:
            world.keys(replace(wanted, models=("v/fixed",)))
        assert raised.value.param == "temperature"

    def test_an_offer_that_is_too_small_is_left_out(self) -> None:
        small = replace(offer("small", 1, 1), context=1500, max_output=500)
        world = World(model("v/m", small, offer("large", 2, 2)), model("v/small", small))
        brief = replace(demand("v/m"), output_tokens=100)
        assert world.keys(brief) == ["small/v/m", "large/v/m"]
        assert world.keys(demand("v/m")) == ["large/v/m"]  # eight hundred tokens are wanted
        assert world.keys(replace(brief, input_tokens=6000)) == ["large/v/m"]
        assert world.keys(replace(brief, images=1)) == ["large/v/m"]
        assert world.keys(replace(brief, models=(), input_tokens=6000)) == ["large/v/m"]
        assert world.keys(replace(brief, input_tokens=UNBOUNDED_TOKENS)) == ["large/v/m"]  # a file's usual length
        endless = replace(brief, input_tokens=UNBOUNDED_TOKENS - 1)
        assert world.keys(endless) == ["small/v/m", "large/v/m"]  # too long for all: one of them will say so
        assert world.keys(demand("v/small")) == ["small/v/small"]

    def test_pictures_are_part_of_the_price(self) -> None:
        reader, writer = offer("reader", 1, 30), offer("writer", 10, 1)
        world = World(model("v/m", reader, writer))
        assert world.keys(demand("v/m"))[0] == "writer/v/m"
        assert world.keys(replace(demand("v/m"), images=10))[0] == "reader/v/m"

    @pytest.mark.parametrize(
        ("wants", "param"),
        [
            ("tools", "tools"),
            ("json_schema", "response_format"),
            ("vision", "messages"),
            ("audio", "messages"),
            ("files", "messages"),
        ],
    )
    def test_what_it_cannot_do_is_named(self, three: World, wants: str, param: str) -> None:
        with pytest.raises(InvalidRequest, match=f"does not support {wants}.*capability={wants}") as raised:
            three.keys(demand("v/m", can=("chat", wants)))
        assert (raised.value.code, raised.value.param) == ("unsupported_parameter", param)

    @pytest.mark.parametrize("field", ["reasoning_effort", "thinking"])
    def test_reasoning_is_named_by_the_field_that_asks_for_it(self, three: World, field: str) -> None:
        asked = replace(demand("v/m", can=("chat", "reasoning")), fields={"reasoning": field})
        with pytest.raises(InvalidRequest, match=r"v/m does not support reasoning\..*capability=reasoning") as raised:
            three.keys(asked)
        assert (raised.value.code, raised.value.param) == ("unsupported_parameter", field)

    @pytest.mark.parametrize("wants", ["chat", "embed", "ocr"])
    def test_a_model_of_another_modality(self, wants: str) -> None:
        world = World(model("v/m", DEAR, can=("image",), modality="image"))
        with pytest.raises(InvalidRequest, match=f"modality image.*capability={wants}") as raised:
            world.keys(demand("v/m", can=(wants,)))
        assert (raised.value.code, raised.value.param) == ("wrong_modality", "model")

    def test_a_key_may_not_use_it(self, three: World) -> None:
        three.allowed = {"v/other"}
        with pytest.raises(Forbidden) as raised:
            three.keys(demand("v/m"))
        assert raised.value.code == "model_not_allowed"

    def test_one_that_is_switched_off_is_still_tried_when_it_is_named(self) -> None:
        assert World(model("v/m", DEAR, deprecated="2020-01-01")).keys(demand("v/m")) == ["dear/v/m"]


class TestSeveralModels:
    def test_in_their_order_each_with_its_best_offer(self) -> None:
        world = World(model("v/a", DEAR, CHEAP), model("v/b", MIDDLE, CHEAP), model("v/c", DEAR))
        assert world.keys(demand("v/b", "v/a", "v/c")) == ["cheap/v/b", "cheap/v/a", "dear/v/c"]
        assert world.keys(demand("v/b", "v/a")) == ["cheap/v/b", "middle/v/b", "cheap/v/a"]

    def test_one_that_cannot_serve_is_passed_over(self) -> None:
        world = World(model("v/a", DEAR), model("v/b", CHEAP, can=("chat", "tools")))
        assert world.keys(demand("v/a", "v/b", can=("chat", "tools"))) == ["cheap/v/b"]
        world.available = {"cheap"}
        assert world.keys(demand("v/a", "v/b")) == ["cheap/v/b"]

    def test_the_first_reason_is_told_if_none_can(self) -> None:
        world = World(model("v/a", DEAR), model("v/b", CHEAP))
        with pytest.raises(InvalidRequest, match="v/a does not support tools"):
            world.keys(demand("v/a", "v/b", can=("chat", "tools")))

    def test_what_is_missing_is_named_for_each(self) -> None:
        a = model("v/a", offer("a", 1, 1, key="A_KEY"), offer("b", 1, 1, key="B_KEY"))
        world = World(a, model("v/c", offer("c", 1, 1, key="C_KEY")))
        world.available = set()
        with pytest.raises(ProviderUnavailable, match=r"of v/a or v/c .*sets for v/a A_KEY or B_KEY; for v/c C_KEY\.$"):
            world.keys(demand("v/a", "v/c"))

    def test_what_the_request_asks_wrongly_goes_before_what_is_not_set_up(self) -> None:
        world = World(model("v/a", DEAR, can=("chat", "tools")), model("v/b", CHEAP))
        world.available = {"cheap"}
        with pytest.raises(ProviderUnavailable, match="of v/a that"):
            world.keys(demand("v/a", "v/b", can=("chat", "tools")))

    def test_one_that_does_not_exist_is_a_404(self) -> None:
        with pytest.raises(ModelNotFound):
            World(model("v/a", DEAR)).keys(demand("v/a", "v/typo"))


class TestPricesByTheHour:
    """They are those of the moment, decided once: what ranks an offer is what is held and what is charged."""

    PEAK: ClassVar = Prices({"input_tokens": Pico(5), "output_tokens": Pico(20)})
    DAY: ClassVar = Hours(((9 * 60, 17 * 60),), (1, 2, 3, 4, 5, 6, 7), PEAK)

    def world(self) -> World:
        by_hour = offer("by-hour", 1, 4)
        by_hour = replace(by_hour, prices=replace(by_hour.prices, hours=(self.DAY,)))
        return World(model("v/m", by_hour, offer("steady", 2, 8)), model("v/other", offer("third", 3, 12)))

    @pytest.mark.parametrize(
        ("hour", "first", "price"), [(8.99, "by-hour", 1), (9, "steady", 5), (16.99, "steady", 5), (17, "by-hour", 1)]
    )
    def test_the_cheapest_of_the_hour_is_first(self, hour: float, first: str, price: int) -> None:
        world = self.world()
        world.now = 20_000 * 86_400 + hour * 3600
        assert world.keys(demand("v/m"))[0] == f"{first}/v/m"
        prices = {candidate.offer.provider.name: candidate.offer.prices for candidate in world.chosen}
        assert (prices["by-hour"].rates["input_tokens"], prices["by-hour"].hours) == (price, ())
        assert world.keys(demand(), "cost")[0] == f"{first}/v/m"

    def test_a_tier_is_served_at_the_hours_that_have_a_price_for_it(self) -> None:
        tiered = offer("a", 1, 4, "flex")
        world = World(model("v/m", replace(tiered, prices=replace(tiered.prices, hours=(self.DAY,)))))
        assert world.keys(demand("v/m", tier="flex")) == ["a/v/m"]
        world.now = 12 * 3600
        with pytest.raises(InvalidRequest, match="no service tier flex"):
            world.keys(demand("v/m", tier="flex"))


def market() -> World:
    return World(
        model("v/cheap", offer("p1", 1, 1), score=20),
        model("v/best", offer("p2", 50, 50), score=60),
        model("v/fast", offer("p3", 20, 20), score=40),
        model("v/unscored", offer("p4", 30, 30)),
    )


class TestAuto:
    def test_cost(self) -> None:
        assert market().keys(demand(), "cost") == ["p1/v/cheap", "p3/v/fast", "p4/v/unscored"]

    def test_quality_with_the_unscored_last(self) -> None:
        assert market().keys(demand(), "quality") == ["p2/v/best", "p3/v/fast", "p1/v/cheap"]

    def test_speed_is_latency_and_throughput_with_the_unmeasured_last(self) -> None:
        world = market()
        world.standings = {
            "p1/v/cheap": Standing("healthy", 100, 10.0),  # 80 s for an answer
            "p3/v/fast": Standing("healthy", 500, 200.0),  # 4.5 s
            "p2/v/best": Standing("healthy", 900, 100.0),  # 8.9 s
        }
        assert world.keys(demand(), "speed") == ["p3/v/fast", "p2/v/best", "p1/v/cheap"]

    def test_balanced(self) -> None:
        """Ranks of cost, quality and speed: the middle in all beats the best in one."""
        world = World(
            model("v/poor", offer("p1", 1, 1), score=1),
            model("v/good", offer("p2", 2, 2), score=59),
            model("v/rich", offer("p3", 900, 900), score=60),
            model("v/odd", offer("p4", 901, 901), score=2),
        )
        assert world.keys(demand())[0] == "p2/v/good"

    def test_who_is_down_comes_last(self) -> None:
        world = market()
        world.standings = {"p1/v/cheap": Standing("down")}
        assert world.keys(demand(), "cost") == ["p3/v/fast", "p4/v/unscored", "p2/v/best"]

    def test_each_model_at_its_best_provider_once(self) -> None:
        world = World(model("v/a", DEAR, CHEAP), model("v/b", MIDDLE))
        assert world.keys(demand(), "cost") == ["cheap/v/a", "middle/v/b"]

    @pytest.mark.parametrize(
        "unfit",
        [
            model("v/sandbox", CHEAP, sandbox=True),
            model("v/off", CHEAP, deprecated="2026-11-24"),
            model("v/short", CHEAP, context=1700),
            model("v/blind", CHEAP, can=("chat", "tools")),
            model("v/image", CHEAP, can=("image",), modality="image"),
        ],
    )
    def test_what_could_not_serve_is_not_chosen(self, unfit: Model) -> None:
        world = World(unfit, model("v/fit", DEAR, can=("chat", "vision"), deprecated="2026-11-25"))
        assert world.keys(demand(can=("chat", "vision"))) == ["dear/v/fit"]

    def test_a_file_whose_length_nobody_knows_rules_no_model_out(self) -> None:
        can = ("chat", "files")
        world = World(model("v/a", DEAR, can=can), model("v/b", CHEAP, can=can), model("v/c", CHEAP))
        assert world.keys(demand(can=can, read=UNBOUNDED_TOKENS), "cost") == ["cheap/v/b", "dear/v/a"]

    def test_only_what_the_key_may_use_and_what_is_set_up(self) -> None:
        world = market()
        world.allowed = {"v/best", "v/fast"}
        world.available = {"p1", "p2"}
        assert world.keys(demand(), "cost") == ["p2/v/best"]

    def test_nobody(self) -> None:
        world = market()
        world.available = set()
        with pytest.raises(ProviderUnavailable, match="chat, tools") as raised:
            world.keys(demand(can=("chat", "tools")))
        assert raised.value.code == "provider_not_configured"


@pytest.mark.parametrize("routing", ["auto", "cost", "quality", "speed"])
@pytest.mark.parametrize("asked", [{"reasoning_effort": "high"}, {"thinking": {"type": "enabled"}}])
def test_who_asks_for_reasoning_gets_a_model_that_reasons(asked: dict[str, Any], routing: Routing) -> None:
    """Of the built-in catalog, whose cheapest models do not."""
    wish = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    situation = Situation(lambda _: True, {}, lambda _: Standing(), 0.0, "2026-11-24")

    def chosen(**more: Any) -> list[Model]:
        demand = chat_body.parse({**wish, **more}).demand
        return [candidate.model for candidate in candidates(builtin(), demand, routing, situation)]

    assert all("reasoning" in model.capabilities for model in chosen(**asked))
    if routing == "cost":
        assert not all("reasoning" in model.capabilities for model in chosen(reasoning_effort="none"))


def test_a_candidate_is_named_by_provider_and_model() -> None:
    assert Candidate(model("v/m", DEAR), DEAR).key == "dear/v/m"


def test_embeddings_are_compared_by_their_input_alone() -> None:
    read_only = Offer(DEAR.provider, "m", Prices({"input_tokens": Pico(7)}), "test", "2026-01-01")
    world = World(model("v/e", read_only, can=("embed",), modality="embedding"))
    assert world.keys(Demand(("v/e",), frozenset({"embed"}), 100, 0)) == ["dear/v/e"]
