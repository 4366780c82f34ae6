"""Commands run in a folder of their own, without a setting from outside."""

from functools import cache
from pathlib import Path

import pytest

from semantic_core._plugins import probe

PROBE = probe._probe


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: empty, unless a file of tests fills it."""
    monkeypatch.chdir(tmp_path)
    for name in ("PATH", "STORE", "EMBEDDER", "PLUGINS", "CONFIG"):
        monkeypatch.delenv(f"SEMANTIC_CORE_{name}", raising=False)
    return tmp_path


@cache
def _probe_of_ours(plugin: str, distribution: str, limit: float) -> probe.Probe:
    return PROBE(plugin, distribution, limit)


@pytest.fixture(autouse=True)
def probed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` imports each plugin in a process of its own; those of this repository, which stay
    as they are, once for all tests of a process.
    """

    def remembered(plugin: str, distribution: str, limit: float) -> probe.Probe:
        ours = distribution.startswith("semantic-core-")
        return (_probe_of_ours if ours else PROBE)(plugin, distribution, limit)

    monkeypatch.setattr(probe, "_probe", remembered)
