"""Calls of hooks, where every answer and every error carries the name of its plugin.

pluggy checks the plugins and puts their functions in order; the loops here call them. Nothing else
touches pluggy. ``SEMANTIC_CORE_TRACE=1`` writes a line to standard error for every function that a
hook calls: hook, plugin, arguments, answer, each cut to 60 characters, and the time it took.

Tested by tests/plugins/test_host.py and tests/plugins/test_rerankers.py.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

import semantic_core.hookspecs as hookspecs
from semantic_core._plugins.contracts import reranked_fault
from semantic_core._validation import one_line, short
from semantic_core.errors import HookFailed, is_interruption

if TYPE_CHECKING:
    from semantic_core._plugins.guard import Guard
    from semantic_core._plugins.records import Part, PluginRecord
    from semantic_core.protocols import Store
    from semantic_core.types import Ref, SearchHit, SearchRequest

_TRACED = 60
"""Characters of a value that a trace shows."""
_FAILED = (
    "Hits that it might have removed are not shown. To search without this reranker, leave it out "
    "of the plugins setting; one that only reorders can be marked @hookimpl(orders_only=True)."
)
"""What to do about a reranker that fails."""


class Answer(NamedTuple):
    """What one plugin answered, or the error that it raised instead.

    failed_orderings: why rerankers that only reorder had no effect. seconds: the time it took.
    left_out: why it was not asked, or not waited for; "" if it answered.
    """

    plugin: str
    value: Any = None
    error: BaseException | None = None
    failed_orderings: tuple[str, ...] = ()
    seconds: float = 0.0
    left_out: str = ""

    def wrong(self, hook: str, ref: Ref | None, fault: str) -> HookFailed:
        """The error to raise for an answer that breaks the contract of the hook."""
        return HookFailed(
            f"Plugin {self.plugin!r} broke the contract of {hook}{_of(ref)}: {fault}."
        )


class HookDispatch:
    """The hooks of one client. Plugins join when it is made; later they can only leave."""

    def __init__(self, plugins: Sequence[PluginRecord], own: Sequence[str]) -> None:
        """plugins: in the order in which they are asked. own: names of the kernel's, which are
        asked last.
        """
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(_specs())
        self._functions: dict[Callable[..., Any], HookFunction] = {}
        self._ordered: dict[str, list[HookFunction]] = {}
        self._places = {record.info.name: place for place, record in enumerate(plugins)}
        self._listening = threading.local()
        trace = os.environ.get("SEMANTIC_CORE_TRACE", "") not in ("", "0")
        for record in plugins:
            self._register(record, trace, foreign=record.info.name not in own)

    def _register(self, record: PluginRecord, trace: bool, *, foreign: bool) -> None:
        plugin = record.info.name
        entries = _Entries()
        for part in record.parts:
            function = HookFunction(plugin, part, trace, foreign)
            self._functions[entries.add(function)] = function
        self._manager.register(entries, plugin)

    def drop(self, plugin: str) -> None:
        """Stop asking that plugin."""
        self._manager.unregister(name=plugin)
        self._ordered.clear()

    def hides(self, plugin: str) -> bool:
        """Whether a plugin takes part in a hook that may keep documents from being shown."""
        for function in self._functions.values():
            hiding = function.hook in hookspecs.HIDING and not function.orders_only
            if hiding and function.plugin == plugin:
                return True
        return False

    def _in_order(self, hook: str) -> list[HookFunction]:
        """The functions of a hook, wrappers first, each before those that it may speak for.

        Among wrappers and among the others: those marked tryfirst, those without a mark, those
        marked trylast, the kernel's own; within each in the order of the plugins. pluggy itself
        reverses those that are marked trylast.
        """
        known = self._ordered.get(hook)
        if known is not None:
            return known
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        entries = caller.get_hookimpls()
        entries.reverse()
        entries.sort(key=self._place)
        functions = [self._functions[entry.function] for entry in entries]
        self._ordered[hook] = functions
        return functions

    def _place(self, entry: pluggy.HookImpl) -> tuple[bool, int, int]:
        function = self._functions[entry.function]
        mark = 1
        if not function.foreign:
            mark = 3
        elif entry.trylast:
            mark = 2
        elif entry.tryfirst:
            mark = 0
        return not entry.wrapper, mark, self._places[function.plugin]

    def every(self, hook: str, ask: Ask | None = None, **arguments: object) -> list[Answer]:
        """All answers and errors of a hook that asks every plugin. None is no answer.

        ask: calls each function; None calls it as it is.
        """
        answers = []
        for function in self._in_order(hook):
            answer = function.answer(arguments) if ask is None else ask(function, arguments)
            if answer is not None:
                answers.append(answer)
        return answers

    def announce(self, hook: str, event: object) -> list[Answer]:
        """All answers and errors of a hook whose functions listen.

        A plugin is not told of what it does itself while it listens, in the same thread.
        """
        listening: set[str] = self._listening.__dict__.setdefault("plugins", set())
        answers = []
        for function in self._in_order(hook):
            if function.plugin in listening:
                continue
            listening.add(function.plugin)
            try:
                answer = function.answer({"event": event})
            finally:
                listening.discard(function.plugin)
            if answer is not None:
                answers.append(answer)
        return answers

    def first(self, hook: str, ref: Ref | None, **arguments: object) -> Answer | None:
        """The answer of a hook that stops at the first one; None if no plugin answered.

        ref: the document it is about. Raises HookFailed, which names the plugin that raised.
        """
        answer: Answer | None = None
        wrappers: list[_Wrapper] = []
        try:
            for function in self._in_order(hook):
                if function.wraps:
                    wrapper = _Wrapper(function, arguments)
                    answer = wrapper.begin()
                    if answer is None:
                        wrappers.append(wrapper)
                else:
                    answer = function.answer(arguments)
                if answer is not None:
                    break
            for wrapper in reversed(wrappers):
                answer = wrapper.end(answer)
        except BaseException:  # a signal handler raised
            _close(wrappers)
            raise
        if answer is not None and answer.error is not None:
            what = _raised(answer.plugin, f"{hook}{_of(ref)}", answer.error)
            raise HookFailed(what) from answer.error
        return answer

    def rerank(
        self,
        request: SearchRequest,
        hits: Sequence[SearchHit],
        store: Store,
        orderings: Guard,
    ) -> Answer:
        """The hits that all rerankers left. Unlike other hooks, none of them answers for another:
        every one is asked, and gets what those behind it left. orderings: calls those that only
        reorder, and may be left out.

        Raises HookFailed for one that fails, unless it only reorders.
        """
        answer = Answer("", list(hits))
        rerankers: list[_Reranker] = []
        try:
            for function in self._in_order(hookspecs.RERANK):
                if function.foreign:
                    reranker = _Reranker(function, request, store, orderings)
                    rerankers.append(reranker)
                    reranker.begin(hits)
                else:
                    arguments = {"request": request, "hits": list(hits), "store": store}
                    answer = function.answer(arguments) or answer
            for reranker in reversed(rerankers):
                answer = reranker.end(answer)
        except BaseException:
            _close(rerankers)
            raise
        return answer


class HookFunction:
    """A function that a plugin takes part with, called with the arguments that it asks for.

    It gets an argument even where its parameter has a default. wraps: whether it has a yield, and
    runs around the functions behind it. foreign: whether it is none of the kernel's.
    """

    def __init__(self, plugin: str, part: Part, trace: bool, foreign: bool) -> None:
        self.plugin = plugin
        self.hook = part.hook
        self.wraps = bool(part.options.get("wrapper"))
        self.orders_only = bool(part.options.get(hookspecs.ORDERS_ONLY))
        self.foreign = foreign
        self.trace = trace
        self.options = part.options
        self._function = part.function
        self._by_place: list[str] = []
        self._by_name: list[str] = []
        for parameter in inspect.signature(part.function).parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self._by_place.append(parameter.name)
            elif parameter.kind == parameter.KEYWORD_ONLY:
                self._by_name.append(parameter.name)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """What the plugin's function returns; it may raise anything, SystemExit too."""
        by_place = [arguments[name] for name in self._by_place]
        by_name = {name: arguments[name] for name in self._by_name}
        return self._function(*by_place, **by_name)

    def answer(self, arguments: Mapping[str, Any]) -> Answer | None:
        """The answer, or the error; None if the function returned None."""
        started = perf_counter()
        try:
            value = self.call(arguments)
        except BaseException as error:
            seconds = perf_counter() - started
            self.write_trace(arguments, error, seconds)
            if is_interruption(error):
                raise
            return Answer(self.plugin, error=error, seconds=seconds)
        seconds = perf_counter() - started
        self.write_trace(arguments, value, seconds)
        return None if value is None else Answer(self.plugin, value, seconds=seconds)

    def write_trace(self, arguments: Mapping[str, Any], outcome: Any, seconds: float) -> None:
        """Write the line of one call, if calls are traced. outcome: the answer or the error."""
        if not self.trace:
            return
        shown = []
        for name, value in arguments.items():
            # What the application gives for its plugins may be secret.
            seen = sorted(map(str, value)) if name == "context" else value
            shown.append(f"{name}={short(seen, _TRACED)}")
        if isinstance(outcome, BaseException):
            result = f"raised {one_line(outcome)[:_TRACED]}"
        else:
            result = short(outcome, _TRACED)
        call = f"{self.hook} {self.plugin}({', '.join(shown)})"
        sys.stderr.write(f"{call} -> {result} ({seconds * 1000:.1f} ms)\n")


Ask = Callable[[HookFunction, Mapping[str, Any]], Answer | None]
"""Calls the function of a hook, and returns its answer or error; None if it returned None."""


@cache
def _specs() -> ModuleType:
    """The hooks as pluggy sees them, without the rest of their module, which it would examine."""
    specs = ModuleType(hookspecs.__name__)
    for name in hookspecs.hook_names():
        setattr(specs, name, getattr(hookspecs, name))
    return specs


class _Entries:
    """A plugin as pluggy sees it: for each of its functions an entry with the same marks.

    pluggy never calls an entry. It stands for functions that pluggy could not register as they are,
    such as those of plugins that are equal, and for rerankers, which all take the place of wrappers
    so that their order is by plugin alone.
    """

    def add(self, function: HookFunction) -> Callable[..., Any]:
        """Add the entry of a function, and return it."""
        options = {**function.options, "specname": function.hook}
        options.pop(hookspecs.ORDERS_ONLY, None)
        options["wrapper"] = function.wraps or _is_reranker(function)

        def entry() -> Generator[None, Any, None]:
            yield

        def plain_entry() -> None: ...

        made: Callable[..., Any] = entry if options["wrapper"] else plain_entry
        setattr(made, f"{hookspecs.PROJECT}_impl", options)
        setattr(self, f"{function.hook}_{len(vars(self))}", made)
        return made

    def __dir__(self) -> list[str]:
        """Where pluggy looks for hooks. Looking at all of `dir` takes a third of a start."""
        return list(vars(self))


def _is_reranker(function: HookFunction) -> bool:
    return function.foreign and function.hook == hookspecs.RERANK


class _Wrapper:
    """A wrapper around the functions behind it: begun before them, ended with their answer."""

    def __init__(self, function: HookFunction, arguments: Mapping[str, Any]) -> None:
        self._function = function
        self._arguments = arguments
        self._generator: Generator[None, Any, Any] = function.call(arguments)
        self._seconds = 0.0

    def begin(self) -> Answer | None:
        """Run it up to its yield. Returns an answer only for an error on the way there."""
        started = perf_counter()
        try:
            _begin(self._generator)
        except BaseException as error:  # noqa: BLE001 - returned with the plugin's name
            self._seconds = perf_counter() - started
            return self._failed(error)
        self._seconds = perf_counter() - started
        return None

    def end(self, inner: Answer | None) -> Answer | None:
        """Run the rest with the answer or error of the functions behind it.

        Whoever changed neither the answer nor the error is not named for it.
        """
        given = inner.value if inner else None
        given_error = inner.error if inner else None
        members = _members(given)
        started = perf_counter()
        try:
            value = _end(self._generator, given, given_error)
        except BaseException as error:  # noqa: BLE001 - returned with the plugin's name
            self._seconds += perf_counter() - started
            if given_error is not None and _same(error, given_error):
                return inner
            return self._failed(error)
        self._seconds += perf_counter() - started
        answered = inner is not None and given_error is None
        if answered and value is given and _members(given) == members:
            return inner
        self._function.write_trace(self._arguments, value, self._seconds)
        return None if value is None else Answer(self._function.plugin, value)

    def _failed(self, error: BaseException) -> Answer:
        self._function.write_trace(self._arguments, error, self._seconds)
        if is_interruption(error):
            raise error
        return Answer(self._function.plugin, error=error)

    def close(self) -> None:
        """Let it clean up when it is not asked any more."""
        self._generator.close()


class _Reranker:
    """A reranker at work, which may only reorder or remove the hits that the others left."""

    def __init__(
        self, function: HookFunction, request: SearchRequest, store: Store, orderings: Guard
    ) -> None:
        self._function = function
        self._orderings = orderings
        self._request = request
        self._store = store
        self._generator: Generator[None, Any, Any] | None = None
        self._error: BaseException | None = None
        self._seconds = 0.0

    def begin(self, hits: Sequence[SearchHit]) -> None:
        """Run a wrapper up to its yield. An error on the way there is reported at its end, so that
        all others are asked before.
        """
        if not self._function.wraps:
            return
        self._generator = self._function.call(self._arguments(hits))
        started = perf_counter()
        try:
            _begin(self._generator)
        except BaseException as error:  # noqa: BLE001 - reported with the plugin's name
            self._check_interruption(error)
            self._error = error
        self._seconds = perf_counter() - started

    def end(self, inner: Answer) -> Answer:
        """Its answer to the hits that the others left.

        Raises HookFailed if it fails. One that only reorders leaves the hits as they were instead,
        and the answer says so.
        """
        given: Sequence[SearchHit] = inner.value
        if self._function.orders_only and not self._function.wraps:
            return self._ordered(given, inner)
        value: Any = None
        if self._error is None:
            value = self._answer(list(given))
        arguments = self._arguments(given)
        outcome = value if self._error is None else self._error
        self._function.write_trace(arguments, outcome, self._seconds)
        plugin = self._function.plugin
        if self._error is not None:
            what = _raised(plugin, hookspecs.RERANK, self._error).removesuffix(".")
            failure = HookFailed(f"{what}.", hint=_FAILED)
        else:
            fault = _fault(value, given, self._function.orders_only)
            if not fault:
                return Answer(plugin, list(value), failed_orderings=inner.failed_orderings)
            failure = Answer(plugin).wrong(hookspecs.RERANK, None, fault)
            failure.hint = _FAILED
        if self._function.orders_only:
            reasons = (*inner.failed_orderings, failure.message)
            return inner._replace(failed_orderings=reasons)
        raise failure from self._error

    def _ordered(self, given: Sequence[SearchHit], inner: Answer) -> Answer:
        """Its answer, if it only reorders and can be left out."""
        plugin = self._function.plugin
        answer = self._orderings.answer(self._function, self._arguments(given), {}, {})
        if answer is not None and answer.left_out:
            why = f"plugin {plugin}: {answer.left_out}"
        elif answer is not None and answer.error is not None:
            why = _raised(plugin, hookspecs.RERANK, answer.error)
        else:
            value: Any = None if answer is None else answer.value
            fault = _fault(value, given, orders_only=True)
            self._orderings.judge(plugin, fault)
            if not fault:
                return Answer(plugin, list(value), failed_orderings=inner.failed_orderings)
            why = Answer(plugin).wrong(hookspecs.RERANK, None, fault).message
        return inner._replace(failed_orderings=(*inner.failed_orderings, why))

    def _answer(self, hits: list[SearchHit]) -> Any:
        """What it makes of the hits; None if it raised, and then the error is stored."""
        started = perf_counter()
        try:
            if self._generator is not None:
                return _end(self._generator, hits, None)
            return self._function.call(self._arguments(hits))
        except BaseException as error:  # noqa: BLE001 - reported with the plugin's name
            self._check_interruption(error)
            self._error = error
            return None
        finally:
            self._seconds += perf_counter() - started

    def _arguments(self, hits: Sequence[SearchHit]) -> dict[str, Any]:
        """The arguments of the hook. The list is a copy, so that no plugin changes ours."""
        return {"request": self._request, "hits": list(hits), "store": self._store}

    def _check_interruption(self, error: BaseException) -> None:
        if is_interruption(error):
            raise error

    def close(self) -> None:
        """Let a wrapper clean up when it is not asked any more."""
        if self._generator is not None:
            self._generator.close()


def _close(begun: Iterable[_Wrapper | _Reranker]) -> None:
    """Close what was begun, the last one first."""
    for one in reversed(list(begun)):
        with suppress(Exception):
            one.close()


def _begin(generator: Generator[None, Any, Any]) -> None:
    try:
        next(generator)
    except StopIteration:
        raise RuntimeError("its wrapper returned before its yield") from None


def _end(generator: Generator[None, Any, Any], given: Any, error: BaseException | None) -> Any:
    """What a wrapper returns when it gets what the others answered or raised."""
    try:
        if error is None:
            generator.send(given)
        else:
            generator.throw(error)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("its wrapper has a second yield")


def _same(error: BaseException, given: BaseException) -> bool:
    """Whether a wrapper let an error through. A generator turns StopIteration into RuntimeError."""
    stopped = isinstance(given, StopIteration) and error.__cause__ is given
    return error is given or stopped


def _members(value: object) -> list[int] | None:
    """The members of a list, to see whether a wrapper changed it in place; None for other types."""
    return [id(member) for member in value] if isinstance(value, list) else None


def _fault(value: Any, given: Sequence[SearchHit], orders_only: bool) -> str:
    """What is wrong with the hits of a reranker; "" if nothing is."""
    try:
        return reranked_fault(value, given, orders_only=orders_only)
    except BaseException as error:
        if is_interruption(error):
            raise
        return f"its hits cannot be read: {one_line(error)}"


def _raised(plugin: str, hook: str, error: BaseException) -> str:
    return f"Plugin {plugin!r} raised in {hook}: {one_line(error)}"


def _of(ref: Ref | None) -> str:
    return f" of {ref}" if ref else ""
