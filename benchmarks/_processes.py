"""Whole processes: the command line, a first search in Python,
and the imports either needs, alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

from benchmarks._measure import plain_environment

FIRST_SEARCH = dedent("""\
    import sys
    from semantic_core import SemanticCore
    with SemanticCore(store=sys.argv[1], path=sys.argv[2], embedder=sys.argv[3]) as core:
        assert len(core.search(sys.argv[4], mode=sys.argv[5]))
""")
"""Arguments: store, path, embedder, query, mode."""
MEMORY = dedent("""
    import os, resource, sys
    # What getrusage says there counts the process that started this one, too.
    if os.path.exists("/proc/self/status"):
        lines = open("/proc/self/status")
        print(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(peak * (1 if sys.platform == "darwin" else 1024))
""")
"""Added to a script, prints its peak memory in bytes."""
LOADED = dedent("""
    import json, sys
    print(json.dumps([name for name in sys.modules if name != "__main__"]))
""")
"""Added to a script, prints what it imported, in order."""
IMPORTABLE = dedent("""\
    import importlib, json, sys
    for name in json.load(open(sys.argv[1], encoding="utf-8")):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        print(name)
""")
"""Argument: a JSON file with names of modules. Prints those that can be imported by that name."""
IMPORTS = dedent("""\
    import importlib, sys
    for name in open(sys.argv[1], encoding="utf-8").read().split():
        importlib.import_module(name)
""")
"""Argument: a file with names of modules."""


def command_line() -> list[str]:
    """The product's command: its console script, else its module."""
    script = Path(sys.executable).with_name("semantic-core")
    return [str(script)] if script.exists() else [sys.executable, "-m", "semantic_core.cli"]


def python(script: str, *arguments: str) -> list[str]:
    """A script as a command."""
    return [sys.executable, "-c", script, *arguments]


def output(command: Sequence[str]) -> str:
    """What a command prints. Raises RuntimeError if it fails."""
    done = subprocess.run(
        list(command), capture_output=True, text=True, env=plain_environment(), check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def imports_of(script: str, arguments: Sequence[str], folder: Path) -> list[str]:
    """A command that imports exactly what the script imports, in the same order,
    and does nothing else.
    """
    loaded = json.loads(output(python(script + LOADED, *arguments)).splitlines()[-1])
    names = folder / "loaded.json"
    names.write_text(json.dumps(loaded), encoding="utf-8")
    importable = output(python(IMPORTABLE, str(names))).split()
    listed = folder / "modules.txt"
    listed.write_text("\n".join(importable), encoding="utf-8")
    return python(IMPORTS, str(listed))


def peak_memory(script: str, arguments: Sequence[str]) -> float:
    """Megabytes a process needed at most."""
    return int(output(python(script + MEMORY, *arguments)).splitlines()[-1]) / 1e6
