"""Commands run in a folder of their own, without a setting from outside."""

from pathlib import Path

import pytest
from probes import probe_once


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: empty, unless a file of tests fills it."""
    monkeypatch.chdir(tmp_path)
    for name in ("PATH", "STORE", "EMBEDDER", "PLUGINS", "CONFIG"):
        monkeypatch.delenv(f"SEMANTIC_CORE_{name}", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _probed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    probe_once(monkeypatch)
