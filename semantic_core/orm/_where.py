"""``where`` of a model's search: names are checked against the declaration,
values are written as metadata keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semantic_core._wording import did_you_mean
from semantic_core.errors import FilterInvalid
from semantic_core.filters import Filter
from semantic_core.orm._contract import AdapterContract
from semantic_core.orm._values import scalar


def checked_where(adapter: AdapterContract, where: Mapping[str, Any] | Filter | None) -> Filter:
    """The filter that is meant. Raises FilterInvalid for a name that is no metadata field."""
    if isinstance(where, Mapping):
        where = {name: _written(adapter, wanted) for name, wanted in where.items()}
    asked = Filter.parse(where)
    known = adapter.declaration.metadata_fields
    for condition in asked.conditions:
        if condition.key not in known:
            raise FilterInvalid(
                f"{condition.key!r} is no metadata field of {adapter}; there are "
                f"{', '.join(known) or 'none'}.{did_you_mean(condition.key, known)}",
                hint=f"Write metadata_fields=[..., {condition.key!r}] in its SemanticIndex.",
            )
    return asked


def _written(adapter: AdapterContract, wanted: Any) -> Any:
    if isinstance(wanted, Mapping):
        return {word: _written(adapter, value) for word, value in wanted.items()}
    if isinstance(wanted, list | tuple | set | frozenset):
        return [_written(adapter, value) for value in wanted]
    return wanted if wanted is None else scalar(adapter.related_key(wanted))
