"""The URI of a document leads back to it, whatever its names are made of."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_core_mcp.limits import MOST_URI
from semantic_core_mcp.places import SCHEME, TEMPLATE, ref_at, ref_of, uri_of

from semantic_core import Ref

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=500)


@given(names, names)
def test_a_uri_leads_back_to_its_document(collection: str, key: str) -> None:
    uri = uri_of(Ref(collection, key))
    assert ref_at(uri) == Ref(collection, key)
    assert ref_at(f"{uri}#passage-3") == Ref(collection, key)
    assert re.fullmatch(r"[\x21-\x7e]+", uri)


def test_a_uri_never_names_the_tenant() -> None:
    assert uri_of(Ref("notes", "a/b.md", "acme")) == f"{SCHEME}notes/a%2Fb.md"
    assert TEMPLATE == "semantic-core://documents/{collection}/{key}"


def test_the_longest_uri_can_be_read() -> None:
    longest = uri_of(Ref("\U0001f600" * 500, "\U0001f600" * 500))
    assert len(longest) < MOST_URI


@pytest.mark.parametrize(
    "uri",
    ["", "notes/a", "http://documents/notes/a", f"{SCHEME}notes", f"{SCHEME}notes/a/b", SCHEME,
     f"{SCHEME}notes/", f"{SCHEME}/a", f"{SCHEME}notes/%ff", f"{SCHEME}notes/%00",
     f"{SCHEME}acme/notes/a", f"{SCHEME}notes/{'a' * 501}"],
)  # fmt: skip
def test_what_no_document_has_leads_nowhere(uri: str) -> None:
    assert ref_at(uri) is None


def test_names_that_no_document_can_have_are_no_error() -> None:
    assert ref_of("notes", "a") == Ref("notes", "a")
    assert ref_of("", "a") is None
    assert ref_of("notes", "a\x00") is None
    assert ref_of("notes", "\ud800") is None
