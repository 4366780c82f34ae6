"""Importing the package is cheap, and a missing extra is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from semantic_core import remote
from semantic_core.errors import ExtraMissing
from semantic_core.remote import extra, require_extra
from semantic_core.testing import TurningClock


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_it_loads_none_of_the_extra() -> None:
    heavy = "{'httpx2', 'httpcore2', 'tenacity', 'cachetools', 'numpy', 'asyncio'}"
    probe = "import sys; from semantic_core.remote import Calls, Queries, PassageBatches"
    assert run(f"{probe}; print(set(sys.modules) & {heavy} or 'none')") == "none"
    assert run(f"{probe}, http_client; print('httpx2' in sys.modules)") == "True"


def test_every_name_is_there_and_no_other() -> None:
    for name in remote.__all__:
        assert getattr(remote, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'http_clients'"):
        remote.http_clients  # type: ignore[attr-defined]  # noqa: B018


def test_what_the_extra_brings_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("no_such_package", "json"))
    turning = TurningClock()
    for ask in (
        require_extra,
        lambda: remote.Recent(5),
        lambda: remote.Calls(
            turning.clock,
            remote.Pace(turning.clock, 0, 0),
            remote.Breaker(turning.clock),
            lambda error, what, wall: None,
        ),
    ):
        with pytest.raises(ExtraMissing, match="needs no_such_package") as raised:
            ask()
        assert "semantic-core-kernel[remote]" in raised.value.hint
