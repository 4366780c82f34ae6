"""Readers: which one reads a file, what it may return, and who is named if it fails."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semantic_core import Document, Ref, hookimpl
from semantic_core._plugins.host import Plugins
from semantic_core.errors import (
    FileUnreadable,
    HookFailed,
    PluginBroken,
    PluginConflict,
    ProviderNotFound,
)
from semantic_core.types import FileContent

REF = Ref("files", "in/box.eml", "acme")
Reader = Callable[[FileContent], Any]


def plugin(name: str, **offer: Reader) -> ModuleType:
    """A plugin that offers these readers; ``_`` in a name stands for a dot or a slash."""
    return offering(name, {suffix.replace("_", ".", 1): read for suffix, read in offer.items()})


def offering(name: str, offer: object) -> ModuleType:
    module = ModuleType(name)
    module.semantic_readers = hookimpl(lambda: offer)  # type: ignore[attr-defined]
    module.semantic_readers.__name__ = "semantic_readers"  # type: ignore[attr-defined]
    return module


def saying(word: str) -> Reader:
    return lambda file: file.document(f"{word}: {file.text()}", title=file.name)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def made(name: str, data: bytes = b"some text") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return made


def text(plugins: Plugins, path: Path, **options: Any) -> str:
    (document,) = plugins.read(path, REF, **options)
    return document.text


# --- which reader ---------------------------------------------------------------------------------


def test_the_longest_suffix_wins_and_case_makes_no_difference(file: Any) -> None:
    plugins = Plugins.load(
        [plugin("a", _gz=saying("gz")), offering("b", {".tar.gz": saying("tar")})]
    )
    assert text(plugins, file("x.gz")) == "gz: some text"
    assert text(plugins, file("x.TAR.gz")) == "tar: some text"
    assert text(plugins, file("tar.GZ")) == "gz: some text"
    assert text(plugins, file(".gz")) == "some text", "a hidden file has no suffix"


def test_the_media_type_goes_before_the_suffix(file: Any) -> None:
    plugins = Plugins.load([offering("a", {".x": saying("suffix"), "text/x-y": saying("type")})])
    path = file("a.x")
    assert text(plugins, path) == "suffix: some text"
    assert text(plugins, path, media_type="Text/X-Y; charset=utf-8") == "type: some text"
    for unknown in ("application/octet-stream", "text/x-z", "nonsense"):
        assert text(plugins, path, media_type=unknown) == "suffix: some text"


def test_a_reader_gets_the_bytes_and_what_is_known_of_the_file(file: Any) -> None:
    given: list[FileContent] = []

    def read(file: FileContent) -> Document:
        given.append(file)
        return file.document("text")

    Plugins.load([plugin("a", _x=read)]).read(file("a b.x", b"\x00\xff"), REF, media_type="Odd")
    (content,) = given
    assert (content.data, content.name, content.stem) == (b"\x00\xff", "a b.x", "a b")
    assert (content.ref, content.media_type) == (REF, "Odd")


def test_text_and_markdown_are_read_by_the_kernel_itself(file: Any) -> None:
    plugins = Plugins.load([])
    (info,) = [info for info in plugins.infos if info.name == "core.text"]
    assert {".txt", ".rst", ".md", "text/markdown"} <= set(info.provides["reader"])
    for name, media_type, title in (
        ("loops.txt", "text/plain", "loops"),
        ("loops.MD", "text/markdown", ""),
        ("loops", "text/plain", "loops"),
        ("loops.xyz", "text/plain", "loops"),
    ):
        (document,) = plugins.read(file(name), REF)
        assert (document.media_type, document.title) == (media_type, title)
        assert (document.text, document.ref) == ("some text", REF)


def test_a_text_has_the_media_type_that_its_caller_gave(file: Any) -> None:
    plugins = Plugins.load([])
    for given, kept in (("text/x-diary", "text/x-diary"), ("application/json", "text/plain")):
        (document,) = plugins.read(file("a.json"), REF, media_type=given)
        assert document.media_type == kept
    (document,) = plugins.read(file("a.md"), REF, media_type="text/plain")
    assert document.media_type == "text/plain"


def test_an_offer_replaces_one_of_the_kernels_and_is_shown(file: Any) -> None:
    plugins = Plugins.load([offering("mine", {".md": saying("mine"), "text/plain": saying("all")})])
    provides = {info.name: info.provides.get("reader", ()) for info in plugins.infos}
    assert provides["mine"] == (".md", "text/plain")
    assert ".md" not in provides["core.text"] and ".markdown" in provides["core.text"]
    assert [info.status for info in plugins.infos] == ["ok"] * len(plugins.infos)
    assert text(plugins, file("a.md")) == "mine: some text"
    assert text(plugins, file("a.xyz")) == "all: some text", "a text of no known suffix"
    assert {".md", ".txt"} <= plugins.suffixes and "text/plain" not in plugins.suffixes


def test_two_offers_of_one_suffix_are_a_conflict_that_blames_neither(file: Any) -> None:
    plugins = Plugins.load(
        [
            offering("a", {".x": saying("a"), ".y": saying("a"), ".only-a": saying("a")}),
            offering("b", {".x": saying("b"), ".y": saying("b"), ".md": saying("b")}),
        ]
    )
    infos = {info.name: info for info in plugins.infos}
    for name, other in (("a", "b"), ("b", "a")):
        assert infos[name].status == "conflict"
        assert infos[name].cause == (
            f"its readers '.x', '.y' are not used, because {other} (given) offers those, too"
        )
    assert infos["a"].provides == {"reader": (".only-a",)}
    assert infos["b"].provides == {"reader": (".md",)}
    with pytest.raises(PluginConflict, match=r"reader '\.x': a \(given\) and b \(given\)"):
        plugins.read(file("doc.x"), REF)
    assert ".x" in plugins.suffixes, "its files are not skipped: the conflict is reported"
    assert text(plugins, file("a.only-a")) == "a: some text"
    assert text(plugins, file("a.md")) == "b: some text"


def test_two_offers_of_a_suffix_of_the_kernel_are_a_conflict_too(file: Any) -> None:
    plugins = Plugins.load([plugin("a", _md=saying("a")), plugin("b", _md=saying("b"))])
    infos = {info.name: info.status for info in plugins.infos}
    assert (infos["a"], infos["b"], infos["core.text"]) == ("conflict", "conflict", "ok")
    with pytest.raises(PluginConflict):
        plugins.read(file("a.md"), REF)


@pytest.mark.parametrize(
    ("offer", "fault"),
    [
        ([".x"], "wanted {name: reader}, got list"),
        ({".x": "read"}, "wanted a reader for '.x', got str"),
        ({"": saying("a")}, "wanted a name as key, got ''"),
        *[
            ({name: saying("a")}, 'wanted a suffix such as ".html" or a media type')
            for name in (
                ".HTML",
                "html",
                "*.html",
                "Text/HTML",
                ".a/b",
                ".",
                ".a b",
                "text/*",
                "a/",
            )
        ],
    ],
)
def test_a_wrong_offer_is_refused_with_its_fault(offer: object, fault: str) -> None:
    with pytest.raises(PluginBroken) as refused:
        Plugins.load([offering("mine", offer)])
    assert str(refused.value).startswith("The plugin 'mine' cannot take part: semantic_readers: ")
    assert fault in str(refused.value)


def test_a_suffix_is_no_store() -> None:
    plugins = Plugins.load([])
    with pytest.raises(ProviderNotFound, match="That is the name of a reader"):
        plugins.create_store(".md", None, {})  # type: ignore[arg-type]


# --- what it returns ------------------------------------------------------------------------------


def test_a_file_of_several_documents_is_a_family_that_leads_to_the_file(file: Any) -> None:
    def read(file: FileContent) -> list[Document]:
        return [
            file.document("mail", metadata={"sender": "ann", "lang": "en", "parts": 99}),
            file.document("first", part="1", title="a.txt"),
            file.document("second", part="2/a#b", metadata={"part_of": "elsewhere"}),
        ]

    path = file("box.eml")
    documents = Plugins.load([plugin("a", _eml=read)]).read(
        path, REF, metadata={"lang": "de", "path": "mine"}
    )
    assert [document.ref.key for document in documents] == [
        "in/box.eml",
        "in/box.eml#1",
        "in/box.eml#2/a#b",
    ]
    common = {"path": path.as_posix(), "lang": "de"}
    assert documents[0].metadata == {"sender": "ann", **common, "parts": 2}
    for part in documents[1:]:
        assert part.metadata == {**common, "part_of": "in/box.eml"}
        assert (part.ref.collection, part.ref.tenant) == ("files", "acme")


def odd(*documents: Any) -> Reader:
    return lambda file: list(documents)


FIRST = Document(REF, "text")


@pytest.mark.parametrize(
    ("reader", "fault"),
    [
        (lambda file: None, "wanted a Document or a list of Documents, got NoneType"),
        (lambda file: "text", "wanted a Document or a list of Documents, got str"),
        (lambda file: iter([FIRST]), "wanted a Document or a list of Documents, got list_iterator"),
        (odd(), "wanted at least the document of the file, got an empty list"),
        (odd(FIRST, "text"), "wanted Documents, got str"),
        (odd(Document(Ref("files", "x", "acme"), "t")), "as the ref of the first document"),
        (odd(FIRST, Document(Ref("files", "x", "acme"), "t")), "as the ref of another document"),
        (odd(FIRST, Document(Ref("files", "in/box.eml#1"), "t")), "got files/in/box.eml#1"),
        (odd(FIRST, Document(Ref("mine", "in/box.eml#1", "acme"), "t")), "got acme/mine/"),
        (odd(FIRST, Document(Ref("files", "in/box.eml#", "acme"), "t")), "#PART as the ref"),
        (odd(FIRST, FIRST), "as the ref of another document"),
        (
            odd(FIRST, *[Document(Ref("files", "in/box.eml#1", "acme"), "t")] * 2),
            "wanted each ref once, got acme/files/in/box.eml#1 twice",
        ),
    ],
)
def test_an_answer_that_breaks_the_contract_names_plugin_and_file(
    file: Any, reader: Reader, fault: str
) -> None:
    path = file("box.eml")
    with pytest.raises(HookFailed) as failed:
        Plugins.load([plugin("mine", _eml=reader)]).read(path, REF)
    told = str(failed.value)
    assert told.startswith(f"Plugin 'mine' broke the contract of a reader with {str(path)!r}: ")
    assert fault in told


def test_a_file_has_no_more_text_than_a_document_may_have(
    file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semantic_core._plugins.host.MAX_TEXT", 10)
    read = saying("word")
    plugins = Plugins.load([plugin("a", _x=read)])
    with pytest.raises(FileUnreadable, match=r"a\.x' has 15 characters in 1 documents, the most"):
        plugins.read(file("a.x"), REF)


# --- what it raises -------------------------------------------------------------------------------


def raising(error: BaseException) -> Reader:
    def read(file: FileContent) -> Document:
        raise error

    return read


@pytest.mark.parametrize(
    "error",
    [ValueError("a\nb"), MemoryError(), RecursionError("deep"), SystemExit(3), GeneratorExit()],
)
def test_whatever_a_reader_raises_is_one_line_with_plugin_and_file(
    file: Any, error: BaseException
) -> None:
    path = file("a.x")
    with pytest.raises(HookFailed) as failed:
        Plugins.load([plugin("mine", _x=raising(error))]).read(path, REF)
    told = str(failed.value)
    assert told.startswith(f"Plugin 'mine' raised while it read {str(path)!r}: ")
    assert type(error).__name__ in told and "\n" not in told
    assert failed.value.__cause__ is error


def test_an_interruption_is_no_failure_of_the_reader(file: Any) -> None:
    def interrupted(file: FileContent) -> Document:
        signal.raise_signal(signal.SIGALRM)
        return file.document("never")

    def limit(number: int, frame: object) -> None:
        raise TimeoutError("the application's own limit")

    plugins = Plugins.load([plugin("a", _x=interrupted, _y=raising(KeyboardInterrupt()))])
    before = signal.signal(signal.SIGALRM, limit)
    try:
        with pytest.raises(TimeoutError, match="own limit"):
            plugins.read(file("a.x"), REF)
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(KeyboardInterrupt):
        plugins.read(file("a.y"), REF)


def test_file_unreadable_passes_with_class_and_hint_and_the_path_of_the_file(file: Any) -> None:
    class Encrypted(FileUnreadable):
        pass

    path = file("a.x")
    for message, told in (
        ("'a.x' is encrypted.", f"{str(path)!r} is encrypted."),
        ("It is encrypted.", f"Cannot read {str(path)!r}: It is encrypted."),
        (f"{str(path)!r} is odd.", f"{str(path)!r} is odd."),
    ):
        error = Encrypted(message, hint="Remove the password.")
        with pytest.raises(Encrypted) as failed:
            Plugins.load([plugin("a", _x=raising(error))]).read(path, REF)
        assert failed.value is error
        assert str(failed.value) == f"{told} Remove the password."


def test_text_that_cannot_be_stored_is_a_file_that_cannot_be_read(file: Any) -> None:
    plugins = Plugins.load([plugin("a", _x=lambda file: file.document("half \ud800"))])
    with pytest.raises(FileUnreadable, match=r"Cannot read '.*a\.x': Document\.text holds a lone"):
        plugins.read(file("a.x"), REF)


def test_metadata_that_cannot_be_stored_is_a_fault_of_the_plugin(file: Any) -> None:
    read: Reader = lambda file: file.document("text", metadata={"pages": None})  # noqa: E731
    with pytest.raises(HookFailed, match=r"Plugin 'a' raised while .*metadata\['pages'\] must be"):
        Plugins.load([plugin("a", _x=read)]).read(file("a.x"), REF)


def test_a_module_that_is_missing_comes_with_the_command_that_installs_it(file: Any) -> None:
    def read(file: FileContent) -> Document:
        import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401

        return file.document("never")

    with pytest.raises(PluginBroken) as failed:
        Plugins.load([plugin("mine", _x=read)]).read(file("a.x"), REF)
    told = str(failed.value)
    assert "Plugin 'mine' needs the module 'no_such_module_anywhere' to read '" in told
    assert told.endswith("pip install no_such_module_anywhere")


# --- what nobody reads ----------------------------------------------------------------------------


def test_a_binary_that_a_plugin_of_ours_would_read_comes_with_its_name(file: Any) -> None:
    plugins = Plugins.load([])
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    for name, media_type in (
        ("a.PDF", ""),
        ("upload", "Application/PDF; version=1.7"),
        ("upload", sheet),
    ):
        with pytest.raises(FileUnreadable) as failed:
            plugins.read(file(name, b"%PDF-1.7\n\x00\xff"), REF, media_type=media_type)
        told = str(failed.value)
        assert told.endswith(
            "looks binary: it contains a zero byte at 9, and no installed plugin reads such "
            "files. pip install semantic-core-files"
        )
    with pytest.raises(FileUnreadable, match=r"a\.html' is not UTF-8: byte 0xE9 at 3, and no inst"):
        plugins.read(file("a.html", b"caf\xe9"), REF)
    with pytest.raises(FileUnreadable, match="looks binary: it contains a zero byte at 4"):
        plugins.read(file("a.xyz", b"%PDF\x00"), REF)


def test_the_remedy_for_a_plugin_that_is_there_and_broken_is_that_of_the_plugin() -> None:
    from semantic_core._plugins.discovery import built_in
    from semantic_core._plugins.records import PluginInfo, PluginRecord

    broken = PluginInfo("files", "0.1", "Semantic_Core.files", status="broken", remedy="do that")
    plugins = Plugins([PluginRecord(broken), *built_in()])
    assert plugins.remedy("report.pdf") == plugins.remedy("application/pdf") == "do that"
    assert plugins.remedy(".pdf") == "do that"
    assert plugins.remedy("report.xyz") == plugins.remedy("") == ""
