"""Options of plugins: from every source of settings, typed as declared, shown and kept secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from commands import call
from probes import probe_once

from semantic_core import SemanticCore, hookimpl
from semantic_core._config import read_config
from semantic_core._plugins.options import read_value
from semantic_core._trust import named_hosts
from semantic_core.errors import ConfigError, PluginBroken
from semantic_core.testing import HashEmbedder

DECAY = '''
from __future__ import annotations
from typing import Annotated, Literal
from semantic_core import hookimpl

made = []

class Decay:
    """Halves the weight of a hit for each half-life."""

    def __init__(
        self,
        *,
        half_life: Annotated[int, "days until a hit counts half"] = 365,
        weights: Annotated[list[float], "of the fields"] = (1.0,),
        shape: Literal["linear", "steep"] = "linear",
        strict: bool = False,
        label: str | None = None,
        api_key: str = "",
        base_url: str = "",
    ) -> None:
        self.options = dict(
            half_life=half_life, weights=list(weights), shape=shape, strict=strict, label=label
        )
        made.append(self)

    @hookimpl(orders_only=True)
    def semantic_rerank(self, hits):
        return hits
'''


def install(folder: Path, name: str, source: str, point: str) -> None:
    """A distribution as pip leaves it behind."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[semantic_core]\n{point}\n")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an index in memory as its setting, and the plugin my-decay installed."""
    site = tmp_path / "site"
    site.mkdir()
    install(site, "decay_module", DECAY, "my-decay = decay_module:Decay")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEMANTIC_CORE_PLUGINS", raising=False)
    monkeypatch.setenv("SEMANTIC_CORE_STORE", "memory")
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    probe_once(monkeypatch)
    yield tmp_path
    sys.modules.pop("decay_module", None)


def options_of(core: SemanticCore) -> dict[str, Any]:
    """The options that the plugin of this client was made with."""
    made: list[Any] = sys.modules["decay_module"].made
    assert any(info.name == "my-decay" and info.status == "ok" for info in core.plugins())
    return dict(made[-1].options)


def opened(**settings: Any) -> dict[str, Any]:
    with SemanticCore.from_config(**settings) as core:
        return options_of(core)


def write(folder: Path, text: str) -> Path:
    file = folder / "semantic-core.toml"
    file.write_text(text)
    return file


DEFAULTS = {
    "half_life": 365,
    "weights": [1.0],
    "shape": "linear",
    "strict": False,
    "label": None,
}


def test_without_options_a_plugin_has_its_defaults() -> None:
    assert opened() == DEFAULTS


def test_each_source_of_an_option_beats_the_one_below(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "[plugins.my-decay]\nhalf_life = 30\nshape = 'steep'\nstrict = true\n")
    assert opened() == {**DEFAULTS, "half_life": 30, "shape": "steep", "strict": True}
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS__MY_DECAY__HALF_LIFE", "20")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS__MY_DECAY__LABEL", "7")
    expected = {**DEFAULTS, "half_life": 20, "shape": "steep", "strict": True, "label": "7"}
    assert opened() == expected
    argument = {"my-decay": {"half_life": 10}}
    assert opened(plugin_options=argument) == {**expected, "half_life": 10}
    assert opened(plugins={"my-decay": {"half_life": 10}}) == {**expected, "half_life": 10}


def test_the_class_takes_options_without_any_setting() -> None:
    options = {"my-decay": {"half_life": 3, "weights": [1, 2.5]}}
    with SemanticCore(store="memory", embedder=None, plugin_options=options) as core:
        assert options_of(core) == {**DEFAULTS, "half_life": 3, "weights": [1.0, 2.5]}


def test_pyproject_has_the_same_tables(folder: Path) -> None:
    (folder / "pyproject.toml").write_text(
        '[tool.semantic-core.plugins]\nuse = ["my-decay"]\n'
        "[tool.semantic-core.plugins.my-decay]\nhalf_life = 5\n"
    )
    assert opened()["half_life"] == 5
    assert read_config().values["plugins"] == ["my-decay"]


@pytest.mark.parametrize(
    "text",
    [
        'plugins = ["my-decay"]',
        '[plugins]\nuse = ["my-decay"]',
        '[plugins]\nuse = ["my-decay"]\n[plugins.my-decay]\nhalf_life = 365',
    ],
)
def test_the_plugins_to_use_are_a_list_or_the_key_use(folder: Path, text: str) -> None:
    write(folder, text)
    with SemanticCore.from_config() as core:
        working = [info.name for info in core.plugins() if info.status == "ok"]
    assert [name for name in working if not name.startswith("core.")] == ["my-decay"]


def test_the_environment_may_name_the_plugins_to_use_beside_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS__USE", "my-decay")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS__MY_DECAY__STRICT", "yes")
    assert opened() == {**DEFAULTS, "strict": True}
    assert read_config().values["plugins"] == ["my-decay"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[plugins.my-decai]\nhalf_life = 3",
            "Options are given for a plugin 'my-decai', and there is none of that name. "
            "Did you mean 'my-decay'?",
        ),
        (
            "[plugins.my-decay]\nhalflife = 3",
            "The plugin 'my-decay' has no option 'halflife'. Did you mean 'half_life'?",
        ),
        (
            "[plugins.my-decay]\nhalf_life = 'soon'",
            "The option 'half_life' of the plugin 'my-decay' must be a whole number, got 'soon'.",
        ),
        (
            "[plugins.my-decay]\nhalf_life = true",
            "The option 'half_life' of the plugin 'my-decay' must be a whole number, got True.",
        ),
        (
            "[plugins.my-decay]\nshape = 'steap'",
            "The option 'shape' of the plugin 'my-decay' must be one of 'linear', 'steep', "
            "got 'steap'.",
        ),
        (
            "[plugins.my-decay]\nweights = [1, 'x']",
            "The option 'weights' of the plugin 'my-decay' must be a list, each a number, "
            "got [1, 'x'].",
        ),
        (
            "[plugins]\nmy-decay = 3",
            "plugins.my-decay must be a table with the options of a plugin, got int.",
        ),
        ("[plugin_options.my-decay]\nhalf_life = 3", "plugin_options is the name of an argument."),
    ],
)
def test_a_plugin_option_or_value_that_is_none_is_an_error_with_the_nearest_name(
    folder: Path, text: str, message: str
) -> None:
    write(folder, text)
    with pytest.raises(ConfigError) as caught:
        SemanticCore.from_config()
    assert message in caught.value.message
    assert caught.value.hint


def test_options_of_a_plugin_that_is_installed_and_not_used_are_no_error(folder: Path) -> None:
    write(folder, "[plugins.my-decay]\nhalf_life = 3")
    with SemanticCore.from_config(plugins=[]) as core:
        assert all(info.name != "my-decay" for info in core.plugins() if info.status == "ok")


@pytest.mark.parametrize("variable", ["MY_DECAY", "MY_DECAY__", "__X", "PLUGIN_OPTIONS"])
def test_a_variable_that_names_no_option_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    name = f"SEMANTIC_CORE_PLUGINS__{variable}"
    if variable == "PLUGIN_OPTIONS":
        name = "SEMANTIC_CORE_PLUGIN_OPTIONS__X"
    monkeypatch.setenv(name, "3")
    with pytest.raises(ConfigError, match=name):
        read_config()


def test_a_function_may_make_the_plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from semantic_core import hookimpl
made = []
class Plugin:
    @hookimpl
    def semantic_describe(self): return None
def plugin(*, depth: int = 1):
    made.append(depth)
    return Plugin()
"""
    install(folder / "site", "made_module", source, "made = made_module:plugin")
    with SemanticCore.from_config(plugin_options={"made": {"depth": 4}}) as core:
        info = next(info for info in core.plugins() if info.name == "made")
    assert (info.status, info.hooks) == ("ok", ("semantic_describe",))
    assert sys.modules.pop("made_module").made == [4]


def test_each_client_has_a_plugin_of_its_own() -> None:
    with SemanticCore.from_config() as first, SemanticCore.from_config() as second:
        made = sys.modules["decay_module"].made
        assert len(made) == 2 and made[0] is not made[1]
        in_memory = first.in_memory()
        assert len(made) == 2
        assert in_memory.plugins() == second.plugins()


def test_a_plugin_without_an_option_that_it_needs_is_broken_and_the_others_work(
    folder: Path,
) -> None:
    source = """
from semantic_core import hookimpl
class Needy:
    def __init__(self, *, address: str): pass
    @hookimpl
    def semantic_describe(self): return None
"""
    install(folder / "site", "needy_module", source, "needy = needy_module:Needy")
    with SemanticCore.from_config() as core:
        info = next(info for info in core.plugins() if info.name == "needy")
        assert (info.status, info.cause) == ("broken", "it needs the option 'address'")
        assert "[plugins.needy]" in info.remedy
        options_of(core)
    with pytest.raises(PluginBroken, match="needs the option 'address'"):
        SemanticCore.from_config(plugins=["needy"])
    with SemanticCore.from_config(plugin_options={"needy": {"address": "x"}}) as core:
        assert all(info.status == "ok" for info in core.plugins())
    del sys.modules["needy_module"]


def test_a_plugin_that_has_options_in_the_settings_is_asked_for_and_must_work(folder: Path) -> None:
    install(folder / "site", "sick_module", "raise RuntimeError('no device')", "sick = sick_module")
    with SemanticCore.from_config():
        pass
    with pytest.raises(PluginBroken, match="'sick' was asked for and is broken: .*no device"):
        SemanticCore.from_config(plugin_options={"sick": {"device": 1}})


class Given:
    def __init__(self, *, size: Annotated[int, "how many"] = 2) -> None:
        self.size = size

    @hookimpl
    def semantic_describe(self) -> None:
        return None


def test_a_class_that_is_given_takes_options_and_an_object_takes_none() -> None:
    def core(plugin: object, **options: object) -> SemanticCore:
        return SemanticCore(
            store="memory",
            embedder=HashEmbedder(),
            plugins=[plugin],
            plugin_options={"Given": options},
        )

    (option,) = next(i for i in core(Given, size=9).plugins() if i.name == "Given").options
    assert (option.name, option.default, option.value, option.doc) == ("size", "2", "9", "how many")
    with pytest.raises(ConfigError, match="'Given' takes no options, got size") as refused:
        core(Given(), size=9)
    assert "[embedder_options]" in (refused.value.hint or "")


@pytest.mark.parametrize("options", [3, [], {"Given": 3}, {"Given": [1]}, {1: {}}])
def test_options_that_are_no_tables_are_refused(options: Any) -> None:
    with pytest.raises(ConfigError, match="plugin_options"):
        SemanticCore(store="memory", embedder=None, plugins=[Given], plugin_options=options or 3)


def test_no_plugin_can_be_called_use(folder: Path) -> None:
    install(folder / "site", "use_module", DECAY, "use = use_module:Decay")
    with SemanticCore.from_config() as core:
        info = next(info for info in core.plugins() if info.name == "use")
    assert info.status == "broken" and "that of a setting" in info.cause


# Types


@pytest.mark.parametrize(
    ("declared", "value", "read"),
    [
        ("int", 3, 3),
        ("int", "-3", -3),
        ("float", 3, 3.0),
        ("float", "2.5", 2.5),
        ("bool", "no", False),
        ("bool", True, True),
        ("str", "3", "3"),
        ("int | None", None, None),
        ("int | str", "x", "x"),
        ("Optional[int]", "4", 4),
        ("typing.Union[int, str]", "x", "x"),
        ("list[int]", "1, 2,3", [1, 2, 3]),
        ("tuple[str, ...]", ["a"], ("a",)),
        ("frozenset[str]", ["a", "a"], frozenset("a")),
        ("collections.abc.Sequence[str]", ("a", "b"), ["a", "b"]),
        ("dict[str, int]", {"a": 1}, {"a": 1}),
        ("Literal['a', 2]", "2", 2),
        ("pathlib.Path", "x/y", Path("x/y")),
        ("Secret", "s", "s"),
        ("Callable[[int], str]", 7, 7),
        ("", 7, 7),
        ("no type at all", 7, 7),
    ],
)
def test_a_value_becomes_what_is_declared(declared: str, value: Any, read: Any) -> None:
    got = read_value(declared, value)
    assert got == read and type(got) is type(read)


@pytest.mark.parametrize(
    ("declared", "value", "wanted"),
    [
        ("int", 3.0, "a whole number"),
        ("int", True, "a whole number"),
        ("int", "3.5", "a whole number"),
        ("int", "9" * 5_000, "a whole number"),
        ("float", "fast", "a number"),
        ("bool", 1, "true or false"),
        ("bool", "maybe", "true or false"),
        ("str", 3, "a text"),
        ("int | bool", "x", "a whole number or true or false"),
        ("int | None", "x", "a whole number or None"),
        ("list[int]", 3, "a list"),
        ("list[int]", ["x"], "a list, each a whole number"),
        ("dict[str, int]", [], "a table"),
        ("Literal['a', 'b']", "c", "one of 'a', 'b'"),
        ("Path", 3, "a path"),
    ],
)
def test_a_value_of_another_type_is_refused(declared: str, value: Any, wanted: str) -> None:
    with pytest.raises(TypeError) as caught:
        read_value(declared, value)
    assert str(caught.value) == wanted


# Showing, and secrets


def shown(*args: str) -> Mapping[str, Any]:
    result = call(*args, "--json")
    assert result.exit_code == 0, result.output
    read: Mapping[str, Any] = json.loads(result.stdout)
    return read


def test_plugins_show_tells_value_and_source_of_each_option(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(folder, "[plugins.my-decay]\nhalf_life = 30\n")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS__MY_DECAY__STRICT", "true")
    options = {
        option["name"]: option
        for option in shown("plugins", "show", "my-decay")["options"]["plugin"]["my-decay"]
    }
    assert options["half_life"] == {
        "name": "half_life",
        "type": "int",
        "default": "365",
        "doc": "days until a hit counts half",
        "value": "30",
        "from": f"file {file}",
    }
    variable = "environment SEMANTIC_CORE_PLUGINS__MY_DECAY__STRICT"
    assert (options["strict"]["value"], options["strict"]["from"]) == ("True", variable)
    assert (options["shape"]["value"], options["shape"]["from"]) == ("'linear'", "default")
    table = call("plugins", "show", "my-decay").stdout
    assert "Options of the plugin my-decay:" in table
    assert "days until a hit counts half" in table and f"file {file}" in table


def test_config_show_and_doctor_tell_the_options_that_are_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(folder, "[plugins.my-decay]\nhalf_life = 30\n")
    setting = shown("config", "show")["settings"]["plugin_options"]
    assert setting == {"value": {"my-decay": {"half_life": 30}}, "source": f"file {file}"}
    assert "my-decay.half_life=30" in call("config", "show").stdout
    assert f"plugin_options (file {file})" in call("doctor").output


def test_wrong_options_are_listed_and_diagnosed_like_any_fault(folder: Path) -> None:
    write(folder, "[plugins.my-decay]\nhalf_life = 'soon'\n")
    infos = {info["name"]: info for info in json.loads(call("plugins", "list", "--json").stdout)}
    assert infos["my-decay"]["status"] == "broken"
    assert "must be a whole number, got 'soon'" in infos["my-decay"]["cause"]
    doctor = call("doctor")
    assert doctor.exit_code == 1 and "must be a whole number, got 'soon'" in doctor.output


@pytest.mark.parametrize("bad", [False, True])
def test_secrets_in_options_are_shown_nowhere(
    folder: Path, bad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The doctor imports each plugin in a process of its own.
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "sqlite,wordllama,my-decay")
    lines = [
        'api_key = "canary-1"' if not bad else 'api_key = ["canary-1"]',
        'base_url = "http://canary-2:canary-3@127.0.0.1:9/?token=canary-4"',
        'label = "postgresql://canary-5:canary-6@host/db"',
    ]
    write(folder, "\n".join(["[plugins.my-decay]", *lines]))
    for args in (
        ("plugins", "show", "my-decay"),
        ("plugins", "list"),
        ("config", "show"),
        ("doctor",),
        ("search", "x"),
        ("config", "trust"),  # from here on the file is confirmed, so the options apply
        ("plugins", "show", "my-decay"),
        ("plugins", "list"),
        ("config", "show"),
        ("doctor",),
        ("search", "x"),
    ):
        for form in ((), ("--json",)):
            assert "canary" not in call(*args, *form).output, (args, form)
    assert "127.0.0.1:9" in call("config", "show").output


# A file that came with a folder


def test_hosts_in_options_of_plugins_need_a_confirmation(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {
        "plugins": {
            "use": ["a"],
            "my-decay": {"base_url": "x", "half_life": 3, "label": "https://y.example"},
            "server": {"depth": 3},
        }
    }
    assert [(one.setting, one.host) for one in named_hosts(content)] == [
        ("plugins.my-decay.base_url", "x"),
        ("plugins.my-decay.label", "y.example"),
    ]
    file = write(folder, '[plugins.my-decay]\nbase_url = "https://me:pw@x.invalid/v1"\n')
    with pytest.raises(ConfigError, match=r"'x\.invalid' \(plugins\.my-decay\.base_url\)"):
        SemanticCore.from_config()
    assert sys.modules.get("decay_module") is None  # the plugin was not even imported
    with SemanticCore.from_config(file):
        pass
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS__MY_DECAY__BASE_URL", "http://127.0.0.1")
    with SemanticCore.from_config():
        pass
    monkeypatch.delenv("SEMANTIC_CORE_PLUGINS__MY_DECAY__BASE_URL")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS__OTHER__BASE_URL", "http://127.0.0.1")
    with pytest.raises(ConfigError, match="nobody has confirmed"):
        SemanticCore.from_config()
