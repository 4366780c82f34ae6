"""Fixtures for the tests of applications: an index in memory that is never behind,
an embedder without a model.

pytest finds them by itself once this package is installed; nothing is loaded before a test asks for
one. The guide "Test your application" tells how they are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from semantic_core.testing.fakes import SimilarEmbedder
    from semantic_core.testing.settled import SettledCore

MULTI_TENANT = "semantic_multi_tenant"
"""The setting of pytest that says whether cores of the fixtures keep tenants apart."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the setting ``semantic_multi_tenant``."""
    parser.addini(
        MULTI_TENANT,
        "whether the cores of Semantic Core's fixtures keep tenants apart",
        "bool",
        default=False,
    )


@pytest.fixture
def semantic_embedder() -> SimilarEmbedder:
    """A `SimilarEmbedder`, new for each test: similar strings are near;
    ``failing("rate_limit")`` makes it fail.
    """
    from semantic_core.testing.fakes import SimilarEmbedder

    return SimilarEmbedder()


@pytest.fixture
def semantic_test_core(
    semantic_embedder: SimilarEmbedder, pytestconfig: pytest.Config
) -> Iterator[SettledCore]:
    """A `SettledCore`, new and empty for each test,
    which keeps every declared index while the test lasts.

    Indexes that are bound already are bound to it; those that are not will be, whatever core they
    are handed, once the test or a fixture binds them. Afterwards all are bound as they were before.
    Where an application has several cores, or indexes with and without tenants, there are several
    here too, and the fixture gives the one of the index declared last; ``Article.search.core`` is
    that of an index.
    """
    from semantic_core.orm import SemanticIndex
    from semantic_core.testing.settled import SettledCore, has_tenants, rebound

    kinds = [has_tenants(index) for _, index in SemanticIndex.declared()]
    core = SettledCore(
        semantic_embedder,
        multi_tenant=bool(pytestconfig.getini(MULTI_TENANT)) or kinds[-1:] == [True],
    )
    with rebound(core):
        yield core


@pytest.fixture(scope="session")
def semantic_session_core(pytestconfig: pytest.Config) -> Iterator[SettledCore]:
    """A `SettledCore` for the whole run, for start-up code that binds indexes once: no file,
    no model, no network.
    """
    from semantic_core.testing.fakes import SimilarEmbedder
    from semantic_core.testing.settled import SettledCore

    core = SettledCore(SimilarEmbedder(), multi_tenant=bool(pytestconfig.getini(MULTI_TENANT)))
    yield core
    core.close()
