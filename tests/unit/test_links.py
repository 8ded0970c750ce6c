"""Signed links: who has one may follow it until its time, and nobody makes one who has not the key."""

from urllib.parse import parse_qsl

import pytest

from aig.links import LONGEST_S, key_id, link_key, opens, signed_query

PATH = "acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C/file_01KAP6V3J8Q0ZB5N7E2XWY4T9D.png"
NOW = 1_795_000_000
KEY = link_key("pepper")


def query(path: str = PATH, expires_at: int = NOW + 60, key: bytes = KEY) -> dict[str, str]:
    return dict(parse_qsl(signed_query(path, expires_at, key)))


def test_a_link_opens_its_file_until_its_time() -> None:
    assert opens(PATH, **query(), key=KEY, now=NOW)
    assert opens(PATH, **query(), key=KEY, now=NOW + 59.9)
    assert not opens(PATH, **query(), key=KEY, now=NOW + 60)


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
    assert not opens(PATH, **{**query(), name: value}, key=KEY, now=NOW)


@pytest.mark.parametrize("path", ["acct_other/file_1.png", PATH + "x", PATH.upper(), "", "a/../b", "a b"])
def test_it_opens_no_other_file(path: str) -> None:
    assert not opens(path, **query(), key=KEY, now=NOW)


def test_a_key_of_another_deployment_opens_nothing() -> None:
    other = link_key("another pepper")
    assert not opens(PATH, **query(key=other), key=KEY, now=NOW)
    assert not opens(PATH, **{**query(key=other), "kid": key_id(KEY)}, key=KEY, now=NOW)


def test_none_lasts_longer_than_seven_days() -> None:
    assert opens(PATH, **query(expires_at=NOW + LONGEST_S), key=KEY, now=NOW)
    assert not opens(PATH, **query(expires_at=NOW + LONGEST_S + 1), key=KEY, now=NOW)
