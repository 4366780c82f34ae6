"""Usage is added up for the embedder, and for each block that wants its own."""

from __future__ import annotations

from semantic_core.remote import Price, Usage, UsageMeter


def test_what_is_used_counts_for_all_and_for_the_block_it_is_used_in() -> None:
    meter = UsageMeter()
    meter.add(requests=1, texts=2, tokens=10)
    with meter.blocks.metered() as spent:
        meter.add(job_texts=1, job_tokens=5)
        meter.add(lost_texts=3)
    assert (spent.passages, spent.tokens) == (1, 5)
    assert meter.read() == Usage(1, 2, 10, 3, 1, 5)
    assert meter.read().cost(Price(1_000_000, 500_000)) == {
        "interactive": "10.000000",
        "batch": "2.500000",
    }
