"""What `doctor` finds out of the plugins of this repository, once for all tests of a process."""

from __future__ import annotations

from functools import cache

import pytest

from semantic_core._plugins import probe

PROBE = probe._probe


@cache
def _probe_of_ours(plugin: str, distribution: str, limit: float) -> probe.Probe:
    return PROBE(plugin, distribution, limit)


def probe_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` imports each plugin in a process of its own: those of this repository, which stay as
    they are, only when the first test asks.
    """

    def remembered(plugin: str, distribution: str, limit: float) -> probe.Probe:
        ours = distribution.startswith("semantic-core-")
        return (_probe_of_ours if ours else PROBE)(plugin, distribution, limit)

    monkeypatch.setattr(probe, "_probe", remembered)
