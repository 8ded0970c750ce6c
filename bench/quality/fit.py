"""Chooses the prompt and the scales of zero-shot classification, on texts that its accuracy is not measured on.

`python -m bench.quality.fit` prints, for each prompt, how many labels are right, the scales that make the scores
likeliest, and that likelihood; what is chosen stands in local/models/minilm.py.
"""

import math
from collections.abc import Sequence

from bench.quality.scores import mean
from bench.quality.tasks import read
from local.models import minilm

PROMPTS = (
    "{}",
    "This text is about {}.",
    "This is about {}.",
    "The topic is {}.",
    "This example is {}.",
    "Category: {}",
)
_SCALES = range(2, 61, 2)
_CENTRES = [step / 100 for step in range(50)]


def similarities(engine: minilm.MiniLM, prompt: str) -> list[tuple[list[float], int]]:
    """For each text its similarity to every label, and which is right."""
    content = read("labels")
    rows = []
    for name, labels in content["sets"].items():
        prompts = [prompt.format(label) for label in labels]
        rows += [
            ([row.similarity for row in engine.rerank(text, prompts)], right) for text, right in content["fit"][name]
        ]
    return rows


def exclusive_loss(rows: Sequence[tuple[list[float], int]], scale: float) -> float:
    """Mean of -log of the right label's score when the scores add up to 1."""
    return mean([math.log(sum(math.exp(scale * (value - row[right])) for value in row)) for row, right in rows])


def independent_loss(rows: Sequence[tuple[list[float], int]], scale: float, centre: float) -> float:
    """The same when every label stands for itself; right and wrong labels weigh the same."""
    right = [math.log1p(math.exp(-scale * (row[at] - centre))) for row, at in rows]
    wrong = [
        math.log1p(math.exp(scale * (value - centre)))
        for row, at in rows
        for index, value in enumerate(row)
        if index != at
    ]
    return (mean(right) + mean(wrong)) / 2


def main() -> None:
    """Print a line for each prompt."""
    engine = minilm.load()
    for prompt in PROMPTS:
        rows = similarities(engine, prompt)
        right = mean([max(row) == row[at] for row, at in rows])
        softmax = min((exclusive_loss(rows, scale), scale) for scale in _SCALES)
        sigmoid = min(
            (independent_loss(rows, scale, centre), scale, centre) for scale in _SCALES for centre in _CENTRES
        )
        print(
            f"{prompt!r:26} {right:.3f} right of {len(rows)}; softmax loss {softmax[0]:.4f} at scale {softmax[1]}; "
            f"sigmoid loss {sigmoid[0]:.4f} at scale {sigmoid[1]}, centre {sigmoid[2]}"
        )


if __name__ == "__main__":
    main()
