"""What `sandbox/embed` says: pure, the same for the same text. A token is a word, or a token id."""

import hashlib
import math
from array import array

from aig.modalities.embed import Text

DIMENSIONS = 256


def vector(text: Text, dimensions: int) -> list[float]:
    """A unit vector made from the text's hash: equal texts give equal vectors, others are all but orthogonal."""
    raw = hashlib.shake_256(repr(text).encode()).digest(2 * dimensions)
    numbers = [(int.from_bytes(raw[at : at + 2], "little") + 0.5) / 32_768 - 1 for at in range(0, len(raw), 2)]
    length = math.sqrt(sum(number * number for number in numbers))
    # As float32, so that both encodings say the same number.
    return array("f", [number / length for number in numbers]).tolist()


def tokens(text: Text) -> int:
    return len(text) if isinstance(text, tuple) else len(text.split())
