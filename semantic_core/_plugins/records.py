"""Records of the plugins that were found: name, status and functions of each, the reason why one
was rejected, and the options of plugins and of the stores and embedders they offer.

Tested by tests/plugins/test_host.py and tests/plugins/test_discovery.py.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeGuard

import attrs

from semantic_core._validation import short
from semantic_core.errors import ConfigError, PluginBroken

Status = Literal["ok", "conflict", "broken", "incompatible", "disabled"]
UNFIT: frozenset[Status] = frozenset({"broken", "incompatible"})
"""The status of a plugin that is wanted and takes part in no hook."""
Origin = Literal["built in", "installed", "given"]


@attrs.frozen
class OptionInfo:
    """An option of a plugin, a store or an embedder.

    type, doc: as its author wrote them, "" if not. default: as Python writes it, or "required".
    value: of a plugin's option, as Python writes it; "" if it was not given. A secret is hidden in
    both.
    """

    name: str
    type: str
    default: str
    doc: str
    value: str = ""


@attrs.frozen
class PluginInfo:
    """What is known of one plugin.

    name: of its entry point; of the class or module for one given as an object. version,
    distribution: "" if unknown.
    api_version: the hooks' version it is written for, 0 if it is unknown. status: "ok";
    "conflict" (something it offers is not used, because of the name; the rest is);
    "broken"; "incompatible" (another api_version); "disabled" (left out by a setting, not even
    imported).
    cause: why it is not ok, on one line; remedy: the command or step that corrects it. Both are ""
    for "ok".
    hooks: those it takes part in. provides: {"store": names, "embedder": names, "analyser": names}
    that can be used, and under "splitter", "retriever", "ORM adapter", "fusion", "reranker",
    "restriction", "middleware", "listener" the name of the plugin
    if it has that role; for the command line also {"command": names}. options: of the plugin
    itself, in its author's order.
    last_error: what it raised last while it listened to events; "" if nothing.
    """

    name: str
    version: str = ""
    distribution: str = ""
    api_version: int = 0
    status: Status = "ok"
    cause: str = ""
    remedy: str = ""
    hooks: tuple[str, ...] = ()
    provides: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, hash=False)
    origin: Origin = "installed"
    options: tuple[OptionInfo, ...] = ()
    last_error: str = ""


class Part(NamedTuple):
    """One function that a plugin takes part with. options: the marks of its ``@hookimpl``."""

    hook: str
    function: Callable[..., Any]
    options: Mapping[str, Any]


class PluginRecord(NamedTuple):
    """A plugin and its functions; it has none unless its status is "ok".

    plugin: the object that has them; None for a module, which has no life cycle. refused: what is
    wrong with the options that it was given.
    """

    info: PluginInfo
    parts: tuple[Part, ...] = ()
    plugin: object | None = None
    refused: ConfigError | None = None


class PluginRejected(PluginBroken):
    """A plugin cannot take part. message: the cause; hint: the step that corrects it."""

    def __init__(
        self, cause: str, step: str, status: Status = "broken", api_version: int = 0
    ) -> None:
        super().__init__(cause, hint=step)
        self.status: Status = status
        self.api_version = api_version


_SECRETS = ("key", "secret", "token", "password", "credential", "credentials")
"""An option is hidden if its name ends with one of these words, as in ``api_key``, but not
``key_variable``; and if its type contains "secret": ``SecretStr | None``.
"""
_HIDDEN = "'***'"
_UNSET = object()


def parameters_of(kind: str, factory: Callable[..., Any]) -> tuple[list[inspect.Parameter], bool]:
    """The options of a factory, and whether it takes any other as well."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # written in C, without a signature
        return [], True
    takes_any = False
    # A factory of stores gets the space as its first argument, one of analysers the languages.
    first_is_given = kind in ("store", "analyser")
    options = []
    for parameter in parameters:
        if parameter.kind == parameter.VAR_KEYWORD:
            takes_any = True
        elif parameter.kind == parameter.KEYWORD_ONLY:
            options.append(parameter)
        elif parameter.kind != parameter.VAR_POSITIONAL and first_is_given:
            first_is_given = False
        elif parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
            options.append(parameter)
    return options, takes_any


def option_of(parameter: inspect.Parameter, value: object = _UNSET) -> OptionInfo:
    """The description of an option for users. value: the one it was given, if it was."""
    kind, doc = annotated(parameter.annotation)
    default = "required"
    if parameter.default is not parameter.empty:
        default = _shown(parameter.name, kind, parameter.default)
    given = "" if value is _UNSET else _shown(parameter.name, kind, value)
    return OptionInfo(parameter.name, kind, default, " ".join(doc.split()), given)


def _shown(name: str, kind: str, value: object) -> str:
    """A value as Python writes it, hidden if it is a secret."""
    return _HIDDEN if is_secret(name, kind, value) else short(value)


def is_secret(name: str, kind: str, value: object) -> bool:
    """Whether the value of an option of this name and type is one that nobody may see."""
    if value is None or value == "" or isinstance(value, bool | int | float):
        return "secret" in kind.lower() and bool(value)
    last_word = name.lower().rpartition("_")[2]
    return last_word in _SECRETS or "secret" in kind.lower()


def annotated(annotation: Any) -> tuple[str, str]:
    """Type and documentation of ``Annotated[int, "what it does"]``. What a written annotation names
    is not imported.
    """
    if annotation is inspect.Parameter.empty:
        return "", ""
    if isinstance(annotation, str):
        return _written(annotation)
    metadata = getattr(annotation, "__metadata__", ())
    plain = annotation.__origin__ if metadata else annotation
    return inspect.formatannotation(plain), _joined(metadata)


def _written(annotation: str) -> tuple[str, str]:
    """Like `annotated`, for an annotation that was not evaluated."""
    try:
        tree = ast.parse(annotation.strip(), mode="eval").body
    except SyntaxError:
        return annotation, ""
    if not isinstance(tree, ast.Subscript):
        return annotation, ""
    if ast.unparse(tree.value).rpartition(".")[2] != "Annotated":
        return annotation, ""
    plain = tree.slice
    metadata = []
    if isinstance(tree.slice, ast.Tuple):
        plain = tree.slice.elts[0]
        for node in tree.slice.elts[1:]:
            if isinstance(node, ast.Constant):
                metadata.append(node.value)
    return ast.unparse(plain), _joined(metadata)


def _joined(metadata: Iterable[object]) -> str:
    return " ".join(filter(_is_text, metadata))


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)
