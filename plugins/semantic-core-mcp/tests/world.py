"""Tenants, users and documents, each with a word of its own, and who may see which."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from semantic_core import Document, Ref, SemanticCore
from semantic_core.permissions import Permissions
from semantic_core.testing import HashEmbedder

TENANTS = ("acme", "bolt", "cedar")
USERS: Mapping[str, tuple[str, ...]] = {
    "ann": ("staff",),
    "bob": ("staff", "board"),
    "eve": (),
}
"""The groups of each user; all of them exist at every tenant."""
EVERYONE = "everyone"
COLLECTIONS = ("notes", "mails", "plans")
WORDS = ("beans", "climb", "the", "wall", "salary", "merger", "water", "morning", "report", "plan")
SIGN = re.compile(r"zq\d{4}z", re.IGNORECASE)
"""The word of a document. It is in its key, its title, its text and its metadata."""


@attrs.frozen
class Secret:
    """A document, and the names of those who may read it."""

    document: Document
    readers: tuple[str, ...]

    @property
    def sign(self) -> str:
        """Its word."""
        return SIGN.findall(self.document.ref.key)[0]

    def visible_to(self, tenant: str, user: str) -> bool:
        """Whether this user may see it: the oracle."""
        names = {user, *USERS[user], EVERYONE}
        return self.document.ref.tenant == tenant and bool(names & set(self.readers))


def secrets(seed: int = 1, count: int = 180) -> list[Secret]:
    """The documents of all tenants. Some collections are known to one user or tenant only."""
    choose = random.Random(seed)
    made = []
    for number in range(count):
        tenant = choose.choice(TENANTS)
        collection = choose.choice([*COLLECTIONS, f"only-{tenant}"])
        readers = tuple(choose.sample(["ann", "bob", "eve", "staff", "board", EVERYONE], k=2))
        if number % 9 == 0:
            readers = (choose.choice(list(USERS)),)
            collection = f"of-{readers[0]}"
        sign = f"zq{number:04}z"
        paragraphs = []
        for _ in range(choose.randint(1, 4)):
            words = choose.choices(WORDS, k=choose.randint(5, 40))
            paragraphs.append(f"{' '.join(words)} {sign}.")
        document = Document(
            Ref(collection, f"{sign}/{number}.md", tenant),
            "\n\n".join(paragraphs),
            title=f"{choose.choice(WORDS)} {sign}",
            media_type="text/markdown" if number % 2 else "text/plain",
            metadata={"readers": list(readers), "lang": choose.choice(["en", "ru"]), "of": sign},
        )
        made.append(Secret(document, readers))
    return made


def core_of(made: list[Secret], **more: Any) -> SemanticCore:
    """An index with all of them, in memory if nothing else is said."""
    settings: dict[str, Any] = {
        "store": "memory",
        "embedder": HashEmbedder(),
        "multi_tenant": True,
        "plugins": [Permissions("readers", everyone=EVERYONE)],
        "max_chars": 200,
        **more,
    }
    core = SemanticCore(**settings)
    core.ingest([secret.document for secret in made])
    return core


def context_of(user: str) -> dict[str, Any]:
    """Who asks."""
    return {"user": user, "groups": list(USERS[user])}


@attrs.frozen
class Sight:
    """What one user of one tenant may see of a world."""

    tenant: str
    user: str
    made: list[Secret]

    @property
    def seen(self) -> list[Secret]:
        """The documents that they may see."""
        return [secret for secret in self.made if secret.visible_to(self.tenant, self.user)]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many they may see in each collection."""
        return Counter(secret.document.ref.collection for secret in self.seen)

    def leaks(self, answer: str, *, asked: str = "") -> set[str]:
        """The words of documents, and names of collections, in an answer that they may not see.

        asked: the request, if its own words may be repeated.
        """
        allowed = {secret.sign for secret in self.seen} | set(SIGN.findall(asked.lower()))
        signs = {sign.lower() for sign in SIGN.findall(answer)}
        names = set()
        for collection in {secret.document.ref.collection for secret in self.made}:
            known = collection in self.counts or collection in asked or collection in COLLECTIONS
            if not known and collection in answer:
                names.add(collection)
        return (signs - allowed) | names


def sights(made: list[Secret]) -> Iterator[Sight]:
    """Every user of every tenant."""
    for tenant in TENANTS:
        for user in USERS:
            yield Sight(tenant, user, made)
