"""`OpenAIEmbedder` keeps the contracts of an embedder and of one that takes batch jobs, over real
connections.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from semantic_core_openai import OpenAIEmbedder, OpenAIKeyring

from semantic_core.protocols import BatchEmbedder, Metered
from semantic_core.testing import (
    Check,
    FakeEmbeddings,
    batch_embedder_checks,
    embedder_checks,
)

OPTIONS = [
    {},
    {"dimensions": 32},
    {"encoding": "base64", "query_prefix": "query: ", "document_prefix": "passage: "},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_openai(check: Check, options: dict[str, object], service: FakeEmbeddings) -> None:
    service.state.dimensions = 1_536
    check(lambda: OpenAIEmbedder(OpenAIKeyring("a-key"), base_url=service.url, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_a_server_on_this_machine_whose_model_reads_few_tokens(
    check: Check, service: FakeEmbeddings
) -> None:
    service.most_tokens, service.shortens = 500, False
    check(lambda: OpenAIEmbedder(base_url=service.url, model="local", dimensions=64))


@pytest.mark.parametrize("check", batch_embedder_checks(), ids=str)
def test_jobs(check: Check, service: FakeEmbeddings) -> None:
    def opened() -> tuple[BatchEmbedder, Callable[[], object]]:
        made = OpenAIEmbedder(OpenAIKeyring("a-key"), base_url=service.url, dimensions=32)
        assert isinstance(made, BatchEmbedder) and isinstance(made, Metered)
        return made, service.finish

    check(opened)
