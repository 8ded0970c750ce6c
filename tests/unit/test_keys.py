"""API keys: which text is one, who it stands for, and when it no longer does."""

import hashlib
import hmac
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig import keys
from aig.keys import Caller, Credential, Secret
from aig.limits import Limits

PEPPER = b"pepper"
SECRET = Secret("abcd1234", "sk-aig-abcd1234" + "x" * 40)
CALLER = Caller("acct_1", "key_1", "default", "sk-aig-abcd1234…", frozenset({"inference"}))


def test_a_made_key_has_the_promised_form_and_reads_back() -> None:
    secret = keys.make()
    assert re.fullmatch(r"sk-aig-[0-9a-z]{8}[0-9A-Za-z]{40}", secret.text)
    assert keys.parse(secret.text) == secret
    assert secret.text[7:15] == secret.public_id


def test_no_two_keys_are_alike() -> None:
    assert len({keys.make().text for _ in range(200)}) == 200
    assert len({keys.make().public_id for _ in range(200)}) == 200


def test_the_secret_part_is_never_shown() -> None:
    assert repr(SECRET) == "Secret(abcd1234)"
    assert f"{SECRET}" == "Secret(abcd1234)"


@pytest.mark.parametrize("length", [32, 40, 64])
def test_secrets_of_32_to_64_characters_are_keys(length: int) -> None:
    text = "sk-aig-abcd1234" + "Z" * length
    assert keys.parse(text) == Secret("abcd1234", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-aig-",
        "sk-aig-abcd1234",
        "sk-aig-abcd1234" + "x" * 31,
        "sk-aig-abcd1234" + "x" * 65,
        "sk-aig-ABCD1234" + "x" * 40,
        "sk-openai-abcd1234" + "x" * 40,
        "SK-AIG-abcd1234" + "x" * 40,
        " sk-aig-abcd1234" + "x" * 40,
        "sk-aig-abcd1234" + "x" * 40 + "\n",
        "sk-aig-abcd1234" + "x" * 39 + "\0",
        "sk-aig-abcd1234" + "x" * 39 + "'",
        "sk-aig-\u0430bcd1234" + "x" * 40,  # a Cyrillic a
        "sk-aig-abcd123\u0664" + "x" * 40,  # an Arabic digit
        "sk-aig-abcd1234" + "x" * 39 + "\uff58",  # a full-width x
        "sk-aig-abcd1234" + "x" * 10_000,
    ],
)
def test_what_is_not_a_key(text: str) -> None:
    assert keys.parse(text) is None


@given(st.text(max_size=80))
def test_parse_takes_any_text(text: str) -> None:
    secret = keys.parse(text)
    assert secret is None or (secret.text == text and text.isascii())


def test_the_digest_is_an_hmac_with_the_pepper() -> None:
    assert keys.digest(SECRET, PEPPER) == hmac.new(PEPPER, SECRET.text.encode(), hashlib.sha256).digest()
    assert keys.digest(SECRET, b"other") != keys.digest(SECRET, PEPPER)


OTHER = Secret("abcd1234", "sk-aig-abcd1234" + "x" * 39 + "y")


def credential(secret: Secret = SECRET) -> Credential:
    return Credential(keys.digest(secret, PEPPER), "acct_1", "key_1")


def test_a_credential_is_opened_by_its_own_secret_and_pepper_alone() -> None:
    assert keys.opens(keys.digest(SECRET, PEPPER), credential())
    assert not keys.opens(keys.digest(OTHER, PEPPER), credential())
    assert not keys.opens(keys.digest(SECRET, b"another pepper"), credential())


def test_an_unknown_key_is_not_the_key_of_all_zeros() -> None:
    assert not keys.opens(keys.digest(SECRET, PEPPER), None)
    assert not keys.opens(bytes(32), None)


@pytest.mark.parametrize(
    ("expires_at", "now", "current"),
    [(None, 1000.0, True), (1001, 1000.999, True), (1000, 1000.0, False), (999, 1000.0, False)],
    ids=["never expires", "its last second", "expires now", "expired"],
)
def test_a_key_is_good_until_it_expires(expires_at: int | None, now: float, current: bool) -> None:
    assert replace(CALLER, expires_at=expires_at).is_current(now) is current


def test_a_seed_always_makes_the_same_key_and_another_seed_or_pepper_another() -> None:
    made = keys.derived(b"seed", PEPPER)
    assert keys.parse(made.text) == made
    assert keys.derived(b"seed", PEPPER) == made
    assert len({made.text, keys.derived(b"seed2", PEPPER).text, keys.derived(b"seed", b"pepper2").text}) == 3


def test_all_limits_of_a_caller_bind() -> None:
    key, sub = Limits("key_1", allowed_models=("sandbox/*", "openai/*")), Limits("sub_1", allowed_models=("sandbox/*",))
    caller = replace(CALLER, account_id="sub_1", parent_id="acct_1", limits=(key, sub))
    assert (caller.may_use("sandbox/echo"), caller.may_use("openai/gpt-5.4"), caller.payer_id) == (
        True,
        False,
        "acct_1",
    )
    assert caller.own is key


def test_a_caller_without_limits_may_use_all_and_pays_for_itself() -> None:
    assert CALLER.may_use("any/thing")
    assert (CALLER.payer_id, CALLER.own) == ("acct_1", Limits("key_1"))
