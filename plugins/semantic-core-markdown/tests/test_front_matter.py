"""What front matter says, what is kept as text instead, and that nothing written there can hurt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_markdown import semantic_describe, semantic_split
from semantic_core_markdown.metadata import MAX_CHARS, MAX_KEY, MAX_NESTING, MAX_VALUES
from semantic_core_markdown.metadata import read as read_yaml

from semantic_core import Document, Ref

BODY = "\nThe text.\n"


@pytest.fixture(scope="module", autouse=True, params=["CSafeLoader", "SafeLoader"])
def loader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test with libyaml, which is fast, and without it,
    as where there is no wheel with it.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "CSafeLoader" and not hasattr(yaml, "CSafeLoader"):
            pytest.skip("this PyYAML was built without libyaml")
        if request.param == "SafeLoader":
            patch.delattr(yaml, "CSafeLoader", raising=False)
        read_yaml.cache_clear()
        yield
        read_yaml.cache_clear()


def test_half_a_character_is_replaced_or_refused() -> None:
    wanted = {} if hasattr(yaml, "CSafeLoader") else {"a": "?", "b": "x"}  # libyaml refuses it
    assert describe('a: "\\ud800"\nb: x').metadata == wanted


def describe(source: str, **given: object) -> Document:
    text = f"---\n{source}\n---\n{BODY}"
    return semantic_describe(
        document=Document(Ref("notes", "1"), text, media_type="text/markdown", **given)
    )


def read(yaml: str) -> dict[str, object]:
    return dict(describe(yaml).metadata)


def texts(text: str) -> list[str]:
    document = Document(Ref("notes", "1"), text, media_type="text/markdown")
    return [chunk.text for chunk in semantic_split(document=document, max_chars=100_000)]


def is_kept_as_text(yaml: str) -> bool:
    text = f"---\n{yaml}\n---\n{BODY}"
    document = semantic_describe(
        document=Document(Ref("notes", "1"), text, media_type="text/markdown")
    )
    whole = "".join("".join(texts(text)).split()) == "".join(text.split())
    return whole and document.metadata == {}


def test_front_matter_is_metadata_and_no_chunk() -> None:
    assert read("draft: true\nyear: 2024\nscore: 0.5\nname: Ada") == {
        "draft": True,
        "name": "Ada",
        "score": 0.5,
        "year": 2024,
    }
    assert texts(f"---\nname: Ada\n---\n{BODY}") == ["The text."]


@pytest.mark.parametrize(
    ("yaml", "metadata"),
    [
        ("a: 2024-02-29", {"a": "2024-02-29"}),
        ("a: 2024-02-29 10:20:30Z", {"a": "2024-02-29T10:20:30+00:00"}),
        ("a: {b: 1, c: {d: x}}", {"a.b": 1, "a.c.d": "x"}),
        ("a: [x, 1, true, 0.5, 2024-01-01, null]", {"a": ("x", "1", "true", "0.5", "2024-01-01")}),
        ("a: [x, {b: [1, 2024-01-01]}, [y]]", {"a": ("x", '{"b": [1, "2024-01-01"]}', '["y"]')}),
        ("a: []", {"a": ()}),
        ("a:\nb: ~\nc: x", {"c": "x"}),
        (
            "5: a\ntrue: b\n2024-01-01: c\n~: d",
            {"5": "a", "true": "b", "2024-01-01": "c", "null": "d"},
        ),
        ("a: .inf\nb: .nan", {"a": "inf", "b": "nan"}),
        (
            "a: 9223372036854775807\nb: 9223372036854775808",
            {"a": 2**63 - 1, "b": "9223372036854775808"},
        ),
        ("a: !!set {y, x, z}", {"a": ("x", "y", "z")}),
        ("a: !!binary aGk=\nb: x", {"b": "x"}),
        ('"a\\tb\\u0007": x', {"a b": "x"}),
        ('"": x\nb: y', {"b": "y"}),
        ("a: &a [x]\nb: *a", {"a": ("x",), "b": ("x",)}),
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}", {"a.x": 1, "b.x": 1, "b.y": 2}),
        ("a.b: 1\na: {b: 2}", {"a.b": 1}),
        ("a: |\n  two\n  lines", {"a": "two\nlines\n"}),
    ],
)
def test_values_become_what_metadata_can_hold(yaml, metadata) -> None:
    assert read(yaml) == metadata


def test_a_key_that_is_too_long_is_cut() -> None:
    assert read(f"{'k' * 500}: x") == {"k" * MAX_KEY: "x"}
    nested = "{a" * (MAX_NESTING - 2) + ": x" + "}" * (MAX_NESTING - 2)
    nested = nested.replace("{a", f"{{{'a' * 50}: ").replace(": : x", ": x")
    assert all(len(key) <= MAX_KEY for key in read(f"a: {nested}"))


def test_what_the_caller_gave_wins() -> None:
    document = describe(
        "title: Theirs\nlang: de\na: 1\nb: 2", title="Mine", language="fr", metadata={"a": 3}
    )
    assert (document.title, document.language) == ("Mine", "fr")
    assert document.metadata == {"a": 3, "b": 2, "lang": "de", "title": "Theirs"}


@pytest.mark.parametrize(
    ("yaml", "language"),
    [
        ("language: de", "de"),
        ("lang: pt_BR", "pt-BR"),
        ("lang: no", "no"),
        ("language: Klingon, mostly", None),
        ("lang: 5", None),
        ("language: [de, en]", None),
        ("language: true", None),
    ],
)
def test_a_language_is_taken_if_it_is_a_language_tag(yaml, language) -> None:
    assert describe(yaml).language == language


@pytest.mark.parametrize(
    "yaml",
    [
        "just a sentence",
        "- a\n- list",
        "# a comment",
        "",
        "a: b: c",
        "a: [unclosed",
        "a: !!python/object/apply:os.system [ls]",
        "a: 2024-13-45",
        "a: !!int x",
        "a: !!timestamp x",
        "a: !!bool x",
        "a: 0x" + "f" * 5_000,
        "a: " + "1" * 5_000,
        "? [a]\n: b",
        "a: x\x07",
        "a: *unknown",
        "a: &a [*a]",
        "a: " + "x" * MAX_CHARS,
    ],
    ids=lambda yaml: ascii(yaml[:30]),
)
def test_what_is_no_mapping_stays_text(yaml) -> None:
    assert is_kept_as_text(yaml)


def test_front_matter_that_is_never_closed_stays_text() -> None:
    assert texts("---\nname: Ada\n\nThe text.") == ["---\nname: Ada\n\nThe text."]


def test_front_matter_begins_in_the_first_line_or_not_at_all() -> None:
    text = "\n---\nname: Ada\n---\n"
    assert "name: Ada" in "".join(texts(text))


@pytest.mark.parametrize(
    "text", ["---\na: 1\n...\nText", "---  \r\na: 1\r\n---\t\r\nText", "---\ra: 1\r---\rText"]
)
def test_front_matter_ends_at_dashes_or_dots_whatever_the_line_ends(text) -> None:
    assert texts(text) == ["Text"]


def test_dashes_within_a_line_do_not_end_front_matter() -> None:
    assert texts("---\na: b ---\nc: --- d\n---\nText") == ["Text"]


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? "], ids=repr)
def test_deep_nesting_is_refused_before_it_is_built(opening) -> None:
    assert is_kept_as_text("a: " + opening * (MAX_CHARS // len(opening) - 10))
    assert is_kept_as_text("a:\n " + opening * 5_000)


def test_aliases_that_stand_for_more_than_a_document_may_hold_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)
    ]
    assert is_kept_as_text("\n".join(lines))
    merges = ["a0: &a0 {x: 1, y: 2}"]
    merges += [
        f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 9)}]}}"
        for level in range(1, 10)
    ]
    assert is_kept_as_text("\n".join(merges))
    assert is_kept_as_text("\n".join(f"k{number}: v" for number in range(MAX_VALUES)))
    assert (
        len(read("\n".join(f"k{number}: v" for number in range(MAX_VALUES // 2 - 1))))
        == MAX_VALUES // 2 - 1
    )


SCALARS = st.one_of(
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(
        [
            "2024-01-01",
            "12:30",
            "*a",
            "&a x",
            "!!int 5",
            "no",
            "=",
            "<<",
            "0x1F",
            "1e5",
            "!!binary aGk=",
            "!x y",
            "@",
        ]
    ),
)
YAML = st.recursive(
    SCALARS.map(str),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(SCALARS.map(str), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.dictionaries(SCALARS.map(str), YAML, max_size=4)))
def test_no_front_matter_makes_a_document_fail_or_lose_text(source) -> None:
    yaml = (
        source
        if isinstance(source, str)
        else "\n".join(f"{key}: {value}" for key, value in source.items())
    )
    text = f"---\n{yaml}\n---\nThe text.\n"
    document = Document(
        Ref("notes", "1"), text.encode("utf-8", "replace").decode(), media_type="text/markdown"
    )
    described = semantic_describe(document=document)
    assert described.text == document.text
    kept = "".join("".join(texts(document.text)).split())
    if kept == "".join(document.text.split()):
        assert described.metadata == {}
    else:
        assert kept.endswith("Thetext.")
        assert "".join(document.text.split()).endswith(f"---{kept}")
