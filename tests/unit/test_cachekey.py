"""Who is looked up in the cache, and which requests share a key."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.cachekey import CacheChoice, cache_key, tenant_secret, wanted
from aig.catalog.model import Catalog, Model, builtin
from aig.catalog.routing import Routing
from aig.errors import ModelNotFound
from aig.keys import Caller
from aig.limits import Limits
from aig.modalities import chat_body, embed_body
from aig.modalities.cacheable import Cacheable, CacheForm
from tests.unit.calls import CALLER
from tests.unit.modalities.strategies import bodies

SECRET: Final = tenant_secret("pepper", "acct_1")
ANY: Final[Mapping[str, Any]] = {"messages": [{"role": "user", "content": "hello"}]}
CHAT: Final[Mapping[str, Any]] = {"model": "sandbox/echo", **ANY}
EMBED: Final[Mapping[str, Any]] = {"model": "sandbox/embed", "input": "hello"}


def chat(**more: Any) -> Cacheable:
    return chat_body.parse({**CHAT, **more})


def embed(**more: Any) -> Cacheable:
    return embed_body.parse({**EMBED, **more})


def key(
    request: Cacheable,
    *,
    secret: bytes = SECRET,
    catalog: Catalog | None = None,
    caller: Caller = CALLER,
    routing: Routing = "auto",
) -> str | None:
    return cache_key(secret, catalog or builtin(), caller, request, routing)


@pytest.mark.parametrize(
    ("choice", "deterministic", "looked_up"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("force", True, True),
        ("force", False, True),
        ("skip", True, False),
        ("skip", False, False),
    ],
)
def test_what_is_looked_up(choice: CacheChoice, deterministic: bool, looked_up: bool) -> None:
    assert wanted(CacheForm("chat", {}, deterministic), choice) is looked_up


@pytest.mark.parametrize(
    ("more", "deterministic"),
    [
        ({}, False),
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
        ({"temperature": 0.1}, False),
        ({"temperature": None}, False),
        ({"seed": 0}, True),
        ({"seed": 7, "temperature": 1.5}, True),
        ({"seed": None}, False),
    ],
)
def test_a_chat_is_deterministic_at_temperature_zero_or_with_a_seed(
    more: Mapping[str, Any], deterministic: bool
) -> None:
    assert chat(**more).cache_form.deterministic is deterministic


def test_embeddings_are_always_deterministic() -> None:
    assert embed().cache_form.deterministic


FUNCTION: Final = {"type": "function", "function": {"name": "clock"}}


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"messages": [{"role": "system", "content": "x"}, *ANY["messages"]]},
        {"temperature": 0},
        {"temperature": 1},
        {"top_p": 0.5},
        {"seed": 1},
        {"seed": 2},
        {"max_tokens": 5},
        {"n": 2},
        {"stop": ["x"]},
        {"tools": [FUNCTION]},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "low"},
        {"service_tier": "default"},
        {"provider": {"ignore": ["none"]}},
        {"metadata": {"a": "b"}},
        {"a_field_of_tomorrow": 1},
        {"model": "sandbox/zero-usage"},
        {"models": ["sandbox/zero-usage"]},
        {"stream": True},
    ],
    ids=lambda more: next(iter(more)),
)
def test_every_parameter_changes_the_key(more: Mapping[str, Any]) -> None:
    assert key(chat(**more)) != key(chat())


@pytest.mark.parametrize(
    "more",
    [
        {"input": "Hello"},
        {"input": ["hello", "hello"]},
        {"encoding_format": "base64"},
        {"dimensions": 64},
        {"input_type": "query"},
        {"provider": {"ignore": ["none"]}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_so_does_every_parameter_of_embeddings(more: Mapping[str, Any]) -> None:
    assert key(embed(**more)) != key(embed())


def test_all_of_these_keys_differ_from_each_other() -> None:
    requests = [chat(seed=at % 3, max_tokens=1 + at // 3) for at in range(30)]
    assert len({key(request) for request in requests}) == 30


@pytest.mark.parametrize("more", [{"user": "u-1"}, {"stream": False}, {"stream_options": None}])
def test_what_cannot_change_the_answer_does_not_change_the_key(more: Mapping[str, Any]) -> None:
    assert key(chat(**more)) == key(chat())
    assert key(embed(user="u-1")) == key(embed())


def test_how_a_stream_tells_its_usage_does_not_change_the_key() -> None:
    assert key(chat(stream=True, stream_options={"include_usage": True})) == key(chat(stream=True))


@given(bodies(), st.randoms(use_true_random=False))
def test_the_order_of_json_keys_does_not_count(body: dict[str, Any], random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        names = random.sample(sorted(value), len(value))
        return {name: shuffled(value[name]) for name in names}

    again = json.loads(json.dumps(body))
    assert key(chat_body.parse(body)) == key(chat_body.parse(shuffled(again)))


def test_the_same_text_as_chat_and_as_embeddings_are_two() -> None:
    assert key(chat()) != key(embed())


def test_tenants_differ() -> None:
    assert key(chat(), secret=tenant_secret("pepper", "acct_2")) != key(chat())
    assert key(chat(), secret=tenant_secret("pepper", "sub_1")) != key(chat())
    assert key(chat(), secret=tenant_secret("other", "acct_1")) != key(chat())


def test_a_tenants_secret_is_derived_from_the_pepper() -> None:
    assert hmac.digest(b"pepper", b"cacheacct_1", hashlib.sha256) == SECRET


def test_a_key_tells_nothing_of_what_was_asked() -> None:
    made = key(chat())
    assert made is not None
    assert len(made) == 64
    assert int(made, 16)


def changed(slug: str, **changes: Any) -> Catalog:
    """The catalog in which the first offer of this model is another."""
    catalog = builtin()
    model: Model = catalog.model(slug)
    offers = (replace(model.offers[0], **changes), *model.offers[1:])
    return Catalog(catalog.providers, {**catalog.models, slug: replace(model, offers=offers)})


def test_another_offer_is_another_model() -> None:
    catalog = changed("sandbox/echo", model_id="echo-2")
    assert key(chat(), catalog=catalog) != key(chat())
    assert key(chat(model="auto"), catalog=catalog) != key(chat(model="auto"))
    assert key(chat(model="sandbox/zero-usage"), catalog=catalog) == key(chat(model="sandbox/zero-usage"))


def test_another_price_is_not() -> None:
    catalog = changed("sandbox/echo", prices=builtin().model("sandbox/zero-usage").offers[0].prices, date="2030-01-01")
    assert key(chat(), catalog=catalog) == key(chat())


def test_an_unknown_model_is_told_at_once() -> None:
    with pytest.raises(ModelNotFound):
        key(chat(model="nobody/nothing"))


def test_routing_counts_where_no_model_is_named() -> None:
    assert key(chat(), routing="cost") == key(chat())
    assert key(chat(model="auto"), routing="cost") != key(chat(model="auto"))
    assert key(chat_body.parse(dict(ANY))) == key(chat(model="auto"))


def allowed(*globs: str) -> Caller:
    return replace(CALLER, limits=(Limits("key_1", allowed_models=globs),))


def test_so_do_the_models_that_the_key_may_use() -> None:
    narrow, same = allowed("a/*", "sandbox/*"), allowed("sandbox/*")
    assert key(chat(model="auto"), caller=narrow) != key(chat(model="auto"))
    assert key(chat(), caller=narrow) == key(chat(), caller=same) == key(chat())


def test_a_key_that_may_not_use_a_model_is_not_given_its_answers() -> None:
    other = allowed("sandbox/zero-usage")
    assert key(chat(), caller=other) is None
    assert key(chat(model="sandbox/zero-usage", models=["sandbox/echo"]), caller=other) is None
