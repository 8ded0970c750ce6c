"""Where an attempt goes."""

from aig.modalities.upstream import Upstream


def test_the_provider_key_is_not_shown() -> None:
    upstream = Upstream("acme", "one", "https://acme.example", api_key="sk-provider")
    assert "acme.example" in repr(upstream)
    assert "sk-provider" not in repr(upstream)


async def test_without_a_memory_every_time_is_the_first() -> None:
    upstream = Upstream("acme", "one", "https://acme.example")
    assert await upstream.first_time("a")
    assert await upstream.first_time("a")
