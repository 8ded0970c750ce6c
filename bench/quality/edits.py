"""How far a text is from what it should be."""

from collections.abc import Sequence


def distance(wanted: Sequence[str], got: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements that make the one out of the other (Levenshtein)."""
    row = list(range(len(got) + 1))
    for index, left in enumerate(wanted, 1):
        diagonal, row[0] = row[0], index
        for column, right in enumerate(got, 1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (left != right)),
            )
    return row[-1]


def words(text: str) -> list[str]:
    """The words alone: no case, no punctuation, a hyphen as a space."""
    spoken = text.lower().replace("-", " ")
    return "".join(char for char in spoken if char.isalnum() or char in " '").split()
