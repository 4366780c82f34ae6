"""Nobody gets to know what they may not see: thousands of requests of all users of all tenants, who
know every name there is.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from asking import Asking
from mcp import Client
from semantic_core_mcp.calls import CallThreads
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.server import server_of
from world import Secret, Sight, context_of, core_of, secrets, sights

from semantic_core import SemanticCore

REQUESTS = 10_000 if os.environ.get("TRUST_FIGURES") else 2_500


@pytest.fixture(scope="module")
def made() -> list[Secret]:
    return secrets(count=90)


@pytest.fixture(scope="module")
def core(made: list[Secret]) -> Iterator[SemanticCore]:
    with core_of(made) as opened:
        yield opened


def index_of(core: SemanticCore, sight: Sight, **more: object) -> VisibleIndex:
    return VisibleIndex(
        core.tenant(sight.tenant),
        context=context_of(sight.user),
        shown=["lang", "of"],
        **more,  # type: ignore[arg-type]
    )


async def questioned(
    index: VisibleIndex, sight: Sight, seed: int, count: int
) -> tuple[Counter[str], list[str]]:
    """Ask so many questions; counts what came of them, and lists what leaked."""
    tally: Counter[str] = Counter()
    leaks: list[str] = []
    calls = CallThreads(threads=1)
    asking = Asking(seed, sight)
    try:
        async with Client(server_of(index, calls)) as client:
            for _ in range(count):
                asked, answer, counted = await asking.ask(client)
                tally["requests"] += 1
                tally["answered"] += '"is_error":false' in answer
                for leaked in sight.leaks(answer, asked=asked):
                    leaks.append(f"{sight.user} of {sight.tenant}: {leaked} in {answer}")
                if counted is not None:
                    told = {each["name"]: each["documents"] for each in counted["collections"]}
                    if told != sight.counts:
                        leaks.append(f"{sight.user} of {sight.tenant}: {told}")
                    tally["counted"] += 1
    finally:
        calls.close()
    return tally, leaks


@pytest.mark.slow
def test_thousands_of_requests_leak_nothing(core: SemanticCore, made: list[Secret]) -> None:
    tally: Counter[str] = Counter()
    everyone = list(sights(made))
    share = -(-REQUESTS // len(everyone))
    for seed, sight in enumerate(everyone):
        counted, leaks = asyncio.run(questioned(index_of(core, sight), sight, seed, share))
        assert leaks == []
        tally += counted
    sys.stdout.write(f"{dict(tally)}; leaked keys, snippets and counts: 0\n")
    assert tally["requests"] >= REQUESTS
    assert tally["answered"] > REQUESTS / 3, "most of them must be worth asking"
    assert tally["counted"] > REQUESTS / 20


def test_every_user_sees_all_that_they_may_see(core: SemanticCore, made: list[Secret]) -> None:
    async def read(sight: Sight) -> None:
        calls = CallThreads(threads=1)
        async with Client(server_of(index_of(core, sight), calls)) as client:
            keys = set()
            cursor = None
            while True:
                page = await client.list_resources(cursor=cursor)
                keys |= {each.uri for each in page.resources}
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert len(keys) == len(sight.seen)
            assert not sight.leaks(repr(sorted(keys)))
            for secret in sight.seen[:5]:
                ref = secret.document.ref
                given = {"collection": ref.collection, "key": ref.key}
                answer = await client.call_tool("get", given)
                assert answer.structured_content["text"] == secret.document.text
                found = await client.call_tool("search", {"query": secret.sign, "mode": "text"})
                assert ref.key in [hit["key"] for hit in found.structured_content["hits"]]
        calls.close()

    for sight in sights(made):
        assert sight.seen
        asyncio.run(read(sight))


def test_what_is_hidden_is_told_like_what_does_not_exist(
    core: SemanticCore, made: list[Secret]
) -> None:
    sight = Sight("acme", "eve", made)
    hidden = [each.document.ref for each in made if each not in sight.seen]
    assert {ref.tenant for ref in hidden} == {"acme", "bolt", "cedar"}

    async def told() -> set[str]:
        calls = CallThreads(threads=1)
        lines = set()
        async with Client(server_of(index_of(core, sight), calls)) as client:
            identities = [{"collection": ref.collection, "key": ref.key} for ref in hidden]
            identities += [
                {"collection": "none", "key": "none"},
                {"collection": "\x07", "key": "x"},
            ]
            for given in identities:
                for tool, more in (("get", {}), ("context", {"position": 0})):
                    answer = await client.call_tool(tool, {**given, **more})
                    assert answer.is_error
                    lines.add(answer.model_dump_json())
            for ref in hidden:
                found = await client.call_tool(
                    "search", {"query": "beans", "collection": f"{ref.collection}-not"}
                )
                lines.add(found.model_dump_json())
        calls.close()
        return lines

    assert len(asyncio.run(told())) == 3, "one for each tool"


def test_collections_that_the_operator_leaves_out_are_as_good_as_absent(
    core: SemanticCore, made: list[Secret]
) -> None:
    sight = Sight("acme", "bob", made)
    index = index_of(core, sight, collections=["notes"])
    found = index.search("beans", limit=50)
    assert found.hits and {hit.ref.collection for hit in found.hits} == {"notes"}
    assert index.search("beans", limit=50, collection="mails").hits == ()
    counts, more = index.collections()
    assert (list(counts), more) == (["notes"], False)
    mail = next(each for each in sight.seen if each.document.ref.collection == "mails")
    ref = mail.document.ref
    assert index_of(core, sight).get(ref) is not None
    assert index.get(ref) is None
    assert index.window(ref, 0, 1, 1) == ()
    listed, _ = index.documents(0, 50)
    assert {summary.ref.collection for summary in listed} == {"notes"}


def test_the_oracle_sees_a_leak(made: list[Secret]) -> None:
    sight = Sight("acme", "eve", made)
    hidden = next(each for each in made if each not in sight.seen)
    assert sight.leaks(f"about {hidden.sign.upper()}.") == {hidden.sign}
    assert not sight.leaks(hidden.sign, asked=hidden.sign)
    assert sight.leaks("the collection only-bolt") == {"only-bolt"}


def test_a_server_without_the_restriction_fails_these_tests(made: list[Secret]) -> None:
    sight = Sight("acme", "eve", made)
    with core_of(made, plugins=[]) as open_core:
        _, leaks = asyncio.run(questioned(index_of(open_core, sight), sight, 1, 200))
    assert len(leaks) > 10
    assert any("'mails': " in leak or "zq" in leak for leak in leaks)


class Careless:
    """A core that forgets who asks in one of its methods."""

    def __init__(self, careful: SemanticCore, careless: SemanticCore, method: str) -> None:
        self._careful = careful
        self._careless = careless
        self._method = method

    def __getattr__(self, name: str) -> object:
        return getattr(self._careless if name == self._method else self._careful, name)


@pytest.mark.parametrize(
    ("method", "count"),
    [("search", 100), ("get", 150), ("context_window", 600), ("documents", 100)],
)
def test_a_core_that_forgets_who_asks_is_caught(
    method: str, count: int, core: SemanticCore, made: list[Secret]
) -> None:
    careless = core.unrestricted()
    found = 0
    for seed, sight in enumerate(sights(made)):
        if sight.user != "eve":
            continue
        clients = (core.tenant(sight.tenant), careless.tenant(sight.tenant))
        index = VisibleIndex(
            Careless(*clients, method),  # type: ignore[arg-type]
            context=context_of(sight.user),
        )
        _, leaks = asyncio.run(questioned(index, sight, seed, count))
        found += len(leaks)
    assert found
