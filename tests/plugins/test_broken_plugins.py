"""Every way we know for a plugin to be broken: it is named with its cause, and searches go on; or
nothing is shown, where the plugin may decide who sees what.

Each case is a distribution as pip would install it, beside one that is well.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal, NamedTuple

import pytest
from commands import call

from semantic_core import Document, Ref, SearchResults, SemanticCore
from semantic_core._plugins.probe import probe_all
from semantic_core.cli.plugins import peculiarities
from semantic_core.errors import ConfigError, HookFailed, PluginBroken
from semantic_core.testing import HashEmbedder

Named = Literal["listed", "refused", "probed", "reason", "closed", "logged", "dropped"]
"""Where the plugin is named. listed: in `plugins`, and it takes part in nothing. refused: the
client is not created. probed: by ``doctor``, as every process that imports it ends, or all wait.
reason: in the reason of each search, which is ``degraded``. closed: in the error of each search,
which shows nothing. logged: in the log. dropped: nowhere, because it is no fault.
"""


class Case(NamedTuple):
    """A broken plugin.

    source: of its module; None if there is none. said: words of the cause. options: of the client.
    point: its entry point.
    """

    id: str
    source: str | None
    named: Named
    said: str
    options: dict[str, Any] = {}
    point: str = "sick_module"


HEAD = """
import os
import time
from semantic_core import ChunkId, Ranking, Ref, hookimpl
"""


def hook(name: str, parameters: str, *lines: str, mark: str = "@hookimpl") -> str:
    """The source of a module with one function."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"{HEAD}\n{mark}\ndef {name}({parameters}):\n{body}\n"


def retriever(*lines: str) -> str:
    return hook("semantic_retrieve", "request, store", *lines)


def reranker(*lines: str, mark: str = "@hookimpl") -> str:
    return hook("semantic_rerank", "hits", *lines, mark=mark)


def middleware(*lines: str) -> str:
    inner = ["def around(request, search):", *(f"    {line}" for line in lines), "return around"]
    return hook("semantic_search_middleware", "", *inner)


def restriction(*lines: str) -> str:
    return hook("semantic_restrict", "context", *lines)


def with_life(open_line: str, close_line: str = "pass", head: str = "self") -> str:
    return f"""{HEAD}
class Plugin:
    def __init__({head}): pass
    def open(self, core): {open_line}
    def close(self): {close_line}
    @hookimpl
    def semantic_describe(self): return None
"""


PLUGIN = "sick_module:Plugin"
FINE = hook("semantic_describe", "", "return None")
ONE = "Ref('notes', '3')"

CASES = [
    # at import
    Case("raises", "raise RuntimeError('no such device')", "listed", "no such device"),
    Case("sys.exit", "raise SystemExit(3)", "listed", "it called sys.exit(3)"),
    Case("GeneratorExit", "raise GeneratorExit", "listed", "GeneratorExit"),
    Case("syntax error", "def broken(:", "listed", "syntax error in"),
    Case(
        "missing module", "import no_such_library", "listed", "needs the module 'no_such_library'"
    ),
    Case("no module at all", None, "listed", "its own module 'sick_module' is not there"),
    Case(
        "no attribute", FINE, "listed", "has no 'missing_thing'", point="sick_module:missing_thing"
    ),
    Case("recursion", "def f(): f()\nf()", "listed", "RecursionError"),
    Case("import error", "from semantic_core import no_such_name", "listed", "no_such_name"),
    Case("KeyboardInterrupt", "raise KeyboardInterrupt", "probed", "raised KeyboardInterrupt"),
    Case("os._exit", "import os; os._exit(7)", "probed", "ended the process with exit code 7"),
    Case("segfault", "import os; os.kill(os.getpid(), 11)", "probed", "by SIGSEGV"),
    Case("never ends", "import time; time.sleep(60)", "probed", "did not end within"),
    Case("prints", f"print('buy now')\n{FINE}", "probed", "prints when it is imported: buy now"),
    Case(
        "warns",
        f"import warnings; warnings.warn('I am old')\n{FINE}",
        "probed",
        "prints when it is imported: ",
    ),
    Case("sleeps", f"import time; time.sleep(1.1)\n{FINE}", "probed", " s to import"),
    Case(
        "patches the core",
        f"import semantic_core.core as c; c.SemanticCore.search = lambda *a: 1 / 0\n{FINE}",
        "probed",
        "changes semantic-core itself when it is imported: semantic_core.core.SemanticCore.search",
    ),
    # its hooks
    Case("no hook", "x = 1", "listed", "takes part in no hook"),
    Case("unmarked", "def semantic_split(document): ...", "listed", "is not marked as a hook"),
    Case("misspelt", hook("semantic_splitt", "document", "..."), "listed", "Did you mean"),
    Case("wrong parameter", hook("semantic_split", "text", "..."), "listed", "takes 'text'"),
    Case("async", FINE.replace("\ndef", "\nasync def"), "listed", "is async"),
    Case("API 99", f"SEMANTIC_CORE_API = 99\n{FINE}", "listed", "version 99 of the hooks"),
    Case("API text", f"SEMANTIC_CORE_API = 'x'\n{FINE}", "listed", "must be an int"),
    Case("offer raises", hook("semantic_stores", "", "1 / 0"), "listed", "ZeroDivisionError"),
    Case("offer is a list", hook("semantic_embedders", "", "return []"), "listed", "got list"),
    Case(
        "constructor",
        "class Plugin:\n    def __init__(self): 1 / 0\n",
        "listed",
        "ZeroDiv",
        {},
        PLUGIN,
    ),
    # its options and its life
    Case("needs an option", with_life("pass", head="self, *, x: int"), "listed", "'x'", {}, PLUGIN),
    Case(
        "unknown option",
        with_life("pass"),
        "refused",
        "has no option 'x'",
        {"plugin_options": {"sick": {"x": 1}}},
        PLUGIN,
    ),
    Case(
        "option of a module",
        FINE,
        "refused",
        "takes no options",
        {"plugin_options": {"sick": {"x": 1}}},
    ),
    Case(
        "wrong type",
        with_life("pass", head="self, *, x: int = 1"),
        "refused",
        "must be a whole number, got 'many'",
        {"plugin_options": {"sick": {"x": "many"}}},
        PLUGIN,
    ),
    Case("open raises", with_life("1 / 0"), "listed", "raised in open: ZeroDiv", {}, PLUGIN),
    Case("open exits", with_life("raise SystemExit"), "listed", "raised in open", {}, PLUGIN),
    Case("close raises", with_life("pass", "1 / 0"), "logged", "raised in close", {}, PLUGIN),
    Case(
        "open is async",
        with_life("pass").replace("def open", "async def open"),
        "listed",
        "its open is async",
        {},
        PLUGIN,
    ),
    Case(
        "open of a filter raises",
        with_life("1 / 0").replace("semantic_describe(self)", "semantic_restrict(self, context)"),
        "refused",
        "raised in open: ZeroDivisionError",
        {},
        PLUGIN,
    ),
    # retrievers
    Case(
        "hangs",
        retriever("time.sleep(0.3)"),
        "reason",
        "no answer within 0.05 s",
        {"search_timeout": 0.05},
    ),
    Case("retriever raises", retriever("1 / 0"), "reason", "ZeroDivisionError"),
    Case("retriever exits", retriever("raise SystemExit(3)"), "reason", "SystemExit"),
    Case("list", retriever("return [1]"), "reason", "wanted a Ranking, got list"),
    Case(
        "NaN",
        retriever(f"return Ranking('x', (ChunkId({ONE}, 0),), (float('nan'),))"),
        "reason",
        "finite score",
    ),
    Case("source words", retriever("return Ranking('words')"), "reason", "the source 'words'"),
    Case(
        "1,000 of 100",
        retriever(
            f"ids = tuple(ChunkId({ONE}, n) for n in range(1000))",
            "return Ranking('x', ids, (1.0,) * 1000)",
        ),
        "reason",
        "wanted at most 100 candidates",
    ),
    Case(
        "ids twice",
        retriever(f"return Ranking('x', (ChunkId({ONE}, 0),) * 2, (1.0, 1.0))"),
        "reason",
        "each id once",
    ),
    Case(
        "outside the scope",
        retriever("return Ranking('x', (ChunkId(Ref('secret', '1'), 0),), (1.0,))"),
        "reason",
        "wanted ids within the scope",
    ),
    Case(
        "unknown ids",
        retriever("return Ranking('x', (ChunkId(Ref('notes', 'gone'), 0),), (1.0,))"),
        "dropped",
        "",
    ),
    Case("writes in a search", retriever("store.remove([])", "1 / 0"), "reason", "plugin sick"),
    # rerankers
    Case("reranker raises", reranker("1 / 0"), "closed", "ZeroDivisionError"),
    Case("reranker None", reranker("return None"), "closed", "got NoneType"),
    Case("reranker doubles", reranker("return [*hits, *hits]"), "closed", "each hit once"),
    Case("reranker exits", reranker("raise SystemExit"), "closed", "SystemExit"),
    Case(
        "ordering raises",
        reranker("1 / 0", mark="@hookimpl(orders_only=True)"),
        "reason",
        "ZeroDivisionError",
    ),
    Case(
        "ordering removes",
        reranker("return hits[:1]", mark="@hookimpl(orders_only=True)"),
        "reason",
        "wanted all hits it was given",
    ),
    # middleware and restrictions
    Case("middleware raises", middleware("1 / 0"), "closed", "ZeroDivisionError"),
    Case("middleware None", middleware("return None"), "closed", "wanted SearchResults"),
    Case("middleware exits", middleware("raise SystemExit"), "closed", "SystemExit"),
    Case(
        "middleware is none",
        hook("semantic_search_middleware", "", "return 3"),
        "closed",
        "wanted a function, got int",
    ),
    Case(
        "middleware hook raises",
        hook("semantic_search_middleware", "", "1 / 0"),
        "closed",
        "ZeroDivisionError",
    ),
    Case(
        "middleware widens",
        middleware(
            "import attrs",
            "from semantic_core import Scope",
            "return search(attrs.evolve(request, scope=Scope()))",
        ),
        "dropped",
        "",
    ),
    Case("restrict raises", restriction("1 / 0"), "closed", "ZeroDivisionError"),
    Case("restrict text", restriction("return 'mine'"), "closed", "semantic_restrict"),
    Case("restrict number", restriction("return 7"), "closed", "semantic_restrict"),
    Case("restrict exits", restriction("raise SystemExit"), "closed", "SystemExit"),
    # events
    Case(
        "event raises",
        hook("semantic_event", "event", "1 / 0"),
        "logged",
        "raised in semantic_event: ZeroDivisionError",
    ),
]


class Site:
    """A folder with the plugins sick and well, on the path of this process."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, name: str, source: str | None, point: str) -> None:
        if source is not None:
            (self.root / f"{name}_module.py").write_text(dedent(source), "utf-8")
        info = self.root / f"dist_{name}-1.5.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.5\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(f"[semantic_core]\n{name} = {point}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMANTIC_CORE_STORE", "memory")
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")
    site = Site(tmp_path)
    site.add("well", FINE, "well_module")
    yield site
    for name in ("sick_module", "well_module"):
        sys.modules.pop(name, None)


def opened(**options: Any) -> SemanticCore:
    """A client that uses whatever is installed, with five notes and a secret."""
    core = SemanticCore(store="memory", embedder=HashEmbedder(), **options)
    core.ingest(
        Document(Ref("notes", str(number)), f"Beans climb {number}.") for number in range(5)
    )
    core.ingest(Document(Ref("secret", "1"), "Beans climb in secret."))
    return core


def searched(core: SemanticCore) -> SearchResults:
    """What a search finds; it is what it finds without the broken plugin."""
    results = core.search("beans", collections=["notes"])
    assert sorted(hit.ref.key for hit in results) == ["0", "1", "2", "3", "4"]
    return results


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_broken_plugin_is_named_and_harms_nobody(
    site: Site, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    site.add("sick", case.source, case.point)
    if case.named == "probed":
        limit = 2.0 if case.id == "never ends" else 30.0
        (probe,) = probe_all(["sick"], limit)
        assert case.said in " ".join([probe.cause, *peculiarities(probe)])
        return
    if case.named == "refused":
        with pytest.raises((ConfigError, PluginBroken)) as refused:
            opened(**case.options)
        assert "'sick'" in refused.value.message and case.said in refused.value.message
        return
    with caplog.at_level(logging.WARNING, "semantic_core.plugins"):
        core = opened(**case.options)
        infos = {info.name: info for info in core.plugins()}
        assert infos["well"].status == "ok"
        if case.named == "listed":
            assert infos["sick"].status in ("broken", "incompatible")
            assert case.said in infos["sick"].cause and infos["sick"].remedy
            assert infos["sick"].hooks == () and infos["sick"].provides == {}
            assert not searched(core).degraded
        elif case.named == "closed":
            for _ in range(4):  # an access step is asked each time, however often it fails
                with pytest.raises(HookFailed) as closed:
                    core.search("beans")
                assert "'sick'" in closed.value.message and case.said in str(closed.value)
                assert closed.value.hint
        elif case.named == "reason":
            results = searched(core)
            assert results.degraded and "sick" in results.reason and case.said in results.reason
        else:
            assert not searched(core).degraded
        core.close()
    if case.named == "logged":
        assert any("'sick'" in line and case.said in line for line in caplog.messages)


ENDS = [case for case in CASES if case.named in ("listed", "refused") and not case.options]


@pytest.mark.parametrize("case", ENDS, ids=[case.id for case in ENDS])
@pytest.mark.parametrize("by", ["argument", "environment", "file"])
def test_a_broken_plugin_that_is_asked_for_by_name_is_an_error(
    site: Site, case: Case, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("sick", case.source, case.point)
    options: dict[str, Any] = {}
    if by == "argument":
        options["plugins"] = ["sick"]
    elif by == "environment":
        monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "well,sick")
    else:
        (site.root / "semantic-core.toml").write_text('[plugins]\nuse = ["sick", "well"]\n')
    with pytest.raises(PluginBroken, match="'sick'"):
        SemanticCore.from_config(**options)


@pytest.mark.parametrize("case", [case for case in CASES if case.id in ("hangs", "raises", "list")])
def test_the_command_line_names_it_and_answers(site: Site, case: Case) -> None:
    site.add("sick", case.source, case.point)
    (site.root / "note.txt").write_text("Beans climb.")
    told = call("search", "beans", env={"SEMANTIC_CORE_SEARCH_TIMEOUT": "0.05"})
    assert told.exit_code == 0
    assert "sick" in told.output
    assert call("plugins", "list").exit_code == 0


def test_two_plugins_that_offer_one_name_both_go_on(site: Site) -> None:
    source = f"""{HEAD}
from semantic_core._memory.store import MemoryStore
@hookimpl
def semantic_stores():
    return {{"duck": MemoryStore, "only_{{name}}": MemoryStore}}
@hookimpl
def semantic_retrieve():
    return Ranking("{{name}}")
"""
    for name in ("ant", "bee"):
        site.add(name, source.replace("{name}", name), f"{name}_module")
    core = opened()
    results = searched(core)
    assert not results.degraded
    infos = {info.name: info for info in core.plugins()}
    for name, other in (("ant", "bee"), ("bee", "ant")):
        assert infos[name].status == "conflict"
        assert f"{other} (dist-{other})" in infos[name].cause
        assert infos[name].provides["store"] == (f"only_{name}",)
        assert infos[name].remedy == "pip uninstall dist-bee, or pip uninstall dist-ant" or (
            infos[name].remedy == "pip uninstall dist-ant, or pip uninstall dist-bee"
        )
        assert f"retrieve by {name}" in results.timings
    for name in ("ant_module", "bee_module"):
        sys.modules.pop(name)
