"""The stores and embedders plugins offer: who offers which, and making one by its name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from semantic_core._plugins.contracts import contract_fault, offer_fault
from semantic_core._plugins.dispatch import HookDispatch
from semantic_core._plugins.distributions import (
    at_home,
    home_of,
    installs,
    lacking,
    looks_like,
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

ProviderKind = Literal["store", "embedder"]

_OFFERS: Mapping[ProviderKind, str] = {"store": "semantic_stores", "embedder": "semantic_embedders"}
"""The hook that offers each kind of provider."""
_ROLES = {
    "splitter": "semantic_split",
    "retriever": "semantic_retrieve",
    "ORM adapter": "semantic_orm_adapter",
    "fusion": "semantic_fuse",
    "reranker": "semantic_rerank",
}
"""What a plugin provides under its own name, by the hook it takes part in."""
_ONE: Mapping[ProviderKind, str] = {"store": "a store", "embedder": "an embedder"}


class Providers:
    """What can be asked for by name. Asks every plugin once, when it is made.

    infos: those it was given, with what each provides, and with the faults in what they offer.
    """

    def __init__(
        self, dispatch: HookDispatch, infos: Sequence[PluginInfo], own: Sequence[str]
    ) -> None:
        """infos: of every plugin that was found, in order. own: names of the kernel's, whose
        providers nobody takes over.
        """
        self._own = own
        self._provided: dict[tuple[ProviderKind, str], tuple[str, Callable[..., Any]]] = {}
        self._conflicts: dict[tuple[ProviderKind, str], str] = {}
        usable = {info.name: info for info in infos if info.status == "ok"}
        self._collect(dispatch, usable)
        self._name_parts(usable)
        self.infos = tuple(usable[info.name] if info.status == "ok" else info for info in infos)

    def options_of(self, kind: ProviderKind, name: str) -> tuple[OptionInfo, ...]:
        """The options of a provider, in their author's order.

        Raises like `create`, for the name.
        """
        return tuple(
            option_of(parameter)
            for parameter in parameters_of(kind, self._provider(kind, name)[1])[0]
        )

    def create(
        self, kind: ProviderKind, name: str, given: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        """The store or embedder of that name, made of what is given and the options.

        Raises ProviderNotFound, PluginBroken, PluginConflict; ConfigError for an option it does not
        have or lacks; HookFailed if what was made is none; its own SemanticCoreError.
        """
        plugin, factory = self._provider(kind, name)
        parameters, takes_any = parameters_of(kind, factory)
        names = [parameter.name for parameter in parameters]
        there = f"Its options are: {', '.join(names) or 'none'}."
        for option in options:
            if option not in names and not takes_any:
                told = did_you_mean(str(option), names)
                raise ConfigError(
                    f"The {kind} {name!r} has no option {clip(option)}.{told}", hint=there
                )
        for parameter in parameters:
            if parameter.default is parameter.empty and parameter.name not in options:
                raise ConfigError(
                    f"The {kind} {name!r} needs the option {parameter.name!r}.", hint=there
                )
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
                home = next(info.distribution for info in self.infos if info.name == plugin)
                raise PluginBroken(what, hint=lacking(error.name, home)) from error
            what = f"Plugin {plugin!r} raised while it made the {kind} {name!r}: {one_line(error)}"
            raise HookFailed(what) from error
        if fault:
            raise HookFailed(f"Plugin {plugin!r} made no {kind} as {name!r}: {fault}.")
        return made

    def _collect(self, dispatch: HookDispatch, usable: dict[str, PluginInfo]) -> None:
        """Ask for stores and embedders. A plugin that answers wrongly leaves the dispatch."""
        offers: dict[tuple[ProviderKind, str], dict[str, Callable[..., Any]]] = defaultdict(dict)
        for kind, hook in _OFFERS.items():
            for answer in dispatch.every(hook):
                fault = one_line(answer.error) if answer.error else offer_fault(answer.value)
                if fault:
                    usable[answer.plugin] = _quarantined(
                        dispatch, usable[answer.plugin], f"{hook}: {fault}"
                    )
                else:
                    for name, factory in answer.value.items():
                        offers[kind, name][answer.plugin] = factory
        for (kind, name), claims in sorted(offers.items()):
            offering = [usable[plugin] for plugin in claims if usable[plugin].hooks]
            owners = [info for info in offering if info.name in self._own or at_home(info, name)]
            # A name of ours is nobody else's, even where ours is not there; whoever hands a plugin
            # over as an object means it.
            rightful = owners or [
                info for info in offering if info.origin == "given" or not home_of(name)
            ]
            for info in offering:
                others = [other for other in rightful if other is not info]
                if info not in rightful:
                    usable[info.name] = _outdone(info, kind, name, owners)
                elif others:
                    usable[info.name] = _matched(info, kind, name, others)
            if len(rightful) == 1:
                owner = rightful[0].name
                self._provided[kind, name] = (owner, claims[owner])
            elif rightful:
                self._conflicts[kind, name] = (
                    f"More than one plugin offers the {kind} {name!r}: {_who(rightful)}."
                )

    def _name_parts(self, usable: dict[str, PluginInfo]) -> None:
        """Write into each info what the plugin provides."""
        for plugin, info in usable.items():
            provides: dict[str, tuple[str, ...]] = {
                of: tuple(
                    name
                    for (kind, name), (owner, _) in self._provided.items()
                    if kind == of and owner == plugin
                )
                for of in _OFFERS
            }
            roles = {role: (plugin,) for role, hook in _ROLES.items() if hook in info.hooks}
            provided = {kind: names for kind, names in {**provides, **roles}.items() if names}
            usable[plugin] = attrs.evolve(info, provides=provided)

    def _provider(self, kind: ProviderKind, name: str) -> tuple[str, Callable[..., Any]]:
        if (kind, name) in self._provided:
            return self._provided[kind, name]
        if (kind, name) in self._conflicts:
            raise PluginConflict(
                self._conflicts[kind, name],
                hint="Uninstall one, or name the other in SEMANTIC_CORE_PLUGINS.",
            )
        alike = [
            info
            for info in self.infos
            if info.status not in ("ok", "conflict") and looks_like(info, str(name))
        ]
        for info in alike:
            if info.status != "disabled":
                cause = (
                    f"The {kind} {name!r} is not there: the plugin {info.name!r} is "
                    f"{info.status}: {info.cause}."
                )
                raise PluginBroken(cause, hint=info.remedy)
        there = sorted(of for of_kind, of in self._provided if of_kind == kind)
        others = [of_kind for of_kind, of in self._provided if of == name]
        told = (
            f" That is the name of {_ONE[others[0]]}." if others else did_you_mean(str(name), there)
        )
        if alike:
            told = f" The plugin {alike[0].name!r} is disabled: {alike[0].cause}."
        raise ProviderNotFound(
            (
                f"No plugin offers {_ONE[kind]} named {clip(name)}; there is: "
                f"{', '.join(there) or 'none'}.{told}"
            ),
            hint=next((info.remedy for info in alike), installs(str(name))),
        )


def _who(infos: Sequence[PluginInfo]) -> str:
    return " and ".join(f"{info.name} ({info.distribution or 'given'})" for info in infos)


def _outdone(
    info: PluginInfo, kind: ProviderKind, name: str, owners: Sequence[PluginInfo]
) -> PluginInfo:
    """The info of a plugin whose offer has a name that belongs to another."""
    cause = (
        f"its {kind} {name!r} is not used, because that name belongs to "
        f"{_who(owners) or home_of(name)}"
    )
    remedy = (
        f"pip uninstall {info.distribution}"
        if info.distribution
        else f"Leave {info.name} out, or let it offer another name."
    )
    return _in_conflict(info, cause, remedy)


def _matched(
    info: PluginInfo, kind: ProviderKind, name: str, others: Sequence[PluginInfo]
) -> PluginInfo:
    """The info of a plugin whose offer has the name of another's, with no better right to it."""
    cause = (
        f"its {kind} {name!r} is not used, because {_who(others)} "
        f"offer{'s' if len(others) == 1 else ''} one of that name, too"
    )
    both = [*others, info]
    remedy = (
        ", or ".join(f"pip uninstall {one.distribution}" for one in both)
        if all(one.distribution for one in both)
        else f"Leave {' or '.join(one.name for one in both)} out."
    )
    return _in_conflict(info, cause, remedy)


def _in_conflict(info: PluginInfo, cause: str, remedy: str) -> PluginInfo:
    causes = "; ".join(filter(None, [info.cause, cause]))
    return attrs.evolve(info, status="conflict", cause=causes, remedy=info.remedy or remedy)


def _quarantined(dispatch: HookDispatch, info: PluginInfo, fault: str) -> PluginInfo:
    """The info of a plugin that is asked no more.

    PluginBroken for one that was handed over: whoever did can mend it.
    """
    if info.origin == "given":
        raise PluginBroken(f"The plugin {info.name!r} cannot take part: {fault}")
    if not info.hooks:
        return info
    dispatch.drop(info.name)
    remedy = f"pip install --upgrade {info.distribution}"
    return attrs.evolve(info, status="broken", cause=fault, remedy=remedy, hooks=())
