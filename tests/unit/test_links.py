"""Signed links: who has one may follow it until its time, and nobody makes one who has not the key."""

from urllib.parse import parse_qsl

import pytest

from aig.links import LONGEST_S, SWITCH_S, key_id, keys_in_use, link_key, opens, signed_query

PATH = "acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C/file_01KAP6V3J8Q0ZB5N7E2XWY4T9D.png"
NOW = 1_795_000_000
KEY = link_key("pepper")


def query(path: str = PATH, expires_at: int = NOW + 60, key: bytes = KEY) -> dict[str, str]:
    return dict(parse_qsl(signed_query(path, expires_at, key)))


def test_a_link_opens_its_file_until_its_time() -> None:
    assert opens(PATH, **query(), keys=[KEY], now=NOW)
    assert opens(PATH, **query(), keys=[KEY], now=NOW + 59.9)
    assert not opens(PATH, **query(), keys=[KEY], now=NOW + 60)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exp", str(NOW + 61)),
        ("exp", ""),
        ("exp", "9" * 13),
        ("exp", "-5"),
        ("exp", "\u0661"),
        ("kid", "00000000"),
        ("kid", ""),
        ("sig", "0" * 64),
        ("sig", ""),
        ("sig", "\u00e9"),
    ],
)
def test_nothing_of_it_may_be_changed(name: str, value: str) -> None:
    assert not opens(PATH, **{**query(), name: value}, keys=[KEY], now=NOW)


@pytest.mark.parametrize("path", ["acct_other/file_1.png", PATH + "x", PATH.upper(), "", "a/../b", "a b"])
def test_it_opens_no_other_file(path: str) -> None:
    assert not opens(path, **query(), keys=[KEY], now=NOW)


def test_a_key_of_another_deployment_opens_nothing() -> None:
    other = link_key("another pepper")
    assert not opens(PATH, **query(key=other), keys=[KEY], now=NOW)
    assert not opens(PATH, **{**query(key=other), "kid": key_id(KEY)}, keys=[KEY], now=NOW)


def test_none_lasts_longer_than_seven_days() -> None:
    assert opens(PATH, **query(expires_at=NOW + LONGEST_S), keys=[KEY], now=NOW)
    assert not opens(PATH, **query(expires_at=NOW + LONGEST_S + 1), keys=[KEY], now=NOW)


FIRST, SECOND = "0a" * 32, "1b" * 32


def test_a_key_of_the_secret_signs_and_the_one_before_opens_too() -> None:
    keys = keys_in_use(FIRST, SECOND, None, NOW)
    assert keys == [bytes.fromhex(FIRST), bytes.fromhex(SECOND)]
    for key in keys:
        assert opens(PATH, **query(key=key), keys=keys, now=NOW)
    assert keys_in_use(FIRST, None, None, NOW) == [bytes.fromhex(FIRST)]


def test_until_all_know_another_key_the_one_before_signs() -> None:
    def signing(now: float) -> bytes:
        return keys_in_use(FIRST, SECOND, str(NOW + SWITCH_S), now)[0]

    assert signing(NOW) == signing(NOW + SWITCH_S - 1) == bytes.fromhex(SECOND)
    assert signing(NOW + SWITCH_S) == bytes.fromhex(FIRST)


@pytest.mark.parametrize("no_key", ["x" * 64, FIRST[:-1], FIRST.upper(), " " + FIRST, FIRST + "\n"])
def test_what_is_no_key_signs_nothing(no_key: str) -> None:
    for current, before in ((no_key, None), (FIRST, no_key)):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            keys_in_use(current, before, None, NOW)


def test_a_link_that_names_one_key_is_not_opened_with_the_other() -> None:
    other = link_key("another pepper")
    assert not opens(PATH, **{**query(key=other), "kid": key_id(KEY)}, keys=[KEY, other], now=NOW)
    assert not opens(PATH, **query(), keys=[], now=NOW)
