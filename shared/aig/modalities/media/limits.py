"""What is accepted at most, how long bytes may last, and two complaints that readers of media have."""

MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_AUDIO_BYTES = 25 * 1024 * 1024  # OpenAI's bound for uploads to its transcriptions
MAX_DOCUMENT_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384
MAX_SECONDS = 2 * 3600
MAX_PAGES = 1_000
_SLOWEST_BIT_S = 6_000  # of Opus, the thriftiest codec that people send (RFC 6716 2.1.1)
# A reader follows a file from part to part; this many take less than a second.
MAX_PARTS = 400_000


def longest_by_bytes(size: int) -> float:
    """The seconds that this many bytes last at the lowest bit rate that is plausible, MAX_SECONDS at most.

    Capped, for it is no ground to refuse a recording: most are far denser.
    """
    return min(size * 8 / _SLOWEST_BIT_S, MAX_SECONDS)


class TooLarge(ValueError):
    """It can be read, and there is too much of it."""


class TooManyParts(ValueError):
    """Made of so many tiny parts that reading them would take too long: no encoder writes such a file."""

    def __init__(self) -> None:
        super().__init__("it is made of too many small parts")
