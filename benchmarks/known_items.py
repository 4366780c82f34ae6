"""Collections of questions with one right answer each, made of the documentation on this machine:
a heading finds its own section, and the purpose of a command finds its manual page.

They guard against methods that help with broad topics and hurt the search for one passage. The
words of the question are taken out of the answer, so the text alone has to be recognised. What is
found depends on the machine; a collection with too few questions is left out.

==========  =====================================  ================================================
name        documents                              questions
==========  =====================================  ================================================
topics      sections of the Python reference       their headings
sections    sections of Markdown and reST files    their headings
articles    whole files of several sections        a heading, removed from the file that it is of
manuals     manual pages of commands               the purpose from the page's first section
==========  =====================================  ================================================
"""

from __future__ import annotations

import gzip
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import attrs

from benchmarks.corpus import find_corpus
from semantic_core import Document, Ref

QUESTIONS = 400
"""Most questions of a collection: enough for an interval of about .03."""
LEAST_QUESTIONS = 50
DOCUMENTS = 3_000
"""Most documents of a collection."""
LEAST_TEXT, MOST_TEXT = 300, 60_000
"""Characters of a document that is asked for."""
LEAST_WORDS = 2
"""Words of a question; one word is a name, and names are found by title."""
BYTES = 12_000_000
"""Documentation that is looked through."""
MANUALS = Path("/usr/share/man/man1")

_MARKDOWN = re.compile(r"^#{1,4} +(?P<heading>\S.*?) *#*$", re.M)
_RESTRUCTURED = re.compile(r"^(?P<heading>\S.*)\n(?P<line>([=\-~^*+#\"'])\3{2,})[ \t]*$", re.M)
_WORD = re.compile(r"\w+")
_REQUEST = re.compile(r"^\.(?P<name>\S+) ?(?P<rest>.*)$")
_ESCAPE = re.compile(r"\\f\S|\\[&|^/,]|\\s[-+]?\d")


@attrs.frozen
class Section:
    """A heading and the text below it. source: the file that it is of."""

    source: str
    heading: str
    text: str


@attrs.frozen(eq=False)
class KnownItems:
    """Documents, and by query id the question and the key of the document that answers it."""

    name: str
    documents: Sequence[Document]
    queries: Mapping[str, str]
    answers: Mapping[str, str]


def sections_of(source: str, text: str, heading: re.Pattern[str]) -> list[Section]:
    """The sections of a text, one for each heading, without what is above the first."""
    matches = list(heading.finditer(text))
    ends = [match.start() for match in matches] + [len(text)]
    found = []
    for match, end in zip(matches, ends[1:], strict=True):
        title = match["heading"].replace("`", "").replace("*", "").strip()
        found.append(Section(source, title, text[match.end() : end].strip()))
    return found


def _asked(sections: Iterable[Section]) -> list[Section]:
    """The sections whose heading can be a question: long enough, and of this one alone."""
    sections = list(sections)
    times = Counter(section.heading.lower() for section in sections)
    asked = []
    for section in sections:
        words = _WORD.findall(section.heading)
        alone = times[section.heading.lower()] == 1
        if len(words) >= LEAST_WORDS and alone and LEAST_TEXT <= len(section.text) <= MOST_TEXT:
            asked.append(section)
    return asked


def _items(
    name: str, documents: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]
) -> KnownItems:
    """documents: (key, text). asked: (question, key)."""
    chosen = list(asked)
    random.Random(name).shuffle(chosen)
    chosen = chosen[:QUESTIONS]
    wanted = {key for _, key in chosen}
    others = [pair for pair in documents if pair[0] not in wanted]
    random.Random(name).shuffle(others)
    kept = [pair for pair in documents if pair[0] in wanted]
    kept += others[: max(0, DOCUMENTS - len(kept))]
    numbered = list(enumerate(chosen))
    return KnownItems(
        name,
        [Document(Ref(name, key), text) for key, text in kept],
        {str(number): question for number, (question, _) in numbered},
        {str(number): key for number, (_, key) in numbered},
    )


def of_sections(name: str, sections: Sequence[Section]) -> KnownItems:
    """Each section is a document without its heading, which is the question."""
    keyed = [(str(number), section) for number, section in enumerate(sections)]
    asked = {id(section) for section in _asked(sections)}
    documents = [(key, section.text) for key, section in keyed if section.text]
    questions = [(section.heading, key) for key, section in keyed if id(section) in asked]
    return _items(name, documents, questions)


def of_articles(name: str, sections: Sequence[Section]) -> KnownItems:
    """Each file is a document; one of its headings, left out of the text, is the question."""
    files: dict[str, list[Section]] = {}
    for section in sections:
        files.setdefault(section.source, []).append(section)
    asked = {id(section) for section in _asked(sections)}
    documents = []
    questions = []
    for source, parts in files.items():
        if len(parts) < 4:
            continue
        choices = [part for part in parts[1:] if id(part) in asked]
        question = random.Random(source).choice(choices) if choices else None
        texts = [
            part.text if part is question else f"{part.heading}\n\n{part.text}" for part in parts
        ]
        text = "\n\n".join(texts)[:MOST_TEXT]
        documents.append((source, text))
        if question is not None and question.text[:200] in text:
            questions.append((question.heading, source))
    return _items(name, documents, questions)


def of_manuals(name: str, folder: Path = MANUALS) -> KnownItems:
    """Each manual page is a document without its first section, whose purpose is the question."""
    documents = []
    questions = []
    paths = sorted(folder.glob("*.1.gz")) + sorted(folder.glob("*.1"))
    random.Random(name).shuffle(paths)
    times: Counter[str] = Counter()
    for path in paths[: 2 * DOCUMENTS]:
        page = _page(path)
        if page is None:
            continue
        purpose, text = page
        if len(text) < LEAST_TEXT:
            continue
        documents.append((path.name, text[:MOST_TEXT]))
        times[purpose.lower()] += 1
        if len(_WORD.findall(purpose)) > LEAST_WORDS:
            questions.append((purpose, path.name))
    return _items(name, documents, [pair for pair in questions if times[pair[0].lower()] == 1])


def _page(path: Path) -> tuple[str, str] | None:
    """The purpose of a manual page, and its text without the section that names it."""
    content = path.read_bytes()
    try:
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, UnicodeDecodeError):
        return None
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        request = _REQUEST.match(line)
        if request is not None and request["name"] in ("SH", "Sh"):
            current = parts.setdefault(request["rest"].strip('" ').upper(), [])
            continue
        if request is not None:
            line = request["rest"] if request["name"] in ("B", "I", "BR", "IR", "SS", "TP") else ""
        current.append(_ESCAPE.sub("", line).replace("\\-", "-"))
    named = " ".join(" ".join(parts.pop("NAME", [])).split())
    purpose = named.partition(" - ")[2]
    if not purpose or not parts:
        return None
    body = "\n\n".join(title + "\n\n" + "\n".join(lines) for title, lines in parts.items())
    return purpose, body


def _topics() -> list[Section]:
    found = []
    for name, text in sorted(topics.items()):
        found += sections_of(name, text, _RESTRUCTURED)
    unique = {section.text: section for section in found}
    return list(unique.values())


def _files() -> list[Section]:
    found = []
    for document in find_corpus(BYTES).documents:
        markdown = document.media_type == "text/markdown"
        pattern = _MARKDOWN if markdown else _RESTRUCTURED
        found += sections_of(document.ref.key, document.text, pattern)
    return found


def collections() -> Iterator[KnownItems]:
    """Every collection that this machine has enough text for."""
    files = _files()
    made: Sequence[Callable[[], KnownItems]] = (
        lambda: of_sections("topics", _topics()),
        lambda: of_sections("sections", files),
        lambda: of_articles("articles", files),
        lambda: of_manuals("manuals"),
    )
    for make in made:
        items = make()
        if len(items.queries) >= LEAST_QUESTIONS:
            yield items
