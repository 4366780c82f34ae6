"""The reranker "onnx-reranker": a cross-encoder from a folder on this computer reads the query and
each passage together.

It is slower than the search itself and knows more: the vectors of a search are made of query and
passage apart (Nogueira and Cho, "Passage Re-ranking with BERT", 2019).

Tested by tests/test_reranker.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import TYPE_CHECKING, Annotated, Final

import attrs

from semantic_core import hookimpl
from semantic_core.errors import ConfigError
from semantic_core_onnx.folder import TOKENIZER, ModelFolder, check_count
from semantic_core_onnx.loading import Loaded
from semantic_core_onnx.runtime import PairScores

if TYPE_CHECKING:
    from semantic_core.types import SearchHit, SearchRequest

NAME: Final = "onnx-reranker"
"""Of the plugin, and of what it says in `SearchHit.parts`."""
BATCH_SIZE: Final = 16
"""Passages per call by default: longer than what an embedder gets, so fewer."""
GET_A_RERANKER: Final = (
    "Set path to the folder of a cross-encoder. This plugin downloads nothing; get one first, for "
    "example: hf download cross-encoder/ms-marco-MiniLM-L6-v2 --local-dir DIR"
)
FARTHEST: Final = 700.0
"""exp of more is not a finite number."""


class OnnxReranker:
    """Orders hits by how well a cross-encoder finds that each passage answers the query. It removes
    none; if the model fails, the search goes on without it and is `degraded`.

    ``hit.parts["onnx-reranker"]`` is the relevance that the model gives, from 0 to 1: the logistic
    function of its output. A search whose hits are ordered by a field keeps its order.

    path: the folder, with model.onnx and tokenizer.json. max_tokens: of query and passage together,
    the longer one is cut; 0 is what the folder says. batch_size: passages per call. threads:
    processors of one call; 0 for all. The model is loaded with the first search.
    Raises ConfigError for an invalid option, and for a folder that is not there or has no model.
    """

    def __init__(
        self, path: str, *, max_tokens: int = 0, batch_size: int = BATCH_SIZE, threads: int = 1
    ) -> None:
        for name, value, smallest in (
            ("max_tokens", max_tokens, 0),
            ("batch_size", batch_size, 1),
            ("threads", threads, 0),
        ):
            check_count(NAME, name, value, smallest)
        folder = ModelFolder.at(path, GET_A_RERANKER)
        model = folder.onnx()

        def load() -> PairScores:
            return PairScores(
                model,
                folder.path / TOKENIZER,
                max_tokens=max_tokens or folder.max_tokens(),
                batch_size=batch_size,
                threads=threads,
            )

        self._model = Loaded(load, folder.name, threads)

    @hookimpl(orders_only=True)
    def semantic_rerank(
        self, request: SearchRequest, hits: Sequence[SearchHit]
    ) -> Sequence[SearchHit]:
        """The hits, the most relevant first; equal ones in the order they had."""
        if request.order_by or not hits or not request.text.strip():
            return hits
        scores = self._model.get().scores(request.text, [_passage(hit) for hit in hits])
        judged = []
        for hit, score in zip(hits, scores.tolist(), strict=True):
            judged.append(attrs.evolve(hit, parts={**hit.parts, NAME: _relevance(score)}))
        best = sorted(range(len(hits)), key=lambda place: -scores[place])
        return [judged[place] for place in best]


def open_reranker(
    *,
    path: Annotated[
        str | None, "folder with model.onnx and tokenizer.json; unset: nothing is reranked"
    ] = None,
    max_tokens: Annotated[int, "tokens of query and passage; 0: as the folder says"] = 0,
    batch_size: Annotated[int, "passages that are read in one call"] = BATCH_SIZE,
    threads: Annotated[int, "processors that one call uses; 0: all"] = 1,
) -> OnnxReranker | None:
    """Create the plugin "onnx-reranker"; None if it is given no option. They are those of
    `OnnxReranker`. Raises ConfigError for options without a folder.
    """
    if path is None:
        if (max_tokens, batch_size, threads) != (0, BATCH_SIZE, 1):
            raise ConfigError(
                f"{NAME}: path is not set, so nothing would be reranked.", hint=GET_A_RERANKER
            )
        return None
    return OnnxReranker(path, max_tokens=max_tokens, batch_size=batch_size, threads=threads)


def _passage(hit: SearchHit) -> str:
    """What the model reads of a hit."""
    return f"{hit.title}\n{hit.text}" if hit.title else hit.text


def _relevance(score: float) -> float:
    """The logistic function."""
    return 1.0 / (1.0 + exp(min(-score, FARTHEST)))
