"""Requests as an assistant makes them, right and wrong, by chance."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from mcp import Client
from mcp.shared.exceptions import MCPError
from semantic_core_mcp.places import uri_of
from world import COLLECTIONS, TENANTS, USERS, WORDS, Secret, Sight

from semantic_core import Ref

TOOLS = ("search", "search", "search", "get", "get", "context", "list_collections")
WIDENING = ("tenant", "context", "user", "readers", "collections", "as", "groups", "all_tenants")
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**12, 3.5, "", " ", "x" * 3_000, [], ["notes"], {}, {"$ne": 1},
    "notes\x00", "\u202e", "../../etc/passwd", "' OR 1=1 --", "%2e%2e", "*",
)  # fmt: skip
"""Values of any kind."""


class Asking:
    """Requests of one user, who knows the names of everything there is."""

    def __init__(self, seed: int, sight: Sight) -> None:
        self._choose = random.Random(seed)
        self._sight = sight

    def secret(self) -> Secret:
        """A document of anybody."""
        return self._choose.choice(self._sight.made)

    def name(self) -> str:
        """The name of a collection, of a tenant or of nothing."""
        choose = self._choose
        return choose.choice(
            [
                *COLLECTIONS,
                self.secret().document.ref.collection,
                choose.choice(TENANTS),
                f"{choose.choice(TENANTS)}/notes",
                "none",
            ]
        )

    def identity(self) -> dict[str, Any]:
        """Collection and key of a document of anybody, or nearly."""
        ref = self.secret().document.ref
        shape = self._choose.randrange(6)
        if shape == 0:
            return {"collection": self.name(), "key": ref.key}
        if shape == 1:
            return {"collection": ref.collection, "key": f"{ref.tenant}/{ref.key}"}
        if shape == 2:
            return {"collection": f"{ref.tenant}/{ref.collection}", "key": ref.key}
        return {"collection": ref.collection, "key": ref.key}

    def where(self) -> dict[str, Any]:
        """Conditions on what may be filtered by, and on what may not."""
        choose = self._choose
        sign = self.secret().sign
        return choose.choice(
            [
                {"lang": "en"},
                {"lang": {"in": ["en", "ru"]}},
                {"lang": {"ne": "en"}},
                {"of": sign},
                {"of": {"gte": "zq"}},
                {"of": {"exists": True}},
                {"readers": choose.choice(list(USERS))},
                {"readers": {"ne": "nobody"}},
                {"lang": {"exists": False}, "readers": {"exists": True}},
                {"or": [{"lang": "en"}]},
            ]
        )

    def call(self) -> tuple[str, dict[str, Any]]:
        """A tool and its arguments."""
        choose = self._choose
        tool = choose.choice(TOOLS)
        given: dict[str, Any] = {}
        if tool == "search":
            words = choose.choices(WORDS, k=choose.randint(1, 3))
            if choose.random() < 0.4:
                words.append(self.secret().sign)
            given = {"query": " ".join(words), "limit": choose.choice([1, 2, 3, 5, 20])}
            if choose.random() < 0.3:
                given["mode"] = choose.choice(["text", "vector", "hybrid"])
            if choose.random() < 0.3:
                given["offset"] = choose.choice([0, 1, 5, 50, 190])
            if choose.random() < 0.3:
                given["collection"] = self.name()
            if choose.random() < 0.3:
                given["where"] = self.where()
        elif tool in ("get", "context"):
            given = self.identity()
            if tool == "get" and choose.random() < 0.3:
                given["start"] = choose.choice([1, 50, 10_000])
            if tool == "context":
                given["position"] = choose.choice([0, 0, 1, 2, 99])
                given |= {"before": choose.randint(0, 5), "after": choose.randint(0, 5)}
        if choose.random() < 0.15:
            given[choose.choice(WIDENING)] = choose.choice([*TENANTS, *USERS, *ODD])
        if choose.random() < 0.15:
            given[choose.choice([*given, "query"])] = choose.choice(ODD)
        return tool, given

    async def ask(self, client: Client) -> tuple[str, str, Mapping[str, Any] | None]:
        """Make a request. Returns what was asked, the whole answer, and its data if it is one of
        ``list_collections``.
        """
        choose = self._choose
        try:
            if choose.random() < 0.08:
                ref = self.secret().document.ref
                uri = uri_of(choose.choice([ref, Ref(self.name(), ref.key), Ref("a", "b")]))
                read = await client.read_resource(uri)
                return "", read.model_dump_json(), None
            tool, given = self.call()
            answer = await client.call_tool(tool, given)
        except MCPError as error:
            return "", f"{error.error.message} {error.error.data}", None
        except ValueError:  # the client itself refuses what no JSON can hold
            return "", "", None
        asked = repr(given) if answer.is_error else ""
        counted = tool == "list_collections" and not answer.is_error
        return asked, answer.model_dump_json(), answer.structured_content if counted else None
