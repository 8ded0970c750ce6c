"""Posts to receivers that are slow, dead, endless, or somewhere else than they say."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from aig.ports import NotPosted
from aig_providers.fetch import MAX_ANSWER_BYTES, GuardedFetcher
from tests.receiver import Answer, Receiver, receiving
from tests.unit.providers.site import ADDRESS, HOST, certificate, lead_to, running


class Loopback:
    async def addresses(self, host: str) -> Sequence[str]:
        return ["127.0.0.1"]


class Rebinding:
    """Answers with a public address once, and from then on with one inside."""

    def __init__(self) -> None:
        self.asked = 0

    async def addresses(self, host: str) -> Sequence[str]:
        self.asked += 1
        return [ADDRESS] if self.asked == 1 else ["127.0.0.1"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


def poster(total_s: float = 15.0) -> GuardedFetcher:
    return GuardedFetcher(Loopback(), allow_loopback=True, total_s=total_s)


async def failure(url: str, total_s: float = 15.0) -> NotPosted:
    with pytest.raises(NotPosted) as raised:
        await poster(total_s).post(url, b"{}", {})
    return raised.value


async def test_body_and_headers_arrive_as_they_are(receiver: Receiver) -> None:
    receiver.script = [Answer(202, {"Retry-After": "7"}, (b"thank", b"s"))]
    posted = await poster().post(receiver.url, b"\x00{}", {"x-aig-attempt": "1", "content-type": "application/json"})
    assert (posted.status, posted.body, posted.headers["retry-after"]) == (202, b"thanks", "7")
    (sent,) = receiver.sent
    assert (sent.path, sent.body, sent.attempt) == ("/hook", b"\x00{}", 1)
    assert sent.headers["content-type"] == "application/json"


async def test_w04_a_redirect_is_an_answer_and_not_followed(receiver: Receiver) -> None:
    async with receiving() as other:
        receiver.script = [Answer(302, {"Location": other.url})]
        assert (await poster().post(receiver.url, b"{}", {})).status == 302
        assert other.sent == []


async def test_w03_a_connection_that_is_reset_is_a_failure(receiver: Receiver) -> None:
    receiver.script = [Answer(cut=True)]
    assert (await failure(receiver.url)).failure == "connection"
    assert len(receiver.sent) == 1


async def test_w05_whoever_says_nothing_is_not_waited_for(receiver: Receiver) -> None:
    receiver.script = [Answer(held=asyncio.Event())]
    found = await failure(receiver.url, total_s=0.2)
    assert (found.failure, found.status) == ("timeout", None)


async def test_w06_whoever_says_it_a_byte_at_a_time_is_cut_off(receiver: Receiver) -> None:
    receiver.script = [Answer(200, {}, (b"x",), pause_s=0.02, endless=True)]
    found = await failure(receiver.url, total_s=0.3)
    assert (found.failure, found.status) == ("timeout", 200)


async def test_w07_of_an_endless_answer_64_kb_are_read(receiver: Receiver) -> None:
    receiver.script = [Answer(200, {}, (b"x" * 4096,), endless=True)]
    found = await failure(receiver.url)
    assert (found.failure, found.status, len(found.body)) == ("too_large", 200, MAX_ANSWER_BYTES)


async def test_where_nobody_listens() -> None:
    async with receiving() as gone:
        pass
    assert (await failure(gone.url)).failure == "connection"


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/", "https://10.0.0.1/", "https://hooks.example:25/", "ftp://hooks.example/", "https://a@b/"],
)
async def test_where_no_webhook_may_go(url: str) -> None:
    assert (await failure(url)).failure == "not_allowed"


async def test_a_name_that_leads_inside_is_not_asked() -> None:
    assert (await failure("https://hooks.example/")).failure == "not_allowed"


async def test_a_name_that_nobody_knows() -> None:
    class Nobody:
        async def addresses(self, host: str) -> Sequence[str]:
            raise OSError

    with pytest.raises(NotPosted) as raised:
        await GuardedFetcher(Nobody()).post("https://hooks.example/", b"{}", {})
    assert raised.value.failure == "dns"


async def test_w16_the_address_that_was_looked_at_is_the_one_that_is_dialled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, client = certificate(tmp_path, HOST)
    async with running(server) as site:
        site.says(b"ok")
        dialled = lead_to(site, monkeypatch)
        names = Rebinding()
        posted = await GuardedFetcher(names, tls=client).post(f"https://{HOST}/hook", b"{}", {})
        assert (posted.status, dialled, names.asked) == (200, [(ADDRESS, 443)], 1)


async def test_a_certificate_that_nobody_vouches_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server, _ = certificate(tmp_path, HOST)
    async with running(server) as site:
        lead_to(site, monkeypatch)
        strict = GuardedFetcher(Rebinding(), tls=ssl.create_default_context())
        with pytest.raises(NotPosted) as raised:
            await strict.post(f"https://{HOST}/hook", b"{}", {})
    assert raised.value.failure == "tls"
