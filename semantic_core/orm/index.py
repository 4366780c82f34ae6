"""`SemanticIndex` declares an index on a model; `declare` does so for a model of another package.

Tested by tests/orm/test_declaration.py, tests/orm/test_base.py.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from semantic_core._validation import clip
from semantic_core.errors import ConfigError
from semantic_core.orm.contract import CaptureMode, Strategy
from semantic_core.orm.declaration import DEFAULT_NAME, Declaration, FieldPath

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm.base import BaseORMAdapter

    _ClassMethod = classmethod[Any, ..., Any]
else:
    _ClassMethod = classmethod


def _search(model: Any, index: SemanticIndex, /, *args: Any, **options: Any) -> Any:
    return index.__get__(None, model).search(*args, **options)


class SemanticIndex(_ClassMethod):
    """An index of a model, declared on it; ``Model.search("...")`` then finds its rows.

    source_fields: the fields whose text is searched, in order: names, dotted paths through related
    rows ("author.name"), or callables that take the instance. A weight may follow a name, as in
    "title^3": passages count more if that field contains the query's words; the field has to be the
    title, or to be in metadata_fields as well. title_field: the field with the title of a row; None
    takes a source field called "title". metadata_fields: what ``where`` can filter
    by, a list or {name: field}; a foreign key gives the key of the related row. condition: a
    callable that takes the instance; rows for which it is false are not indexed.
    soft_delete: a field that is true if a row counts as deleted. tenant: the field or callable that
    names the tenant of a row. watch_fields: the columns that callables read. collection: the
    collection of its documents; None takes the table's name.
    capture, sync: see `BaseORMAdapter`. core: the core that stores the index. store, embedder:
    objects or names, from which a core is created. Without any of them the index is bound to the
    core of `bind_declared`. children: which models derived from this one have an index of their own
    as well: True for all, False for none, None for those whose rows are no rows of its table. Rows
    of the others are found through this index.

    If it is declared on an abstract model, every model that inherits it has an index of its own,
    whatever `children` is.

    It is a class method, since that is how it is called, and since pydantic (and so SQLModel) takes
    no class method for a field.
    """

    _declared: ClassVar[list[tuple[weakref.ref[type], str, SemanticIndex]]] = []
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        source_fields: Sequence[FieldPath],
        *,
        title_field: FieldPath | None = None,
        metadata_fields: Mapping[str, FieldPath] | Sequence[FieldPath] = (),
        condition: Callable[[Any], object] | None = None,
        soft_delete: str | None = None,
        tenant: FieldPath | None = None,
        watch_fields: Sequence[str] | None = None,
        media_type: str = "text/plain",
        language: str | None = None,
        version: int = 1,
        collection: str | None = None,
        capture: CaptureMode | None = None,
        sync: Strategy | None = None,
        core: SemanticCore | None = None,
        store: Any = None,
        embedder: Any = None,
        children: bool | None = None,
    ) -> None:
        super().__init__(_search)
        if core is not None and (store is not None or embedder is not None):
            raise ConfigError("A SemanticIndex takes core=, or store= and embedder=, not both.")
        if not isinstance(children, bool | None):
            raise ConfigError(f"children must be True, False or None, got {clip(children)}.")
        self.collection = collection
        self.capture = capture
        self.sync = sync
        self.children = children
        self._core = core
        self._parts = {"store": store, "embedder": embedder}
        self._declaration: dict[str, Any] = {
            "source_fields": source_fields,
            "title_field": title_field,
            "metadata_fields": metadata_fields,
            "condition": condition,
            "soft_delete": soft_delete,
            "tenant": tenant,
            "watch_fields": watch_fields,
            "media_type": media_type,
            "language": language,
            "version": version,
        }
        Declaration.of(collection or "", **self._declaration)  # raises where a mistake was written
        self._name = DEFAULT_NAME
        self._bound: weakref.WeakKeyDictionary[type, BaseORMAdapter] = weakref.WeakKeyDictionary()
        self._options: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()
        self._found_through: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        with self._lock:
            self._declared.append((weakref.ref(owner), name, self))

    def __get__(self, instance: object, owner: Any = None) -> Any:
        bound = self._bound.get(owner)
        if bound is None:
            raise self._not_bound(owner)
        return bound

    def _not_bound(self, owner: type) -> ConfigError:
        parent = self._found_through.get(owner)
        if parent is not None:
            return ConfigError(
                f"{owner.__name__} has no index of its own: its rows are found through "
                f"{parent}.{self._name}.",
                hint=(
                    "Search there; or declare that one with children=True, or one of its own "
                    f"on {owner.__name__}."
                ),
            )
        inherited = any(vars(base).get(self._name) is self for base in owner.__mro__)
        if inherited and not self._bound:
            hint = "Call init_database(...) once at start-up, or core.bind(...)."
        else:
            hint = "It was created after the others were bound: call init_database(...) again."
        return ConfigError(
            f"{owner.__name__}.{self._name} is not bound to an index yet.", hint=hint
        )

    def bind_to(
        self,
        model: type,
        adapter_class: type[BaseORMAdapter],
        core: SemanticCore | None,
        **options: Any,
    ) -> BaseORMAdapter:
        """Bind the index of this model to a core, unless it is bound to it already.

        options: arguments of the adapter class. Raises ConfigError.
        """
        chosen = self._core or self._own_core() or core
        if chosen is None:
            raise ConfigError(
                f"{model.__name__}.{self._name} has no core.",
                hint="Give one: init_database(..., core=core).",
            )
        bound = self._bound.get(model)
        if bound is not None:
            same = bound.core is chosen and type(bound) is adapter_class
            if same and self._options.get(model) == options:
                return bound
            bound.coordinator.leave(bound)
        adapter = adapter_class.bind(
            model,
            chosen,
            name=self._name,
            collection=self.collection,
            capture=self.capture,
            sync=self.sync,
            adapter_options=options,
            **self._declaration,
        )
        self._bound[model] = adapter
        self._options[model] = options
        return adapter

    def belongs_to_parent(
        self, model: type, adapter_class: type[BaseORMAdapter], core: Any, **options: Any
    ) -> bool:
        """Whether a model has no index of its own, since its rows are found through the index of a
        model that it is derived from.
        """
        if self.children is True:
            return False
        parents = [self._bound[base] for base in model.__mro__[1:] if base in self._bound]
        if parents and self.children is None:
            declared = Declaration.of(self.collection or "", name=self._name, **self._declaration)
            family = adapter_class(model, core, declared, **options).table_names
            parents = [parent for parent in parents if parent.table.name in family]
        if parents:
            self._found_through[model] = parents[0].model.__name__
        return bool(parents)

    def bound_core(self, model: type) -> SemanticCore | None:
        """The core that the index of this model is bound to; None if there is none, or if it was
        closed.
        """
        bound = self._bound.get(model)
        return None if bound is None or bound.coordinator.closed else bound.core

    def _own_core(self) -> SemanticCore | None:
        given = {name: part for name, part in self._parts.items() if part is not None}
        if not given:
            return None
        from semantic_core.core import SemanticCore

        self._core = SemanticCore.from_config(**given)
        return self._core

    @classmethod
    def bound(cls) -> Iterator[BaseORMAdapter]:
        """The adapters of all bound indexes, of any core."""
        for model, index in cls.declared():
            adapter = index._bound.get(model)
            if adapter is not None:
                yield adapter

    @classmethod
    def declared(cls) -> Iterator[tuple[type, SemanticIndex]]:
        """All declared indexes, each with every class that has it: the class that declares it, and
        those that inherit it.
        """
        with cls._lock:
            cls._declared[:] = [entry for entry in cls._declared if entry[0]() is not None]
            declared = list(cls._declared)
        for owner, name, index in declared:
            top = owner()
            if top is None:
                continue
            for model in _family(top):
                base = _declaring(model, name)
                if base is not None and vars(base)[name] is index:
                    yield model, index


def declare(
    model: type, index: SemanticIndex | None = None, *, name: str = DEFAULT_NAME, **declaration: Any
) -> SemanticIndex:
    """Declare an index on a model of another package, as if it were written in its class. Call it
    before `bind_declared`.

    index: the declaration; None takes the arguments of `SemanticIndex` instead: ``declare(Page,
    source_fields=["title"])``. name: of the attribute, as in ``Page.search("...")``. Raises
    ConfigError if the model has an attribute of this name already, unless that is an inherited
    index.
    """
    if not isinstance(model, type):
        raise ConfigError(f"declare takes a model class, got {clip(model)}.")
    if (index is None) != bool(declaration):
        raise ConfigError(
            "declare takes a SemanticIndex, or the arguments of one.",
            hint='Write declare(Page, source_fields=["title"]).',
        )
    owner = _declaring(model, name)
    inherits_index = (
        owner is not None and owner is not model and isinstance(vars(owner)[name], SemanticIndex)
    )
    if owner is not None and not inherits_index:
        raise ConfigError(
            f"{model.__name__} has an attribute {name!r} already.",
            hint=f'Give the index another name: declare({model.__name__}, ..., name="semantic").',
        )
    declared = index or SemanticIndex(**declaration)
    setattr(model, name, declared)
    declared.__set_name__(model, name)
    return declared


def _family(top: type) -> Iterator[type]:
    yield top
    children: list[type] = type.__subclasses__(top)
    for child in children:
        yield from _family(child)


def _declaring(model: type, name: str) -> type | None:
    """The class whose attribute of this name a model has; None if it has none."""
    for base in model.__mro__:
        if name in vars(base):
            return base
    return None
