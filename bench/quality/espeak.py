"""eSpeak NG's voice, a robot's, by its C library (https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h)."""

import ctypes
from functools import cache
from typing import Any, Final, TypeAlias

import espeakng_loader
import numpy as np

Samples: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_SYNCHRONOUS: Final = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, and to no loudspeaker
_BY_CHARACTERS: Final = 1
_UTF8: Final = 1
_VOICE: Final = b"en-us"
_ON_SAMPLES: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    """The library, and its samples a second."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0 or library.espeak_SetVoiceByName(_VOICE):
        raise RuntimeError("eSpeak NG does not start")
    return library, rate


def say(text: str, rate: int) -> Samples:
    """The text spoken, as floats from -1 to 1 at so many samples a second."""
    library, own_rate = _library()
    spoken = bytearray()

    def on_samples(samples: Any, count: int, _events: Any) -> int:
        spoken.extend(ctypes.string_at(samples, 2 * count) if samples else b"")
        return 0

    callback = _ON_SAMPLES(on_samples)
    library.espeak_SetSynthCallback(callback)
    data = text.encode()
    if library.espeak_Synth(data, len(data) + 1, 0, _BY_CHARACTERS, 0, _UTF8, None, None):
        raise RuntimeError("eSpeak NG does not speak")
    samples = np.frombuffer(bytes(spoken), np.int16).astype(np.float32) / 32768
    at = np.arange(0, len(samples), own_rate / rate)
    resampled: Samples = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return resampled
