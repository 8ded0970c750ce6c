"""Where webhooks may go."""

import pytest

from aig.errors import InvalidRequest
from aig.webhooks.receiver import checked_url, receiver_of

OWN = "api.gateway.example"

GOOD = [
    "https://hooks.example/a?b=c",
    "https://hooks.example:443/a",
    "https://93.184.216.34/",
    "https://xn--bcher-kva.example/",
]
BAD = [
    "http://hooks.example/",
    "ftp://hooks.example/",
    "hooks.example",
    "",
    "https://",
    "https://user@hooks.example/",
    "https://user:password@hooks.example/",
    "https://hooks.example/#part",
    "https://hooks.example/#",
    "https://hooks.example:25/",
    "https://hooks.example:8443/",
    "https://hooks.example:99999/",
    "https://hooks.example/" + "a" * 2048,
    "https://hooks.example/a b",
    "https://hooks.example/\n",
    "https://bücher.example/",
    "https://раypal.example/",  # noqa: RUF001 (the first letters are Cyrillic)
    "https://[::1/",
    # the forms of an address inside
    "https://127.0.0.1/",
    "https://localhost/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://[fe80::1%25eth0]/",
    "https://metadata.google.internal/",
    "https://127.0.0.1./",
    "https://⑯⑨.254.169.254/",
    # this gateway itself
    f"https://{OWN}/v1/wallet",
    f"https://{OWN.upper()}./",
    f"https://{OWN}:443/",
    "http://127.0.0.1:8000/",
]


@pytest.mark.parametrize("url", GOOD)
def test_what_the_internet_can_reach_is_taken_as_it_is(url: str) -> None:
    assert checked_url(url, OWN) == url


@pytest.mark.parametrize("url", BAD)
def test_anything_else_is_refused_and_its_field_named(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_url(url, f"{OWN}:443")
    assert (refused.value.status, refused.value.param) == (400, "webhook_url")
    assert "Send an https URL" in refused.value.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/hook?a=b", "http://localhost/", "http://[::1]:80/"])
def test_ones_own_machine_may_be_told_by_itself(url: str) -> None:
    assert checked_url(url, "127.0.0.1:8787", allow_loopback=True) == url
    with pytest.raises(InvalidRequest):
        checked_url(url, "127.0.0.1:8787")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1/#part",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/" + "a" * 2048,
        "https://127.0.0.1/",
        "http://10.0.0.1/",
    ],
)
def test_and_nothing_else(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_url(url, "127.0.0.1:8787", allow_loopback=True, param="url")
    assert refused.value.param == "url"


def test_what_is_known_of_a_receiver_is_known_of_an_endpoint_or_of_a_host() -> None:
    assert receiver_of("https://a.example/1", "hook_1") == "hook_1"
    assert receiver_of("https://a.example/1", None) == receiver_of("https://A.example/2?x=1", None)
    assert receiver_of("https://a.example/1", None) != receiver_of("https://b.example/1", None)
    assert receiver_of("https://a:99999/", None).startswith("host_")
