"""One plugin that was found: what is known of it, the functions it takes part with,
or why it takes none.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import attrs

from semantic_core._validation import short
from semantic_core.errors import PluginBroken

Status = Literal["ok", "conflict", "broken", "incompatible", "disabled"]
UNFIT: frozenset[Status] = frozenset({"broken", "incompatible"})
"""Of a plugin that takes part in nothing, and should."""
Origin = Literal["built in", "installed", "given"]


@attrs.frozen
class PluginInfo:
    """What is known of one plugin.

    name: of its entry point; of the class or module for one given as an object. version,
    distribution: "" if unknown.
    api_version: the hooks' version it is written for, 0 if it could not be asked. status: "ok";
    "conflict" (a store or embedder it offers is not used, because of the name; the rest is);
    "broken"; "incompatible" (another api_version); "disabled" (left out by a setting, not even
    imported).
    cause: why it is not ok, on one line; remedy: the command or step that mends it. Both "" when
    ok.
    hooks: those it takes part in. provides: {"store": names, "embedder": names} that can be asked
    for, and under "splitter", "retriever", "fusion", "reranker" its own name where it has that
    part.
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


class Part(NamedTuple):
    """One function a plugin takes part with. options: as its ``@hookimpl`` says."""

    hook: str
    function: Callable[..., Any]
    options: Mapping[str, Any]


class PluginRecord(NamedTuple):
    """A plugin and its parts; no parts unless it is ok."""

    info: PluginInfo
    parts: tuple[Part, ...] = ()


class PluginRejected(PluginBroken):
    """Ends the examination of one plugin. message: the cause; hint: the step."""

    def __init__(
        self, cause: str, step: str, status: Status = "broken", api_version: int = 0
    ) -> None:
        super().__init__(cause, hint=step)
        self.status: Status = status
        self.api_version = api_version


# The options of a store or embedder, as the signature of its factory tells them.

_SECRETS = ("key", "secret", "token", "password", "credential", "credentials")
"""An option whose name ends with one of these words never shows its default: ``api_key``, not
``key_variable``. Nor does one whose type is called so: ``Secret``, ``SecretStr | None``.
"""


@attrs.frozen
class OptionInfo:
    """An option of a store or embedder.

    type, doc: as its author wrote them, "" if not. default: as Python writes it, or "required".
    """

    name: str
    type: str
    default: str
    doc: str


def parameters_of(kind: str, factory: Callable[..., Any]) -> tuple[list[inspect.Parameter], bool]:
    """The options of a factory, and whether it takes any other as well."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # written in C, without a signature
        return [], True
    takes_any = any(one.kind == one.VAR_KEYWORD for one in parameters)
    by_place = [
        one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    space = by_place[:1] if kind == "store" else []
    by_name = [
        one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]
    return [one for one in by_name if one not in space], takes_any


def option_of(parameter: inspect.Parameter) -> OptionInfo:
    """What a person is told of one option."""
    kind, doc = _annotated(parameter.annotation)
    default = "required" if parameter.default is parameter.empty else short(parameter.default)
    if _is_secret(parameter, kind):
        default = "'***'"
    return OptionInfo(parameter.name, kind, default, " ".join(doc.split()))


def _is_secret(parameter: inspect.Parameter, kind: str) -> bool:
    """Whether the default is one that nobody may see."""
    default = parameter.default
    if default is parameter.empty or default is None or isinstance(default, str) and not default:
        return False
    named_so = parameter.name.lower().rpartition("_")[2] in _SECRETS
    return "secret" in kind.lower() or (named_so and isinstance(default, str))


def _annotated(annotation: Any) -> tuple[str, str]:
    """Type and documentation of ``Annotated[int, "what it does"]``,
    read without importing what it names.
    """
    if annotation is inspect.Parameter.empty:
        return "", ""
    if not isinstance(annotation, str):
        told = getattr(annotation, "__metadata__", ())
        plain = annotation.__origin__ if told else annotation
        return inspect.formatannotation(plain), " ".join(
            note for note in told if isinstance(note, str)
        )
    try:
        tree = ast.parse(annotation.strip(), mode="eval").body
    except SyntaxError:
        return annotation, ""
    if (
        not isinstance(tree, ast.Subscript)
        or ast.unparse(tree.value).rpartition(".")[2] != "Annotated"
    ):
        return annotation, ""
    plain, *notes = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
    told = [note.value for note in notes if isinstance(note, ast.Constant)]
    return ast.unparse(plain), " ".join(note for note in told if isinstance(note, str))
