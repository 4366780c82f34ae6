"""``among``: the rows that a search is limited to, given as a query of the ORM, as instances or as
primary keys.

Tested by tests/orm/test_adapter_kit.py, tests/blueprints/test_random_queries.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from semantic_core._validation import clip
from semantic_core.errors import InputError
from semantic_core.orm.contract import AdapterContract


class RowKeys(frozenset[str]):
    """The keys of rows, as their documents have them."""

    __slots__ = ()


def keys_among(adapter: AdapterContract, among: object) -> RowKeys | None:
    """The keys of the rows that a search is limited to; None if `among` is None.

    among: a query of the ORM, of which the primary keys are read; else any iterable of instances or
    primary keys, also one that can be read once. A composite key is a tuple of its values. Raises
    InputError for what is no row and no key of the model, and what the ORM raises.
    """
    if among is None or isinstance(among, RowKeys):
        return among
    several = len(adapter.table.key) > 1
    found = adapter.keys_of_query(among)
    if found is not None:
        keys = list(found)
        if set(map(type, keys)) <= {int, str}:  # fast, for there may be a million
            return RowKeys(map(str, keys))
        if several:
            return RowKeys(adapter.key_text(tuple(key)) for key in keys if key is not None)
        return RowKeys(adapter.key_text((key,)) for key in keys if key is not None)
    if isinstance(among, str | bytes) or not isinstance(among, Iterable):
        raise InputError(
            f"among must be a query, rows or primary keys of {adapter.model.__name__}, got "
            f"{type(among).__name__}: {clip(among)}.",
            hint=f"Write among=[1, 2], or a query that gives rows of {adapter.model.__name__}.",
        )
    return RowKeys(_key_of(adapter, item) for item in among)


def _key_of(adapter: AdapterContract, item: Any) -> str:
    if isinstance(item, adapter.model):
        return adapter.key_of(item)
    is_several = isinstance(item, tuple | list)
    wanted = len(adapter.table.key)
    values = list(item) if is_several else [item]
    if (is_several and len(values) != wanted) or not all(map(_may_be_key, values)):
        raise _no_key(adapter, item)
    # A text may already be the key of a document, such as `hit.ref.key`.
    text = item if isinstance(item, str) else adapter.key_text(values)
    try:
        return adapter.canonical(text)
    except (ValueError, TypeError) as error:
        raise _no_key(adapter, item) from error


def _may_be_key(value: object) -> bool:
    """Whether a value may be in a column of a primary key. A row of some other model may not, and
    its text would pass for a key.
    """
    kinds = str | int | float | Decimal | UUID | date | time | Enum
    return isinstance(value, kinds) and not isinstance(value, bool)


def _no_key(adapter: AdapterContract, item: object) -> InputError:
    model = adapter.model.__name__
    names = ", ".join(adapter.table.key)
    wanted = f"({names})" if len(adapter.table.key) > 1 else names
    return InputError(
        f"among has an item that is no row and no primary key of {model}, got "
        f"{type(item).__name__}: {clip(item)}.",
        hint=f"Wanted rows of {model}, or values of {wanted}.",
    )


def refused(adapter: AdapterContract, of: object) -> InputError:
    """For `AdapterContract.keys_of_query`: the error for a query of another model. of: that
    model.
    """
    name = getattr(of, "__name__", None) or clip(of)
    return InputError(
        f"among must be a query of {adapter.model.__name__}, got one of {name}.",
        hint=f"Select rows of {adapter.model.__name__}, joined with what you need.",
    )
