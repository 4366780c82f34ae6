"""The arguments of a store's methods: each is returned if a store can work with it.

Tested by tests/kernel/test_storage.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semantic_core.errors import InputError, TenantRefused, TenantRequired
from semantic_core.types import ChunkId, Ref

MOST_INT = 2**63 - 1
"""The largest number that a column of a database holds."""


def check_tenant(tenant: object, multi_tenant: bool) -> str:
    """The tenant, if a store of this kind may be asked for it. Raises InputError, TenantRequired,
    TenantRefused.
    """
    if not isinstance(tenant, str):
        raise InputError(f"A tenant must be a str, got {type(tenant).__name__}.")
    if multi_tenant and not tenant:
        raise TenantRequired(
            "This store keeps tenants apart: wanted a tenant, got none.", hint="Name one."
        )
    if tenant and not multi_tenant:
        raise TenantRefused(
            f"This store knows no tenants: wanted none, got {tenant!r}.", hint="Leave it out."
        )
    return tenant


def check_count(what: str, value: object) -> int:
    """The count, at most half of MOST_INT. what: its name in the message. Raises InputError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"{what} must be a whole number from 0, got {value!r}.")
    return min(value, MOST_INT // 2)


def check_ref(ref: object, multi_tenant: bool) -> Ref:
    """The ref. Raises InputError, TenantRequired, TenantRefused."""
    if not isinstance(ref, Ref):
        raise InputError(f'wanted a Ref such as Ref("notes", "1"), got {type(ref).__name__}.')
    check_tenant(ref.tenant, multi_tenant)
    return ref


def check_ids(ids: Sequence[ChunkId], multi_tenant: bool) -> list[ChunkId]:
    """The ids, as a list. Raises InputError, TenantRequired, TenantRefused."""
    for id in ids:
        if (
            not isinstance(id, ChunkId)
            or not isinstance(id.position, int)
            or not isinstance(id.ref, Ref)
        ):
            raise InputError(f"wanted a ChunkId, got {id!r}.")
    for tenant in {id.ref.tenant for id in ids}:
        check_tenant(tenant, multi_tenant)
    return list(ids)


def check_stamps(stamps: Mapping[Ref, int] | None) -> dict[Ref, int]:
    """The stamps, {} for None. Raises InputError."""
    given = dict(stamps or {})
    for ref, stamp in given.items():
        if (
            not isinstance(stamp, int)
            or isinstance(stamp, bool)
            or not -MOST_INT - 1 <= stamp <= MOST_INT
        ):
            raise InputError(f"The stamp of {ref} must be an int within 64 bits, got {stamp!r}.")
    return given
