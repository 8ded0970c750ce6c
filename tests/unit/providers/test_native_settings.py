"""Settings that one model takes and the next refuses: what each wire of its own makes of them."""

from typing import Any

import pytest

from aig.modalities import chat_body
from aig.modalities.chat import ChatRequest
from aig.modalities.upstream import Upstream
from aig_providers.anthropic_messages import messages_body
from aig_providers.bedrock_messages import converse_arguments
from aig_providers.google_contents import UNSIGNED, generate_body

USER = {"role": "user", "content": "hi"}
CLAUDE, OTHER = "global.anthropic.claude-x", "amazon.nova-x"
CALLS = [
    {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in ("f", "g")
]


def request(**fields: Any) -> ChatRequest:
    return chat_body.parse({"messages": [USER], **fields})


def upstream(*quirks: str, model: str = "m") -> Upstream:
    return Upstream("p", model, "https://p.example", quirks=frozenset(quirks))


USUAL = {"temperature": 1, "top_p": 1.0}
SET = {"temperature": 0.2, "top_p": 0.9, "top_k": 5}


def test_the_usual_sampling_is_not_sent_to_claude() -> None:
    """It refuses temperature beside top_p, and where its sampling is fixed it refuses both."""
    body = messages_body(upstream(), request(**USUAL), 100)
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    assert converse_arguments(upstream(model=CLAUDE), request(**USUAL), 100)["inferenceConfig"] == {"maxTokens": 100}


def test_what_is_not_usual_is_sent() -> None:
    body = messages_body(upstream(), request(**SET), 100)
    assert {name: body[name] for name in SET} == SET
    arguments = converse_arguments(upstream(model=CLAUDE), request(**SET), 100)
    assert arguments["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.2, "topP": 0.9}
    assert arguments["additionalModelRequestFields"] == {"top_k": 5}
    config = generate_body(upstream(), request(**SET), 100)["generationConfig"]
    assert (config["temperature"], config["topP"], config["topK"]) == (0.2, 0.9, 5)


def test_what_is_usual_here_may_not_be_elsewhere() -> None:
    inference = converse_arguments(upstream(model=OTHER), request(**USUAL), 100)["inferenceConfig"]
    assert inference == {"maxTokens": 100, "temperature": 1, "topP": 1.0}
    config = generate_body(upstream(), request(**USUAL), 100)["generationConfig"]
    assert (config["temperature"], config["topP"]) == (1, 1.0)
    fixed = generate_body(upstream("fixed_sampling"), request(**USUAL), 100)["generationConfig"]
    assert fixed == {"maxOutputTokens": 100}


@pytest.mark.parametrize(
    ("quirks", "fields", "sent"),
    [
        ((), {"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ((), {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        (
            ("adaptive_thinking",),
            {"reasoning_effort": "low"},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        ),
        (("adaptive_thinking", "always_thinks"), {"reasoning_effort": "none"}, {"output_config": {"effort": "low"}}),
        ((), {}, {}),
    ],
)
def test_claude_thinks_alike_at_both_its_providers(
    quirks: tuple[str, ...], fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    body = messages_body(upstream(*quirks), request(**fields), 8000)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == sent
    arguments = converse_arguments(upstream(*quirks, model=CLAUDE), request(**fields), 8000)
    assert arguments.get("additionalModelRequestFields", {}) == sent


def test_bedrock_makes_claudes_output_config_itself_where_there_is_a_schema() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    asked = request(reasoning_effort="low", response_format=wanted)
    arguments = converse_arguments(upstream("adaptive_thinking", model=CLAUDE), asked, 8000)
    assert arguments["outputConfig"]["textFormat"]["type"] == "json_schema"
    assert "output_config" not in arguments["additionalModelRequestFields"]


def signatures(*quirks: str, signed: str | None) -> list[str | None]:
    calls: list[dict[str, Any]] = [dict(call) for call in CALLS]
    if signed:
        calls[0]["extra_content"] = {"google": {"thought_signature": signed}}
    history = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_f", "content": "1"},
        {"role": "tool", "tool_call_id": "call_g", "content": "2"},
    ]
    body = generate_body(upstream(*quirks), request(messages=history), 100)
    return [part.get("thoughtSignature") for part in body["contents"][1]["parts"]]


def test_a_call_of_another_models_passes_where_gemini_wants_a_signature() -> None:
    """Gemini 3 refuses the first call of a turn without one; Gemini 2 knows none."""
    assert signatures("thinking_level", signed=None) == [UNSIGNED, None]
    assert signatures("thinking_level", signed="QUJD") == ["QUJD", None]
    assert signatures(signed=None) == [None, None]
