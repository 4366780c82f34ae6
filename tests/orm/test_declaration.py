"""The fingerprint of a declaration: it changes when documents would be made otherwise,
and only then, wherever and by whichever Python it is computed.
"""

from __future__ import annotations

import builtins
import linecache
import operator
import runpy
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from semantic_core.errors import ConfigError
from semantic_core.orm import SemanticIndex
from semantic_core.orm.declaration import Declaration


def _fingerprint(condition: Any, **said: Any) -> str:
    return Declaration.of("notes", ["text"], condition=condition, **said).fingerprint


def _module(path: Path, text: str) -> dict[str, Any]:
    """What a module of that text defines, imported anew from that file."""
    text = dedent(text)
    path.write_text(text, encoding="utf-8")
    linecache.checkcache(str(path))
    return runpy.run_path(str(path))


WAYS = {
    "a lambda": "condition = lambda row: row.text == 'old'",
    "a lambda over several lines": """
        kept = dict(
            condition=lambda row: row.text != ""
            and row.text == 'old',
        )
        condition = kept["condition"]
        """,
    "a function": """
        def condition(row):
            '''Whether it counts.'''

            return row.text == 'old'
        """,
    "a decorated function": """
        import functools

        def loudly(function):
            @functools.wraps(function)
            def inner(row):
                return function(row)
            return inner

        @loudly
        def condition(row):
            return row.text == 'old'
        """,
    "what a decorator is given": """
        def only(text):
            return lambda function: function

        @only('old')
        def condition(row):
            return bool(row.text)
        """,
    "a cached function": """
        import functools

        @functools.cache
        def condition(row):
            return row.text == 'old'
        """,
    "a bound method": """
        class Rules:
            def counts(self, row):
                return row.text == 'old'
        condition = Rules().counts
        """,
    "a class method": """
        class Rules:
            @classmethod
            def counts(cls, row):
                return row.text == 'old'
        condition = Rules.counts
        """,
    "an object that can be called": """
        class Counts:
            def __call__(self, row):
                return row.text == 'old'
        condition = Counts()
        """,
    "a partial function": """
        import functools

        def counts(other, row):
            return row.text == 'old'
        condition = functools.partial(counts, 1)
        """,
    "what a partial function is given": """
        import functools

        def counts(texts, row):
            return row.text in texts
        condition = functools.partial(counts, ['old'])
        """,
    "a partial method of an object": """
        import functools

        class Counts:
            def __call__(self, other, row):
                return row.text == 'old'
        condition = functools.partial(Counts(), other=object())
        """,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_callable_that_does_something_else_is_noticed(way: str, tmp_path: Path) -> None:
    text = dedent(WAYS[way])
    old = _fingerprint(_module(tmp_path / "old.py", text)["condition"])
    new = _fingerprint(_module(tmp_path / "new.py", text.replace("old", "new"))["condition"])
    assert old != new


@pytest.mark.parametrize("way", WAYS)
def test_where_a_callable_stands_and_how_it_is_set_does_not_matter(
    way: str, tmp_path: Path
) -> None:
    text = dedent(WAYS[way])
    there = _fingerprint(_module(tmp_path / "there.py", text)["condition"])
    moved = "import sys\n\n# A comment.\nif True:\n" + "".join(
        f"   {line}\n" for line in text.splitlines()
    )
    assert _fingerprint(_module(tmp_path / "moved.py", moved)["condition"]) == there


@pytest.mark.parametrize("field", ["source_fields", "metadata_fields", "title_field", "tenant"])
def test_callables_are_looked_at_wherever_a_declaration_takes_them(
    field: str, tmp_path: Path
) -> None:
    def fingerprint(text: str) -> str:
        name = f"{text.replace(' ', '_')}.py"
        given = _module(tmp_path / name, f"field = lambda row: row.{text}")["field"]
        several = {"source_fields": [given], "metadata_fields": {"name": given}}
        said = {"source_fields": ["text"], field: several.get(field, given)}
        return Declaration.of("notes", **said).fingerprint

    assert fingerprint("name") != fingerprint("name.upper()")


def test_a_running_process_does_not_read_what_a_deploy_has_put_in_place(tmp_path: Path) -> None:
    path = tmp_path / "models.py"
    old = _module(path, "condition = lambda row: row.text == 'old'")["condition"]
    expected = _fingerprint(old)
    again = _module(path, "condition = lambda row: row.text == 'old'")["condition"]
    index = SemanticIndex(["text"], condition=again, collection="notes")
    path.write_text("\n\n\ncondition = lambda row: row.text == 'entirely new'\n", encoding="utf-8")
    linecache.checkcache(str(path))
    # Binding makes the declaration once more, of the same function.
    assert Declaration.of("notes", **index._declaration).fingerprint == expected


def test_what_has_no_source_is_known_by_its_name(tmp_path: Path) -> None:
    class Given:
        """Like what a library in C gives: neither name nor source."""

        __call__ = operator.attrgetter("text")

    gone = _module(tmp_path / "gone.py", "def condition(row):\n    return row.text")["condition"]
    (tmp_path / "gone.py").unlink()
    linecache.checkcache(str(tmp_path / "gone.py"))
    for make in (
        lambda: gone,
        lambda: builtins.bool,
        lambda: partial(operator.contains, {"some", "texts", "in", "no", "order"}),
        lambda: partial(operator.eq, object()),
        lambda: operator.attrgetter("text"),
        Given,
    ):
        assert _fingerprint(make()) == _fingerprint(make())
    assert _fingerprint(operator.attrgetter("text")) != _fingerprint(operator.attrgetter("name"))
    assert _fingerprint(bool) != _fingerprint(len)


def test_a_declaration_of_names_alone_keeps_its_fingerprint() -> None:
    declaration = Declaration.of("notes", ["title", "body"], metadata_fields=["stars"])
    assert declaration.fingerprint == "1f214e3f369fdaea"


def test_a_weight_behind_a_field_is_a_boost_of_the_title_or_of_a_metadata_field() -> None:
    declaration = Declaration.of(
        "notes",
        ["title^3", "sku^0.5", "text"],
        metadata_fields={"number": "sku", "place": "place"},
    )
    assert declaration.boosts == {"title": 3.0, "number": 0.5}
    assert (declaration.title_field, declaration.source_fields) == ("title", ("sku", "text"))
    named = Declaration.of("notes", ["text"], title_field="name^2")
    assert (named.title_field, named.boosts) == ("name", {"title": 2.0})


def test_weights_change_no_document() -> None:
    plain = Declaration.of("notes", ["title", "text"])
    assert Declaration.of("notes", ["title^3", "text"]).fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    "field", ["title^", "title^x", "title^0", "title^-1", "title^nan", "title^1e9"]
)
def test_a_weight_that_cannot_be_meant_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match="The weight of a field must be a number above 0"):
        SemanticIndex([field, "text"])


def test_a_weight_of_a_field_that_a_search_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither the title nor in metadata_fields") as refused:
        SemanticIndex(["title", "text^2"])
    assert "metadata_fields=['text']" in str(refused.value)


def test_a_search_of_a_weighted_index_gets_its_boosts_unless_others_are_given() -> None:
    declaration = Declaration.of("notes", ["title^3", "text"])
    assert declaration.ranking(None) == {"boosts": {"title": 3.0}}
    recency = {"recency": {"half_life": 3}}
    assert declaration.ranking(recency) == {"boosts": {"title": 3.0}, **recency}
    assert declaration.ranking({"boosts": {}}) == {"boosts": {}}
    assert Declaration.of("notes", ["title", "text"]).ranking(None) is None
