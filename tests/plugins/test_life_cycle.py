"""Plugin objects are opened when the client is ready and closed with it, each once and in order."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from semantic_core import Document, Ref, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core._plugins.life_cycle import LifeCycle
from semantic_core.errors import PluginBroken, StoreMisuse
from semantic_core.testing import HashEmbedder

Act = Callable[[str, Any], None]


def plugin(name: str, act: Act, hook: str = "semantic_describe") -> Any:
    """An object of a class of this name that calls ``act`` at each step of its life."""

    class Plugin:
        def open(self, core: SemanticCore) -> None:
            act(f"open {name}", core)

        def close(self) -> None:
            act(f"close {name}", None)

    setattr(Plugin, hook, hookimpl(_hook(hook)))
    Plugin.__name__ = name
    return Plugin()


def _hook(name: str) -> Any:
    def describes(self: Any) -> None:
        return None

    def reranks(self: Any, hits: Any) -> Any:
        return hits

    return reranks if name == "semantic_rerank" else describes


def opened(*plugins: object, **options: Any) -> SemanticCore:
    return SemanticCore(store="memory", embedder=HashEmbedder(), plugins=list(plugins), **options)


def raises_in(step: str, steps: list[str]) -> Act:
    def act(done: str, _: Any) -> None:
        steps.append(done)
        if done == step:
            raise RuntimeError(f"no luck in {step}")

    return act


def test_plugins_are_opened_in_order_and_closed_in_reverse() -> None:
    steps: list[str] = []
    act = raises_in("", steps)
    core = opened(plugin("b", act), plugin("c", act), plugin("a", act))
    assert steps == ["open a", "open b", "open c"]
    core.close()
    core.close()
    assert steps[3:] == ["close c", "close b", "close a"]


def test_open_gets_a_client_that_works_and_close_comes_before_the_store_is_closed() -> None:
    found: list[str] = []

    def act(step: str, core: Any) -> None:
        if core is not None:
            held.append(core)
            core.ingest(Document(Ref("notes", "1"), "Beans climb."))
        found.append(held[0].search("beans")[0].text)

    held: list[SemanticCore] = []
    core = opened(plugin("a", act))
    assert held == [core]
    core.close()
    assert found == ["Beans climb.", "Beans climb."]
    with pytest.raises(StoreMisuse):
        core.search("beans")


def test_clients_of_one_tenant_and_in_memory_share_the_plugins_and_close_none() -> None:
    steps: list[str] = []
    core = opened(plugin("a", raises_in("", steps)), multi_tenant=True)
    core.tenant("acme").close()
    core.in_memory().close()
    core.unrestricted().close()
    with core.tenant("acme") as acme:
        acme.search("beans")
    assert steps == ["open a"]
    core.close()
    assert steps == ["open a", "close a"]


def test_a_followers_last_work_is_done_before_plugins_are_closed() -> None:
    steps: list[str] = []

    class Worker:
        def sync(self, *_: Any, **__: Any) -> Any: ...

        def close(self) -> None:
            steps.append("close follower")

    core = opened(plugin("a", raises_in("", steps)))
    core.follow(Worker())
    core.close()
    assert steps == ["open a", "close follower", "close a"]


def test_a_given_plugin_that_cannot_be_opened_is_an_error_and_everything_is_closed_again() -> None:
    steps: list[str] = []
    act = raises_in("open b", steps)
    with pytest.raises(PluginBroken) as caught:
        opened(plugin("a", act), plugin("b", act), plugin("c", act))
    assert caught.value.message == (
        "The plugin 'b' cannot take part: it raised in open: RuntimeError: no luck in open b."
    )
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert steps == ["open a", "open b", "open c", "close c", "close a"]


def test_the_store_of_a_client_that_could_not_be_opened_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[object] = []
    monkeypatch.setattr(MemoryStore, "close", lambda store: closed.append(store))
    with pytest.raises(PluginBroken):
        opened(plugin("a", raises_in("open a", [])))
    assert len(closed) == 1


def test_a_failing_close_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[str] = []
    act = raises_in("close b", steps)
    core = opened(plugin("a", act), plugin("b", act), plugin("c", act))
    with caplog.at_level(logging.WARNING, "semantic_core.plugins"):
        core.close()
    assert steps[3:] == ["close c", "close b", "close a"]
    assert caplog.messages == ["Plugin 'b' raised in close: RuntimeError: no luck in close b"]
    with pytest.raises(StoreMisuse):
        core.search("beans")


@pytest.mark.parametrize("step", ["open b", "close b"])
def test_a_person_may_interrupt_and_the_others_are_closed(step: str) -> None:
    steps: list[str] = []

    def act(done: str, _: Any) -> None:
        steps.append(done)
        if done == step:
            raise KeyboardInterrupt

    plugins = [plugin("a", act), plugin("b", act), plugin("c", act)]
    with pytest.raises(KeyboardInterrupt):
        opened(*plugins).close()
    assert "close a" in steps and steps[-1] == "close a"


def test_a_module_has_no_life_cycle() -> None:
    module = type(sys)("noted")
    module.semantic_describe = hookimpl(lambda: None)  # type: ignore[attr-defined]
    module.open = module.close = 1 / 1  # type: ignore[attr-defined]
    module.open = lambda *args: pytest.fail("open of a module was called")  # type: ignore[attr-defined]
    opened(module).close()


@pytest.mark.parametrize("step", ["open", "close"])
def test_an_async_open_or_close_is_refused(step: str) -> None:
    one = plugin("a", raises_in("", []))

    async def asynchronous(self: Any, core: Any = None) -> None: ...

    setattr(type(one), step, asynchronous)
    with pytest.raises(PluginBroken, match=f"its {step} is async"):
        opened(one)


# Installed plugins

BROKEN = """
from semantic_core import hookimpl
class Plugin:
    def open(self, core):
        raise ConnectionError("the directory does not answer")
    def close(self):
        raise AssertionError("it was never open")
    {marked}
    def {hook}(self{arguments}):
        raise AssertionError("it is broken")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("SEMANTIC_CORE_PLUGINS", raising=False)
    yield tmp_path
    sys.modules.pop("broken_module", None)


def add(site: Path, hook: str, arguments: str = "", marked: str = "@hookimpl") -> None:
    source = BROKEN.format(hook=hook, arguments=arguments, marked=marked)
    (site / "broken_module.py").write_text(source)
    info = site / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[semantic_core]\nbroken = broken_module:Plugin\n")


def core_of(**options: Any) -> SemanticCore:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), **options)
    core.ingest(Document(Ref("notes", "1"), "Beans climb."))
    return core


@pytest.mark.parametrize(
    ("hook", "marked"),
    [
        ("semantic_describe", "@hookimpl"),
        ("semantic_retrieve", "@hookimpl"),
        ("semantic_rerank", "@hookimpl(orders_only=True)"),
    ],
)
def test_an_installed_plugin_that_cannot_be_opened_is_reported_and_left_out(
    site: Path, hook: str, marked: str
) -> None:
    add(site, hook, marked=marked)
    with core_of() as core:
        info = next(info for info in core.plugins() if info.name == "broken")
        assert (info.status, info.hooks, info.provides) == ("broken", (), {})
        assert info.cause == ("it raised in open: ConnectionError: the directory does not answer")
        assert "pip install --upgrade broken" in info.remedy
        results = core.search("beans")
        assert len(results) == 1 and not results.degraded


@pytest.mark.parametrize(
    "hook", ["semantic_rerank", "semantic_restrict", "semantic_search_middleware"]
)
def test_an_installed_plugin_that_may_hide_documents_must_open(site: Path, hook: str) -> None:
    add(site, hook)
    with pytest.raises(PluginBroken, match="the directory does not answer"):
        core_of()


@pytest.mark.parametrize(
    "options", [{"plugins": ["broken"]}, {"plugins": ["*"]}, {"plugin_options": {"broken": {}}}]
)
def test_a_plugin_asked_for_by_name_must_open(site: Path, options: Any) -> None:
    add(site, "semantic_describe")
    if options == {"plugins": ["broken"]}:
        with pytest.raises(PluginBroken, match="the directory does not answer"):
            core_of(**options)
    else:  # "*" and an empty table ask for nothing
        core_of(**options).close()


def test_a_plugin_that_cannot_be_opened_offers_nothing_any_more(site: Path) -> None:
    add(site, "semantic_readers")
    source = (site / "broken_module.py").read_text()
    reads = "return {'.beans': lambda file: file.document('read by a broken plugin')}"
    (site / "broken_module.py").write_text(
        source.replace('raise AssertionError("it is broken")', reads)
    )
    (site / "a.beans").write_text("Beans climb.")
    with core_of() as core:
        assert next(i for i in core.plugins() if i.name == "broken").status == "broken"
        core.ingest_file(site / "a.beans")
        assert not any(
            "broken plugin" in hit.text for hit in core.search("read by a broken plugin")
        )


def test_without_plugin_objects_there_is_nothing_to_open_or_close() -> None:
    life = LifeCycle([])
    assert life.open(object()) == []
    life.close()
