"""Web pages: their content in reading order as Markdown, and what they say about themselves."""

from __future__ import annotations

from typing import Any

import pytest
from making import PAGE
from semantic_core_files import html_markdown, html_tree, limits
from semantic_core_files.parts import FileSource
from semantic_core_files.web_pages import heading_of, markup_body

WANTED = """\
# Der Titel

Ein fetter Text
\\# keine Überschrift

- eins
  - eins-a
- zwei

3. drei
4. vier

| Name | Wert |
|---|---|
| a\\|b | 1 |
| a\\|b | 2 |

```python
def f():
    return 1
```

> Zitat mit `x = 1`

## Spalte

links

rechts

Ein Bild
"""


def body(markup: str) -> str:
    return markup_body(FileSource(b"", "x.html"), markup)


def content(markup: str) -> str:
    tree = html_tree.parse(FileSource(b"", "x.html"), markup, whole=False)
    return html_markdown.markdown(tree, whole=False)


def test_a_page_becomes_markdown_without_what_surrounds_it(read: Any) -> None:
    (document,) = read("seite.html", PAGE)
    assert document.text == WANTED
    assert document.media_type == "text/markdown"
    assert document.title == "Der Titel"
    assert document.language == "de-DE"
    assert document.metadata == {
        "author": "Jörg Ä",
        "keywords": ("a", "b"),
        "published": "2024-05-01T10:00:00+00:00",
        "url": "https://example.org/titel",
    }


@pytest.mark.parametrize(
    ("markup", "wanted"),
    [
        ("<p>a<p>b", "a\n\nb\n"),
        ("<p>one\n  two</p>", "one two\n"),
        ("<div>a<div>b</div>c</div>", "a\n\nb\n\nc\n"),
        ("<b>a</b><i>b</i> c", "ab c\n"),
        ("<ul><li><p>a</p><p>b</p><li>c</ul>", "- a\n\n  b\n- c\n"),
        ("<ol><li>a<pre>x\n y</pre></ol>", "1. a\n\n   ```\n   x\n    y\n   ```\n"),
        ("<blockquote><ul><li>a</ul></blockquote>", "> - a\n"),
        ("<p>```<p>---<p>&lt;!-- open<h2>x</h2>", "\\```\n\n\\---\n\n\\<!-- open\n\n## x\n"),
        ("<pre>```\nx\n```</pre>", "````\n```\nx\n```\n````\n"),
        ("<h2>C #</h2>", "## C \\#\n"),
        ("<h1> </h1>x", "x\n"),
        ("<li>loose", "- loose\n"),
        ("<td>stray</td></table>", "stray\n"),
        ("<p>x<script>no</script><style>no</style><noscript>no</noscript>", "x\n"),
        ("<p style='display: none'>no<p aria-hidden=true>no<p>yes", "yes\n"),
        ("<code>a `tick`</code> <code></code>", "a `tick`\n"),
        ("<table><tr><td>a<td>b</table>", "a\n\nb\n"),
        (
            "<table><tr><th>a<th>b<tr><td colspan=2>x<br>y</table>",
            "| a | b |\n|---|---|\n| x y |  |\n",
        ),
        (
            "<table><caption>T</caption><tr><th>a<th>b<tr><td>c<td>d</table>",
            "T\n\n| a | b |\n|---|---|\n| c | d |\n",
        ),
        ("<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>", "a\n\nb\n\nc\n\nd\n"),
        ("", ""),
    ],
)
def test_every_kind_of_block_has_its_form(markup: str, wanted: str) -> None:
    assert body(markup) == wanted


@pytest.mark.parametrize(
    ("markup", "wanted"),
    [
        ("<nav>menu</nav><p>text<footer>end</footer>", "text\n"),
        ("<div role=navigation>menu</div><p>text", "text\n"),
        ("<aside>ad</aside><main><aside>note</aside>x</main>", "note\n\nx\n"),
        ("<p>around</p><article>a</article>", "a\n"),
        ("<article>a</article><article>b</article>", "a\n\nb\n"),
        ("<div role=main>a</div><p>around", "a\n"),
        ("<div class='x nav-panel'>Next</div>a<p class=nav-panels>b", "a\n\nb\n"),
        ("<article><header><h1>T</h1></header>x<nav>y</nav></article>", "# T\n\nx\n"),
    ],
)
def test_only_the_content_of_a_page_is_read(markup: str, wanted: str) -> None:
    assert content(markup) == wanted


def test_a_page_that_is_all_menu_is_read_whole(read: Any) -> None:
    (document,) = read("x.html", b"<nav><a href=a>Home</a></nav>")
    assert document.text == "Home\n"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("<meta charset=iso-8859-1><p>für “x”".encode("cp1252"), "für “x”"),
        (b'<meta http-equiv=Content-Type content="text/html; charset=koi8-r"><p>\xc6', "ф"),
        ('<?xml version="1.0" encoding="iso-8859-2"?><p>ł</p>'.encode("iso-8859-2"), "ł"),
        ("<p>für".encode("utf-16"), "für"),
        ("<p>für".encode("cp1252"), "für"),
        ("<meta charset=none-such><p>für".encode(), "für"),
        ("<meta charset=hex><p>für".encode(), "für"),
        (b"<meta charset=utf-7><p>+ADw-b+AD4-", "+ADw-b+AD4-"),
    ],
)
def test_the_encoding_of_a_page_is_found(read: Any, data: bytes, wanted: str) -> None:
    (document,) = read("x.html", data)
    assert document.text.strip() == wanted


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("<title>A | Site</title><h1>A</h1>", "A"),
        ("<title>A | Site</title><h1>B</h1>", "A | Site"),
        ("<h1>B</h1>", "B"),
        ("<meta property='og:title' content=C><p>x", "C"),
        ("<p>x", "x"),
    ],
)
def test_the_title_of_a_page_is_found(read: Any, head: str, wanted: str) -> None:
    (document,) = read("x.html", head.encode())
    assert document.title == wanted


def test_the_first_heading_of_level_one_is_found() -> None:
    assert heading_of("text\n\n# A\n") == "A"
    assert heading_of("## B\n\n# A\n") == ""


def test_depth_costs_no_stack_and_no_more_than_its_limit(read: Any) -> None:
    deep = limits.MAX_HTML_NESTING - 10
    (document,) = read("x.html", b"<i>" * deep + b"x")
    assert document.text == "x\n"
    assert len(body("<ul><li>" * 300 + "x")) < 100
