"""The options of a store or embedder, as the signature of its factory tells them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import attrs

from semantic_core._wording import short

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
