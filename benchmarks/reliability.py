"""Reliability: ``python -m benchmarks.reliability [--soak 20] [--page]``; runs the trust tests,
keeps what they found.

Writes ``reliability.json`` at the root of the repository and ``guides/guarantees.md`` from it.
--page: only the page, from the file that is there. Nothing is written if a test fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks._measure import hardware, now, plain_environment
from benchmarks.guarantees import TESTS, page

ROOT = Path(__file__).resolve().parent.parent
FILE, PAGE = ROOT / "reliability.json", ROOT / "guides" / "guarantees.md"
SUMMED = {
    "io_faults_": ("io_faults", "operations"),
    "batch-": ("batch_jobs", "shapes"),
    "interruption_": ("interruptions", "operations"),
    "histories_": ("histories", "parts"),
}
"""How the names of tests begin whose figures are added up: what the sum is called,
and what there is one of in each.
"""
_PASSED = re.compile(r"(\d+) passed")


def main(arguments: list[str] | None = None) -> int:
    """0 if every promise is kept, else what the tests gave."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument(
        "--soak", type=int, default=1, metavar="N", help="so many times the numbers of a plain run"
    )
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    given = parser.parse_args(arguments)
    if not given.page:
        code, report = run(given.soak)
        if code:
            return code
        FILE.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(FILE.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"Written: {'' if given.page else f'{FILE.name}, '}{PAGE.relative_to(ROOT)}.")
    return 0


def run(soak: int) -> tuple[int, dict[str, Any]]:
    """(what pytest gave, the report). soak: so many times the numbers of a plain run."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        *TESTS,
        "-q",
        "-n",
        "2",
        "--dist",
        "worksteal",
        "-p",
        "no:cacheprovider",
    ]
    with tempfile.TemporaryDirectory() as folder:
        more = {"TRUST_FIGURES": folder, "SEMANTIC_CORE_SOAK": str(soak)}
        machine, started = hardware(), monotonic()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**plain_environment(), **more},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line)
        passed = _PASSED.search("".join(lines[-1:]))
        report = {
            "when": now(),
            "seconds": round(monotonic() - started, 1),
            "soak": soak,
            "passed": int(passed[1]) if passed else 0,
            "hardware": machine,
            "figures": merged(
                {
                    file.stem: json.loads(file.read_text("utf-8"))
                    for file in Path(folder).glob("*.json")
                }
            ),
        }
    return process.returncode, report


def merged(files: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures by test, with sums of some.

    Tests that are one promise played in several ways (SUMMED) become one.
    """
    figures: dict[str, dict[str, Any]] = {}
    for name, held in files.items():
        prefix = next((prefix for prefix in SUMMED if name.startswith(prefix)), None)
        if prefix is None:
            figures[name] = {**held}
        else:
            whole, parts = SUMMED[prefix]
            summed = figures.setdefault(whole, {})
            summed.update(
                {what: summed.get(what, 0) + count for what, count in {**held, parts: 1}.items()}
            )
    rot = figures.get("bit_rot")
    if rot:
        rot["harmful"] = rot["refused"] + rot["found"] + rot["missed"]
    for held in figures.values():
        held.pop("soak", None)
    return figures


if __name__ == "__main__":
    sys.exit(main())
