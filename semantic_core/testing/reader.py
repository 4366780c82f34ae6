"""The contract of a reader of files, as a list of checks.

Tested by tests/contracts/test_reader_bites.py and tests/contracts/test_contract.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core._memory.store import MemoryStore
from semantic_core._plugins.contracts import documents_fault
from semantic_core._validation import clip, one_line
from semantic_core.core import SemanticCore
from semantic_core.errors import FileUnreadable, TextInvalid
from semantic_core.hookspecs import hookimpl
from semantic_core.testing.check import Check, checks_of, examples, expect, fail, same, skip
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.types import PART_OF, PARTS, PATH, Document, FileContent, Ref

Read = Callable[[FileContent], Any]

REFS = (
    Ref("files", "report"),
    Ref("inbox", "2026/11/a b#c.x", "acme"),
    Ref("files", "日本/é", "other"),
)
"""Refs that a file may have: with a tenant, with the character that begins a part, not ASCII."""
NAMES = ("x", "blob", ".hidden", "../../up", "a" * 200, "日本 é.X.Y", "no end.", "-", "NUL")
"""Names that a file may have, whatever is in it."""
KEYS_OF_THE_KERNEL = frozenset({PATH, PART_OF, PARTS})
"""Metadata that the kernel writes itself; what a reader writes there is lost."""
THREADS = 4
"""Threads that read at the same time."""
ALWAYS_THERE = frozenset({"semantic_core", "attr", "attrs", "pluggy", "importlib_metadata", "zipp"})
"""Packages that the kernel has loaded when it imports a plugin."""


def reader_checks(
    *,
    name: str,
    data: bytes,
    phrases: Sequence[str],
    media_type: str = "",
    too_much: Callable[[], bytes] | None = None,
    seconds: float = 10.0,
    tries: int = 60,
    module: str | None = None,
    imports: Collection[str] = (),
) -> list[Check]:
    """The rules that every reader of ``semantic_readers`` follows.

    Parametrize a test with them and call each with the reader::

        CHECKS = reader_checks(name="page.html", data=PAGE, phrases=["Beans", "They climb."])

        @pytest.mark.parametrize("check", CHECKS, ids=str)
        def test_reader(check):
            check(read)

    name, data: of a sample file, with everything in it that the format can have; the smaller, the
    more thorough are the checks of damaged files. phrases: parts of its text in reading order;
    white space makes no difference. media_type: with which the sample is read.
    too_much: returns a file with more text than a document may have, or one that unpacks to it;
    None skips the check. seconds: the longest time for one file. tries: random files for each of
    the two checks of them.
    module: of the plugin's entry point; None is the package of the reader. imports: packages that
    it may import when plugins are listed, besides its own and the standard library.
    """
    sample = _SampleFile(name, data, tuple(phrases), media_type)
    contract = _ReaderChecks(sample, too_much, seconds, tries, module, frozenset(imports))
    rules = [
        contract.the_text_is_there_in_reading_order,
        contract.documents_are_of_the_file,
        contract.the_same_file_gives_the_same_documents,
        contract.what_it_reads_can_be_stored,
        contract.the_name_is_only_a_name,
        contract.an_empty_file_is_read_or_refused,
        contract.damaged_files_are_read_or_refused,
        contract.any_bytes_are_read_or_refused,
        contract.too_much_is_refused,
        contract.threads_do_not_disturb_each_other,
        contract.it_touches_no_file_and_no_network,
        contract.its_module_is_light,
    ]
    return checks_of(rules)


class _SampleFile:
    def __init__(self, name: str, data: bytes, phrases: tuple[str, ...], media_type: str) -> None:
        self.name = name
        self.data = data
        self.phrases = phrases
        self.media_type = media_type

    def file(
        self, ref: Ref = REFS[0], data: bytes | None = None, name: str | None = None
    ) -> FileContent:
        """The sample, or a file with other content or another name."""
        content = self.data if data is None else data
        return FileContent(content, self.name if name is None else name, ref, self.media_type)


class _ReaderChecks:
    def __init__(
        self,
        sample: _SampleFile,
        too_much: Callable[[], bytes] | None,
        seconds: float,
        tries: int,
        module: str | None,
        imports: frozenset[str],
    ) -> None:
        self._sample = sample
        self._too_much = too_much
        self._seconds = seconds
        self._tries = tries
        self._module = module
        self._imports = imports

    def the_text_is_there_in_reading_order(self, read: Read) -> None:
        """The documents of the sample have every phrase, in the order in which one reads them."""
        expect(self._sample.phrases, "Give the kit phrases of the sample: it has none to look for.")
        text = _words("\n".join(document.text for document in self._documents(read)))
        place = 0
        for phrase in self._sample.phrases:
            found = text.find(_words(phrase), place)
            if found < 0 and _words(phrase) in text:
                fail(f"Expected {phrase!r} after the phrases before it, found it before them.")
            expect(found >= 0, f"Expected {phrase!r} in the text, found {text[:300]!r}.")
            place = found + len(_words(phrase))

    def documents_are_of_the_file(self, read: Read) -> None:
        """It returns a Document or a list of them. The first has the ref of the file; the others
        have the same collection and tenant, and keys that begin with the key of the file and
        "#". Each ref is there once.
        """
        for ref in REFS:
            file = self._sample.file(ref)
            fault = documents_fault(file, read(file))
            expect(not fault, f"The answer for a file with the ref {ref}: {fault}.")

    def the_same_file_gives_the_same_documents(self, read: Read) -> None:
        """The same file gives the same documents again, in the same order: an unchanged file costs
        nothing. Where it is stored makes no difference to their texts.
        """
        first = self._documents(read)
        same(self._documents(read), first, "documents of the same file again")
        for ref in REFS:
            texts = [document.text for document in self._documents(read, self._sample.file(ref))]
            same(texts, [document.text for document in first], f"texts of the file with ref {ref}")

    def what_it_reads_can_be_stored(self, read: Read) -> None:
        """Every document can be ingested, and is found again as it was. Its metadata has no field
        that the kernel writes: path, part_of, parts. Its title is one line.
        """
        documents = self._documents(read)
        for document in documents:
            taken = sorted(KEYS_OF_THE_KERNEL.intersection(document.metadata))
            expect(not taken, f"{document.ref}: expected no metadata {taken}, which is lost.")
            lines = document.title.splitlines()
            expect(len(lines) <= 1, f"{document.ref}: expected a title of one line, found {lines}.")
        embedder = HashEmbedder()
        store = MemoryStore(embedder.space)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "sample")
            path.write_bytes(self._sample.data)
            name = self._sample.name
            with SemanticCore(store=store, embedder=embedder, plugins=[_Offer(read, name)]) as core:
                report = core.ingest_file(path, key="report", media_type=_MEDIA_TYPE)
                same(report.failed, (), "failures of the ingest of the sample")
                for document in documents:
                    stored = core.get(document.ref)
                    if stored is None:
                        fail(f"Expected {document.ref} in the index, found nothing.")
                    same(stored.text, document.text, f"{document.ref}: text in the index")

    def the_name_is_only_a_name(self, read: Read) -> None:
        """Whatever the name of the file is, it is read or refused: an upload may have any."""
        for name in NAMES:
            self._read_or_refused(read, self._sample.file(name=name), f"the name {name[:20]!r}")

    def an_empty_file_is_read_or_refused(self, read: Read) -> None:
        """A file of no bytes, or of white space, gives documents or raises FileUnreadable."""
        for data in (b"", b"\n", b" \r\n\t" * 100, b"\0", b"\xef\xbb\xbf", b"\xff\xfe"):
            self._read_or_refused(read, self._sample.file(data=data), f"{data[:10]!r}")

    def damaged_files_are_read_or_refused(self, read: Read) -> None:
        """The sample with bits flipped, with an end or a part missing, or with bytes that do not
        belong there gives documents or raises FileUnreadable, never another error, in time.
        """

        late: list[str] = []

        @settings(examples(self._tries), report_multiple_bugs=False)
        @given(_damaged(self._sample.data))
        def hold(data: bytes) -> None:
            if not late:
                file = self._sample.file(data=data)
                late.extend(self._late(read, file, f"a damaged file, {clip(data)}"))

        hold()
        expect(not late, "".join(late))

    def any_bytes_are_read_or_refused(self, read: Read) -> None:
        """Any bytes give documents or raise FileUnreadable, never another error, in time; also
        behind the first bytes of the sample, by which a format is known.
        """
        begins = self._sample.data[:16]

        late: list[str] = []

        @settings(examples(self._tries), report_multiple_bugs=False)
        @given(st.binary(max_size=2_000), st.integers(0, len(begins)))
        def hold(data: bytes, kept: int) -> None:
            if not late:
                file = self._sample.file(data=begins[:kept] + data)
                late.extend(self._late(read, file, f"any bytes, {clip(file.data)}"))

        hold()
        expect(not late, "".join(late))

    def too_much_is_refused(self, read: Read) -> None:
        """A file with more text than a document may have raises FileUnreadable, or TextInvalid as
        `FileContent.document` does, in time.
        """
        if self._too_much is None:
            skip("The kit was given no file with too much text (too_much).")
        file = self._sample.file(data=self._too_much())
        started = perf_counter()
        try:
            read(file)
        except (FileUnreadable, TextInvalid):
            late = self._lateness(started, "a file with too much text")
            expect(not late, "".join(late))
            return
        except BaseException as error:
            raise AssertionError(
                f"Expected FileUnreadable for too much text, found {one_line(error)}"
            ) from error
        fail("Expected FileUnreadable for a file with too much text, found documents.")

    def threads_do_not_disturb_each_other(self, read: Read) -> None:
        """Threads that read at the same time get the documents that one gets alone."""
        alone = {ref: self._documents(read, self._sample.file(ref)) for ref in REFS}
        broken = self._sample.file(data=self._sample.data[: len(self._sample.data) // 2])

        def work(number: int) -> None:
            for turn in range(3):
                ref = REFS[(number + turn) % len(REFS)]
                documents = self._documents(read, self._sample.file(ref))
                same(documents, alone[ref], f"documents of {ref} read in a thread")
                self._read_or_refused(read, broken, "half of the sample in a thread")

        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(work, number) for number in range(THREADS)]:
                done.result()

    def it_touches_no_file_and_no_network(self, read: Read) -> None:
        """While it reads, it writes, moves and deletes nothing outside the folder for temporary
        files, opens no file of the name that it was given, and asks no network for anything.
        """
        read(self._sample.file())  # what is imported now may be compiled and stored
        with _observed() as seen:
            read(self._sample.file())
        wrong = [event for event in seen if _is_forbidden(*event, self._sample.name)]
        shown = ", ".join(f"{name} {arguments!r:.200}" for name, arguments in wrong[:5])
        expect(not wrong, f"Expected nothing but reading the bytes, found {shown}.")

    def its_module_is_light(self, read: Read) -> None:
        """Importing the plugin's module loads no other package: plugins are imported whenever they
        are listed. Libraries that parse a format are imported inside the functions.
        """
        module = self._module or (getattr(read, "__module__", "") or "").partition(".")[0]
        if module in ("", "__main__"):
            skip("The kit does not know the module of this reader (module).")
        own = module.partition(".")[0]
        probe = (
            "import sys\n"
            "import semantic_core.hookspecs, semantic_core.types\n"
            "before = set(sys.modules)\n"
            f"import {module}\n"
            "print(*{name.partition('.')[0] for name in sys.modules.keys() - before})\n"
        )
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        done = subprocess.run(  # noqa: S603 - this interpreter, with the name of a module
            [sys.executable, "-c", probe],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        expect(done.returncode == 0, f"import {module} fails: {done.stderr.strip()[-300:]}")
        allowed = {own, *ALWAYS_THERE, *self._imports, *sys.stdlib_module_names}
        heavy = sorted(set(done.stdout.split()) - allowed)
        expect(not heavy, f"Expected import {module} to load no library, found {heavy}.")

    def _documents(self, read: Read, file: FileContent | None = None) -> list[Document]:
        answer = read(file or self._sample.file())
        return [answer] if isinstance(answer, Document) else list(answer)

    def _read_or_refused(self, read: Read, file: FileContent, what: str) -> None:
        """Fail unless it returns documents that keep the contract, or raises FileUnreadable."""
        late = self._late(read, file, what)
        expect(not late, "".join(late))

    def _late(self, read: Read, file: FileContent, what: str) -> list[str]:
        """The same, except that an answer that comes too late is described, [] for none. Random
        examples go on after it: to look for a shorter one that is as slow would take too long.
        """
        started = perf_counter()
        try:
            answer = read(file)
        except FileUnreadable:
            return self._lateness(started, what)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise AssertionError(
                f"Expected documents or FileUnreadable for {what}, found {one_line(error)}"
            ) from error
        late = self._lateness(started, what)
        fault = documents_fault(file, answer)
        expect(not fault, f"The answer for {what}: {fault}.")
        return late

    def _lateness(self, started: float, what: str) -> list[str]:
        took = perf_counter() - started
        if took <= self._seconds:
            return []
        return [
            f"Expected an answer for {what} within {self._seconds} s, found it after {took:.1f} s."
        ]


_MEDIA_TYPE = "application/x-sample"


class _Offer:
    """A plugin that offers a reader, which sees the name of the sample."""

    def __init__(self, read: Read, name: str) -> None:
        self._read = read
        self._name = name

    @hookimpl
    def semantic_readers(self) -> dict[str, Read]:
        return {_MEDIA_TYPE: self._as_sample}

    def _as_sample(self, file: FileContent) -> Any:
        return self._read(FileContent(file.data, self._name, file.ref))


def _words(text: str) -> str:
    """The text with every run of white space as one blank."""
    return " ".join(text.split())


@st.composite
def _damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The data with a part missing, doubled or overwritten, or with bits flipped."""
    place = draw(st.integers(0, len(data)))
    length = draw(st.integers(1, max(1, len(data) // 2)))
    how = draw(st.sampled_from(["flips", "cut", "beginning lost", "lost", "twice", "overwritten"]))
    if how == "cut":
        return data[:place]
    if how == "beginning lost":
        return data[place:]
    if how == "lost":
        return data[:place] + data[place + length :]
    if how == "twice":
        return data[: place + length] + data[place:]
    if how == "overwritten":
        strange = draw(st.binary(min_size=1, max_size=64))
        return data[:place] + strange + data[place + len(strange) :]
    flipped = bytearray(data)
    for _ in range(draw(st.integers(1, 8))):
        if flipped:
            flipped[draw(st.integers(0, len(flipped) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(flipped)


# --- what a reader does besides reading -----------------------------------------------------------

_Event = tuple[str, tuple[Any, ...]]
_CHANGES = frozenset(
    {
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "shutil.move",
        "shutil.rmtree",
    }
)
"""Audit events of Python for changes of files."""
_NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"})
"""Audit events of Python for asking a network."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_observers: list[list[_Event]] = []


@contextmanager
def _observed() -> Iterator[list[_Event]]:
    """The audit events of this process within the block."""
    _hear()
    seen: list[_Event] = []
    _observers.append(seen)
    try:
        yield seen
    finally:
        _observers.remove(seen)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    for seen in _observers:
        if event == "open" or event in _CHANGES or event in _NETWORK:
            seen.append((event, arguments))


_heard: list[bool] = []


def _hear() -> None:
    """Listen to audit events from now on; Python has no way to stop it."""
    if not _heard:
        _heard.append(True)
        sys.addaudithook(_note)


def _is_forbidden(event: str, arguments: tuple[Any, ...], name: str) -> bool:
    if event in _NETWORK:
        # An address that is text is a socket in the file system, between processes of one machine.
        return event != "socket.connect" or not isinstance(arguments[1], str | bytes)
    path = arguments[0] if arguments else None
    if not isinstance(path, str | bytes | os.PathLike):  # a descriptor that is open already
        return False
    place = Path(os.fsdecode(path)).absolute()
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
        if place.name == Path(name).name:
            return True
        if not flags & _WRITES:
            return False
    return not place.is_relative_to(tempfile.gettempdir()) and place != Path(os.devnull)
