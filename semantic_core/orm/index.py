"""`SemanticIndex`: the one line on a model; and the binding of everything that was declared."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from sysconfig import get_paths
from typing import TYPE_CHECKING, Any, ClassVar

from semantic_core._validation import clip
from semantic_core.errors import ConfigError
from semantic_core.orm.base import BaseORMAdapter
from semantic_core.orm.contract import Backfill, CaptureMode, Strategy
from semantic_core.orm.declaration import DEFAULT_NAME, Declaration, FieldPath
from semantic_core.orm.leftovers import warn_of

# Where an index lies that nobody gave a place: in the application's project,
# whatever folder a process is started in.

_INSTALLED = ("purelib", "platlib", "stdlib", "platstdlib")


def project_folder(models: Iterable[type]) -> Path:
    """The folder beside the package, or the module, that these models are written in; absolute.

    Models of installed packages do not count, for what lies there is lost with the next update.
    Without models it is the folder of the main program. In an interactive session it is the working
    folder. Raises ConfigError if all models are of installed packages: then a path has to be given.
    """
    modules = sorted({model.__module__ for model in models}) or ["__main__"]
    folders = [_folder(name) for name in modules]
    own = sorted(folder for folder in folders if not _is_installed(folder))
    if not own:
        raise ConfigError(
            f"Where shall the index lie? The models are in installed packages only ({modules[0]}).",
            hint=(
                'Say it: path="/srv/app/semantic.db" in semantic-core.toml, or SEMANTIC_CORE_PATH.'
            ),
        )
    return own[0]


def _folder(module: str) -> Path:
    top = sys.modules.get(module.partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is not None:
        place = Path(file).resolve()
        return place.parent.parent if place.name == "__init__.py" else place.parent
    searched = list(getattr(top, "__path__", []))  # a package without __init__.py
    return Path(searched[0]).resolve().parent if searched else Path.cwd()


def _is_installed(folder: Path) -> bool:
    paths = get_paths()
    return any(folder.is_relative_to(Path(paths[name]).resolve()) for name in _INSTALLED)


if TYPE_CHECKING:
    from semantic_core.core import SemanticCore

    _ClassMethod = classmethod[Any, ..., Any]
else:
    _ClassMethod = classmethod


def _search(model: Any, index: SemanticIndex, /, *args: Any, **options: Any) -> Any:
    return index.__get__(None, model).search(*args, **options)


FILE = "semantic-core.db"
"""What the file of an index is called if nobody says where it is."""


class SemanticIndex(_ClassMethod):
    """An index of a model, declared on it; ``Model.search("...")`` then finds its rows.

    source_fields: the fields whose text is searched, in order: names, dotted paths through related
    rows ("author.name"), or callables given the instance. title_field: what a person calls a row; a
    source field called "title" is taken if nothing is said. metadata_fields: what ``where`` can ask
    for, a list or {name: field}; a foreign key gives the key of the row it points at. condition: a
    callable; rows it is false for are not in the index.
    soft_delete: a field that is true where a row counts as deleted. tenant: field or callable that
    names whose a row is.
    watch_fields: the columns callables read. collection: name of its documents' collection; None
    takes the table's name.
    capture, sync: see `BaseORMAdapter`. core: the core that keeps it; store, embedder: objects or
    names one is made of; without either it is bound to the core of `bind_declared`. children: which
    models derived from this one have an index of their own as well: True all, False none, None
    those whose rows are no rows of its table. Rows of the others are found through this one.

    Declared on an abstract model, every model that inherits it has an index of its own, whatever
    `children` says.

    It is a kind of class method, for that is how one calls it, and how pydantic (so SQLModel too)
    knows that an attribute is no field.
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
        self._said: dict[str, Any] = {
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
        Declaration.of(collection or "", **self._said)  # a mistake is told where it was written
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
            parent = self._found_through.get(owner)
            if parent is not None:
                raise ConfigError(
                    (
                        f"{owner.__name__} has no index of its own: its rows are found through "
                        f"{parent}.{self._name}."
                    ),
                    hint=(
                        "Search there; or declare that one with children=True, or one of its own "
                        f"on {owner.__name__}."
                    ),
                )
            if (
                any(base.__dict__.get(self._name) is self for base in owner.__mro__)
                and not self._bound
            ):
                when = "Call init_database(...) once at start-up, or core.bind(...)."
            else:
                when = "It was made after the others were bound: call init_database(...) again."
            raise ConfigError(
                f"{owner.__name__}.{self._name} is not bound to an index yet.", hint=when
            )
        return bound

    def bind_to(
        self,
        model: type,
        adapter_class: type[BaseORMAdapter],
        core: SemanticCore | None,
        **options: Any,
    ) -> BaseORMAdapter:
        """Keep the index of this model in a core. options: of the adapter class.

        Raises ConfigError.
        """
        there = self._bound.get(model)
        chosen = self._core or self._own_core() or core
        if chosen is None:
            raise ConfigError(
                f"{model.__name__}.{self._name} has no core.",
                hint="Hand one over: init_database(..., core=core).",
            )
        same = there is not None and there.core is chosen and type(there) is adapter_class
        if there is not None:
            if same and self._options.get(model) == options:
                return there
            there.coordinator.leave(there)
        adapter = adapter_class.bind(
            model,
            chosen,
            name=self._name,
            collection=self.collection,
            capture=self.capture,
            sync=self.sync,
            adapter_options=options,
            **self._said,
        )
        self._bound[model], self._options[model] = adapter, options
        return adapter

    def belongs_to_parent(
        self, model: type, adapter_class: type[BaseORMAdapter], core: Any, **options: Any
    ) -> bool:
        """Whether a model has no index of its own,
        since that of a model it is derived from stands for it.
        """
        if self.children is True:
            return False
        above = [self._bound[each] for each in model.__mro__[1:] if each in self._bound]
        if not above:
            return False
        if self.children is None:
            said = Declaration.of(self.collection or "", name=self._name, **self._said)
            family = {table.name for table in adapter_class(model, core, said, **options)._family}
            above = [parent for parent in above if parent.table.name in family]
        if above:
            self._found_through[model] = above[0].model.__name__
        return bool(above)

    def bound_core(self, model: type) -> SemanticCore | None:
        """The core that keeps the index of this model now; None if none does, or it was closed."""
        there = self._bound.get(model)
        return None if there is None or there.coordinator._closed else there.core

    def _own_core(self) -> SemanticCore | None:
        given = {name: part for name, part in self._parts.items() if part is not None}
        if not given:
            return None
        from semantic_core.core import SemanticCore

        self._core = SemanticCore.from_config(**given)
        return self._core

    @classmethod
    def bound(cls) -> Iterator[BaseORMAdapter]:
        """The adapter of every declared index that was bound, whichever core keeps it."""
        for model, index in cls.declared():
            adapter = index._bound.get(model)
            if adapter is not None:
                yield adapter

    @classmethod
    def declared(cls) -> Iterator[tuple[type, SemanticIndex]]:
        """Every index that was declared, with each class that has it: the one it stands in,
        and those that inherit it.
        """
        with cls._lock:
            cls._declared[:] = [entry for entry in cls._declared if entry[0]() is not None]
            declared = list(cls._declared)
        for owner, name, index in declared:
            top = owner()
            if top is None:
                continue
            for model in _family(top):
                if (
                    next((vars(base)[name] for base in model.__mro__ if name in vars(base)), None)
                    is index
                ):
                    yield model, index


def declare(
    model: type, index: SemanticIndex | None = None, *, name: str = DEFAULT_NAME, **declaration: Any
) -> SemanticIndex:
    """Declare an index on a model that is not yours to edit, as if it stood in its class.

    index: the declaration, or leave it out and give what `SemanticIndex` takes:
    ``declare(Page, source_fields=["title"])``.
    name: the attribute, so ``Page.search("...")``. Call it before `bind_declared`. Raises
    ConfigError if the model has an attribute of that name already, unless it is an index it
    inherits.
    """
    if not isinstance(model, type):
        raise ConfigError(f"declare takes a model class, got {clip(model)}.")
    if (index is None) != bool(declaration):
        raise ConfigError(
            "declare takes a SemanticIndex, or what one is made of.",
            hint='Write declare(Page, source_fields=["title"]).',
        )
    owner = next((base for base in model.__mro__ if name in vars(base)), None)
    if owner is model or (owner is not None and not isinstance(vars(owner)[name], SemanticIndex)):
        raise ConfigError(
            f"{model.__name__} has an attribute {name!r} already.",
            hint=f'Give the index another name: declare({model.__name__}, ..., name="semantic").',
        )
    declared = index or SemanticIndex(**declaration)
    setattr(model, name, declared)
    declared.__set_name__(model, name)
    return declared


def bind_declared(
    adapter_class: type[BaseORMAdapter],
    core: SemanticCore | None = None,
    *,
    install: bool = True,
    backfill: Backfill | None = None,
    **options: Any,
) -> list[BaseORMAdapter]:
    """Bind every declared index whose model the adapter class serves; call it once at start-up.

    core: keeps those that name none; None takes the one they are bound to already, else makes one
    with `BaseORMAdapter.usual_core`: unless the settings say where, in "semantic-core.db" beside
    the package of the models.
    install: set up tables and triggers too. backfill: when rows that are there already are indexed,
    see `BaseORMAdapter.install`. options: handed to the adapter class. Binding again to the same
    core changes nothing.
    """
    served = [
        model for model, _ in SemanticIndex.declared() if adapter_class.serves(model, **options)
    ]

    def usual_place() -> dict[str, Any]:
        return {"path": project_folder(served) / FILE}

    bound = []
    for model, index in SemanticIndex.declared():
        if not adapter_class.serves(model, **options):
            continue
        if core is None and index._core is None and not any(index._parts.values()):
            core = index.bound_core(model) or adapter_class.usual_core(
                usually=usual_place, **options
            )
        if index.belongs_to_parent(model, adapter_class, core, **options):
            continue
        adapter = index.bind_to(model, adapter_class, core, **options)
        if install:
            adapter.install(backfill=backfill)
        bound.append(adapter)
    if install:
        for coordinator in {
            id(adapter.coordinator): adapter.coordinator for adapter in bound
        }.values():
            warn_of(coordinator)
    return bound


def _family(top: type) -> Iterator[type]:
    yield top
    children: list[type] = type.__subclasses__(top)
    for child in children:
        yield from _family(child)
