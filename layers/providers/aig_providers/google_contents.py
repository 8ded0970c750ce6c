"""From OpenAI's chat body to the body of Gemini's generateContent. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from aig.modalities.chat import ChatRequest
from aig.modalities.upstream import Upstream
from aig_providers.shapes import (
    EFFORT_BUDGETS,
    arguments_object,
    data_url,
    function_tools,
    own_details,
    refuse,
    sampling,
    text_of,
    unsupported,
)

FORMAT = "google-gemini-v1"  # whose signatures these are, in reasoning_details
UNSIGNED = "skip_thought_signature_validator"
_REFUSED = ("logit_bias", "audio", "prediction")
_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
_LEVELS = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH"}
_SETTINGS = {
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "top_logprobs": "logprobs",
}
_SAMPLING = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
_AUDIO_TYPES = {"mp3": "audio/mp3", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "aac": "audio/aac"}

Part = dict[str, Any]


def generate_body(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> dict[str, Any]:
    """Raises UpstreamError for what this API cannot do."""
    source = request.body
    refuse(source, _REFUSED)
    system, contents = _conversation(source["messages"], upstream.quirks)
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    tools, choice = function_tools(source)
    if tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool["function"]) for tool in tools]}]
        if choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _calling(choice)}
    if source.get("service_tier") in ("flex", "priority"):
        body["serviceTier"] = source["service_tier"]
    if source.get("safety_settings"):
        body["safetySettings"] = source["safety_settings"]
    body["generationConfig"] = {"maxOutputTokens": max_output_tokens, **_generation(upstream, source)}
    return body


def _generation(upstream: Upstream, source: Mapping[str, Any]) -> dict[str, Any]:
    settings = {native: source[name] for name, native in _SETTINGS.items() if source.get(name) is not None}
    usual = "fixed_sampling" not in upstream.quirks
    settings |= {_SAMPLING[name]: value for name, value in sampling(source, usual=usual).items()}
    if stop := source.get("stop"):
        settings["stopSequences"] = [stop] if isinstance(stop, str) else stop
    if source.get("logprobs"):
        settings["responseLogprobs"] = True
    wanted = source.get("response_format") or {}
    if wanted.get("type") in ("json_object", "json_schema"):
        settings["responseMimeType"] = "application/json"
        schema = (wanted.get("json_schema") or {}).get("schema")
        if schema is not None:
            settings["responseJsonSchema"] = schema
    if set(modalities := source.get("modalities") or ()) - {"text"}:
        settings["responseModalities"] = [modality.upper() for modality in modalities]
    if thinking := _thinking(upstream, source):
        settings["thinkingConfig"] = thinking
    return settings


def _thinking(upstream: Upstream, source: Mapping[str, Any]) -> dict[str, Any] | None:
    """A level for the models that take one, else a budget of tokens; -1 leaves it to the model."""
    explicit, effort = source.get("thinking"), source.get("reasoning_effort")
    if not explicit and effort is None:
        return None
    off = explicit["type"] == "disabled" if explicit else effort == "none"
    if "thinking_level" in upstream.quirks:
        if off:
            return {"thinkingLevel": "MINIMAL"}
        level = {"thinkingLevel": _LEVELS[effort]} if effort else {}
        return {"includeThoughts": True, **level}
    if off:
        return {"thinkingBudget": 0}
    budget = (explicit or {}).get("budget_tokens") or (EFFORT_BUDGETS[effort] if effort else -1)
    return {"includeThoughts": True, "thinkingBudget": budget}


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    made = {"name": function["name"]}
    if function.get("description"):
        made["description"] = function["description"]
    if function.get("parameters"):
        made["parametersJsonSchema"] = function["parameters"]
    return made


def _calling(choice: Any) -> dict[str, Any]:
    if isinstance(choice, Mapping):
        return {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
    return {"mode": _MODES[choice]}


def _conversation(
    messages: Sequence[Mapping[str, Any]], quirks: Collection[str]
) -> tuple[list[Part], list[dict[str, Any]]]:
    """The system instruction's parts, and turns of user and model; neighbours of one role become one."""
    system: list[Part] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}  # of the functions, by the id of the call
    for at, message in enumerate(messages):
        role = message["role"]
        if role in ("system", "developer"):
            system += [{"text": text} for text in [text_of(message["content"])] if text]
            continue
        if role == "user":
            parts = _user(message["content"], f"messages[{at}]")
        elif role == "assistant":
            names |= {call["id"]: call["function"]["name"] for call in _calls(message)}
            parts = _model(message, quirks)
        elif role == "tool":
            parts = _tool_result(message, names, f"messages[{at}]")
        else:
            raise unsupported(f"messages[{at}]")
        native = "model" if role == "assistant" else "user"
        if not parts:
            continue
        if contents and contents[-1]["role"] == native:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": native, "parts": parts})
    return system, contents


def _user(content: Any, path: str) -> list[Part]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [_part(part, f"{path}.content[{at}]") for at, part in enumerate(content)]


def _part(part: Mapping[str, Any], path: str) -> Part:
    match part["type"]:
        case "text":
            return {"text": part["text"]}
        case "image_url":
            return _media(part["image_url"]["url"], path)
        case "file" if isinstance(part["file"].get("file_data"), str):
            return _media(part["file"]["file_data"], path)
        case "input_audio" if part["input_audio"]["format"] in _AUDIO_TYPES:
            audio = part["input_audio"]
            return {"inlineData": {"mimeType": _AUDIO_TYPES[audio["format"]], "data": audio["data"]}}
    raise unsupported(path)


def _media(url: str, path: str) -> Part:
    """Inline only: behind a link, which Gemini would follow, may be a film of any length."""
    inline = data_url(url)
    if inline is None:
        raise unsupported(path)
    return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}


def _calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [call for call in message.get("tool_calls") or () if "function" in call]


def _model(message: Mapping[str, Any], quirks: Collection[str]) -> list[Part]:
    """Text and calls with the signatures they came with. Of the thoughts, those are sent back that are signed.

    Gemini 3 refuses a turn whose first call has none, as one from another model has, but for Google's word for that.
    """
    details = own_details(message, FORMAT)
    signatures = [
        detail["data"] for detail in details if detail["type"] == "reasoning.encrypted" and detail.get("data")
    ]
    text = text_of(message.get("content"))
    parts: list[Part] = [
        {"text": detail.get("text") or "", "thought": True, "thoughtSignature": detail["signature"]}
        for detail in details
        if detail["type"] == "reasoning.text" and detail.get("signature")
    ]
    if text or signatures:
        signed = {"thoughtSignature": signatures[-1]} if signatures else {}
        parts.append({"text": text, **signed})
    unsigned = "thinking_level" in quirks
    for call in _calls(message):
        function = call["function"]
        part: Part = {
            "functionCall": {
                "id": call["id"],
                "name": function["name"],
                "args": arguments_object(function["arguments"]),
            }
        }
        if signature := _signature(call):
            part["thoughtSignature"] = signature
        elif unsigned:
            part["thoughtSignature"] = UNSIGNED
        unsigned = False
        parts.append(part)
    return parts


def _signature(call: Mapping[str, Any]) -> str | None:
    extra = call.get("extra_content")
    own = extra.get("google") if isinstance(extra, Mapping) else None
    signature = own.get("thought_signature") if isinstance(own, Mapping) else None
    return signature if isinstance(signature, str) else None


def _tool_result(message: Mapping[str, Any], names: Mapping[str, str], path: str) -> list[Part]:
    """The result under the function's name, which OpenAI's message leaves out; pictures go beside it."""
    call_id, content = message["tool_call_id"], message["content"]
    response = {"id": call_id, "name": names.get(call_id, ""), "response": _response(text_of(content))}
    media = [part for part in content if part["type"] != "text"] if isinstance(content, list) else []
    return [{"functionResponse": response}, *(_part(part, path) for part in media)]


def _response(text: str) -> dict[str, Any]:
    """Gemini wants an object: the text's own if it is one."""
    try:
        value = from_json(text)
    except ValueError:
        return {"output": text}
    return value if isinstance(value, dict) else {"output": value}
