"""``among``: the documents that a search is limited to, as the keys of a `Scope`.

Tested by tests/kernel/test_among.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import cast
from uuid import UUID

from semantic_core._validation import check_name, clip
from semantic_core.errors import InputError
from semantic_core.types import Ref

_HINT = (
    'Write among=[Ref("notes", "1")], among={"notes": ["1", "2"]}, or keys with '
    'collections=["notes"].'
)


def keys_among(
    among: object, collections: Sequence[str] | None, scoped: Callable[[Ref], Ref]
) -> Mapping[str, frozenset[str]] | None:
    """The keys of a scope, by collection; None if `among` is None, {} for no documents.

    among: refs; a mapping from collections to keys; or keys alone, if `collections` names exactly
    one. A key is a str, an int or a UUID. Any iterable is taken, also one that can be read once.
    scoped: checks a ref and gives it the tenant of the client. Raises InputError, TenantRefused.
    """
    if among is None:
        return None
    if isinstance(among, Mapping):
        found: dict[str, frozenset[str]] = {}
        for name, keys in among.items():
            found[check_name("A collection", name)] = _texts(_iterable(keys))
        return found
    items = list(_iterable(among))
    refs = [item for item in items if isinstance(item, Ref)]
    if len(refs) == len(items):
        by_collection: dict[str, set[str]] = {}
        for ref in refs:
            by_collection.setdefault(scoped(ref).collection, set()).add(ref.key)
        return {name: frozenset(held) for name, held in by_collection.items()}
    if collections is None or len(set(collections)) != 1:
        raise InputError(
            "among takes keys only where collections names one collection, got keys and "
            f"collections={clip(collections)}.",
            hint=_HINT,
        )
    return {collections[0]: _texts(items)}


def _iterable(given: object) -> Iterable[object]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InputError(
            f"among must be several refs or keys, got {type(given).__name__}: {clip(given)}.",
            hint=_HINT,
        )
    return given


def _texts(keys: Iterable[object]) -> frozenset[str]:
    """The keys as text, each once."""
    given = keys if isinstance(keys, frozenset) else frozenset(_hashable(keys))
    if set(map(type, given)) <= {str}:  # fast, for there may be a million
        return cast("frozenset[str]", given)
    texts: set[str] = set()
    for key in given:
        if not isinstance(key, str | int | UUID) or isinstance(key, bool):
            raise _no_key(key)
        texts.add(str(key))
    return frozenset(texts)


def _hashable(keys: Iterable[object]) -> Iterable[Hashable]:
    for key in keys:
        if not isinstance(key, Hashable):
            raise _no_key(key)
        yield key


def _no_key(key: object) -> InputError:
    return InputError(
        f"A key in among must be a str, an int or a UUID, got {type(key).__name__}: {clip(key)}.",
        hint=_HINT,
    )
