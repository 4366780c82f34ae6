"""The stores, embedders, analysers and readers that plugins offer: which plugin offers each, and
creating one by name.

Tested by tests/plugins/test_host.py and tests/plugins/test_discovery.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, NoReturn

import attrs

from semantic_core._files import suffixes_of
from semantic_core._plugins.contracts import contract_fault, offer_fault, reader_offer_fault
from semantic_core._plugins.dispatch import HookDispatch
from semantic_core._plugins.distributions import (
    at_home,
    home_of,
    install,
    installs,
    lacking,
    looks_like,
    normalized,
    reader_home,
)
from semantic_core._plugins.records import OptionInfo, PluginInfo, option_of, parameters_of
from semantic_core._validation import clip, did_you_mean, one_line
from semantic_core.errors import (
    ConfigError,
    HookFailed,
    PluginBroken,
    PluginConflict,
    ProviderNotFound,
    SemanticCoreError,
)
from semantic_core.types import FileContent

ProviderKind = Literal["store", "embedder", "analyser", "reader"]
_Factory = Callable[..., Any]
_Key = tuple[ProviderKind, str]
_Unused = tuple[str, ProviderKind, tuple[PluginInfo, ...], bool]
"""A plugin, the kind of what it offers, the other plugins that offer it, and whether the names
belong to these.
"""

_OFFERS: Mapping[ProviderKind, str] = {
    "store": "semantic_stores",
    "embedder": "semantic_embedders",
    "analyser": "semantic_analysers",
    "reader": "semantic_readers",
}
"""The hook that offers each kind of provider."""
_ROLES = {
    "splitter": "semantic_split",
    "retriever": "semantic_retrieve",
    "ORM adapter": "semantic_orm_adapter",
    "fusion": "semantic_fuse",
    "reranker": "semantic_rerank",
    "restriction": "semantic_restrict",
    "middleware": "semantic_search_middleware",
    "listener": "semantic_event",
}
"""What a plugin provides under its own name, by the hook that it takes part in."""
_ONE: Mapping[ProviderKind, str] = {
    "store": "a store",
    "embedder": "an embedder",
    "analyser": "an analyser",
    "reader": "a reader",
}
_CHOOSE_ONE = "Uninstall one, or name the other in SEMANTIC_CORE_PLUGINS."
"""What to do about two offers of one name."""


class OfferedReader(NamedTuple):
    """A reader of files, and the plugin that offers it."""

    plugin: str
    read: Callable[[FileContent], Any]


class Providers:
    """Stores, embedders and analysers by name, and readers by suffix and media type. Every plugin
    is asked once, when this is made.

    infos: the given ones, with what each plugin provides, and with the faults in what it offers.
    suffixes: of the files that plugins read, in lower case.
    """

    def __init__(
        self, dispatch: HookDispatch, infos: Sequence[PluginInfo], own: Sequence[str]
    ) -> None:
        """infos: of every plugin that was found, in order. own: names of the kernel's plugins,
        whose stores, embedders and analysers no other plugin can replace; their readers, any can.
        """
        self._dispatch = dispatch
        self._own = own
        self._provided: dict[_Key, tuple[str, _Factory]] = {}
        self._conflicts: dict[_Key, str] = {}
        self._usable = {info.name: info for info in infos if info.status == "ok"}
        unused: dict[_Unused, list[str]] = defaultdict(list)
        for key, claims in sorted(self._offers().items()):
            for info, others, by_right in self._assign(key, claims):
                unused[info.name, key[0], tuple(others), by_right].append(key[1])
        # A suffix in conflict counts as well: its files are not skipped, the conflict is reported.
        claimed = [*self._provided, *self._conflicts]
        readers = {name for kind, name in claimed if kind == "reader"}
        self.suffixes = frozenset(name for name in readers if name.startswith("."))
        for (plugin, kind, others, by_right), names in unused.items():
            info = self._usable[plugin]
            if by_right:
                self._usable[plugin] = _taken_by_owner(info, kind, names, others)
            else:
                self._usable[plugin] = _taken_by_others(info, kind, names, others)
        for name, info in self._usable.items():
            self._usable[name] = attrs.evolve(info, provides=self._provides(info))
        completed = []
        for info in infos:
            completed.append(self._usable[info.name] if info.status == "ok" else info)
        self.infos = tuple(completed)

    def options_of(self, kind: ProviderKind, name: str) -> tuple[OptionInfo, ...]:
        """The options of a provider, in their author's order.

        Raises like `create`, for the name.
        """
        _, factory = self._provider(kind, name)
        parameters, _ = parameters_of(kind, factory)
        return tuple(option_of(parameter) for parameter in parameters)

    def create(
        self, kind: ProviderKind, name: str, given: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        """The store, embedder or analyser of that name, created with these values and options.

        Raises ProviderNotFound, PluginBroken, PluginConflict; ConfigError for an option that is
        unknown or missing; HookFailed if the result is none; its own
        SemanticCoreError.
        """
        plugin, factory = self._provider(kind, name)
        _check_options(kind, name, factory, options)
        try:
            made = factory(*given, **options)
            fault = contract_fault(kind, made)
        except (KeyboardInterrupt, SemanticCoreError):
            raise
        except BaseException as error:
            if isinstance(error, ModuleNotFoundError) and error.name:
                what = (
                    f"The {kind} {name!r} of plugin {plugin!r} needs the module {error.name!r}, "
                    "which is not installed."
                )
                raise PluginBroken(what, hint=self.lacking(plugin, error.name)) from error
            what = f"Plugin {plugin!r} raised while it made the {kind} {name!r}: {one_line(error)}"
            raise HookFailed(what) from error
        if fault:
            raise HookFailed(f"Plugin {plugin!r} made no {kind} as {name!r}: {fault}.")
        return made

    def drop(self, plugin: str) -> None:
        """Offer nothing of that plugin any more."""
        for key, (owner, _) in list(self._provided.items()):
            if owner == plugin:
                del self._provided[key]

    def lacking(self, plugin: str, module: str) -> str:
        """The command that installs a module that a plugin needs."""
        return lacking(module, self._usable[plugin].distribution)

    def _offers(self) -> dict[_Key, dict[str, _Factory]]:
        """The factories that plugins offer for each name, by plugin.

        A plugin with a wrong answer takes part in no hook any more.
        """
        offers: dict[_Key, dict[str, _Factory]] = defaultdict(dict)
        for kind, hook in _OFFERS.items():
            for answer in self._dispatch.every(hook):
                check = reader_offer_fault if kind == "reader" else offer_fault
                fault = one_line(answer.error) if answer.error else check(answer.value)
                if fault:
                    self._quarantine(answer.plugin, f"{hook}: {fault}")
                    continue
                for name, factory in answer.value.items():
                    offers[kind, name][answer.plugin] = factory
        return offers

    def _quarantine(self, plugin: str, fault: str) -> None:
        """Ask a plugin no more. Raises PluginBroken for one that was given, because whoever gave it
        can correct it.
        """
        info = self._usable[plugin]
        if info.origin == "given":
            raise PluginBroken(f"The plugin {plugin!r} cannot take part: {fault}")
        if not info.hooks:  # it is out already
            return
        self._dispatch.drop(plugin)
        remedy = f"pip install --upgrade {info.distribution}"
        self._usable[plugin] = attrs.evolve(
            info, status="broken", cause=fault, remedy=remedy, hooks=()
        )

    def _assign(
        self, key: _Key, claims: Mapping[str, _Factory]
    ) -> list[tuple[PluginInfo, Sequence[PluginInfo], bool]]:
        """Give a name to the only plugin with a right to it; else mark the conflict.

        claims: the factories offered under that name, by plugin. Returns the plugins whose offer is
        not used: each with the others that offer it, and whether the name belongs to these.
        """
        kind, name = key
        offering = []
        owners = []
        for plugin in claims:
            info = self._usable[plugin]
            if not info.hooks:
                continue
            offering.append(info)
            if kind != "reader" and (plugin in self._own or at_home(info, name)):
                owners.append(info)
        if kind == "reader" and any(info.name not in self._own for info in offering):
            # How a file is read is a choice, so the kernel's own reader is no rival.
            offering = [info for info in offering if info.name not in self._own]
        # A name of ours belongs to no other plugin, even where ours is not installed; except that
        # whoever gives a plugin as an object means it.
        rightful = owners
        if not owners:
            ours = bool(home_of(name))
            rightful = [info for info in offering if info.origin == "given" or not ours]
        unused: list[tuple[PluginInfo, Sequence[PluginInfo], bool]] = []
        for info in offering:
            others = [other for other in rightful if other is not info]
            if info not in rightful:
                unused.append((info, owners, True))
            elif others:
                unused.append((info, others, False))
        if len(rightful) == 1:
            owner = rightful[0].name
            self._provided[key] = (owner, claims[owner])
        elif rightful:
            self._conflicts[key] = (
                f"More than one plugin offers the {kind} {name!r}: {_who(rightful)}."
            )
        return unused

    def reader(self, name: str, media_type: str) -> OfferedReader | None:
        """The reader of a file; None if no plugin offers one.

        A reader of the media type goes before one of the suffix, and a longer suffix before a
        shorter one. Raises PluginConflict if more than one plugin offers it.
        """
        for wanted in (_without_parameters(media_type), *suffixes_of(name)):
            key: _Key = ("reader", wanted)
            if key in self._conflicts:
                raise PluginConflict(self._conflicts[key], hint=_CHOOSE_ONE)
            if key in self._provided:
                return OfferedReader(*self._provided[key])
        return None

    def reader_remedy(self, name: str) -> str:
        """The step that gets a reader of files with that name or media type; "" if we know none."""
        for wanted in (*suffixes_of(name), _without_parameters(name)):
            home = reader_home(wanted)
            for info in self.infos if home else ():
                if normalized(info.distribution) == home:
                    return info.remedy
            if home:
                return install([home])
        return ""

    def _provides(self, info: PluginInfo) -> dict[str, tuple[str, ...]]:
        """What a plugin provides, by kind."""
        provides: dict[str, tuple[str, ...]] = {}
        for kind in _OFFERS:
            names = [
                name
                for (of_kind, name), (owner, _) in self._provided.items()
                if of_kind == kind and owner == info.name
            ]
            if names:
                provides[kind] = tuple(names)
        for role, hook in _ROLES.items():
            if hook in info.hooks:
                provides[role] = (info.name,)
        return provides

    def _provider(self, kind: ProviderKind, name: str) -> tuple[str, _Factory]:
        """The plugin that offers a provider, and its factory. Raises like `create`."""
        if (kind, name) in self._provided:
            return self._provided[kind, name]
        if (kind, name) in self._conflicts:
            raise PluginConflict(
                self._conflicts[kind, name],
                hint=_CHOOSE_ONE,
            )
        self._refuse(kind, name)

    def _refuse(self, kind: ProviderKind, name: str) -> NoReturn:
        """Raise the error for a name that no plugin in use offers."""
        disabled = []
        for info in self.infos:
            if info.status in ("ok", "conflict") or not looks_like(info, str(name)):
                continue
            if info.status != "disabled":
                cause = (
                    f"The {kind} {name!r} is not there: the plugin {info.name!r} is "
                    f"{info.status}: {info.cause}."
                )
                raise PluginBroken(cause, hint=info.remedy)
            disabled.append(info)
        there = sorted(of for of_kind, of in self._provided if of_kind == kind)
        namesakes = [of_kind for of_kind, of in self._provided if of == name]
        hint = installs(str(name))
        if disabled:
            more = f" The plugin {disabled[0].name!r} is disabled: {disabled[0].cause}."
            hint = disabled[0].remedy
        elif namesakes:
            more = f" That is the name of {_ONE[namesakes[0]]}."
        else:
            more = did_you_mean(str(name), there)
        names = ", ".join(there) or "none"
        raise ProviderNotFound(
            f"No plugin offers {_ONE[kind]} named {clip(name)}; there is: {names}.{more}", hint=hint
        )


def _without_parameters(media_type: str) -> str:
    """The media type in lower case, without parameters such as a charset."""
    return media_type.partition(";")[0].strip().lower()


def _check_options(
    kind: ProviderKind, name: str, factory: _Factory, options: Mapping[str, Any]
) -> None:
    """Raise ConfigError for an option that a factory does not have, or lacks."""
    parameters, takes_any = parameters_of(kind, factory)
    names = [parameter.name for parameter in parameters]
    hint = f"Its options are: {', '.join(names) or 'none'}."
    for option in options:
        if option not in names and not takes_any:
            near = did_you_mean(str(option), names)
            what = f"The {kind} {name!r} has no option {clip(option)}.{near}"
            raise ConfigError(what, hint=hint)
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in options:
            what = f"The {kind} {name!r} needs the option {parameter.name!r}."
            raise ConfigError(what, hint=hint)


def _who(infos: Sequence[PluginInfo]) -> str:
    return " and ".join(f"{info.name} ({info.distribution or 'given'})" for info in infos)


def _not_used(kind: ProviderKind, names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names))
    return (
        f"its {kind} {shown} is not used"
        if len(names) == 1
        else f"its {kind}s {shown} are not used"
    )


def _taken_by_owner(
    info: PluginInfo, kind: ProviderKind, names: Sequence[str], owners: Sequence[PluginInfo]
) -> PluginInfo:
    """The info of a plugin that offers names which belong to another plugin."""
    that = "that name belongs" if len(names) == 1 else "those names belong"
    owner = _who(owners) or " and ".join(sorted({home_of(name) for name in names}))
    cause = f"{_not_used(kind, names)}, because {that} to {owner}"
    if info.distribution:
        remedy = f"pip uninstall {info.distribution}"
    else:
        remedy = f"Leave {info.name} out, or let it offer another name."
    return _in_conflict(info, cause, remedy)


def _taken_by_others(
    info: PluginInfo, kind: ProviderKind, names: Sequence[str], others: Sequence[PluginInfo]
) -> PluginInfo:
    """The info of a plugin that offers the same names as others, with no better right to them."""
    verb = "offers" if len(others) == 1 else "offer"
    them = "one of that name" if len(names) == 1 else "those"
    cause = f"{_not_used(kind, names)}, because {_who(others)} {verb} {them}, too"
    all_of_them = [*others, info]
    if all(one.distribution for one in all_of_them):
        remedy = ", or ".join(f"pip uninstall {one.distribution}" for one in all_of_them)
    else:
        remedy = f"Leave {' or '.join(one.name for one in all_of_them)} out."
    return _in_conflict(info, cause, remedy)


def _in_conflict(info: PluginInfo, cause: str, remedy: str) -> PluginInfo:
    causes = f"{info.cause}; {cause}" if info.cause else cause
    return attrs.evolve(info, status="conflict", cause=causes, remedy=info.remedy or remedy)
