"""OpenAI itself: chat completions, and its Responses API for models that take tools beside reasoning only there."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.upstream import Upstream
from aig_providers import wire
from aig_providers.compatible_audio import CompatibleSpeak, CompatibleTranscribe
from aig_providers.compatible_images import CompatibleImage
from aig_providers.compatible_moderations import CompatibleModerate
from aig_providers.openai_compatible import OpenAICompatibleChat, OpenAICompatibleEmbed
from aig_providers.openai_video import OpenAIVideo
from aig_providers.responses_input import is_chat_only, responses_body
from aig_providers.responses_output import StreamParser, parse_response
from aig_providers.vision import DetectByChat, OcrByChat
from aig_providers.wire import HttpRequest, Post, post_json


def build_request(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the API cannot do."""
    return post_json(upstream, "responses", responses_body(upstream, request, max_output_tokens))


class OpenAIChat:
    def __init__(self, post: Post) -> None:
        self._post = post
        self._completions = OpenAICompatibleChat(post)

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        if not _by_responses(upstream, request, max_output_tokens):
            return await self._completions.complete(upstream, request, max_output_tokens)
        http = build_request(upstream, request, max_output_tokens)
        return parse_response(await wire.exchange(self._post, http, upstream), int(time.time()))

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        if not _by_responses(upstream, request, max_output_tokens):
            async with aclosing(self._completions.stream(upstream, request, max_output_tokens)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        http = build_request(upstream, request, max_output_tokens)
        parser = StreamParser(int(time.time()))
        events = wire.events(self._post, http, upstream, is_last=lambda _: parser.ended)
        async with aclosing(events) as payloads:
            async for payload in payloads:
                for piece in parser.feed(payload):
                    yield piece
        if not parser.ended:
            raise UpstreamError("malformed")


def _by_responses(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> bool:
    return "responses" in upstream.quirks and not is_chat_only(request, max_output_tokens)


class OpenAI:
    chat = OpenAIChat(wire.CLIENT.post)
    embed = OpenAICompatibleEmbed(wire.CLIENT.post)
    ocr = OcrByChat(chat)
    detect = DetectByChat(chat)
    image = CompatibleImage(wire.CLIENT.post)
    transcribe = CompatibleTranscribe(wire.CLIENT.post)
    speak = CompatibleSpeak(wire.CLIENT.post)
    moderate = CompatibleModerate(wire.CLIENT.post)
    video = OpenAIVideo(wire.CLIENT.post)


ADAPTER = OpenAI()
