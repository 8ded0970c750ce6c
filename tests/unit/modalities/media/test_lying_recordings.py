"""Recordings that lie about their length, as a decoder takes them: never longer than they were taken for."""

import io
import re
import struct
from typing import Any

import pytest

from aig.modalities.media import audio, matroska
from aig.modalities.media.limits import MAX_SECONDS

av = pytest.importorskip("av", reason="PyAV is not installed here")
np = pytest.importorskip("numpy", reason="NumPy is not installed here")

SECONDS = 20


def encoded(form: str, codec: str, rate: int, bit_s: int = 16_000, options: dict[str, str] | None = None) -> bytes:
    """A tone, so that encoders have something to do, in one channel; Vorbis takes two."""
    layout = "stereo" if codec == "vorbis" else "mono"
    file = io.BytesIO()
    with av.open(file, "w", format=form, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={"strict": "-2"})
        stream.layout, stream.bit_rate = layout, bit_s
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout=layout, rate=rate)
        for second in range(SECONDS):
            tone = np.sin(np.arange(rate) * 440 * 2 * np.pi / rate, dtype="float32")[None].repeat(
                2 if layout == "stereo" else 1, axis=0
            )
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, second * rate
            container.mux([packet for piece in resampler.resample(frame) for packet in stream.encode(piece)])
        container.mux(stream.encode(None))
    return file.getvalue()


def decoded_seconds(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as container:
        seconds: float = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
        return seconds


def _timeless_webm(data: bytes) -> bytes:
    changed = bytearray(data)
    for name, start, end in matroska._elements(data):
        if name == matroska._TIME:
            changed[start:end] = bytes(end - start)
        elif name in matroska._BLOCKS:
            changed[start + 1 : start + 3] = bytes(2)
        elif name == matroska._DURATION:
            changed[start:end] = struct.pack(">d" if end - start == 8 else ">f", 1)
    return bytes(changed)


def _fast_mp4(data: bytes, handler: bytes = b"soun") -> bytes:
    """A time scale 500 times as fine, and another duration for the whole."""
    changed = bytearray(data)
    scale = data.index(b"mdhd") + 16
    changed[scale : scale + 4] = struct.pack(">I", struct.unpack_from(">I", data, scale)[0] * 500)
    whole = data.index(b"mvhd") + 20
    changed[whole : whole + 4] = struct.pack(">I", 1)
    film = struct.pack(">I4sII4s13x", 33, b"hdlr", 0, 0, b"vide")  # at the very end, where no track is
    return bytes(changed).replace(b"edts", b"free") + (film if handler == b"vide" else b"")


def _fast_flac(data: bytes) -> bytes:
    fields = int.from_bytes(data[18:26], "big") & (1 << 44) - 1 | 655_350 << 44
    return data[:18] + fields.to_bytes(8, "big") + data[26:]


def _fast_mp4_of_a_film(data: bytes) -> bytes:
    return _fast_mp4(data, b"vide")


HONEST: dict[str, tuple[Any, ...]] = {
    "webm": ("webm", "libopus", 48_000),
    "m4a": ("mp4", "aac", 44_100, 64_000),
    "m4a in pieces": ("mp4", "aac", 44_100, 64_000, {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "lossless m4a": ("mp4", "alac", 44_100),
    "flac": ("flac", "flac", 8000),
    "vorbis": ("ogg", "vorbis", 44_100, 64_000),
    "opus": ("ogg", "libopus", 48_000),
}


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_one_has_a_tight_bound(kind: str) -> None:
    data = encoded(*HONEST[kind])
    assert decoded_seconds(data) <= (audio.read(data).seconds or 0) + 0.05 <= SECONDS + 0.4


@pytest.mark.parametrize(
    ("kind", "lie"),
    [("webm", _timeless_webm), ("m4a", _fast_mp4), ("m4a", _fast_mp4_of_a_film), ("flac", _fast_flac)],
)
def test_one_that_lies_is_taken_for_as_long_as_it_lasts(kind: str, lie: Any) -> None:
    data = lie(encoded(*HONEST[kind]))
    assert SECONDS - 0.1 <= decoded_seconds(data) <= (audio.read(data).seconds or 0) + 0.05 <= SECONDS + 0.4


def test_vorbis_whose_granules_lie() -> None:
    data = encoded(*HONEST["vorbis"])
    lying = re.sub(rb"(OggS\0[\0-\7]).{8}", lambda page: page[1] + bytes(8), data, flags=re.DOTALL)
    assert SECONDS - 0.1 <= (audio.read(lying).seconds or 0) <= SECONDS + 0.4


def test_m4a_with_many_frames_in_a_sample() -> None:
    """FFmpeg decodes all of them. They count by their bytes at 128 kbit/s: thriftier sound lasts longer."""
    honest, file = encoded(*HONEST["m4a"]), io.BytesIO()
    with av.open(io.BytesIO(honest)) as source, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream_from_template(source.streams.audio[0])
        packets = [bytes(packet) for packet in source.demux(audio=0) if packet.size]
        for start in range(0, len(packets), 50):
            packet = av.Packet(b"".join(packets[start : start + 50]))
            packet.stream, packet.time_base = stream, source.streams.audio[0].time_base
            packet.pts = packet.dts = start // 50 * 1024
            container.mux(packet)
    merged = file.getvalue()
    assert decoded_seconds(merged) > SECONDS - 0.1
    assert (audio.read(merged).seconds or 0) >= sum(map(len, packets)) * 8 / 128_000 > SECONDS / 4


def test_another_codec_is_held_by_its_bytes() -> None:
    data = encoded("webm", "vorbis", 44_100, 64_000)
    assert 20 * SECONDS > (audio.read(data).seconds or 0) > SECONDS
    assert audio.read(encoded("matroska", "pcm_s16le", 48_000)).seconds == about_bytes(2 * 48_000 * SECONDS)


def about_bytes(size: int) -> Any:
    return pytest.approx(min(size * 8 / 6000, MAX_SECONDS), rel=0.05)
