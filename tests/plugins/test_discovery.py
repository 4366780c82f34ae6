"""Discovery: whatever is wrong with a plugin is reported with its remedy, and the other plugins
still work.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner, Result

from semantic_core import Document, Ref, SemanticCore, Space, hookimpl
from semantic_core._plugins.discovery import built_in, given, installed, missing
from semantic_core._plugins.host import Plugins
from semantic_core._plugins.records import PluginInfo
from semantic_core._plugins.validation import parts_of
from semantic_core._validation import one_line
from semantic_core.cli import cli
from semantic_core.cli.plugins import plugins as command
from semantic_core.errors import PluginBroken, PluginConflict, ProviderNotFound
from semantic_core.hookspecs import API_VERSION, hook_names

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
from semantic_core import hookimpl

@hookimpl
def semantic_split(document, max_chars):
    return None
"""


class Site:
    """A folder with installed distributions, on the path of this process."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self,
        name: str,
        source: str | None = GOOD,
        *,
        distribution: str = "",
        point: str = "",
        metadata: str | None = None,
        requires: tuple[str, ...] = (),
        points: bytes | None = None,
    ) -> None:
        """A distribution with one plugin. source: of its module site_<name>;
        None leaves the module out.
        """
        module = f"site_{name}"
        distribution = distribution or f"dist-{name}"
        if source is not None:
            (self.root / f"{module}.py").write_text(dedent(source), "utf-8")
        folder = self.root / f"{distribution.replace('-', '_')}-1.5.dist-info"
        folder.mkdir()
        told = [
            f"Name: {distribution}",
            "Version: 1.5",
            *(f"Requires-Dist: {line}" for line in requires),
        ]
        if metadata is None:
            metadata = "\n".join(
                ["Metadata-Version: 2.1", *told, "", "Version: 9 is only said in the text"]
            )
        if metadata:
            (folder / "METADATA").write_text(metadata, "utf-8")
        (folder / "entry_points.txt").write_bytes(
            points
            if points is not None
            else f"[semantic_core]\n{name} = {point or module}\n".encode()
        )
        importlib.invalidate_caches()

    def infos(self, wanted: set[str] | None = None) -> dict[str, PluginInfo]:
        """The plugins of this folder by name; for twins, the last."""
        ours = {
            folder.name.split("-")[0].replace("_", "-") for folder in self.root.glob("*.dist-info")
        }
        return {
            one.info.name: one.info
            for one in installed(wanted, ())
            if one.info.distribution in ours
        }


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("SEMANTIC_CORE_PLUGINS", raising=False)
    yield Site(tmp_path)
    for name in [name for name in sys.modules if name.startswith("site_")]:
        del sys.modules[name]


def fault(site: Site, source: str | None, **options: Any) -> PluginInfo:
    """What is said of a plugin with this source; and a healthy neighbour must not have noticed."""
    site.add("sick", source, **options)
    site.add("well")
    infos = site.infos()
    assert infos["well"].status == "ok"
    sick = infos["sick"]
    assert sick.cause and sick.remedy and "\n" not in sick.cause + sick.remedy
    assert sick.hooks == () and sick.provides == {}
    return sick


def test_a_good_plugin_is_found_with_its_version_distribution_and_hooks(site: Site) -> None:
    site.add("well")
    info = site.infos()["well"]
    assert (info.version, info.distribution, info.api_version) == ("1.5", "dist-well", API_VERSION)
    assert (info.status, info.cause, info.remedy, info.origin) == ("ok", "", "", "installed")
    assert info.hooks == ("semantic_split",)


def test_a_class_and_an_object_are_plugins_too(site: Site) -> None:
    source = """
    from semantic_core import hookimpl
    class Splitter:
        @hookimpl
        def semantic_split(self, document): return None
        @staticmethod
        @hookimpl
        def semantic_stores(): return {}
    holder = Splitter()
    """
    site.add("object", source, point="site_object:holder")
    site.add("class", source, point="site_class:Splitter")
    hooks = {name: info.hooks for name, info in site.infos().items()}
    assert hooks == dict.fromkeys(["object", "class"], ("semantic_stores", "semantic_split"))


def test_plugins_come_in_order_of_name_whatever_the_order_of_installation(site: Site) -> None:
    for name in ("zebra", "ant", "mole"):
        site.add(name)
    assert list(site.infos()) == ["ant", "mole", "zebra"]


def test_a_missing_dependency_is_told_from_a_missing_plugin(site: Site) -> None:
    needs = fault(site, "import no_such_library.part")
    assert needs.cause == "it needs the module 'no_such_library', which is not installed"
    assert needs.remedy == "pip install no_such_library"
    site.add("gone", None)
    gone = site.infos()["gone"]
    assert gone.cause == "its own module 'site_gone' is not there"
    assert gone.remedy == "pip install --force-reinstall dist-gone"


def test_the_command_names_the_distribution_that_has_the_module_when_requirements_know_it(
    site: Site,
) -> None:
    sick = fault(
        site,
        "import no_such_yaml",
        requires=("pyno-such-yaml>=6", "attrs>=20", "absent; extra == 'x'"),
    )
    assert sick.remedy == 'pip install "pyno-such-yaml>=6"'


def test_an_import_error_names_requirements_that_are_not_installed(site: Site) -> None:
    requires = ("no-such-yaml>=6,<7", "attrs>=20", "absent; extra == 'x'")
    sick = fault(site, "raise ImportError('yaml is needed')", requires=requires)
    assert sick.cause == "ImportError: yaml is needed; no-such-yaml is not installed"
    assert sick.remedy == 'pip install "no-such-yaml>=6,<7"'


def test_a_dependency_that_is_too_old_is_updated_along_with_the_plugin(site: Site) -> None:
    sick = fault(site, "from attrs import no_such_name", requires=("attrs>=9999.1",))
    assert sick.cause.startswith("ImportError: cannot import name 'no_such_name' from 'attrs'")
    assert sick.remedy == "pip install --upgrade dist-sick"


def test_a_plugin_whose_offer_fails_takes_part_in_nothing(site: Site) -> None:
    offers = (
        "@hookimpl\ndef semantic_stores(): return ['x']\n@hookimpl\n"
        "def semantic_embedders(): raise OSError('no')\n"
    )
    site.add("sick", GOOD.replace("return None", "raise AssertionError('asked')") + offers)
    loaded = Plugins.load()
    info = next(info for info in loaded.infos if info.name == "sick")
    assert (info.status, info.hooks, info.provides) == ("broken", (), {})
    assert info.cause == "semantic_stores: wanted {name: factory}, got list"
    assert info.remedy == "pip install --upgrade dist-sick"
    assert len(loaded.split(Document(Ref("notes", "1"), "text"), 50)) == 1
    with pytest.raises(PluginBroken, match="the plugin 'sick' is broken: semantic_stores: wanted"):
        loaded.create_store("sick", Space("hash", 8), {})


def test_a_broken_or_disabled_plugin_is_named_when_its_provider_is_asked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("llama", "import no_such_library", distribution="semantic-core-alpaca")
    with pytest.raises(
        PluginBroken,
        match="'alpaca' is not there: the plugin 'llama' is broken: .* pip install no_such_lib",
    ):
        Plugins.load().create_embedder("alpaca", {})
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "none")
    told = (
        r"The plugin 'llama' is disabled: left out by the plugins setting \(.*\)\. Add "
        r"llama to that setting"
    )
    with pytest.raises(ProviderNotFound, match=told):
        Plugins.load().create_embedder("llama", {})


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (
            "raise ValueError('first line\\nsecond')",
            "ValueError: first line second (T/site_sick.py:1)",
        ),
        ("raise SystemExit(3)", "it called sys.exit(3) while it was imported"),
        (
            "import sys; sys.exit('usage: x')",
            "it called sys.exit('usage: x') while it was imported",
        ),
        ("def f(:", "syntax error in T/site_sick.py, line 1: invalid syntax"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("class Odd(BaseException): pass\nraise Odd", "Odd (T/site_sick.py:2)"),
        (
            "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
            "Mute: (its message cannot be read) (T/site_sick.py:3)",
        ),
        (
            "raise ModuleNotFoundError('handmade')",
            "ModuleNotFoundError: handmade (T/site_sick.py:1)",
        ),
    ],
)
def test_whatever_happens_on_import_is_a_cause_in_one_line(
    site: Site, source: str, cause: str
) -> None:
    sick = fault(site, source)
    assert sick.status == "broken"
    assert sick.cause.startswith(cause.replace("T/", f"{site.root.name}/"))
    assert sick.remedy == "pip install --upgrade dist-sick"


def test_a_person_may_interrupt_an_import_and_the_plugin_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("slow", "raise KeyboardInterrupt")
    monkeypatch.chdir(site.root)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        site.infos()
    note = "while the plugin 'slow' of dist-slow was imported"
    assert interrupted.value.__notes__ == [note]
    result = CliRunner().invoke(cli, ["plugins", "list"])
    assert (result.exit_code, result.stderr) == (130, f"\nInterrupted {note}.\n")


@pytest.mark.parametrize(
    ("point", "cause", "remedy"),
    [
        (
            "site_sick:nothing",
            "its entry point is 'site_sick:nothing', and site_sick has no 'nothing'",
            "Correct the entry point in dist-sick's pyproject.toml and install it again. "
            "Not yours? pip install --upgrade dist-sick",
        ),
        ("site_sick:hookimpl.nothing", "its entry point is 'site_sick:hookimpl.nothing', and", ""),
        ("site_sick:semantic_splt", "its entry point", "Correct the entry point"),
        ("not a module!", "", ""),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named(
    site: Site, point: str, cause: str, remedy: str
) -> None:
    sick = fault(site, GOOD, point=point)
    assert sick.cause.startswith(cause)
    assert sick.remedy.startswith(remedy)


def test_a_missing_attribute_of_another_module_is_no_fault_of_the_entry_point(site: Site) -> None:
    sick = fault(site, "import os\nos.nothing", point="site_sick:plugin")
    assert sick.cause.startswith("AttributeError: module 'os' has no attribute 'nothing'")
    assert sick.remedy == "pip install --upgrade dist-sick"


STORE_OF = """
from semantic_core import hookimpl
from semantic_core._memory.store import MemoryStore

class Store(MemoryStore):
    made_by = {name!r}

@hookimpl
def semantic_stores():
    return {{"sqlite": lambda space: Store(space)}}
"""


def test_the_default_store_is_ours_whatever_a_third_party_offers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the distribution the name comes with, not by the name of an entry point."""
    site.add("ours", STORE_OF.format(name="ours"), distribution="semantic-core-peewee")
    for name in ("aaa", "sqlite"):
        site.add(name, STORE_OF.format(name=name))
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "aaa,ours,sqlite")
    monkeypatch.chdir(site.root)
    with SemanticCore(embedder=None) as core:
        assert core.store.made_by == "ours"  # type: ignore[attr-defined]
        infos = {info.name: info for info in core.plugins()}
    assert (infos["ours"].status, infos["ours"].provides) == ("ok", {"store": ("sqlite",)})
    for name in ("aaa", "sqlite"):
        assert infos[name].status == "conflict"
        assert infos[name].cause == (
            "its store 'sqlite' is not used, because that name belongs to "
            "ours (semantic-core-peewee)"
        )
        assert infos[name].remedy == f"pip uninstall dist-{name}"
        assert infos[name].hooks == ("semantic_stores",)
    assert "conflict" in run("list").stdout


def test_a_third_party_store_never_replaces_the_default_store(site: Site) -> None:
    """Where ours is not installed, or broken."""
    site.add("sqlite", STORE_OF.format(name="sqlite"))
    for source in (None, "raise OSError"):
        if source:
            site.add("ours", source, distribution="semantic-core-peewee")
        loaded = Plugins.load(["sqlite", *(["ours"] if source else [])], refuse=False)
        with pytest.raises((ProviderNotFound, PluginBroken), match="sqlite"):
            loaded.create_store("sqlite", Space("hash", 4), {})


def test_two_third_party_plugins_of_one_name_are_each_told_of_the_other(site: Site) -> None:
    for name in ("ant", "bee"):
        site.add(name, STORE_OF.replace("sqlite", "duck").format(name=name))
    loaded = Plugins.load(["ant", "bee"])
    infos = {info.name: info for info in loaded.infos}
    assert infos["ant"].remedy == "pip uninstall dist-bee, or pip uninstall dist-ant"
    assert "because bee (dist-bee) offers one of that name, too" in infos["ant"].cause
    with pytest.raises(PluginConflict, match=r"ant \(dist-ant\) and bee \(dist-bee\)") as refused:
        loaded.create_store("duck", Space("hash", 4), {})
    assert "SEMANTIC_CORE_PLUGINS" in refused.value.hint
    assert Plugins.load(["bee"]).create_store("duck", Space("hash", 4), {}).made_by == "bee"  # type: ignore[attr-defined]


HOOK = "from semantic_core import hookimpl\n@hookimpl\n"


@pytest.mark.parametrize(
    ("source", "cause", "remedy"),
    [
        (
            HOOK + "def semantic_splitt(document): return None",
            (
                "semantic_splitt is marked as a hook, and no hook has that name. Did you mean "
                "'semantic_split'?"
            ),
            "Rename it to semantic_split.",
        ),
        (
            HOOK + "def read_it(document): return None",
            "read_it is marked as a hook, and no hook has that name",
            "Rename it;",
        ),
        (
            "def semantic_split(document): return None",
            "semantic_split is not marked as a hook",
            "Write @hookimpl",
        ),
        (
            (
                "import pluggy\n@pluggy.HookimplMarker('semantic-core')\n"
                "def semantic_split(document): return None"
            ),
            "semantic_split is not marked as a hook",
            "Write @hookimpl",
        ),
        (
            GOOD + "def semantic_retreive(request): return None",
            (
                "semantic_retreive begins with 'semantic_' as hooks do, and no hook has "
                "that name. Did you mean"
            ),
            "Rename it to semantic_retrieve.",
        ),
        (
            HOOK + "def semantic_split(document, max_char): return None",
            (
                "semantic_split takes 'max_char', which semantic_split does not have. "
                "Did you mean 'max_chars'?"
            ),
            "Its parameters are: document, max_chars.",
        ),
        (
            HOOK + "def semantic_split(document, max_char=9): return None",
            "semantic_split takes 'max_char', which semantic_split does not have.",
            "Its parameters are: document, max_chars.",
        ),
        (
            HOOK + "def semantic_stores(space): return {}",
            "semantic_stores takes 'space', which semantic_stores does not have.",
            "Its parameters are: none.",
        ),
        (
            (
                "from semantic_core import hookimpl\n@hookimpl(wrapper=True)\n"
                "def semantic_rerank(hits): return hits"
            ),
            "semantic_rerank is marked as a wrapper and has no yield",
            "Write result = yield",
        ),
        (
            HOOK + "def semantic_rerank(hits): return (yield)",
            "semantic_rerank has a yield and is no wrapper",
            "Return a list",
        ),
        (
            (
                "from semantic_core import hookimpl\n@hookimpl(hookwrapper=True)\n"
                "def semantic_rerank(hits): yield"
            ),
            "semantic_rerank is an old-style wrapper",
            "Write wrapper=True",
        ),
        (
            (
                "from semantic_core import hookimpl\n@hookimpl(wrapper=True)\n"
                "def semantic_stores(): return (yield)"
            ),
            "semantic_stores cannot be wrapped: every plugin answers for itself",
            "Wrap semantic_rerank",
        ),
        (
            HOOK + "async def semantic_split(document): return None",
            "semantic_split is async",
            "Write def",
        ),
        ("x = 1", "it takes part in no hook", "Mark its functions with @hookimpl"),
    ],
)
def test_what_pluggy_would_take_in_silence_is_refused(
    site: Site, source: str, cause: str, remedy: str
) -> None:
    sick = fault(site, source)
    assert (sick.status, sick.api_version) == ("broken", 0)
    assert sick.cause.startswith(cause)
    assert sick.remedy.startswith(remedy)
    assert sick.remedy.endswith("Not yours? pip install --upgrade dist-sick")


def test_a_method_without_self_is_refused(site: Site) -> None:
    source = (
        "from semantic_core import hookimpl\nclass P:\n    @hookimpl\n"
        "    def semantic_split(document, max_chars): ..."
    )
    assert (
        fault(site, source, point="site_sick:P").cause == "semantic_split is a method without self"
    )


def test_a_hook_may_be_any_callable_of_a_module_or_class(site: Site) -> None:
    source = """
    from functools import lru_cache, partial
    from semantic_core import hookimpl
    @hookimpl
    @lru_cache
    def semantic_stores(): return {}
    class P:
        semantic_split = staticmethod(hookimpl(partial(lambda document: None)))
        semantic_fuse = staticmethod(hookimpl(lambda rankings: None))
    """
    site.add("module", source)
    site.add("class", source, point="site_class:P")
    infos = site.infos()
    assert infos["module"].hooks == ("semantic_stores",)
    assert infos["class"].hooks == ("semantic_split", "semantic_fuse")


def test_a_constructor_that_fails_is_named(site: Site) -> None:
    source = "class P:\n    def __init__(self): raise OSError('no disk')"
    assert (
        fault(site, source, point="site_sick:P").cause == "it cannot be examined: OSError: no disk"
    )


def test_a_constructor_that_refuses_its_options_says_why_and_what_to_do(site: Site) -> None:
    source = (
        "from semantic_core.errors import ConfigError\n"
        "def made(*, path: str = 'nope') -> object:\n"
        "    raise ConfigError('There is no folder.', hint='Make one.')"
    )
    found = fault(site, source, point="site_sick:made")
    assert found.cause == "There is no folder"
    assert found.remedy.startswith("Make one.")


def test_a_hook_of_a_later_release_may_be_optional(site: Site) -> None:
    site.add(
        "ahead",
        (
            "from semantic_core import hookimpl\n@hookimpl(optionalhook=True)\n"
            "def semantic_graph(x): return None"
        ),
    )
    assert site.infos()["ahead"].status == "ok"


def test_a_helper_from_elsewhere_may_have_a_name_like_a_hook(site: Site) -> None:
    (site.root / "site_library.py").write_text("def semantic_search(query): return []", "utf-8")
    site.add(
        "well",
        (
            "from site_library import semantic_search\n"
            "from semantic_core.hookspecs import semantic_fuse\n"
        )
        + GOOD,
    )
    assert site.infos()["well"].hooks == ("semantic_split",)


def test_a_function_may_have_another_name_than_its_hook(site: Site) -> None:
    source = (
        "from semantic_core import hookimpl\n@hookimpl(specname='semantic_split')\n"
        "def cut(document): return None"
    )
    site.add("renamed", source)
    assert site.infos()["renamed"].hooks == ("semantic_split",)


@pytest.mark.parametrize(
    ("stated", "api_version", "cause", "remedy"),
    [
        (
            "2",
            2,
            "it is written for version 2 of the hooks, this is 1",
            "pip install --upgrade semantic-core-kernel",
        ),
        (
            "0",
            0,
            "it is written for version 0 of the hooks, this is 1",
            "pip install --upgrade dist-sick",
        ),
        (
            "'1'",
            0,
            "SEMANTIC_CORE_API must be an int, got '1'",
            "Write 1. Not yours? pip install --upgrade dist-sick",
        ),
        (
            "True",
            0,
            "SEMANTIC_CORE_API must be an int, got True",
            "Write 1. Not yours? pip install --upgrade dist-sick",
        ),
    ],
)
def test_another_api_version_is_incompatible(
    site: Site, stated: str, api_version: int, cause: str, remedy: str
) -> None:
    sick = fault(site, f"SEMANTIC_CORE_API = {stated}\n{GOOD}")
    assert (sick.status, sick.api_version, sick.cause, sick.remedy) == (
        "incompatible",
        api_version,
        cause,
        remedy,
    )


def test_the_api_version_may_be_stated(site: Site) -> None:
    site.add("well", f"SEMANTIC_CORE_API = {API_VERSION}\n{GOOD}")
    assert site.infos()["well"].status == "ok"


def test_two_plugins_of_one_name_are_both_refused_and_both_distributions_named(site: Site) -> None:
    site.add("same", distribution="dist-one")
    site.add("same", distribution="dist-two")
    twins = [one.info for one in installed(None, ()) if one.info.name == "same"]
    assert [info.distribution for info in twins] == ["dist-one", "dist-two"]
    for info in twins:
        assert info.status == "broken"
        assert (
            info.cause
            == "more than one plugin is called 'same' (dist-one and dist-two); none of them is used"
        )
        assert info.remedy == f"pip uninstall {info.distribution}"
    assert "site_same" not in sys.modules


def test_a_plugin_may_not_take_a_name_of_the_kernel(site: Site) -> None:
    site.add("core.text", GOOD, distribution="dist-thief", point="site_core")
    info = next(info for info in Plugins.load().infos if info.distribution == "dist-thief")
    assert (info.status, info.cause) == ("broken", "its name is one of the kernel's own")


def test_one_object_named_twice_is_asked_once(site: Site) -> None:
    site.add("first")
    site.add("second", None, point="site_first")
    infos = site.infos()
    assert infos["first"].status == "ok"
    assert infos["second"].cause == "it is the very same object as plugin 'first'"


@pytest.mark.parametrize(
    "metadata", ["", "Metadata-Version: 2.1\n\nVersion: 9 is only said in the text", "\ufeff\x00"]
)
def test_a_distribution_without_readable_metadata_is_used_all_the_same(
    site: Site, metadata: str
) -> None:
    site.add("bare", metadata=metadata)
    info = next(one.info for one in installed(None, ()) if one.info.name == "bare")
    assert (info.status, info.version, info.distribution) == ("ok", "", "site-bare")


def test_damaged_entry_points_stop_nobody_else(site: Site) -> None:
    site.add("foreign", points=b"\xff\xfe\x00[")
    site.add("ours", distribution="semantic-core-ours", points=b"\xff\xfe\x00[")
    site.add("well")
    infos = site.infos()
    assert set(infos) == {"well", "semantic-core-ours"}
    assert infos["well"].status == "ok"
    assert infos["semantic-core-ours"].cause.startswith(
        "its entry points cannot be read: UnicodeDecodeError"
    )


def test_a_disabled_plugin_is_not_even_imported(site: Site) -> None:
    site.add("wanted")
    site.add("heavy", "raise SystemExit")
    infos = site.infos({"wanted"})
    assert (infos["wanted"].status, infos["heavy"].status) == ("ok", "disabled")
    assert infos["heavy"].remedy == "Add heavy to that setting, or unset it."
    assert "site_heavy" not in sys.modules


@pytest.mark.parametrize(
    ("setting", "status"),
    [
        (None, {"ant": "ok", "bee": "ok"}),
        ("", {"ant": "disabled", "bee": "disabled"}),
        ("None", {"ant": "disabled", "bee": "disabled"}),
        (" bee ,", {"ant": "disabled", "bee": "ok"}),
        ("ant,bee", {"ant": "ok", "bee": "ok"}),
    ],
)
def test_the_environment_chooses_among_the_installed(
    site: Site, monkeypatch: pytest.MonkeyPatch, setting: str | None, status: dict[str, str]
) -> None:
    site.add("ant")
    site.add("bee")
    if setting is not None:
        monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", setting)
    assert {
        info.name: info.status for info in Plugins.load().infos if info.name in status
    } == status


def test_a_name_in_the_environment_that_is_not_installed_is_listed_with_what_was_meant(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("anteater")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "antaeter")
    infos = {info.name: info for info in Plugins.load(refuse=False).infos}
    assert infos["antaeter"].cause.endswith("Did you mean 'anteater'?")


def test_a_plugin_of_ours_that_is_not_installed_comes_with_its_command() -> None:
    (absent,) = missing(["gemini"], [])
    assert absent.status == "broken"
    assert absent.remedy == 'pip install "semantic-core-kernel[gemini]"'


def test_given_names_are_installed_plugins_and_the_rest_is_disabled(site: Site) -> None:
    site.add("ant")
    site.add("bee")
    infos = {info.name: info for info in Plugins.load(["ant"]).infos}
    assert (infos["ant"].status, infos["ant"].origin, infos["bee"].status) == (
        "ok",
        "installed",
        "disabled",
    )
    with pytest.raises(PluginBroken, match="'amt' was asked for: .* Did you mean 'ant'"):
        Plugins.load(["amt"])


NEWER = f"SEMANTIC_CORE_API = {API_VERSION + 1}\n{GOOD}"
OFFERS_RUBBISH = """
from semantic_core import hookimpl
@hookimpl
def semantic_embedders():
    return 5
"""


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise OSError('no key')", "broken: OSError: no key"),
        (NEWER, f"incompatible: it is written for version {API_VERSION + 1} of the hooks"),
        (OFFERS_RUBBISH, "broken: semantic_embedders: wanted {name: factory}, got int"),
        (None, "broken: its own module 'site_sick' is not there"),
    ],
)
@pytest.mark.parametrize("way", ["environment", "argument", "settings file"])
def test_a_plugin_asked_for_by_name_that_cannot_take_part_is_an_error(
    site: Site, monkeypatch: pytest.MonkeyPatch, way: str, source: str | None, cause: str
) -> None:
    site.add("sick", source)
    site.add("well")
    monkeypatch.chdir(site.root)
    options: dict[str, Any] = {"store": "memory", "embedder": "none"}
    if way == "environment":
        monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "well,sick")
    elif way == "argument":
        options["plugins"] = ["well", "sick"]
    else:
        (site.root / "semantic-core.toml").write_text('plugins = ["well", "sick"]', "utf-8")
    with pytest.raises(PluginBroken) as refused:
        SemanticCore.from_config(**options)
    assert str(refused.value).startswith(f"The plugin 'sick' was asked for and is {cause}")
    assert "pip install" in refused.value.hint
    status = {info["name"]: info["status"] for info in json.loads(run("list", "--json").stdout)}
    assert status["well"] == "ok"
    assert way == "argument" or status["sick"] == cause.partition(":")[0]


def test_a_name_in_the_environment_that_is_not_installed_is_an_error_of_a_core(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("anteater")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "antaeter")
    with pytest.raises(PluginBroken, match="'antaeter' was asked for .* Did you mean 'anteater'"):
        SemanticCore(store="memory", embedder=None)


class Cutter:
    @hookimpl
    def semantic_split(self, document: Any) -> None:
        return None


def test_given_objects_go_by_the_name_of_their_class_and_keep_the_installed_out(site: Site) -> None:
    site.add("ant")
    infos = Plugins.load([Cutter()]).infos
    assert [(info.name, info.origin) for info in infos if info.origin != "built in"] == [
        ("Cutter", "given")
    ]
    assert [info.name for info in Plugins.load([]).infos] == [one.info.name for one in built_in()]


def test_a_given_object_that_cannot_take_part_raises() -> None:
    class Typo:
        @hookimpl
        def semantic_spilt(self, document: Any) -> None:
            return None

    with pytest.raises(
        PluginBroken,
        match="'Typo' cannot take part: semantic_spilt .* Did you mean 'semantic_split'",
    ):
        Plugins.load([Typo()])
    with pytest.raises(PluginConflict, match="Two plugins are called 'Cutter'"):
        Plugins.load([Cutter(), Cutter()])
    with pytest.raises(PluginBroken, match="must be a sequence"):
        given("markdown", ())


def test_a_plugin_that_fails_whenever_it_is_looked_at_is_refused() -> None:
    class Trap:
        def __dir__(self) -> list[str]:
            raise RuntimeError("go away")

    with pytest.raises(PluginBroken, match="it cannot be examined: RuntimeError: go away"):
        Plugins.load([Trap()])


def test_properties_of_a_plugin_are_not_run() -> None:
    class Watched(Cutter):
        @property
        def settings(self) -> str:
            raise AssertionError("was run")

    assert len(parts_of(Watched())) == 1


def test_the_hooks_come_in_the_order_of_a_life_cycle() -> None:
    order = list(hook_names())
    for info in Plugins.load([]).infos:
        assert list(info.hooks) == sorted(info.hooks, key=order.index)


def test_a_cause_is_one_line_of_bounded_length() -> None:
    line = one_line(ValueError("x " * 5_000))
    assert len(line) == 240 and line.endswith("…")
    assert one_line(KeyError()) == "KeyError"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


@pytest.fixture
def shelf(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A good plugin with an embedder, a broken one, and the kernel's own;
    the installed ones are left out.
    """
    site.add(
        "words",
        """
        from typing import Annotated
        from semantic_core import hookimpl
        def make(
            size: Annotated[int, "numbers per vector"] = 64,
            *,
            api_key: str = "tell-nobody",
            model: str,
        ): ...
        @hookimpl
        def semantic_embedders(): return {"tiny": make}
        """,
    )
    site.add("sick", "print('hello from a plugin')\nimport no_such_library")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "words,sick")
    monkeypatch.chdir(site.root)
    return site


def test_list_shows_every_plugin_and_under_it_what_is_wrong(shelf: Site) -> None:
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "STATUS", "PROVIDES", "HOOKS", "DISTRIBUTION"]
    rows = {line.split()[0]: line.split() for line in lines[1:] if line}
    assert rows["words"] == ["words", "1.5", "ok", "embedder:", "tiny", "embedders", "dist-words"]
    at = lines.index(
        "sick is broken: it needs the module 'no_such_library', which is not installed"
    )
    assert lines[at + 1].split(maxsplit=1) == ["remedy", "pip install no_such_library"]


def test_list_as_json_holds_every_field_and_nothing_a_plugin_prints(shelf: Site) -> None:
    result = run("list", "--json")
    assert result.exit_code == 0
    infos = {info["name"]: info for info in json.loads(result.stdout)}
    assert infos["words"] == {
        "name": "words",
        "version": "1.5",
        "distribution": "dist-words",
        "api_version": 1,
        "status": "ok",
        "cause": "",
        "remedy": "",
        "hooks": ["semantic_embedders"],
        "provides": {"embedder": ["tiny"]},
        "origin": "installed",
    }
    assert infos["sick"]["remedy"] == "pip install no_such_library"
    assert "hello from a plugin" in result.stderr


def test_show_adds_the_options_and_hides_secrets(shelf: Site) -> None:
    options = json.loads(run("show", "words", "--json").stdout)["options"]["embedder"]["tiny"]
    assert options == [
        {"name": "size", "type": "int", "default": "64", "doc": "numbers per vector"},
        {"name": "api_key", "type": "str", "default": "'***'", "doc": ""},
        {"name": "model", "type": "str", "default": "required", "doc": ""},
    ]
    shown = run("show", "dist-words")
    assert shown.exit_code == 0
    assert "numbers per vector" in shown.stdout and "tell-nobody" not in shown.stdout


def test_show_works_for_a_broken_plugin(shelf: Site) -> None:
    result = run("show", "sick")
    assert result.exit_code == 0
    assert "no_such_library" in result.stdout and "pip install no_such_library" in result.stdout
    assert json.loads(run("show", "sick", "--json").stdout)["status"] == "broken"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wrods", "error: There is no plugin 'wrods'. Did you mean 'words'?"),
        (
            "tiny",
            "error: There is no plugin 'tiny'; the plugin 'words' provides the embedder of that "
            "name.",
        ),
        ("x\x1b[2J", "error: There is no plugin"),
        ("", "error: There is no plugin ''. Plugins: audit"),
    ],
)
def test_show_of_an_unknown_name_is_one_line_and_exit_code_2(
    shelf: Site, name: str, told: str
) -> None:
    result = run("show", name)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = [line for line in result.stderr.splitlines() if line != "hello from a plugin"]
    assert len(lines) == 1 and lines[0].startswith(told) and "\x1b[2J" not in lines[0]
    assert json.loads(run("show", name, "--json").stdout)["error"]["code"] == "PluginUnknown"


@pytest.mark.parametrize("setting", ["none", "wrods"])
def test_the_list_shows_what_the_environment_leaves_out_or_spells_wrong(
    shelf: Site, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", setting)
    result = run("list", "--json")
    infos = {info["name"]: info for info in json.loads(result.stdout)}
    assert (result.exit_code, result.stderr, infos["words"]["status"]) == (0, "", "disabled")
    assert (setting in infos) == (setting == "wrods")


def test_twins_can_both_be_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.root)
    site.add("same", distribution="dist-one")
    site.add("same", distribution="dist-two")
    shown = run("show", "same").stdout
    assert "pip uninstall dist-one" in shown and "pip uninstall dist-two" in shown
    assert json.loads(run("show", "dist-two", "--json").stdout)["distribution"] == "dist-two"


def test_the_settings_file_chooses_plugins_and_a_bad_one_does_not_hide_the_list(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("ant")
    site.add("bee")
    monkeypatch.chdir(site.root)
    settings = site.root / "semantic-core.toml"
    settings.write_text('plugins = ["bee"]', "utf-8")
    infos = {info["name"]: info["status"] for info in json.loads(run("list", "--json").stdout)}
    assert (infos["ant"], infos["bee"]) == ("disabled", "ok")
    settings.write_text("plugins = []", "utf-8")
    infos = {info["name"]: info["status"] for info in json.loads(run("list", "--json").stdout)}
    assert (infos["ant"], infos["bee"], infos["core.text"]) == ("disabled", "disabled", "ok")
    settings.write_text('plugins = ["be"]', "utf-8")
    result = run("list", "--json")
    assert result.exit_code == 0 and "Did you mean 'bee'" in result.stderr
    assert {info["name"] for info in json.loads(result.stdout)} >= {"ant", "bee"}


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_list_stays_readable_in_a_narrow_terminal(
    shelf: Site, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr("semantic_core.cli.plugins.table_width", lambda: columns)
    listing = re.split(r"\n\S+ is (?:disabled|broken): ", run("list").stdout)[0]
    assert max(map(len, listing.splitlines())) <= columns
    for whole in (
        "words",
        "dist-words",
        "tiny",
        "semantic-core-kernel",
        "describe",
        "core.fusion",
        "broken",
    ):
        assert re.search(rf"(?<![\w.-]){re.escape(whole)}(?![\w.])", listing), whole


def test_the_help_of_list_explains_its_exit_code() -> None:
    assert "exit code is 0 even if plugins are broken" in " ".join(
        run("list", "--help").stdout.split()
    )


HEAVY = {
    "numpy",
    "apsw",
    "peewee",
    "sqlite_vec",
    "tokenizers",
    "safetensors",
    "wordllama",
    "markdown_it",
    "yaml",
}


@pytest.fixture
def real(site: Site) -> Iterator[Callable[..., tuple[str, set[str]]]]:
    """Runs the command in a process of its own with this repository's plugins on its path; gives
    what it wrote, and the top-level modules it imported."""
    path = [str(ROOT), str(site.root)]
    for folder in sorted(ROOT.glob("plugins/*")):
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        path.append(str(folder))
        lines = ["[semantic_core]"]
        for name, module in project["entry-points"]["semantic_core"].items():
            lines.append(f"{name} = {module}")
        points = "\n".join(lines).encode()
        site.add(project["name"], None, distribution=project["name"], points=points)

    def run_process(*arguments: str) -> tuple[str, set[str]]:
        code = (
            f"import sys; sys.path[:0] = {path!r}\n"
            "from semantic_core.cli import cli\n"
            f"code = cli.main({list(arguments)!r}, standalone_mode=False)\n"
            "assert not code, code\n"
            "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=site.root
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, set(done.stderr.split())

    yield run_process


def test_listing_imports_the_plugins_but_no_heavy_library(
    real: Callable[..., tuple[str, set[str]]],
) -> None:
    written, imported = real("plugins", "list", "--json")
    infos = {info["name"]: info for info in json.loads(written)}
    assert {
        name: infos[name]["status"] for name in ("markdown", "peewee", "wordllama")
    } == dict.fromkeys(("markdown", "peewee", "wordllama"), "ok")
    assert {"semantic_core_markdown", "semantic_core_peewee", "semantic_core_wordllama"} <= imported
    assert not imported & {*HEAVY, "rich"}


def test_listing_loads_nothing_to_draw_with(real: Callable[..., tuple[str, set[str]]]) -> None:
    written, imported = real("plugins", "list")
    assert "semantic-core-peewee" in written
    assert not imported & {*HEAVY, "rich"}


def test_rich_is_imported_only_to_print_to_people(
    real: Callable[..., tuple[str, set[str]]],
) -> None:
    written, imported = real("plugins", "show", "wordllama")
    assert "description" in written and "rich" in imported
    assert not imported & HEAVY


@pytest.mark.skipif(os.name == "nt", reason="there is no such limit")
def test_no_free_file_descriptor_is_not_told_as_a_plugin_that_is_missing() -> None:
    script = """
import os, resource
from semantic_core import SemanticCore
from semantic_core.errors import PluginError
with SemanticCore(store="memory", embedder="none"):
    pass
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
try:
    SemanticCore(store="sqlite", embedder="none")
except PluginError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    cause = "PluginError Installed plugins cannot be searched: Too many open files."
    assert done.stdout.startswith(cause)
    assert "ulimit -n" in done.stdout


def test_a_list_of_plugins_names_the_first_of_many_suffixes_and_show_names_all() -> None:
    from semantic_core.cli.plugins import MOST_NAMES, _provides

    names = [f".s{number}" for number in range(MOST_NAMES + 3)]
    few = _provides({"reader": names, "splitter": ["files"]}, MOST_NAMES)
    assert few == "reader: .s0, .s1, .s2, .s3, .s4, .s5 and 3 more; splitter: files"
    assert _provides({"reader": names}).endswith(", .s8")
    assert _provides({"reader": names[:MOST_NAMES]}, MOST_NAMES).endswith(", .s5")
