"""The commands that plugins offer: by name, with the conflicts and the faults of their plugins."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from semantic_core import PluginInfo, hookimpl
from semantic_core._plugins.commands import PROVIDES, Commands
from semantic_core._plugins.host import Plugins


def offering(name: str, offer: Any) -> ModuleType:
    """A plugin of that name with these commands."""
    module = ModuleType(name)

    def semantic_commands() -> Any:
        if isinstance(offer, Exception):
            raise offer
        return offer

    module.semantic_commands = hookimpl(semantic_commands)  # type: ignore[attr-defined]
    return module


def offered(*plugins: ModuleType, taken: tuple[str, ...] = ()) -> Commands:
    return Plugins.load(plugins).commands(taken)


def info_of(commands: Commands, name: str) -> PluginInfo:
    (info,) = [info for info in commands.infos if info.name == name]
    return info


def test_each_command_leads_to_its_plugin() -> None:
    commands = offered(
        offering("a", {"greet": ("a.commands:greet", "Greet."), "wave": ["a.b.c:wave", "Wave."]}),
        offering("b", None),
        offering("c", {}),
    )
    assert list(commands.usable) == ["greet", "wave"]
    greet = commands.usable["greet"]
    assert (greet.target, greet.help, greet.plugin.name) == ("a.commands:greet", "Greet.", "a")
    assert info_of(commands, "a").provides == {PROVIDES: ("greet", "wave")}
    assert info_of(commands, "b").provides == {}
    assert all(info.status == "ok" for info in commands.infos)
    assert commands.conflicts == {}


def test_a_name_that_is_taken_is_given_to_no_plugin() -> None:
    commands = offered(
        offering("a", {"search": ("a:b", "Search."), "greet": ("a:c", "Greet.")}),
        taken=("search",),
    )
    assert list(commands.usable) == ["greet"]
    assert commands.conflicts == {}
    info = info_of(commands, "a")
    assert (info.status, info.provides) == ("conflict", {PROVIDES: ("greet",)})
    assert "'search' is not used" in info.cause and info.remedy


def test_a_name_that_three_offer_belongs_to_none_and_all_are_named() -> None:
    offer = {"greet": ("a:b", "Greet.")}
    commands = offered(offering("a", offer), offering("b", offer), offering("c", offer))
    assert commands.usable == {}
    assert commands.conflicts == {
        "greet": (
            "More than one plugin offers the command 'greet': a (given) and b (given) and "
            "c (given)."
        )
    }
    assert "b (given) and c (given) offer one of that name, too" in info_of(commands, "a").cause
    for name in "abc":
        assert info_of(commands, name).status == "conflict"


@pytest.mark.parametrize(
    "offer",
    [
        KeyError("beans"),
        7,
        ["greet"],
        {1: ("a:b", "Help.")},
        {"Greet": ("a:b", "Help.")},
        {"-greet": ("a:b", "Help.")},
        {"greet-": ("a:b", "Help.")},
        {"gre et": ("a:b", "Help.")},
        {"greet": ("a:b",)},
        {"greet": ("a:b", "Help.", "more")},
        {"greet": ("ab", "Help.")},
        {"greet": (":b", "Help.")},
        {"greet": ("a..b:c", "Help.")},
        {"greet": ("a:b.c", "Help.")},
        {"greet": ("a:b", " ")},
        {"greet": ("a:b", "two\nlines")},
        {"greet": ("a:b", "\x1b[2J")},
        {"greet": ("a:b", None)},
    ],
)
def test_a_wrong_offer_disables_the_commands_of_its_plugin_and_of_no_other(offer: Any) -> None:
    commands = offered(offering("a", offer), offering("b", {"wave": ("b:wave", "Wave.")}))
    assert list(commands.usable) == ["wave"]
    info = info_of(commands, "a")
    assert info.status == "broken"
    assert info.cause.startswith("none of its commands is used: semantic_commands: ")
    assert "\n" not in info.cause
    assert info_of(commands, "b").status == "ok"
