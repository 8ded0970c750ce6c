"""Recordings in the containers that phones, browsers and cameras make, as samples for a speech model."""

import io
import struct
from typing import Any

import pytest

pytest.importorskip("av", reason="local models: not installed: av")
pytest.importorskip("numpy", reason="local models: not installed: numpy")

import av
import numpy as np

from local.models.audio_decoding import RATE, waveform
from local.models.errors import BadRequestError

TONE = (np.sin(np.arange(88_200) * 2 * np.pi * 440 / 44_100) * 8000).astype(np.int16)


def written(file: io.BytesIO, container: str) -> Any:
    """What PyAV writes to: `Any`, because it knows only when it runs whether a stream has sound or pictures."""
    return av.open(file, "w", format=container)


def recording(container: str, codec: str, rate: int = 44_100) -> bytes:
    """Two seconds of a tone in both ears."""
    file = io.BytesIO()
    with written(file, container) as output:
        stream = output.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.repeat(TONE, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 44_100
        resampler = av.AudioResampler(
            format=stream.format, layout="stereo", rate=rate, frame_size=stream.frame_size or 960
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def film_without_sound() -> bytes:
    file = io.BytesIO()
    with written(file, "mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 44_100),
        ("mp3", "libmp3lame", 44_100),
        ("mp4", "aac", 44_100),
        ("webm", "libopus", 48_000),
        ("ogg", "libopus", 48_000),
        ("flac", "flac", 44_100),
    ],
)
def test_every_usual_container_is_heard(container: str, codec: str, rate: int) -> None:
    samples = waveform(recording(container, codec, rate), 10)
    assert samples.dtype == np.float32
    assert len(samples) / RATE == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples[:RATE]))
    assert spectrum.argmax() == 440
    assert 0.1 < np.abs(samples).max() < 0.4


def test_what_is_too_long_is_refused_by_its_samples_where_the_header_says_less() -> None:
    whole = recording("wav", "pcm_s16le")
    at = whole.index(b"data") + 4
    for said in (whole, whole[:at] + struct.pack("<I", 0xFFFFFFFF) + whole[at + 4 :]):
        with pytest.raises(BadRequestError) as caught:
            waveform(said, 1)
        assert caught.value.code == "audio_too_long"


def test_a_film_without_sound_is_no_recording() -> None:
    with pytest.raises(BadRequestError) as caught:
        waveform(film_without_sound(), 10)
    assert caught.value.code == "invalid_audio"


@pytest.mark.parametrize(
    "playlist",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 'recording.wav'\n",
    ],
    ids=["m3u8", "concat"],
)
def test_a_list_of_other_files_is_no_recording(playlist: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        waveform(playlist, 10)
    assert caught.value.code == "invalid_audio"
