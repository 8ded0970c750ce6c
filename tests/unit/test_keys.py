"""API keys: which text is one, who it stands for, and when it no longer does."""

import hashlib
import hmac
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig import keys
from aig.keys import Caller, Secret, StoredKey

PEPPER = b"pepper"
SECRET = Secret("abcd1234", "sk-aig-abcd1234" + "x" * 40)
CALLER = Caller("acct_1", "key_1", "default", "sk-aig-abcd1234…", frozenset({"inference"}))


def stored(secret: Secret = SECRET, *, active: bool = True, expires_at: int | None = None) -> StoredKey:
    return StoredKey(replace(CALLER, expires_at=expires_at), keys.digest(secret, PEPPER), active)


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


@pytest.mark.parametrize(
    ("row", "now", "good"),
    [
        (stored(), 1000.0, True),
        (stored(expires_at=1001), 1000.0, True),
        (stored(expires_at=1001), 1000.999, True),
        (stored(expires_at=1000), 1000.0, False),
        (stored(expires_at=999), 1000.0, False),
        (stored(active=False), 1000.0, False),
        (stored(Secret("abcd1234", "sk-aig-abcd1234" + "x" * 39 + "y")), 1000.0, False),
        (None, 1000.0, False),
    ],
    ids=["good", "expires later", "its last second", "expires now", "expired", "revoked", "other secret", "unknown"],
)
def test_verify(row: StoredKey | None, now: float, good: bool) -> None:
    assert keys.verify(SECRET, PEPPER, row, now) == (row.caller if row and good else None)


def test_the_pepper_counts() -> None:
    assert keys.verify(SECRET, b"another pepper", stored(), 0) is None


def test_an_unknown_key_is_not_the_key_of_all_zeros() -> None:
    assert keys.verify(SECRET, PEPPER, StoredKey(CALLER, bytes(32), active=True), 0) is None


@pytest.mark.parametrize(
    ("globs", "slug", "may"),
    [
        ((), "sandbox/echo", True),
        (("sandbox/*",), "sandbox/echo", True),
        (("sandbox/*",), "local/smollm2-135m-instruct", False),
        (("local/*", "sandbox/echo"), "sandbox/echo", True),
        (("sandbox/echo",), "sandbox/echo-2", False),
        (("SANDBOX/*",), "sandbox/echo", False),
        (("*",), "any/thing", True),
    ],
)
def test_allowed_models_are_globs(globs: tuple[str, ...], slug: str, may: bool) -> None:
    assert replace(CALLER, allowed_models=globs).may_use(slug) is may
