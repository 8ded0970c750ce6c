"""Text moderation by word patterns: a lexical baseline, in English.

It finds what is said in the usual words. It knows no irony, no other language, no spelling that hides a word well, and
no context beyond the phrase; a text that it passes is not therefore harmless.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from local.models.errors import BadRequestError
from local.models.lexicon import Lexicon, read
from local.models.moderations import CATEGORIES, Item, Judged, Kind

MAX_CHARS = 100_000
_LOOKALIKES = str.maketrans("01345@$", "oieasas")
_DISGUISED = re.compile(r"(?<=[a-z])[01345@$](?=[a-z])")
_STRAIGHT = str.maketrans("\u2018\u2019", "''")
_KINDS: dict[str, tuple[Kind, ...]] = dict.fromkeys(CATEGORIES, ("text",))


def load() -> "Lexical":
    """Read the lexicon (a tenth of a second)."""
    return Lexical(read())


class Lexical:
    """The lexicon as a `Moderator`."""

    def __init__(self, lexicon: Lexicon) -> None:
        """Takes over the lexicon."""
        self._lexicon = lexicon

    def moderate(self, items: Sequence[Item]) -> Iterator[Judged]:
        """See `moderations.Moderator`."""
        for item in items:
            if item.images:
                raise BadRequestError("This model reads text only.", param="input", code="unsupported_value")
            if sum(map(len, item.texts)) > MAX_CHARS:
                raise BadRequestError(
                    f"An input is longer than {MAX_CHARS} characters: send it in pieces.",
                    param="input",
                    code="context_length_exceeded",
                )
            yield Judged(self.scores("\n".join(item.texts)), _KINDS)

    def scores(self, text: str) -> dict[str, float]:
        """Scores from 0 to 1 of the categories that anything was found for.

        Different rules that match add up as independent evidence.
        """
        plain = self._lexicon.harmless.sub(" ... ", _plain(text))
        doubts: dict[str, float] = {}
        for rule in self._lexicon.rules:
            if rule.pattern.search(plain):
                for category in rule.categories:
                    doubts[category] = doubts.get(category, 1.0) * (1 - rule.weight)
        found = {category: 1 - doubt for category, doubt in doubts.items()}
        # As OpenAI has it, a threat is harassment too, and so on: what is in a category's part is in the category.
        for category, score in list(found.items()):
            whole = category.partition("/")[0]
            found[whole] = max(found.get(whole, 0.0), score)
        return found


def _plain(text: str) -> str:
    """Lower case, straight apostrophes, lookalike characters inside words undone."""
    plain = unicodedata.normalize("NFKC", text).lower().translate(_STRAIGHT)
    plain = _DISGUISED.sub(lambda match: match[0].translate(_LOOKALIKES), plain)
    return re.sub(r"[ \t]+", " ", plain)
