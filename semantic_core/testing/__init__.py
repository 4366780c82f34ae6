"""The contracts as checks anyone can run, and what tests are written with.

Needs ``pip install "semantic-core-kernel[testing]"``.

Checks are plain callables in a list: nothing to inherit, so nothing to override. ``str(check)`` is
its name, its docstring the rule::

    @pytest.mark.parametrize("check", embedder_checks(), ids=str)
    def test_embedder(check):
        check(MyEmbedder)

``SEMANTIC_CORE_SOAK=20`` in the environment plays twenty times as many random examples, and new
ones in every run.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semantic_core.testing.adapters.checks import adapter_checks
    from semantic_core.testing.adapters.harness import (
        DATABASE_LIMITS,
        AdapterHarness,
        Capability,
        Limit,
        Limits,
        capabilities_table,
        limits_table,
    )
    from semantic_core.testing.batch_embedder import batch_embedder_checks
    from semantic_core.testing.check import Check
    from semantic_core.testing.embedder import embedder_checks
    from semantic_core.testing.fakes import HashEmbedder, MemoryOutbox, SimilarEmbedder
    from semantic_core.testing.job_embedder import JobEmbedder
    from semantic_core.testing.reranker import reranker_checks
    from semantic_core.testing.retriever import retriever_checks
    from semantic_core.testing.settled import SettledCore
    from semantic_core.testing.splitter import splitter_checks
    from semantic_core.testing.stores.checks import store_checks
    from semantic_core.testing.strategies import ODD_TEXTS, documents, metadata, refs, texts, wheres

__all__ = [
    "DATABASE_LIMITS",
    "ODD_TEXTS",
    "AdapterHarness",
    "Capability",
    "Check",
    "HashEmbedder",
    "JobEmbedder",
    "Limit",
    "Limits",
    "MemoryOutbox",
    "SettledCore",
    "SimilarEmbedder",
    "adapter_checks",
    "batch_embedder_checks",
    "capabilities_table",
    "documents",
    "embedder_checks",
    "limits_table",
    "metadata",
    "refs",
    "reranker_checks",
    "retriever_checks",
    "splitter_checks",
    "store_checks",
    "texts",
    "wheres",
]

_EXTRA = ("hypothesis", "pytest")
"""What the extra brings."""
_MODULES = {
    "adapters.checks": ("adapter_checks",),
    "adapters.harness": (
        "DATABASE_LIMITS",
        "AdapterHarness",
        "Capability",
        "Limit",
        "Limits",
        "capabilities_table",
        "limits_table",
    ),
    "batch_embedder": ("batch_embedder_checks",),
    "check": ("Check",),
    "embedder": ("embedder_checks",),
    "fakes": ("HashEmbedder", "MemoryOutbox", "SimilarEmbedder"),
    "job_embedder": ("JobEmbedder",),
    "reranker": ("reranker_checks",),
    "retriever": ("retriever_checks",),
    "settled": ("SettledCore",),
    "splitter": ("splitter_checks",),
    "stores.checks": ("store_checks",),
    "strategies": ("ODD_TEXTS", "documents", "metadata", "refs", "texts", "wheres"),
}
"""Where names are, imported when first asked for: pytest loads this package in every run,
for its plugin alone.
"""

if not TYPE_CHECKING:  # a checker that saw this would take any name for one of ours

    def __getattr__(name: str) -> object:
        module = next((module for module, names in _MODULES.items() if name in names), None)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        try:
            found = import_module(f"{__name__}.{module}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in _EXTRA:
                raise
            from semantic_core.errors import ExtraMissing

            raise ExtraMissing(
                f"{__name__}.{name} needs {error.name}.",
                hint='pip install "semantic-core-kernel[testing]"',
            ) from error
        globals()[name] = value = getattr(found, name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
