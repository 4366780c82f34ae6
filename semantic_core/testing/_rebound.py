"""Declared indexes are bound to another core while a test lasts, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from semantic_core.orm import BaseORMAdapter, SemanticIndex
from semantic_core.testing._settled import SettledCore


def has_tenants(index: SemanticIndex) -> bool:
    """Whether an index names the tenants of its rows."""
    return index._said["tenant"] is not None


@contextmanager
def rebound(main: SettledCore) -> Iterator[None]:
    """Within it, every index declared so far is bound to another core, or will be;
    afterwards all is as it was before.

    main: for indexes that are not bound yet, and those of the core that was bound last. Those of
    another core, or with tenants where it has none, get one of their own. Touches no database: what
    was bound before has its tables and triggers.
    """
    before = {(model, index): index._bound.get(model) for model, index in SemanticIndex.declared()}
    options = {(model, index): index._options.get(model, {}) for model, index in before}
    own = {index: index._core for _, index in before}
    alive = {
        declared: adapter
        for declared, adapter in before.items()
        if adapter is not None and _is_open(adapter)
    }
    last = next((adapter.core.store for adapter in reversed(alive.values())), None)
    cores = {(id(store), main.store.multi_tenant): main for store in (None, last)}

    def core_for(index: SemanticIndex, adapter: BaseORMAdapter | None) -> SettledCore:
        key = id(adapter.core.store if adapter is not None else None), has_tenants(index)
        if key not in cores:
            cores[key] = SettledCore(main.embedder, multi_tenant=key[1])
        return cores[key]

    try:
        for model, index in before:
            adapter = alive.get((model, index))
            index._core = core_for(index, adapter)
            if adapter is not None:
                adapter.hub.leave(adapter)
                index._bound[model] = _copy(adapter, index._core)
        yield
    finally:
        for index, given in own.items():
            index._core = given
        for model, index in SemanticIndex.declared():
            now, then = index._bound.get(model), before.get((model, index))
            if now is None or now is then or not isinstance(now.core, SettledCore):
                continue
            now.hub.leave(now)
            if now._connected:
                now.disconnect()
            index._bound.pop(model)
            if then is not None:
                index._bound[model], index._options[model] = then, options[model, index]
                then.hub.add(then)
        for core in cores.values():
            core.close()


def _is_open(adapter: BaseORMAdapter) -> bool:
    """Whether the core of an adapter is in use, and its database there.

    A `SettledCore` closes its hubs at once, and itself in the end.
    """
    core = adapter.core
    try:
        hash((adapter.dialect, adapter.database))
    except Exception:  # noqa: BLE001
        # Whatever an ORM raises for a database it does not know any more.
        return False
    return not (core.closed if isinstance(core, SettledCore) else adapter.hub._closed)


def _copy(adapter: BaseORMAdapter, core: SettledCore) -> BaseORMAdapter:
    """The same index, kept in another core.

    What only a setting up finds out, the adapter has found out already.
    """
    copy = object.__new__(_quiet(type(adapter)))
    made = {name: value for name, value in vars(adapter).items() if name not in ("hub", "_capture")}
    vars(copy).update(made, _connected=False)
    copy.core = core
    copy.hub.add(copy)
    return copy


@cache
def _quiet(adapter_class: type[BaseORMAdapter]) -> type[BaseORMAdapter]:
    """The same adapter, which asks its ORM to be told of no commit: nobody would listen,
    and ORMs forget no listener.
    """

    def on_commit(self: BaseORMAdapter, wake: Callable[[], None]) -> None:
        return

    return type(
        adapter_class.__name__,
        (adapter_class,),
        {"on_commit": on_commit, "__module__": adapter_class.__module__},
    )
