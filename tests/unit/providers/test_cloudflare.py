"""What goes to Workers AI, model by model, and what comes of its answers."""

import base64
import json
import struct
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.classify import ClassifyRequest
from aig.modalities.detect import DetectRequest
from aig.modalities.files import Picture, Sound
from aig.modalities.image import USUAL_SIZE, ImageRequest
from aig.modalities.moderate import CATEGORIES, ModerateRequest
from aig.modalities.rerank import RerankRequest
from aig.modalities.speak import SpeakRequest
from aig.modalities.transcribe import TranscribeRequest
from aig.modalities.translate import TranslateRequest
from aig.modalities.usage import Usage
from aig_providers.cloudflare import classify, detect, image, moderate, rerank, run, speak, transcribe, translate
from aig_providers.wire import HttpRequest
from tests.unit.providers.replies import posting, upstream

BASE = "https://api.example/client/v4/accounts/123/ai"
FLUX, LUCID = "@cf/black-forest-labs/flux-1-schnell", "@cf/leonardo/lucid-origin"
PHOENIX, SDXL = "@cf/leonardo/phoenix-1.0", "@cf/stabilityai/stable-diffusion-xl-base-1.0"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + struct.pack(">II", 640, 480) + b"\x08\x02"
JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + b"\x03\x01\x11\x00"
PICTURE = Picture(PNG, "image/png", 640, 480)
SOUND = Sound(b"RIFF....WAVE", "audio/wav", 9.5)


def at(model_id: str) -> Any:
    return upstream(model_id, base_url=BASE, api_key="k")


def sent(http: HttpRequest) -> Any:
    return json.loads(http.body)


def enveloped(result: Any) -> bytes:
    return json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()


def refusal(build: Any, *args: Any) -> str | None:
    """The field that is refused before anybody is asked."""
    with pytest.raises(UpstreamError) as raised:
        build(*args)
    assert (raised.value.unasked, raised.value.code) == (True, "unsupported_parameter")
    return raised.value.param


def kind(parse: Any, *args: Any) -> str:
    with pytest.raises(UpstreamError) as raised:
        parse(*args)
    return raised.value.kind


def asked_for(**fields: Any) -> ImageRequest:
    return ImageRequest(("m",), "a cat", **fields)


class TestImage:
    def test_a_model_that_makes_one_size(self) -> None:
        http = image.build_request(at(FLUX), asked_for())
        assert http.url == f"{BASE}/run/{FLUX}"
        assert http.headers["Authorization"] == "Bearer k"
        assert sent(http) == {"prompt": "a cat", "steps": 4}
        assert sent(image.build_request(at(FLUX), asked_for(steps=8, size=USUAL_SIZE)))["steps"] == 8

    def test_what_is_billed_is_always_said(self) -> None:
        assert sent(image.build_request(at(LUCID), asked_for())) == {
            "prompt": "a cat", "num_steps": 15, "width": 1024, "height": 1024,
        }  # fmt: skip

    def test_every_setting(self) -> None:
        settings = {"seed": 7, "guidance": 3.5, "negative_prompt": "dogs"}
        body = sent(image.build_request(at(PHOENIX), asked_for(steps=30, size=(512, 768), **settings), 2))
        assert body == {
            "prompt": "a cat", "num_steps": 30, "width": 512, "height": 768, **settings, "seed": 9,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("model", "fields", "param"),
        [
            (FLUX, {"steps": 9}, "steps"),
            (FLUX, {"size": (512, 512)}, "size"),
            (FLUX, {"seed": 0}, "seed"),
            (FLUX, {"guidance": 0.0}, "guidance"),
            (LUCID, {"negative_prompt": "dogs"}, "negative_prompt"),
            (LUCID, {"size": (2501, 512)}, "size"),
            (SDXL, {"size": (128, 512)}, "size"),
            (SDXL, {"form": "jpeg"}, "output_format"),
            (PHOENIX, {"form": "png"}, "output_format"),
            (PHOENIX, {"style": "vivid"}, "style"),
            (PHOENIX, {"quality": "hd"}, "quality"),
            (PHOENIX, {"background": "transparent"}, "background"),
            (PHOENIX, {"pictures": (PICTURE,)}, "image"),
            (PHOENIX, {"mask": PICTURE}, "mask"),
            ("@cf/another/model", {}, "model"),
        ],
    )
    def test_what_a_model_does_not_take(self, model: str, fields: dict[str, Any], param: str) -> None:
        assert refusal(image.build_request, at(model), asked_for(**fields)) == param

    def test_what_asks_for_nothing_is_taken(self) -> None:
        image.build_request(at(FLUX), asked_for(quality="auto", background="opaque", form="jpeg"))

    @pytest.mark.parametrize("data", [PNG, JPEG])
    def test_a_picture_is_inline_or_is_the_answer(self, data: bytes) -> None:
        text = base64.b64encode(data).decode()
        for payload in (data, enveloped({"image": text}), enveloped({"image": f"data:image/x;base64,{text}"})):
            made = image.parse(payload)
            assert (made.data, made.media_type) == (data, "image/png" if data is PNG else "image/jpeg")

    @pytest.mark.parametrize(
        "payload", [b"", b"GIF", b"{}", b"{", enveloped({}), enveloped({"image": ""}), enveloped({"image": "!!"}),
                    enveloped({"image": 5}), enveloped([]), enveloped({"image": "aGVsbG8="}), PNG[:12]],
    )  # fmt: skip
    def test_what_is_no_picture(self, payload: bytes) -> None:
        assert kind(image.parse, payload) == "malformed"

    def test_each_step_is_billed_for_each_tile(self) -> None:
        """As the header `cf-ai-neurons` of real answers shows: 172.8 for 4 tiles at 4.8 and 4 steps at 9.6."""
        units = image.billed(at(FLUX), asked_for()).units
        assert units == {"tiles": 4, "steps": 16}
        assert units["tiles"] * 4.8 + units["steps"] * 9.6 == pytest.approx(172.8)
        units = image.billed(at(PHOENIX), asked_for()).units
        assert units["tiles"] * 530 + units["steps"] * 10 == 3120

    @pytest.mark.parametrize("size", [None, (1, 1), (512, 512), (513, 512), (1120, 1120), (1920, 1088), (2048, 2048)])
    @pytest.mark.parametrize("steps", [None, 1, 40])
    def test_a_bill_is_within_what_is_held(self, size: tuple[int, int] | None, steps: int | None) -> None:
        request = asked_for(size=size, steps=steps)
        units = image.billed(at(LUCID), request).units
        assert all(0 < units[unit] <= request.demand.counts[unit] for unit in units)

    async def test_several(self) -> None:
        maker = image.CloudflareImage(posting(JPEG))
        result = await maker.image(at(PHOENIX), asked_for(n=3, steps=10))
        assert len(result.images) == 3
        assert result.usage == Usage({"tiles": 12, "steps": 120})


class TestTranscribe:
    def request(self, **fields: Any) -> TranscribeRequest:
        return TranscribeRequest(("m",), SOUND, **fields)

    @pytest.mark.parametrize("model", ["@cf/openai/whisper", "@cf/openai/whisper-tiny-en"])
    def test_a_file_alone(self, model: str) -> None:
        http = transcribe.build_request(at(model), self.request())
        assert (http.url, http.body) == (f"{BASE}/run/{model}", SOUND.data)
        assert http.headers["Content-Type"] == "audio/wav"

    def test_a_body_of_json(self) -> None:
        model = "@cf/openai/whisper-large-v3-turbo"
        fields = {"language": "de", "prompt": "Namen", "into_english": True}
        body = sent(transcribe.build_request(at(model), self.request(**fields)))
        audio = base64.b64encode(SOUND.data).decode()
        assert body == {"audio": audio, "task": "translate", "language": "de", "initial_prompt": "Namen"}
        assert sent(transcribe.build_request(at(model), self.request())) == {"audio": audio, "task": "transcribe"}

    def test_settings_in_the_query(self) -> None:
        http = transcribe.build_request(at("@cf/deepgram/nova-3"), self.request(language="pt-BR"))
        assert http.url == f"{BASE}/run/@cf/deepgram/nova-3?smart_format=true&utterances=true&language=pt-BR"
        assert http.body == SOUND.data

    @pytest.mark.parametrize(
        ("model", "fields", "param"),
        [
            ("@cf/openai/whisper", {"language": "en"}, "language"),
            ("@cf/openai/whisper", {"prompt": "x"}, "prompt"),
            ("@cf/openai/whisper", {"into_english": True}, "model"),
            ("@cf/openai/whisper-tiny-en", {"language": "de"}, "language"),
            ("@cf/openai/whisper-large-v3-turbo", {"temperature": 0.5}, "temperature"),
            ("@cf/deepgram/nova-3", {"prompt": "x"}, "prompt"),
            ("@cf/another/model", {}, "model"),
        ],
    )
    def test_what_a_model_does_not_take(self, model: str, fields: dict[str, Any], param: str) -> None:
        assert refusal(transcribe.build_request, at(model), self.request(**fields)) == param

    def test_words(self) -> None:
        told = {"text": " Hello there. ", "word_count": 2, "words": [{"word": " Hello", "start": 0, "end": 0.4}]}
        result = transcribe.parse(at("@cf/openai/whisper"), enveloped(told))
        assert (result.text, [(w.word, w.start, w.end) for w in result.words]) == (
            "Hello there.",
            [("Hello", 0.0, 0.4)],
        )
        assert (result.seconds, result.usage) == (None, None)

    def test_segments_language_and_length(self) -> None:
        words = [{"word": "Hallo", "start": 0.1, "end": 0.5}]
        told = {
            "transcription_info": {"language": "de", "duration": 5.2},
            "text": "Hallo.",
            "segments": [{"start": 0.1, "end": 0.5, "text": " Hallo.", "words": words}],
        }
        result = transcribe.parse(at("@cf/openai/whisper-large-v3-turbo"), enveloped(told))
        assert (result.language, result.seconds, result.usage) == ("de", 5.2, Usage({"seconds": 6}))
        assert [(s.start, s.end, s.text) for s in result.segments] == [(0.1, 0.5, "Hallo.")]
        assert [w.word for w in result.words] == ["Hallo"]

    def test_nova_tells_no_length_here(self) -> None:
        channel = {"alternatives": [{"transcript": "Hi.", "words": []}], "detected_language": "en"}
        result = transcribe.parse(at("@cf/deepgram/nova-3"), enveloped({"results": {"channels": [channel]}}))
        assert (result.text, result.language, result.usage) == ("Hi.", "en", None)

    @pytest.mark.parametrize(
        "result",
        [{}, [], {"text": None}, {"text": "a", "words": [{"word": "a"}]}, {"text": "a", "words": 5},
         {"text": "a", "words": [{"word": "a", "start": -1, "end": 1}]}, {"text": "a", "words": [5]},
         {"text": "a", "transcription_info": {"duration": True}, "words": [{"word": 5, "start": 0, "end": 1}]}],
    )  # fmt: skip
    def test_what_is_no_answer(self, result: Any) -> None:
        assert kind(transcribe.parse, at("@cf/openai/whisper"), enveloped(result)) == "malformed"

    @pytest.mark.parametrize("duration", [-1, "5", True, 1e12, []])
    def test_a_length_that_cannot_be(self, duration: Any) -> None:
        told = {"text": "a", "transcription_info": {"duration": duration}}
        assert kind(transcribe.parse, at("@cf/openai/whisper-large-v3-turbo"), enveloped(told)) == "malformed"


class TestSpeak:
    AURA, MELO = "@cf/deepgram/aura-2-en", "@cf/myshell-ai/melotts"

    def request(self, **fields: Any) -> SpeakRequest:
        return SpeakRequest(("m",), "Hello.", **fields)

    @pytest.mark.parametrize(
        ("form", "encoding"),
        [
            ("mp3", {"encoding": "mp3"}),
            ("wav", {"encoding": "linear16", "container": "wav", "sample_rate": 24000}),
            ("pcm", {"encoding": "linear16", "container": "none", "sample_rate": 24000}),
            ("opus", {"encoding": "opus", "container": "ogg"}),
            ("flac", {"encoding": "flac"}),
        ],
    )
    def test_formats(self, form: Any, encoding: dict[str, Any]) -> None:
        body = sent(speak.build_request(at(self.AURA), self.request(form=form, voice="luna", speed=1.0)))
        assert body == {"text": "Hello.", "speaker": "luna", **encoding}

    @pytest.mark.parametrize(
        ("model", "fields", "param"),
        [
            (AURA, {"speed": 1.5}, "speed"),
            (AURA, {"instructions": "softly"}, "instructions"),
            (MELO, {"form": "pcm"}, "response_format"),
            (MELO, {"voice": "alloy"}, "voice"),
        ],
    )
    def test_what_a_model_does_not_take(self, model: str, fields: dict[str, Any], param: str) -> None:
        assert refusal(speak.build_request, at(model), self.request(**fields)) == param

    def test_a_voice_that_is_a_language(self) -> None:
        assert sent(speak.build_request(at(self.MELO), self.request(voice="ja"))) == {"prompt": "Hello.", "lang": "jp"}

    @pytest.mark.parametrize(
        ("form", "audio"), [("wav", b"RIFF\0\0\0\0WAVEfmt "), ("mp3", b"ID3\x04"), ("mp3", b"\xff\xfb\x90")]
    )
    def test_melo_is_taken_for_what_it_is(self, form: Any, audio: bytes) -> None:
        inline = enveloped({"audio": base64.b64encode(audio).decode()})
        other = self.request(form="mp3" if form == "wav" else "wav")
        for payload in (audio, inline):
            assert speak.parse_melo(payload, self.request(form=form)) == audio
            assert refusal(speak.parse_melo, payload, other) == "response_format"

    @pytest.mark.parametrize("payload", [b"", b"hello", enveloped({"audio": ""}), enveloped({"audio": 5}), b"{}"])
    def test_what_is_no_sound(self, payload: bytes) -> None:
        assert kind(speak.parse_melo, payload, self.request()) == "malformed"

    async def test_audio_is_handed_on_as_it_comes(self) -> None:
        speaker = speak.CloudflareSpeak(posting(b"\xff\xfb", b'{"not an envelope', b"end"))
        chunks = [chunk async for chunk in speaker.speak(at(self.AURA), self.request())]
        assert [chunk.audio for chunk in chunks] == [b"\xff\xfb", b'{"not an envelope', b"end"]

    async def test_an_envelope_is_no_audio(self) -> None:
        speaker = speak.CloudflareSpeak(posting(enveloped({})))
        with pytest.raises(UpstreamError) as raised:
            [chunk async for chunk in speaker.speak(at(self.AURA), self.request())]
        assert raised.value.kind == "malformed"


class TestModerate:
    def test_what_is_sent(self) -> None:
        body = sent(moderate.build_request(at("@cf/meta/llama-guard-3-8b"), ("one", "two")))
        assert body["messages"] == [{"role": "user", "content": "one\ntwo"}]
        assert (body["response_format"], body["temperature"]) == ({"type": "json_object"}, 0)

    def test_pictures_are_refused(self) -> None:
        assert refusal(moderate.build_request, at("m"), ("one", PICTURE)) == "input"

    @pytest.mark.parametrize(
        ("response", "flagged"),
        [
            ({"safe": True, "categories": []}, set()),
            ({"safe": True}, set()),
            ("safe", set()),
            ("\n\nsafe\n", set()),
            ({"safe": False, "categories": ["S10"]}, {"hate"}),
            ("\n\nunsafe\nS1,S11", {"illicit", "illicit/violent", "violence", "self-harm"}),
            ("unsafe\nS4", {"sexual", "sexual/minors"}),
            ({"safe": False, "categories": ["s5", "S99"]}, {"harassment"}),
        ],
    )
    def test_a_verdict(self, response: Any, flagged: set[str]) -> None:
        usage = {"prompt_tokens": 210, "completion_tokens": 6}
        result = moderate.parse(enveloped({"response": response, "usage": usage}))
        (verdict,) = result.verdicts
        assert verdict.flagged == flagged
        assert {name for name, score in verdict.scores.items() if score} == flagged
        assert result.usage == Usage({"input_tokens": 210, "output_tokens": 6})

    def test_every_hazard_is_a_category_of_ours(self) -> None:
        for hazard in range(1, 15):
            (verdict,) = moderate.parse(enveloped({"response": f"unsafe\nS{hazard}"})).verdicts
            assert set() < verdict.flagged <= set(CATEGORIES)

    @pytest.mark.parametrize(
        "response",
        [None, "", "maybe", 5, [], {}, {"safe": "no"}, {"safe": False}, "unsafe", {"safe": False, "categories": "S1"},
         {"safe": False, "categories": ["S15"]}, {"safe": True, "categories": ["S1"]},
         {"safe": False, "categories": [5]}],
    )  # fmt: skip
    def test_what_is_no_verdict(self, response: Any) -> None:
        assert kind(moderate.parse, enveloped({"response": response})) == "malformed"

    async def test_each_input_is_judged_by_itself(self) -> None:
        answer = enveloped({"response": "safe", "usage": {"prompt_tokens": 100, "completion_tokens": 2}})
        request = ModerateRequest(("m",), (("a",), ("b",)))
        result = await moderate.CloudflareModerate(posting(answer)).moderate(at("m"), request)
        assert len(result.verdicts) == 2
        assert result.usage == Usage({"input_tokens": 200, "output_tokens": 4})


class TestTranslate:
    def test_what_is_sent(self) -> None:
        request = TranslateRequest(("m",), ("Hi",), "pt-BR", "EN")
        assert sent(translate.build_request(at("m"), request, "Hi")) == {
            "text": "Hi", "source_lang": "en", "target_lang": "pt",
        }  # fmt: skip
        assert sent(translate.build_request(at("m"), TranslateRequest(("m",), (), "nb", "fil"), ""))[
            "target_lang"
        ] == "no"  # fmt: skip

    @pytest.mark.parametrize(
        ("target", "source", "param"),
        [("de", None, "source_lang"), ("tlh", "en", "target_lang"), ("de", "x", "source_lang")],
    )
    def test_languages_that_it_does_not_have(self, target: str, source: str | None, param: str) -> None:
        request = TranslateRequest(("m",), ("Hi",), target, source)
        assert refusal(translate.build_request, at("m"), request, "Hi") == param

    async def test_texts_in_order_and_usage_where_it_is_told(self) -> None:
        answer = enveloped({"translated_text": "Hallo", "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        request = TranslateRequest(("m",), ("Hi", "Hi"), "de", "en")
        result = await translate.CloudflareTranslate(posting(answer)).translate(at("m"), request)
        assert [one.text for one in result.translations] == ["Hallo", "Hallo"]
        assert result.usage == Usage({"input_tokens": 6, "output_tokens": 4})
        assert translate.parse(enveloped({"translated_text": ""})).usage is None

    @pytest.mark.parametrize("result", [{}, [], {"translated_text": None}, {"request_id": "r"}])
    def test_what_is_no_translation(self, result: Any) -> None:
        assert kind(translate.parse, enveloped(result)) == "malformed"


class TestClassify:
    REQUEST = ClassifyRequest(("m",), ("nice", "bad"))
    BOTH = ({"label": "NEGATIVE", "score": 0.1}, {"label": "POSITIVE", "score": 0.9})

    def test_labels_of_the_client_are_refused(self) -> None:
        request = ClassifyRequest(("m",), ("a",), ("x", "y"))
        assert refusal(classify.build_request, at("m"), request, "a") == "labels"

    async def test_a_text_a_request(self) -> None:
        result = await classify.CloudflareClassify(posting(enveloped(self.BOTH))).classify(at("m"), self.REQUEST)
        assert [[one.label for one in labels] for labels in result.labels] == [["NEGATIVE", "POSITIVE"]] * 2
        assert result.usage is None

    @pytest.mark.parametrize(
        "result", [[], {}, 5, [{}], [{"label": "A", "score": 1.5}], [{"label": "A", "score": "1"}],
                   [{"label": 5, "score": 1}], [{"label": "A", "score": True}]],
    )  # fmt: skip
    def test_what_is_no_answer(self, result: Any) -> None:
        assert kind(classify.parse, enveloped(result)) == "malformed"


BOX = {"xmin": -2, "ymin": 10.5, "xmax": 700, "ymax": 400}


class TestDetect:
    def test_the_picture_as_it_is(self) -> None:
        http = detect.build_request(at("m"), DetectRequest(("m",), PICTURE))
        assert (http.body, http.headers["Content-Type"]) == (PNG, "image/png")

    def test_boxes_stay_within_the_picture(self) -> None:
        (seen,) = detect.parse(enveloped([{"label": "cat", "score": 0.9, "box": BOX}]), PICTURE).detections
        assert seen.box.to_json() == {"xmin": 0, "ymin": 10.5, "xmax": 640, "ymax": 400}

    def test_nothing_to_be_seen(self) -> None:
        assert detect.parse(enveloped([]), PICTURE).detections == []

    @pytest.mark.parametrize(
        "result",
        [{}, [5], [{"label": "cat", "score": 0.9}], [{"label": "cat", "score": 2, "box": BOX}],
         [{"label": "cat", "score": 1, "box": {**BOX, "xmin": 650}}, {"label": "cat", "score": 1, "box": 5}],
         [{"label": "cat", "score": 1, "box": {**BOX, "ymin": "1"}}],
         [{"label": "cat", "score": 1, "box": {**BOX, "ymin": 450}}]],
    )  # fmt: skip
    def test_what_is_no_answer(self, result: Any) -> None:
        assert kind(detect.parse, enveloped(result), PICTURE) == "malformed"


class TestRerank:
    REQUEST = RerankRequest(("m",), "q", ("a", "b", "c"))

    def test_what_is_sent(self) -> None:
        contexts = [{"text": "a"}, {"text": "b"}, {"text": "c"}]
        assert sent(rerank.build_request(at("m"), self.REQUEST)) == {"query": "q", "contexts": contexts}
        best = RerankRequest(("m",), "q", ("a",), top_n=1)
        assert sent(rerank.build_request(at("m"), best))["top_k"] == 1

    def answered(self, *scores: Any, **more: Any) -> bytes:
        return enveloped({"response": [{"id": index, "score": score} for index, score in scores], **more})

    def test_scores_and_usage(self) -> None:
        usage = {"prompt_tokens": 34, "completion_tokens": 0, "neurons": 0.0096}
        result = rerank.parse(self.answered((2, 0.74), (0, 0.0), (1, 1), usage=usage), self.REQUEST)
        assert [(score.index, score.relevance) for score in result.scores] == [(2, 0.74), (0, 0.0), (1, 1.0)]
        assert result.usage == Usage({"input_tokens": 34, "output_tokens": 0})

    def test_raw_scores_become_fractions(self) -> None:
        result = rerank.parse(self.answered((0, 4.2), (1, -1e300), (2, 0)), self.REQUEST)
        assert [score.relevance for score in result.scores] == pytest.approx([0.98522597, 0, 0.5])

    def test_of_the_best_only(self) -> None:
        request = RerankRequest(("m",), "q", ("a", "b", "c"), top_n=2)
        assert len(rerank.parse(self.answered((2, 0.7), (0, 0.1)), request).scores) == 2

    @pytest.mark.parametrize(
        "scores",
        [[], [(0, 0.1), (1, 0.1)], [(0, 0.1), (1, 0.1), (3, 0.1)], [(0, 0.1), (1, 0.1), (1, 0.2)],
         [(0, 0.1), (1, 0.1), (-1, 0.1)], [(0, 0.1), (1, 0.1), (True, 0.1)], [(0, 0.1), (1, 0.1), (2, None)],
         [(0, 0.1), (1, 0.1), (2, 0.1), (2, 0.1)]],
    )  # fmt: skip
    def test_what_is_no_answer(self, scores: Any) -> None:
        assert kind(rerank.parse, self.answered(*scores), self.REQUEST) == "malformed"


class TestEnvelope:
    @pytest.mark.parametrize(
        ("code", "kind_", "told"),
        [
            (3036, "auth", None),
            (4006, "auth", None),
            (10000, "auth", None),
            (3040, "rate_limited", "invalid_request_error"),
            (3030, "rejected", "invalid_request_error"),
            (5007, "rejected", "model_not_found"),
            (3006, "rejected", "request_too_large"),
            (3007, "unavailable", "invalid_request_error"),
            (3043, "unavailable", "invalid_request_error"),
            ("x", "unavailable", "invalid_request_error"),
        ],
    )
    def test_an_error_with_status_200(self, code: Any, kind_: str, told: str | None) -> None:
        body = {"success": False, "errors": [{"code": code, "message": "secret"}], "result": None}
        with pytest.raises(UpstreamError) as raised:
            run.opened(json.dumps(body).encode())
        assert (raised.value.kind, raised.value.code) == (kind_, told)
        assert "secret" not in str(raised.value)

    @pytest.mark.parametrize("errors", [None, [], 5, [5], [{}], [{"code": []}]])
    def test_an_error_that_says_nothing(self, errors: Any) -> None:
        assert kind(run.opened, json.dumps({"success": False, "errors": errors}).encode()) == "unavailable"

    @pytest.mark.parametrize("body", [{}, {"success": "yes"}, {"success": True}, {"success": True, "result": None}])
    def test_what_is_no_envelope(self, body: Any) -> None:
        assert kind(run.opened, json.dumps(body).encode()) == "malformed"

    @pytest.mark.parametrize("usage", [None, 5, {}, {"prompt_tokens": -1}, {"prompt_tokens": "5"}])
    def test_usage_that_is_none(self, usage: Any) -> None:
        assert run.token_usage({"usage": usage}) is None
