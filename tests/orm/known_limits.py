"""The tables of guides/known_limits.md. As a program: write them into the page.

A harness says its limits in ``LIMITS``, at the top of its module, in words of the kit alone: so
they are read without importing the ORM.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from semantic_core.testing import (
    DATABASE_LIMITS,
    Capability,
    Limit,
    Limits,
    capabilities_table,
    limits_table,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "guides/known_limits.md"
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}
ADAPTERS = {
    "Peewee": (
        "plugins/semantic-core-peewee/tests/orm/kit_harness.py",
        ("sqlite", "postgresql", "mysql"),
    ),
    "Django": ("tests/blueprints/django_harness.py", ("sqlite", "postgresql")),
    "SQLAlchemy": ("tests/blueprints/alchemy_harness.py", ("sqlite", "postgresql", "mysql")),
    "Tortoise": ("tests/blueprints/tortoise_harness.py", ("sqlite", "postgresql")),
    "Pony": ("tests/blueprints/pony_harness.py", ("sqlite",)),
}
"""Where the harness of each adapter is, and the databases it is checked on."""


def own_limits(source: str) -> Limits:
    """What a harness says in LIMITS; nothing if it says nothing."""
    for node in ast.parse(source).body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(target, ast.Name) and target.id == "LIMITS" for target in targets):
            code = compile(ast.Expression(node.value), "<LIMITS>", "eval")
            return eval(code, {"Capability": Capability, "Limit": Limit})  # type: ignore[no-any-return] # noqa: S307
    return {}


def every_limit() -> dict[str, Limits]:
    """Per adapter and database, what it is without."""
    found: dict[str, Limits] = {}
    for name, (file, dialects) in ADAPTERS.items():
        if (ROOT / file).exists():
            own = own_limits((ROOT / file).read_text("utf-8"))
            found |= {
                f"{name} on {DATABASES[dialect]}": {**DATABASE_LIMITS[dialect], **own}
                for dialect in dialects
            }
    return found


def page(text: str) -> str:
    """The page with its tables as they should be."""
    for name, table in (
        ("limits", limits_table(every_limit())),
        ("capabilities", capabilities_table()),
    ):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        text, count = between.subn(
            lambda found, table=table: f"{found[1]}\n{table}\n{found[2]}", text
        )
        if count != 1:
            raise SystemExit(f"{PAGE} has no place for the table of {name}.")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    sys.stdout.write(f"Wrote the tables of {PAGE}.\n")
