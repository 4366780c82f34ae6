"""Imports each installed plugin in a process of its own, to name the one that ends the process,
never returns, takes long, prints, or changes the kernel.

Tested by tests/plugins/test_probe.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs

from semantic_core._plugins.discovery import claims
from semantic_core._plugins.records import PluginRejected
from semantic_core._validation import masked

LIMIT = 30.0
"""Seconds that a process has for the import: a heavy library on a busy machine takes a few."""
_AT_ONCE = 4
"""Processes that run at the same time."""
_SHOWN = 200
"""Most characters of the output that are told."""
_CHILD = "import semantic_core.core; from semantic_core._plugins.probe import child; child()"
"""The client is imported first, so that a change of it is seen."""
_WHILE = "while it was imported"


@attrs.frozen
class Probe:
    """What became of the import of one plugin.

    cause: why it must not be imported here, on one line; "" if it may. An import that only raises
    an error has none: whoever imports it gets that error. seconds: of the import. output: the
    beginning of what it printed, on one line. changed: classes' members and functions of the kernel
    that it replaced.
    """

    plugin: str
    distribution: str
    cause: str = ""
    seconds: float = 0.0
    output: str = ""
    changed: tuple[str, ...] = ()


def probe_all(wanted: Collection[str] | None = None, limit: float = LIMIT) -> list[Probe]:
    """A probe of each installed plugin in order of name.

    wanted: only those with these names; None: all. limit: seconds for each.
    """
    from concurrent.futures import ThreadPoolExecutor

    names = []
    for claim in claims():
        if wanted is None or claim.info.name in wanted:
            names.append((claim.info.name, claim.info.distribution))

    def probe(name: tuple[str, str]) -> Probe:
        return _probe(*name, limit)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(probe, sorted(names)))


def _probe(plugin: str, distribution: str, limit: float) -> Probe:
    """Import one plugin in another process."""
    with tempfile.TemporaryDirectory(prefix="semantic-core-") as folder:
        result = Path(folder, "result")
        output = Path(folder, "output")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        started = perf_counter()
        with output.open("wb") as printed:
            process = subprocess.Popen(  # noqa: S603 - this Python and our own program
                [sys.executable, "-P", "-c", _CHILD, plugin, distribution, str(result)],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            try:
                process.wait(limit)
                cause = "" if result.exists() else _ended(process.returncode)
            except subprocess.TimeoutExpired:
                cause = f"its import did not end within {limit:g} s"
            finally:
                process.kill()
                process.wait()
        told: dict[str, Any] = {"cause": cause, "seconds": perf_counter() - started, "changed": []}
        if not cause:
            told = json.loads(result.read_text("utf-8"))
        return Probe(
            plugin,
            distribution,
            told["cause"],
            told["seconds"],
            _beginning(output.read_bytes()),
            tuple(told["changed"]),
        )


def _ended(code: int) -> str:
    """Why a process ended without a word, by its exit code."""
    if code >= 0:
        return f"it ended the process with exit code {code} {_WHILE}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it ended the process by {name} {_WHILE}"


def _beginning(output: bytes) -> str:
    text = masked(" ".join(output[: 10 * _SHOWN].decode("utf-8", "replace").split()))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def child() -> None:
    """The program of the other process. It imports a plugin and writes what became of that."""
    plugin, distribution, result = sys.argv[1:]
    cause = ""
    kernel = _kernel()
    started = perf_counter()
    for claim in claims():
        if (claim.info.name, claim.info.distribution) != (plugin, distribution):
            continue
        started = perf_counter()
        try:
            claim.load()
        except PluginRejected:
            pass  # an error like any other, which is told where it is imported again
        except KeyboardInterrupt:
            cause = f"it raised KeyboardInterrupt {_WHILE}"
        break
    seconds = perf_counter() - started
    now = _kernel()
    changed = [name for name, was in kernel.items() if now.get(name) is not was]
    told = {"cause": cause, "seconds": seconds, "changed": changed}
    partial = Path(f"{result}.partial")
    partial.write_text(json.dumps(told), "utf-8")
    partial.replace(result)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that the plugin has started are not waited for


def _kernel() -> dict[str, object]:
    """The functions and classes of the kernel that are loaded, and the members of its classes, by
    name.
    """
    found: dict[str, object] = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] != "semantic_core":
            continue
        for name, value in list(vars(module).items()):
            own = getattr(value, "__module__", None) == module_name
            if not own or not callable(value):
                continue
            found[f"{module_name}.{name}"] = value
            if isinstance(value, type):
                for member, inner in list(vars(value).items()):
                    if callable(inner) or isinstance(inner, property | classmethod | staticmethod):
                        found[f"{module_name}.{name}.{member}"] = inner
    return found
