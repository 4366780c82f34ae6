"""The known limits of adapters, as a table for a page: generated from what their harnesses say,
so that it stays true.
"""

from __future__ import annotations

from collections.abc import Mapping

from semantic_core.testing._adapter_harness import Capability, Limit, Limits


def limits_table(adapters: Mapping[str, Limits]) -> str:
    """A Markdown table of what these adapters are without: description, workaround,
    and whom it concerns.

    adapters: per name, such as "Peewee on SQLite", its limits. The same limit of several is one
    row. Every capability of the kit that has no row is kept by all of them.
    """
    rows: dict[tuple[Capability, Limit], list[str]] = {}
    for name, limits in adapters.items():
        for capability, limit in limits.items():
            rows.setdefault((capability, limit), []).append(name)
    lines = ["| without | who | description | workaround |", "|---|---|---|---|"]
    for (capability, limit), names in sorted(
        rows.items(), key=lambda row: (row[0][0].name, row[1])
    ):
        cells = [f"`{capability.name}`", ", ".join(names), limit.reason, limit.workaround]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def capabilities_table() -> str:
    """A Markdown table of every capability a harness may say its adapter is without."""
    rows = [f"| `{capability.name}` | {capability.value} |" for capability in Capability]
    return "\n".join(["| capability | what is promised |", "|---|---|", *rows]) + "\n"
