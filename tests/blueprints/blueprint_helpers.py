"""Short words for what the tests of both blueprints look at."""

from __future__ import annotations

from semantic_core.orm import BaseORMAdapter


def held(index: BaseORMAdapter) -> dict[str, str]:
    """Text by key, of what is in the index."""
    core = index.core
    page = core.documents(limit=1_000, collections=[index.declaration.collection])
    return {summary.ref.key: core.get(summary.ref).text for summary in page}
