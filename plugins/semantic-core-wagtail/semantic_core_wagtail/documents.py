"""What is indexed of an object: the texts of its search fields, and the beginnings of words that
autocomplete finds.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Any

import attrs
from django.db import models
from django.utils.encoding import force_str
from modelsearch.index import (
    AutocompleteField,
    RelatedFields,
    SearchField,
    get_indexed_instance,
)

from semantic_core.analysis import WordAnalyser
from semantic_core.orm import SemanticIndex
from semantic_core_wagtail.families import families, watched_fields

PREFIXES = "autocomplete"
"""The metadata field with the beginnings of words."""
LONGEST_PREFIX = 24
"""Letters of the longest beginning that is stored; what is typed beyond them is checked in the
title alone."""
MOST_WORDS = 400
"""The most words of an object that autocomplete finds."""
_OBJECT = "_semantic_core_wagtail_object"
_PARTS = "_semantic_core_wagtail_parts"
_NOTHING = object()


@attrs.frozen
class FieldText:
    """The text of one search field of an object. name: of the field; a dotted path for one within
    RelatedFields. boost: 1.0 where the field has none.
    """

    name: str
    boost: float
    text: str


def field_texts(instance: Any) -> Iterator[FieldText]:
    """The texts of all search fields of an object, in the order of `search_fields`; empty ones are
    left out.
    """
    for kind, each in _all_texts(instance):
        if kind is SearchField:
            yield each


def _all_texts(instance: Any) -> Iterator[tuple[Any, FieldText]]:
    """Yield (kind, text) of all search fields and autocomplete fields, in one walk, so that related
    rows are read once. kind: `SearchField` or `AutocompleteField`.
    """
    for field in instance.get_search_fields():
        yield from _texts_of(instance, field, "")


def _texts_of(instance: Any, field: Any, way: str) -> Iterator[tuple[Any, FieldText]]:
    if isinstance(field, SearchField | AutocompleteField):
        kind = SearchField if isinstance(field, SearchField) else AutocompleteField
        text = as_text(field.get_value(instance))
        if text:
            boost = getattr(field, "boost", None)
            number = 1.0 if boost is None else float(boost)
            yield kind, FieldText(way + field.field_name, number, text)
    elif isinstance(field, RelatedFields) and any(map(_has_text, field.fields)):
        for each in _related(instance, field):
            for part in field.fields:
                yield from _texts_of(each, part, f"{way}{field.field_name}.")


def _has_text(field: Any) -> bool:
    """Whether a field, or one within RelatedFields, is searched; a FilterField is not."""
    if isinstance(field, RelatedFields):
        return any(map(_has_text, field.fields))
    return isinstance(field, SearchField | AutocompleteField)


def _related(instance: Any, field: RelatedFields) -> list[Any]:
    """The related rows that RelatedFields reads; [] if there is none."""
    value = field.get_value(instance)
    if isinstance(value, models.Manager):
        return list(value.all())
    if callable(value):
        value = value()
    return [] if value is None else [value]


def as_text(value: Any) -> str:
    """A value as text: "" for None; the items of a list, or the values of a mapping, joined."""
    if value is None:
        return ""
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(filter(None, map(as_text, value)))
    if isinstance(value, dict):
        return as_text(list(value.values()))
    return str(force_str(value)).strip()


def title_name(model: type[models.Model]) -> str:
    """The search field that is the title: "title" if there is one, else the field with the largest
    boost, the first of equals; "" if the model has no search fields of its own.
    """
    best = ""
    largest = 0.0
    for field in model.get_searchable_search_fields():
        if field.field_name == "title":
            return "title"
        boost = 1.0 if field.boost is None else float(field.boost)
        if boost > largest:
            best = str(field.field_name)
            largest = boost
    return best


# --- the parts of a document, of a row of the topmost table ---------------------------------------


def object_of(row: Any) -> Any:
    """The object that a row stands for, as an instance of its most specific model; None if
    `get_indexed_objects` leaves it out. It is looked up once for each row.
    """
    found = row.__dict__.get(_OBJECT, _NOTHING)
    if found is _NOTHING:
        found = get_indexed_instance(row)
        row.__dict__[_OBJECT] = found
    return found


@attrs.frozen
class Parts:
    """What is indexed of an object. title: on one line. text: of the other search fields, a blank
    line between them. prefixes: beginnings of the words of its autocomplete fields, folded, sorted.
    """

    title: str
    text: str
    prefixes: tuple[str, ...]


def parts_of(row: Any) -> Parts:
    """What is indexed of the object that a row stands for. It is read once for each row."""
    found: Parts | None = row.__dict__.get(_PARTS)
    if found is None:
        instance = object_of(row)
        name = title_name(type(instance))
        titles: list[str] = []
        texts: list[str] = []
        typed: list[str] = []
        for kind, each in _all_texts(instance):
            if kind is AutocompleteField:
                typed.append(each.text)
            elif each.name == name:
                titles.append(each.text)
            else:
                texts.append(each.text)
        found = Parts(" ".join(titles), "\n\n".join(texts), prefixes_in(typed))
        row.__dict__[_PARTS] = found
    return found


def prefixes_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The beginnings of the words of these texts, folded, each once, sorted."""
    words: dict[str, None] = {}
    for text in texts:
        for token in analyser().tokens(text):
            words[token.term] = None
    found: set[str] = set()
    for word in list(words)[:MOST_WORDS]:
        for end in range(1, min(len(word), LONGEST_PREFIX) + 1):
            found.add(word[:end])
    return tuple(sorted(found))


def belongs(row: Any, *, fields: str) -> bool:
    """Whether an object is indexed. fields: the search fields of its family, so that an index of
    other fields is known to be outdated.
    """
    return object_of(row) is not None


def title_of(row: Any, *, fields: str) -> str:
    """The title of an object; see `belongs`."""
    return parts_of(row).title


def text_of(row: Any, *, fields: str) -> str:
    """The text of an object; see `belongs`."""
    return parts_of(row).text


def prefixes_of(row: Any, *, fields: str) -> list[str]:
    """What autocomplete finds an object by; see `belongs`."""
    return list(parts_of(row).prefixes)


@cache
def analyser() -> WordAnalyser:
    """Splits what is typed, and what autocomplete finds, into words."""
    return WordAnalyser()


def declaration(top: type[models.Model]) -> SemanticIndex:
    """The declaration of the index of a family. It changes when `search_fields` of one of its
    models change: then the objects are compared with the index.
    """
    fields = signature_of(top)
    return SemanticIndex(
        [partial(text_of, fields=fields)],
        title_field=partial(title_of, fields=fields),
        metadata_fields={PREFIXES: partial(prefixes_of, fields=fields)},
        condition=partial(belongs, fields=fields),
        watch_fields=watched_fields(top),
        collection=f"modelsearch.{top._meta.label_lower}",
        children=False,
    )


def signature_of(top: type[models.Model]) -> str:
    """The search fields of all models of a family, as text."""
    parts = []
    for model in families()[top]:
        described = ", ".join(_described(field) for field in model.get_search_fields())
        parts.append(f"{model._meta.label_lower}: {described}")
    return "; ".join(parts)


def _described(field: Any) -> str:
    kind = type(field).__name__
    if isinstance(field, RelatedFields):
        return f"{kind}({field.field_name}: {', '.join(map(_described, field.fields))})"
    return f"{kind}({field.field_name})"
