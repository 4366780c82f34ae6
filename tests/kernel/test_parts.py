"""A file of several documents in the index: all of them or none, and none of another file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from semantic_core import Chunk, Document, IngestReport, Ref, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core._parts import Together, parts_of
from semantic_core.errors import (
    FileUnreadable,
    HookFailed,
    InputError,
    PluginConflict,
    TenantRequired,
)
from semantic_core.testing import HashEmbedder, JobEmbedder
from semantic_core.types import FileContent


class Mails:
    """Reads a file whose lines are the mail itself and its attachments: ``name: text``."""

    @hookimpl
    def semantic_readers(self) -> Any:
        return {".mail": self.read, "message/x-lines": self.read}

    def read(self, file: FileContent) -> list[Document]:
        first, *lines = file.text().splitlines()
        documents = [file.document(first, title=file.stem)]
        for line in lines:
            name, _, text = line.partition(": ")
            if text == "broken":
                raise FileUnreadable(f"Attachment {name} of {file.name!r} is broken.")
            documents.append(file.document(text, part=name, title=name))
        return documents

    @hookimpl
    def semantic_split(self, document: Document) -> Sequence[Chunk] | None:
        if document.text == "unsplittable":
            raise ValueError("too odd")
        return None


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def core(embedder: HashEmbedder) -> Iterator[SemanticCore]:
    with SemanticCore(store="memory", embedder=embedder, plugins=[Mails()]) as opened:
        yield opened


def texts(core: SemanticCore, collection: str = "files") -> dict[str, str]:
    found = {}
    for summary in core.documents(collections=[collection]):
        document = core.get(summary.ref)
        assert document is not None
        found[summary.ref.key] = document.text
    return found


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, report.removed


def test_a_file_and_its_parts_follow_the_file(core: SemanticCore, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mail", "hello", "1: one", "2: two")
    assert counts(core.ingest_file(path, key="a")) == (3, 0, 0, 0)
    assert texts(core) == {"a": "hello", "a#1": "one", "a#2": "two"}
    assert counts(core.ingest_file(path, key="a")) == (0, 0, 3, 0)
    write(path, "hello", "2: two!", "3: three")
    # The mail says how many parts it has, and that has not changed.
    assert counts(core.ingest_file(path, key="a")) == (1, 1, 1, 1)
    assert texts(core) == {"a": "hello", "a#2": "two!", "a#3": "three"}
    write(path, "alone")
    assert counts(core.ingest_file(path, key="a")) == (0, 1, 0, 2)
    assert texts(core) == {"a": "alone"}
    assert core.search("alone")[0].metadata == {"path": path.as_posix()}


def test_where_finds_parts_and_files(core: SemanticCore, tmp_path: Path) -> None:
    core.ingest_file(write(tmp_path / "a.mail", "hello", "1: one"), key="a")
    core.ingest_file(write(tmp_path / "b.mail", "hello", "1: one"), key="b")

    def keys(where: Any) -> list[str]:
        return [summary.ref.key for summary in core.documents(where=where)]

    assert keys({"part_of": "a"}) == ["a#1"]
    assert keys({"part_of": {"exists": False}}) == ["a", "b"]
    assert keys({"path": (tmp_path / "b.mail").as_posix()}) == ["b", "b#1"]


def test_a_file_with_more_parts_than_a_page_loses_all_of_them(
    core: SemanticCore, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.mail", "hello", *[f"{number}: text" for number in range(1_201)])
    assert core.ingest_file(path, key="a").added == 1_202
    write(path, "hello", "7: text")
    assert counts(core.ingest_file(path, key="a")) == (0, 1, 1, 1_200)


def test_if_the_reader_fails_at_a_part_no_document_of_the_file_changes(
    core: SemanticCore, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.mail", "hello", "1: one", "3: three")
    core.ingest_file(path, key="a")
    before = texts(core)
    write(path, "changed", "1: changed", "2: broken")
    with pytest.raises(FileUnreadable) as failed:
        core.ingest_file(path, key="a")
    assert str(failed.value) == f"Attachment 2 of {str(path)!r} is broken."
    assert texts(core) == before


def test_if_a_part_cannot_be_split_no_document_of_the_file_changes(
    core: SemanticCore, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.mail", "hello", "1: one", "3: three")
    core.ingest_file(path, key="a")
    before = texts(core)
    write(path, "changed", "1: changed", "2: unsplittable")
    report = core.ingest_file(path, key="a")
    assert counts(report) == (0, 0, 0, 0)
    (failure,) = report.failed
    assert (failure.what, failure.code) == ("files/a#2", "HookFailed")
    assert failure.reason.endswith("ValueError: too odd No document of files/a was changed.")
    assert texts(core) == before


@pytest.mark.parametrize("made_by", [HashEmbedder, JobEmbedder])
def test_a_file_is_always_written_in_one_transaction(
    made_by: type[HashEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Store(MemoryStore):
        def replace(self, batch: Any, stamps: Any = None) -> Any:
            given = list(batch)
            written.append([document.ref.key for document, _ in given])
            return super().replace(given, stamps)

    monkeypatch.setattr("semantic_core._ingest.GROUP_CHUNKS", 3)
    embedder = made_by(batch_size=2)
    written: list[list[str]] = []
    files: list[Document | Together] = []
    for name in "abc":
        keys = [name, *[f"{name}#{number}" for number in range(4)]]
        files.append(Together([Document(Ref("f", key), f"text of {key}") for key in keys]))
        files.append(Document(Ref("f", f"after {name}"), f"text after {name}"))
    with SemanticCore(store=Store(embedder.space), embedder=embedder, plugins=[]) as core:
        report = core.ingest(files)
        assert (report.added, report.embedded, report.pending) == (18, 18, 0)
        assert core.stats().pending == 0
    assert len(written) > 2
    for batch in written:
        for name in "abc":
            together = [key for key in batch if key.partition("#")[0] == name]
            assert len(together) in (0, 5)


def test_an_embedder_that_fails_leaves_the_whole_file_pending(
    core: SemanticCore, embedder: HashEmbedder, tmp_path: Path
) -> None:
    from semantic_core.errors import EmbedderUnavailable

    embedder.fail_with = EmbedderUnavailable("offline")
    report = core.ingest_file(write(tmp_path / "a.mail", "hello", "1: one"), key="a")
    assert (report.added, report.pending) == (2, 2)
    assert set(texts(core)) == {"a", "a#1"}


def test_listeners_hear_of_parts_that_came_and_went_and_of_a_file_that_failed(
    embedder: HashEmbedder, tmp_path: Path
) -> None:
    heard: list[Any] = []

    class Listener:
        @hookimpl
        def semantic_event(self, event: Any) -> None:
            heard.append(event)

    path = write(tmp_path / "a.mail", "hello", "1: one")
    plugins = [Mails(), Listener()]
    with SemanticCore(store="memory", embedder=embedder, plugins=plugins) as core:
        core.ingest_file(path, key="a")
        heard.clear()
        core.ingest_file(write(path, "hello", "2: two"), key="a")
        removed, written, _embedded = heard
        assert removed.refs == (Ref("files", "a#1"),)
        assert (written.added, written.updated) == ((Ref("files", "a#2"),), ())
        heard.clear()
        with pytest.raises(FileUnreadable):
            core.ingest_file(write(path, "hello", "2: broken"), key="a")
        (failed,) = heard
        assert (failed.step, failed.what, failed.code) == ("ingest", "'files/a'", "FileUnreadable")


@pytest.mark.parametrize("lost", ["path", "parts", "part_of"])
def test_a_plugin_that_loses_what_leads_to_the_parts_is_named(
    embedder: HashEmbedder, tmp_path: Path, lost: str
) -> None:
    class Describer:
        @hookimpl
        def semantic_describe(self, document: Document) -> Document:
            metadata = {name: each for name, each in document.metadata.items() if name != lost}
            return attrs.evolve(document, metadata=metadata)

    path = write(tmp_path / "a.mail", "hello", "1: one")
    plugins = [Mails(), Describer()]
    with SemanticCore(store="memory", embedder=embedder, plugins=plugins) as core:
        (failure,) = core.ingest_file(path, key="a").failed
        assert "Plugin 'Describer' broke the contract of semantic_describe" in failure.reason
        assert f"wanted metadata with the {lost} that was given" in failure.reason
        assert texts(core) == {}


# --- two files ------------------------------------------------------------------------------------


def test_a_part_never_replaces_the_document_of_another_file(
    core: SemanticCore, tmp_path: Path
) -> None:
    other = write(tmp_path / "other.txt", "mine")
    core.ingest_file(other, key="a#1")
    mail = write(tmp_path / "a.mail", "hello", "1: one")
    with pytest.raises(InputError) as refused:
        core.ingest_file(mail, key="a")
    assert str(refused.value).startswith(
        f"{mail.as_posix()!r} would replace the document 'a#1', which was read from "
        f"{other.as_posix()!r}."
    )
    assert texts(core) == {"a#1": "mine"}
    other.unlink()
    core.ingest_file(mail, key="a")
    assert texts(core) == {"a": "hello", "a#1": "one"}


def test_a_file_never_replaces_a_part_of_another(core: SemanticCore, tmp_path: Path) -> None:
    mail = write(tmp_path / "a.mail", "hello", "1: one")
    core.ingest_file(mail, key="a")
    other = write(tmp_path / "other.txt", "mine")
    with pytest.raises(InputError, match=r"would replace the document 'a#1', which was read from"):
        core.ingest_file(other, key="a#1")
    assert texts(core)["a#1"] == "one"
    mail.unlink()
    core.ingest_file(other, key="a#1")
    assert texts(core)["a#1"] == "mine"


def test_a_document_that_only_looks_like_a_part_stays(core: SemanticCore, tmp_path: Path) -> None:
    core.ingest(Document(Ref("files", "a#note"), "by hand"))
    core.ingest(Document(Ref("files", "a#x"), "of another", metadata={"part_of": "b"}))
    core.ingest(Document(Ref("files", "b"), "no part", metadata={"part_of": "a"}))
    path = write(tmp_path / "a.mail", "hello", "1: one")
    core.ingest_file(path, key="a")
    assert [part.ref.key for part in parts_of(core.store, Ref("files", "a"))] == ["a#1"]
    assert counts(core.ingest_file(write(path, "alone"), key="a")) == (0, 1, 0, 1)
    assert set(texts(core)) == {"a", "a#note", "a#x", "b"}


def test_parts_are_those_of_the_tenant_and_collection(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mail", "hello", "1: one")
    embedder = HashEmbedder()
    with SemanticCore(
        store="memory", embedder=embedder, plugins=[Mails()], multi_tenant=True
    ) as core:
        with pytest.raises(TenantRequired):
            core.ingest_file(path, key="a")
        for tenant in ("acme", "other"):
            for collection in ("mails", "copies"):
                core.tenant(tenant).ingest_file(path, key="a", collection=collection)
        write(path, "alone")
        report = core.tenant("acme").ingest_file(path, key="a", collection="mails")
        assert counts(report) == (0, 1, 0, 1)
        assert core.stats(all_tenants=True).documents == 7
        assert set(texts(core.tenant("other"), "mails")) == {"a", "a#1"}


# --- ingest_file ----------------------------------------------------------------------------------


def test_ingest_file_chooses_by_media_type(core: SemanticCore, tmp_path: Path) -> None:
    path = write(tmp_path / "upload", "hello", "1: one")
    report = core.ingest_file(path, key="a", media_type="message/x-lines", metadata={"by": "ann"})
    assert report.added == 2
    part = core.get(Ref("files", "a#1"))
    assert part is not None
    assert part.metadata == {"by": "ann", "part_of": "a", "path": path.as_posix()}
    assert core.ingest_file(path, key="b").added == 1
    with pytest.raises(InputError, match="media_type must be a str"):
        core.ingest_file(path, media_type=7)  # type: ignore[arg-type]


def test_ingest_file_raises_what_the_reader_is_at_fault_for(tmp_path: Path) -> None:
    class Broken:
        @hookimpl
        def semantic_readers(self) -> Any:
            return {".mail": lambda file: 1 / 0}

    path = write(tmp_path / "a.mail", "hello")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[Broken()])
    with core, pytest.raises(HookFailed, match="Plugin 'Broken' raised while it read"):
        core.ingest_file(path)
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[Mails(), Broken()])
    with core, pytest.raises(PluginConflict, match=r"Broken \(given\) and Mails \(given\)"):
        core.ingest_file(path)
