"""The floor plan of the kernel: who may import whom."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KERNEL = ROOT / "semantic_core"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("_validation", "_interruption", "_decoding", "addresses", "highlights", "query_syntax"),
    ("filters", "ranking"),
    ("types", "_jobs", "_metering", "_trust"),
    ("protocols", "events"),
    ("analysis",),
    (
        "hookspecs",
        "coverage",
        "_text",
        "_among",
        "_matches",
        "_memory",
        "_files",
        "_parts",
        "_vectors",
        "_no_embedder",
        "remote",
        "storage",
    ),
    ("_embedding", "_costs", "permissions", "marking"),
    ("_plugins", "_config", "batch", "_typos", "_similar"),
    ("_announcer",),
    ("_ingest", "_search", "_sync"),
    ("core",),
    ("orm", "aio"),
    ("__init__", "cli"),
)
"""From the ground up. A module imports lower floors only. A package stands on one floor with all
its modules, which may import each other.
"""
APART = "testing"
"""The testing kit reaches every floor but the last, and nothing of the product imports it."""
PUBLIC = {
    "addresses",
    "analysis",
    "batch",
    "cli",
    "coverage",
    "errors",
    "events",
    "filters",
    "highlights",
    "hookspecs",
    "marking",
    "orm",
    "orm.aio",
    "orm.migrations",
    "permissions",
    "protocols",
    "query_syntax",
    "ranking",
    "remote",
    "storage",
    "testing",
    "types",
}
"""What a plugin may import of the kernel besides the package itself: these modules, and of a
package what its ``__init__`` exports.
"""


def diagram() -> str:
    """The floors as a Mermaid flowchart, without the fence."""
    lines = ["flowchart BT"]
    for number, names in enumerate(FLOORS):
        shown = ", ".join("semantic_core" if name == "__init__" else name for name in names)
        lines.append(f'    f{number}["{shown}"]')
    steps = " --> ".join(f"f{number}" for number in range(len(FLOORS)))
    return "\n".join([*lines, f"    {steps}"]) + "\n"
