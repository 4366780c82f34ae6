"""Against the real service: a few texts, with a real key.

Only with --live, which `make live-gemini` gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring
from semantic_core_gemini.errors import KeyRefused

pytestmark = pytest.mark.live

TEXTS = ["how to bake bread at home", "the tax report of a company", "planets and moons", ""]


@pytest.fixture(params=["gemini-embedding-001", "gemini-embedding-2"])
def embedder(request: pytest.FixtureRequest) -> Iterator[GeminiEmbedder]:
    made = GeminiEmbedder(model=request.param, texts_per_minute=60)
    yield made
    made.close()


def test_passages_and_queries_meet(embedder: GeminiEmbedder) -> None:
    rows = embedder.embed_documents(TEXTS)
    assert rows.shape == (4, 768) and np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-4
    assert int(np.argmax(rows @ embedder.embed_query("baking a loaf"))) == 0
    assert embedder.usage.texts == 5 and embedder.usage.lost_texts == 0


def test_the_estimate_is_near_what_the_service_counts(embedder: GeminiEmbedder) -> None:
    estimate = embedder.estimate(TEXTS)
    assert estimate.counted == len(TEXTS)
    alone = embedder.estimate(TEXTS, ask=False)
    assert 0.5 < alone.tokens / estimate.tokens < 2


def test_a_wrong_key_is_refused_as_such() -> None:
    with pytest.raises(KeyRefused):
        GeminiEmbedder(GoogleKeyring("AIzaSyA-not-a-key-at-all-0123456789abcd")).embed_query("x")


@pytest.mark.skipif(not os.environ.get("GEMINI_BATCH_KEY"), reason="GEMINI_BATCH_KEY is not set")
def test_a_job_is_taken_found_and_cleaned_up(embedder: GeminiEmbedder) -> None:
    name = f"sc-live-check-{os.getpid()}-{embedder.space.model}"
    job = embedder.submit({f"k{number}": text for number, text in enumerate(TEXTS)}, name)
    try:
        assert embedder.find(name) == job
        assert embedder.state(job).status in ("SUBMITTED", "PROCESSING", "COMPLETED")
    finally:
        embedder.cancel(job)
        embedder.clean_up(job)
