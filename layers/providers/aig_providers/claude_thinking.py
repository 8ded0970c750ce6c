"""How Claude's thinking is switched, at Anthropic and at Bedrock alike. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from aig.modalities.upstream import Upstream
from aig_providers.shapes import EFFORT_BUDGETS, own_details

# Whose signatures these are, in reasoning_details: a conversation may move between Anthropic and Bedrock.
FORMAT = "anthropic-claude-v1"
LEAST_BUDGET = 1024  # below it Claude refuses to think
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh"}


def thinking_switches(
    upstream: Upstream, source: Mapping[str, Any], max_output_tokens: int, choice: Any
) -> tuple[dict[str, Any] | None, str | None]:
    """`thinking` and `output_config.effort`.

    What `thinking` says is sent as far as the model knows it. `reasoning_effort` is a wish: it gives way where thinking
    would be refused, beside a forced tool or after a tool call whose thinking the client did not send back.
    """
    explicit, effort = source.get("thinking"), source.get("reasoning_effort")
    adaptive = "adaptive_thinking" in upstream.quirks
    native_effort = _EFFORTS.get(effort or "") if adaptive else None
    if explicit and explicit["type"] == "disabled":
        return {"type": "disabled"}, native_effort
    if effort == "none" and not explicit:
        return (None, "low") if "always_thinks" in upstream.quirks else ({"type": "disabled"}, None)
    if not explicit and (effort is None or _forced(choice) or not _thought_before(source["messages"])):
        return None, native_effort
    if adaptive:
        return {"type": "adaptive", "display": "summarized"}, native_effort
    budget = (explicit or {}).get("budget_tokens") or EFFORT_BUDGETS[effort or "medium"]
    budget = min(budget, max_output_tokens - 1)
    return ({"type": "enabled", "budget_tokens": budget} if budget >= LEAST_BUDGET else None), None


def _forced(choice: Any) -> bool:
    return choice == "required" or isinstance(choice, Mapping)


def _thought_before(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the tool calls since the user last spoke have their thinking with them."""
    for message in reversed(messages):
        if message["role"] == "user":
            return True
        if message["role"] == "assistant" and message.get("tool_calls") and not own_details(message, FORMAT):
            return False
    return True
