"""Which models share an index: a model and those that inherit its table are one family.

A row of a child model is a row of its parent's table as well, and a search of the parent finds it.
So there is one index for each family, with one document for each row of the topmost table: for
Wagtail one index for all types of pages.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from modelsearch.index import RelatedFields, class_is_indexed, get_indexed_models

MOST_BOUND = 900
"""The most keys in one condition: old versions of SQLite take 999 values in a statement."""


def top_of(model: type[models.Model]) -> type[models.Model]:
    """The topmost indexed model whose table has a row for each object of this model."""
    top = model._meta.concrete_model or model
    for parent in top._meta.get_parent_list():
        if class_is_indexed(parent):
            top = parent  # the list ends with the topmost
    return top


@cache
def families() -> dict[type[models.Model], tuple[type[models.Model], ...]]:
    """The indexed models of the project by the top of their family, parents before children."""
    found: dict[type[models.Model], list[type[models.Model]]] = {}
    for model in get_indexed_models():
        concrete = model._meta.concrete_model or model
        members = found.setdefault(top_of(model), [])
        if class_is_indexed(concrete) and concrete not in members:
            members.append(concrete)
    ordered = {}
    for top, members in found.items():
        ordered[top] = tuple(sorted(members, key=_generation))
    return ordered


def _generation(model: type[models.Model]) -> int:
    return len(model._meta.get_parent_list())


def top_key(model: type[models.Model]) -> str:
    """The field by which a query set of this model gives the keys of its family's documents."""
    return str(top_of(model)._meta.pk.name)


def indexed_objects(top: type[models.Model], keys: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield (key, object) for the objects with these primary keys that belong into the index, each
    as an instance of its most specific model. Related rows are fetched together.
    """
    seen: set[Any] = set()
    for model in reversed(families()[top]):
        wanted = [key for key in keys if key not in seen]
        for start in range(0, len(wanted), MOST_BOUND):
            some = wanted[start : start + MOST_BOUND]
            name = top_key(model)
            for instance in model.get_indexed_objects().filter(**{f"{name}__in": some}):
                key = getattr(instance, top._meta.pk.attname)
                if key not in seen:
                    seen.add(key)
                    yield key, instance


# --- what the triggers watch ----------------------------------------------------------------------


def watched_fields(top: type[models.Model]) -> tuple[str, ...]:
    """The paths, from the topmost model, to every column that a document may be made of.

    Of the family's own tables these are all columns, because methods and query sets of the
    application decide with them what is indexed; of related tables, the columns that RelatedFields
    names, and all columns where it names a method.
    """
    found: dict[str, None] = {}
    for model in families()[top]:
        prefix = _way_down(top, model)
        for name in _columns(model):
            found[prefix + name] = None
        for field in model.get_search_fields():
            if isinstance(field, RelatedFields):
                found.update(dict.fromkeys(_related_paths(top, model, None, field)))
    return tuple(found)


def _columns(model: type[models.Model]) -> list[str]:
    """The columns of the model's own table, as attributes; without the link to its parent."""
    links = set(model._meta.parents.values())
    return [field.attname for field in model._meta.local_concrete_fields if field not in links]


def _way_down(top: type[models.Model], model: type[models.Model]) -> str:
    """The path from the topmost model to a descendant, with a dot at its end; "" for itself."""
    names: list[str] = []
    current = model
    while current is not top:
        parent, link = next(
            (parent, link)
            for parent, link in current._meta.parents.items()
            if link is not None and (parent is top or issubclass(parent, top))
        )
        names.append(link.remote_field.get_accessor_name())
        current = parent
    return "".join(f"{name}." for name in reversed(names))


def _related_paths(
    top: type[models.Model], model: type[models.Model], way: str | None, field: RelatedFields
) -> Iterator[str]:
    """The paths of the columns that RelatedFields reads. way: the path to `model`, with a dot at
    its end; None if it is of the family, where the relation may be that of a parent.
    """
    try:
        relation = field.get_field(model)
    except FieldDoesNotExist:
        return
    if way is None:
        owner = relation.model
        way = _way_down(top, owner) if issubclass(owner, top) else ""
    tagged = _tag_paths(relation)
    if tagged is not None:
        for path in tagged:
            yield way + path
        return
    related = relation.related_model
    if related is None or not _can_be_followed(relation):
        return
    way = f"{way}{field.field_name}."
    for part in field.fields:
        if isinstance(part, RelatedFields):
            yield from _related_paths(top, related, way, part)
            continue
        for name in _columns_read(related, part):
            yield way + name


def _columns_read(model: type[models.Model], part: Any) -> list[str]:
    """The columns of a related row that one search field reads: all of them for a method."""
    try:
        field = model._meta.get_field(part.field_name)
    except FieldDoesNotExist:
        return _columns(model)
    return [field.attname] if getattr(field, "column", None) else []


def _can_be_followed(relation: Any) -> bool:
    """Whether it is a foreign key or a many-to-many field, or the other side of one. Generic
    relations have no column that names the table, so that no trigger follows them.
    """
    forward = relation if isinstance(relation, models.Field) else relation.field
    return isinstance(forward, models.ForeignKey | models.ManyToManyField)


def _tag_paths(relation: Any) -> list[str] | None:
    """The columns behind the tags of django-taggit: [] if no trigger can follow them; None for a
    relation of another kind.
    """
    if not hasattr(relation, "through") or isinstance(relation, models.ManyToManyField):
        return None
    try:
        owner = relation.through._meta.get_field("content_object")
    except FieldDoesNotExist:
        return []
    if not isinstance(owner, models.ForeignKey):
        return []
    accessor = owner.remote_field.get_accessor_name()
    return [f"{accessor}.tag.name"] if accessor else []
