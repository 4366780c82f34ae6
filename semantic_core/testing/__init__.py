"""The contracts of stores, embedders, analysers, plugins and ORM adapters as checks that anyone can
run, and stand-ins for tests.

Needs ``pip install "semantic-core-kernel[testing]"``.

Checks are plain callables in a list; there is no class to inherit from. ``str(check)`` is the name
of a check, and its docstring is the rule. A check that fails reports what was expected, what was
found, and the rule::

    @pytest.mark.parametrize("check", embedder_checks(), ids=str)
    def test_embedder(check):
        check(MyEmbedder)

With ``SEMANTIC_CORE_SOAK=20`` in the environment, checks play twenty times as many random examples,
and new ones in every run.

Tested by tests/contracts/test_contract.py and tests/house/test_light_import.py.
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
    from semantic_core.testing.analyser import analyser_checks
    from semantic_core.testing.batch_embedder import batch_embedder_checks
    from semantic_core.testing.check import Check
    from semantic_core.testing.embedder import embedder_checks
    from semantic_core.testing.fake_embeddings.service import FakeEmbeddings
    from semantic_core.testing.fakes import HashEmbedder, MemoryOutbox, SimilarEmbedder
    from semantic_core.testing.job_embedder import JobEmbedder
    from semantic_core.testing.middleware import middleware_checks
    from semantic_core.testing.reader import reader_checks
    from semantic_core.testing.reranker import reranker_checks
    from semantic_core.testing.retriever import retriever_checks
    from semantic_core.testing.settled import SettledCore
    from semantic_core.testing.splitter import splitter_checks
    from semantic_core.testing.stores.checks import store_checks
    from semantic_core.testing.strategies import ODD_TEXTS, documents, metadata, refs, texts, wheres
    from semantic_core.testing.turning_clock import TurningClock

__all__ = [
    "DATABASE_LIMITS",
    "ODD_TEXTS",
    "AdapterHarness",
    "Capability",
    "Check",
    "FakeEmbeddings",
    "HashEmbedder",
    "JobEmbedder",
    "Limit",
    "Limits",
    "MemoryOutbox",
    "SettledCore",
    "SimilarEmbedder",
    "TurningClock",
    "adapter_checks",
    "analyser_checks",
    "batch_embedder_checks",
    "capabilities_table",
    "documents",
    "embedder_checks",
    "limits_table",
    "metadata",
    "middleware_checks",
    "reader_checks",
    "refs",
    "reranker_checks",
    "retriever_checks",
    "splitter_checks",
    "store_checks",
    "texts",
    "wheres",
]

_EXTRA = ("hypothesis", "pytest")
"""The packages of the extra."""
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
    "analyser": ("analyser_checks",),
    "batch_embedder": ("batch_embedder_checks",),
    "check": ("Check",),
    "embedder": ("embedder_checks",),
    "fake_embeddings.service": ("FakeEmbeddings",),
    "fakes": ("HashEmbedder", "MemoryOutbox", "SimilarEmbedder"),
    "job_embedder": ("JobEmbedder",),
    "middleware": ("middleware_checks",),
    "reader": ("reader_checks",),
    "reranker": ("reranker_checks",),
    "retriever": ("retriever_checks",),
    "settled": ("SettledCore",),
    "splitter": ("splitter_checks",),
    "stores.checks": ("store_checks",),
    "strategies": ("ODD_TEXTS", "documents", "metadata", "refs", "texts", "wheres"),
    "turning_clock": ("TurningClock",),
}
"""The modules of the public names. A module is imported when one of its names is first used,
because pytest imports this package in every run for its plugin alone.
"""


def _module_of(name: str) -> str:
    for module, names in _MODULES.items():
        if name in names:
            return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        module = _module_of(name)
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
        value = getattr(found, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
