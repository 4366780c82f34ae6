"""For authors of stores: what every store does in the same way, so that none has to write it again.

Vectors are checked and scaled (`unit_vectors`), arguments are checked (`arguments`), checkpoints
advance with the writes of a thread (`advances`), and a store passes the calls of `BatchQueue` on to
its ledger (`ledger`). `MemoryStore` uses none of it, because it is the reference for the others.

Tested by tests/kernel/test_storage.py.
"""

from semantic_core.storage.advances import Advances, Change, changed, errors_of_changes
from semantic_core.storage.arguments import (
    MOST_INT,
    check_count,
    check_ids,
    check_ref,
    check_stamps,
    check_tenant,
)
from semantic_core.storage.ledger import OfLedger, spent_by_owner
from semantic_core.storage.unit_vectors import (
    STORED,
    as_query,
    as_stored,
    cosines,
    from_blob,
    stored_by_name,
)

__all__ = [
    "MOST_INT",
    "STORED",
    "Advances",
    "Change",
    "OfLedger",
    "as_query",
    "as_stored",
    "changed",
    "check_count",
    "check_ids",
    "check_ref",
    "check_stamps",
    "check_tenant",
    "cosines",
    "errors_of_changes",
    "from_blob",
    "spent_by_owner",
    "stored_by_name",
]
