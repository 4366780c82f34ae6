"""``semantic-core plugins test``: run the checks of the contract on an installed plugin.

Tested by tests/cli/test_plugin_test.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import SkipTest

import click

from semantic_core.cli._group import GAP
from semantic_core.cli._options import json_option
from semantic_core.cli._output import counted, fitted, note, visible, write, write_json
from semantic_core.errors import InputError, SemanticCoreError, is_interruption

if TYPE_CHECKING:
    from semantic_core._plugins.host import Plugins
    from semantic_core._plugins.records import PluginInfo
    from semantic_core.testing import Check


class Kit(NamedTuple):
    """The checks of one thing that a plugin provides. made_by: what each check is called with, in a
    folder of its own. lacking: why it cannot be checked from here; "" if it can.
    """

    what: str
    checks: Sequence[Check]
    made_by: Callable[[Path], Any]
    lacking: str = ""


class Outcome(NamedTuple):
    """What a check found. verdict: "passed", "failed" or "skipped"; reason: of the latter two."""

    what: str
    check: str
    verdict: str
    reason: str
    seconds: float


@click.command("test", short_help="Run the checks of the contract on a plugin.")
@click.argument("name")
@click.option("--media-type", metavar="TYPE", help="Of the documents that a splitter supports.")
@click.option(
    "--sample",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A small file that a reader reads.",
)
@click.option("--query", metavar="TEXT", help="A query for which a retriever finds --text.")
@click.option("--text", metavar="TEXT", help="A text that a retriever finds for --query.")
@json_option
@click.pass_context
def check_plugin(
    context: click.Context,
    name: str,
    media_type: str | None,
    sample: Path | None,
    query: str | None,
    text: str | None,
    as_json: bool,
) -> None:
    """Run the checks of the contract of everything that the installed plugin NAME provides.

    What the checks cannot know is an option: a splitter needs --media-type, a reader --sample, a
    retriever --query and --text. Stores and embedders are made with their default options; a store
    gets a path in a temporary folder if it takes one. An ORM adapter needs a harness, and is tested
    with pytest. Exit code 1 if a check failed.
    """
    from semantic_core._plugins.host import Plugins

    plugins = Plugins.load([name])
    [info] = [each for each in plugins.infos if each.name == name]
    outcomes = []
    lacking = []
    for kit in _kits(plugins, info, media_type, sample, query, text):
        if kit.lacking:
            lacking.append((kit.what, kit.lacking))
            continue
        for outcome in _run(kit):
            outcomes.append(outcome)
            if not as_json:
                _write(outcome)
    if not outcomes and not lacking:
        raise InputError(f"The plugin {name!r} provides nothing that there are checks for.")
    failed = [outcome for outcome in outcomes if outcome.verdict == "failed"]
    if as_json:
        write_json(
            {
                "plugin": name,
                "checks": [outcome._asdict() for outcome in outcomes],
                "not_checked": [{"what": what, "reason": why} for what, why in lacking],
            }
        )
    else:
        for what, why in lacking:
            write(fitted(f"not checked: {visible(what)}: {visible(why)}", indent=2))
        passed = sum(outcome.verdict == "passed" for outcome in outcomes)
        skipped = len(outcomes) - passed - len(failed)
        note(f"{counted(passed, 'check')} passed, {len(failed)} failed, {skipped} skipped.")
    if failed:
        context.exit(GAP)


def _kits(
    plugins: Plugins,
    info: PluginInfo,
    media_type: str | None,
    sample: Path | None,
    query: str | None,
    text: str | None,
) -> Iterator[Kit]:
    """The checks of everything that a plugin provides."""
    from semantic_core import testing

    functions = plugins.functions_of(info.name)
    alone = ModuleType(info.name)
    for hook, function in functions.items():
        setattr(alone, hook, function)
    for name in info.provides.get("embedder", ()):
        made_by = partial(_embedders, plugins, name)
        yield Kit(f"embedder {name}", testing.embedder_checks(), made_by)
    for name in info.provides.get("analyser", ()):
        analysers = partial(_analysers, plugins, name)
        yield Kit(f"analyser {name}", testing.analyser_checks(), analysers)
    for name in info.provides.get("store", ()):
        keeps = any(option.name == "path" for option in plugins.options_of("store", name))
        checks = testing.store_checks(persistent=keeps)
        yield Kit(f"store {name}", checks, partial(_stores, plugins, name, keeps))
    if "semantic_split" in functions:
        split = functions["semantic_split"]
        if media_type:
            checks = testing.splitter_checks(media_type=media_type)
            yield Kit("splitter", checks, partial(_same, split))
        else:
            yield _unknown("splitter", "name the type of its documents with --media-type")
    if "semantic_readers" in functions:
        yield _reader(functions["semantic_readers"](), sample)
    if "semantic_retrieve" in functions:
        if query and text:
            checks = testing.retriever_checks(query=query, texts=[text, "Beans climb."])
            yield Kit("retriever", checks, partial(_same, partial(_same, alone)))
        else:
            yield _unknown("retriever", "give an example with --query and --text")
    if "semantic_rerank" in functions:
        yield Kit("reranker", testing.reranker_checks(), partial(_same, partial(_same, alone)))
    if "semantic_search_middleware" in functions:
        checks = testing.middleware_checks()
        yield Kit("middleware", checks, partial(_same, partial(_same, alone)))
    if "semantic_orm_adapter" in functions:
        why = "it needs a harness with models, see semantic_core.testing.adapter_checks"
        yield _unknown("ORM adapter", why)


def _unknown(what: str, why: str) -> Kit:
    return Kit(what, (), partial(_same, None), why)


def _same(value: Any, *_: object) -> Any:
    """The value, whatever else is given: what a check is called with, or a function that makes
    it.
    """
    return value


def _embedders(plugins: Plugins, name: str, folder: Path) -> Callable[[], Any]:
    return partial(plugins.create_embedder, name, {})


def _analysers(plugins: Plugins, name: str, folder: Path) -> Callable[[], Any]:
    return partial(plugins.create_analyser, name, ())


def _stores(plugins: Plugins, name: str, keeps: bool, folder: Path) -> Callable[..., Any]:
    """A function that opens stores. keeps: whether each has a file in the folder."""
    chosen = name

    def opener(space: Any, name: str = "index", *, multi_tenant: bool = False) -> Any:
        options: dict[str, Any] = {"multi_tenant": multi_tenant}
        if keeps:
            options["path"] = str(folder / f"{name}.db")
        return plugins.create_store(chosen, space, options)

    return opener


def _reader(readers: Mapping[str, Callable[..., Any]], sample: Path | None) -> Kit:
    """The checks of the reader for the suffix of the sample."""
    from semantic_core import testing
    from semantic_core.types import FileContent, Ref

    suffixes = ", ".join(sorted(readers))
    if sample is None:
        return _unknown("reader", f"give a small file with --sample; it reads {suffixes}")
    fitting = [suffix for suffix in readers if sample.name.lower().endswith(suffix)]
    if not fitting:
        raise InputError(f"The plugin does not read {sample.name!r}; it reads {suffixes}.")
    read = readers[max(fitting, key=len)]
    data = sample.read_bytes()
    given = read(FileContent(data, sample.name, Ref("files", sample.name)))
    first = given if not isinstance(given, Sequence) else given[0]
    phrases = first.text.split()[:1]
    checks = testing.reader_checks(name=sample.name, data=data, phrases=phrases)
    return Kit("reader", checks, partial(_same, read))


def _run(kit: Kit) -> Iterator[Outcome]:
    """Run the checks one by one, each in an empty folder."""
    for check in kit.checks:
        started = perf_counter()
        verdict = "passed"
        reason = ""
        with TemporaryDirectory(prefix="semantic-core-", ignore_cleanup_errors=True) as folder:
            try:
                check(kit.made_by(Path(folder)))
            except SkipTest as skipped:
                verdict = "skipped"
                reason = str(skipped)
            except Exception as error:
                if is_interruption(error):
                    raise
                # Whatever a plugin raises is its failure.
                verdict = "failed"
                reason = _described(error)
        yield Outcome(kit.what, str(check), verdict, reason, round(perf_counter() - started, 3))


def _described(error: Exception) -> str:
    kind = "" if isinstance(error, AssertionError | SemanticCoreError) else type(error).__name__
    lines = [f"{kind}: {error}" if kind else str(error), *getattr(error, "__notes__", ())]
    return " ".join(filter(None, lines))


def _write(outcome: Outcome) -> None:
    line = f"{outcome.verdict:<8} {outcome.what}: {outcome.check}"
    if outcome.reason:
        line += f": {outcome.reason}"
    write(fitted(visible(line), indent=9))
