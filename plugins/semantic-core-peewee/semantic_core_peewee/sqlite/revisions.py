"""The revision of each tenant: a random text that every commit replaces which changes its content.

Tested by tests/sqlite/test_contract.py and tests/sqlite/test_revisions.py.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b

from semantic_core_peewee.sqlite.pool import View

WHOLE_STORE = ""
"""The tenant whose revision changes with that of every other; the only one of a store without
tenants.
"""
NEVER_WRITTEN = "0"
"""The revision before the first write."""
# Random, so that a file that was restored does not reach an earlier value with other content.
_CHANGE = """insert into semantic_index_revision (tenant, value)
    values (?, lower(hex(randomblob(8))))
    on conflict (tenant) do update
    set value = excluded.value"""


def _name(tenant: str) -> str:
    """A hash of the tenant's name, so that nothing of a tenant that has left stays in the file; ""
    for the whole store.
    """
    if tenant == WHOLE_STORE:
        return WHOLE_STORE
    return blake2b(tenant.encode("utf-8"), digest_size=16).hexdigest()


def change(view: View, tenants: Collection[str]) -> None:
    """Give these tenants, and the whole store, new revisions; none if there is no tenant."""
    if tenants:
        names = {_name(tenant) for tenant in tenants} | {WHOLE_STORE}
        view.raw.executemany(_CHANGE, [(name,) for name in names])


def get(view: View, tenant: str) -> str:
    """The revision of this tenant."""
    found = view.raw.execute(
        "select value from semantic_index_revision where tenant = ?", (_name(tenant),)
    )
    return str(found.get or NEVER_WRITTEN)
