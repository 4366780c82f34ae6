"""Any text is a valid query, any filter is data, and no invalid vector is accepted: the inputs of
these tests are attacks.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from figures import MEASURING, part, record
from rules import looked_for
from samples import EVERYTHING, SPACE, axis, fingerprint_of, item, quick_folder, unit, vector_of
from semantic_core_peewee import SqliteStore

from semantic_core import Condition, Filter, Ref, Scope
from semantic_core.errors import FilterInvalid, InputError, QueryTooLarge, VectorInvalid

QUERIES, FILTERS, POISON = 300_000, 10_000, 10_000
"""Tried in a plain run."""
CANARY = "kanarenvogel"
"""Stands in everything that must not become part of a statement."""
MOST_TERMS, MOST_REPEATS = 32, 3
"""What a query looks for at most, as the store promises."""

SYNTAX = (
    *(
        '"',
        "'",
        "(",
        ")",
        "*",
        "^",
        ":",
        "-",
        "+",
        "{",
        "}",
        "\\",
        ";",
        "--",
        "/*",
        "*/",
        "?",
        "?1",
        ":a",
        "@b",
        "$c",
        "`",
    ),
    *(
        "[",
        "]",
        "|",
        "&",
        "!",
        "%",
        "_",
        ",",
        ".",
        "#",
        "<",
        "=",
        "0x",
        "1e9",
        "\0",
        "\x01",
        "\x7f",
        "\ud800",
        "\udfff",
    ),
    *(
        "AND",
        "OR",
        "NOT",
        "NEAR",
        "NEAR(",
        "NEAR/2",
        "MATCH",
        "passage:",
        "words:",
        "rowid:",
        "rank",
        "-passage:",
        "{passage",
    ),
    *(
        "' OR 1=1 --",
        "'; drop table semantic_index_chunk; --",
        '" OR "',
        "') union select text from semantic_index_document --",
        "x'00'",
        "randomblob(9e9)",
    ),
    *(
        "C++",
        "e-mail",
        "don't",
        "why?",
        "node.js",
        "a/b",
        "U.S.A.",
        "$.x') OR 1=1",
        "\\u0000",
        "%s%n",
        "{0}",
        "${jndi:x}",
    ),
    *(
        "\u202e",
        "\u200b",
        "\ufeff",
        "\u0301" * 40,
        "é",
        "e\u0301",
        "ё",
        "İ",
        "ß",
        "ﬁ",
        "日本語",
        "👩‍👩‍👧",
        "\U0010ffff",
        "\ufdd0",
        "ﷺ",
    ),
)
SPACES = (" ", "", "\t", "\n", "\u00a0", "\u3000", "  ")


def hostile_strings(seed: int, amount: int) -> Iterator[str]:
    """Queries of syntax, odd characters and plain words in any mixture."""
    chance = random.Random(seed)
    for number in range(amount):
        kind = number % 4
        length = min(int(chance.expovariate(0.3)) + 1, 60)
        if kind == 0:
            parts = chance.choices(SYNTAX, k=length)
        elif kind == 1:
            parts = [chr(chance.randrange(0x110000)) for _ in range(length)]
        elif kind == 2:
            parts = [chr(chance.randrange(1, 0x180)) for _ in range(length)]
        else:
            parts = [
                chance.choice(SYNTAX) if chance.random() < 0.6 else CANARY for _ in range(length)
            ]
        yield chance.choice(SPACES).join(parts)


class Statements:
    """Every statement SQLite is given by this process while it is watched,
    its own inner ones too.
    """

    def __init__(self) -> None:
        self.texts: set[str] = set()

    def _executed(self, _cursor: object, sql: str, bindings: Any) -> bool:
        self.texts.add(sql)
        return True

    def _traced(self, event: dict[str, Any]) -> None:
        self.texts.add(event["sql"])

    @contextmanager
    def watched(self, path: Path) -> Iterator[None]:
        """Watch the connections that are open to this file now."""
        opened = [
            each for each in apsw.connections() if each.filename and Path(each.filename) == path
        ]
        assert opened, "there is nothing to watch: read and write once before"
        for connection in opened:
            connection.exec_trace = self._executed
            connection.trace_v2(apsw.SQLITE_TRACE_STMT, self._traced, id=self)
        try:
            yield
        finally:
            for connection in opened:
                connection.exec_trace = None
                connection.trace_v2(0, None, id=self)

    def with_canary(self) -> list[str]:
        """The statements that carry what the user gave."""
        return [sql for sql in self.texts if CANARY in sql]


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as made:
        yield made.resolve()


def test_any_text_is_a_legal_query_and_never_part_of_a_statement(folder: Path) -> None:
    seen, slowest = Statements(), 0.0
    errors: list[str] = []
    with closing(SqliteStore(SPACE, folder / "words.db")) as store:
        store.replace(
            [
                item(Ref("notes", "1"), "why does e-mail fail", "C++ and node.js"),
                item(Ref("notes", "2"), "other"),
            ]
        )
        store.words("warm", 1, EVERYTHING)
        with store.snapshot():
            for query in hostile_strings(1, part(QUERIES)):
                started = time.perf_counter()
                try:
                    store.words(query, 3, EVERYTHING)
                except Exception as error:  # noqa: BLE001 - counted, and shown below
                    errors.append(f"{type(error).__name__}: {error}: {query!r}")
                slowest = max(slowest, time.perf_counter() - started)
        with seen.watched(store.path):
            for query in hostile_strings(2, part(QUERIES) // 20):
                store._text.forget()  # so that the file is asked, and not what is remembered
                store.words(query, 3, EVERYTHING)
                store.words(query, 3, Scope(collections=(CANARY, "notes")))
        assert store.check() == []
    assert not errors, errors[:3]
    assert len(seen.texts) > 5, "the trace saw no queries: it proves nothing"
    assert seen.with_canary() == []
    assert len(seen.texts) < 40, "the text of statements depends on what is asked"
    record(
        "hostile_queries", queries=part(QUERIES), errors=len(errors), statements=len(seen.texts),
        in_statements=0,
        worst_ms=round(slowest * 1000, 2),
    )  # fmt: skip


def bombs() -> dict[str, str]:
    """Queries that would take seconds if all of their words were looked for."""
    return {
        "one word 100,000 times": "a " * 50_000,
        "512 equal words": "zorbak " * 512,
        "10,000 different words": " ".join(f"w{number}" for number in range(10_000)),
        "the same word in all spellings": " ".join(
            word for n in range(300) for word in ("zorbak", "ZORBAK", "zórbak", f"zorbak{n}")
        ),
        "one long word": "z" * 100_000,
        "only quotes": '"' * 100_000,
        "brackets": "(" * 50_000 + ")" * 50_000,
        "combining marks": "z" + "\u0301" * 99_999,
        "words in every passage": "zorbak velquon " * 6_000,
        "prefixes": "z* " * 30_000,
    }


def test_a_query_asks_for_few_words_whatever_it_holds(folder: Path) -> None:
    slowest: dict[str, float] = {}
    with closing(SqliteStore(SPACE, folder / "bombs.db")) as store:
        crowd = " ".join(["zorbak"] * 50 + ["velquon"] * 20)
        store.replace(
            [
                item(Ref("notes", str(number)), f"{crowd} w{number} zorbak{number}")
                for number in range(2_000)
            ]
        )
        store.words("warm", 1, EVERYTHING)
        for name, bomb in bombs().items():
            with looked_for() as searches:
                started = time.perf_counter()
                store.words(bomb, 10, EVERYTHING)
                slowest[name] = time.perf_counter() - started
            assert len(searches) == 1
            for terms in filter(None, searches):
                assert len(set(terms)) <= MOST_TERMS, name
                assert max(map(terms.count, terms)) <= MOST_REPEATS, name
        assert len(slowest) == len(bombs())
        for absurd in ("a " * 50_001, "z" * 10_000_000):
            with looked_for() as searches, pytest.raises(QueryTooLarge) as caught:
                store.words(absurd, 10, EVERYTHING)
            assert searches == []
            assert len(str(caught.value)) < 200
    worst = max(slowest, key=lambda name: slowest[name])
    record(
        "query_bombs",
        bombs=len(slowest),
        most_terms=MOST_TERMS,
        worst_ms=round(slowest[worst] * 1000, 1),
        worst=worst,
    )


@pytest.mark.slow
def test_a_query_of_one_common_word_reads_little_more_than_who_holds_it(folder: Path) -> None:
    """Warm, after a write, and in a store that was just opened."""
    count = 100_000 if MEASURING else 25_000
    waited: dict[str, float] = {}

    def ask(when: str, store: SqliteStore) -> None:
        started = time.perf_counter()
        found = store.words("the", 10, EVERYTHING)
        waited[when] = max(waited.get(when, 0.0), time.perf_counter() - started)
        assert len(found.ids) == 10

    with closing(SqliteStore(SPACE, folder / "common.db")) as store:
        for start in range(0, count, 10_000):
            store.replace(
                [
                    item(Ref("notes", str(at)), *(f"the plant number {at + n}" for n in range(250)))
                    for at in range(start, start + 10_000, 250)
                ]
            )
        ask("first", store)
        for number in range(5):
            ask("again", store)
            store.replace([item(Ref("more", str(number)), "the one more")])
            ask("after_a_write", store)
    with closing(SqliteStore(SPACE, folder / "common.db")) as store:
        store.stats()
        ask("opened", store)
    record(
        "common_word",
        passages=count,
        **{f"{when}_ms": round(seconds * 1000, 1) for when, seconds in waited.items()},
    )


KEYS = (
    *("lang", "a.b", "$.x') OR 1=1 --", 'quo"te', "o'b", "Ключ 🔑", "0", "[0]", "?", "?1", ":a",
     "@b", "key", "kind"),
    *("d.id", "a.key", "tenant", "generation", "1=1", "x' or 'x'='x", "null", "NULL", "%", "_",
     "\\", "--", "/*", ";", " "),
    f"{CANARY}'", f'{CANARY}"); drop table semantic_index_document; --', f"$.{CANARY}",
    "k" * 128, "\U0010ffff",
    "e\u0301", "é",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *(
        "",
        "en",
        "1",
        "1.0",
        "true",
        "null",
        "' or 1=1 --",
        '"',
        "%",
        "_",
        "a\0b",
        "\0",
        f"{CANARY}' --",
        f"{CANARY}\0",
    ),
    *(
        0,
        1,
        -1,
        1.0,
        0.1,
        0.30000000000000004,
        2**53,
        2**53 + 1,
        float(2**53),
        2**63 - 1,
        -(2**63),
        1e308,
        5e-324,
        -0.0,
    ),
    *(True, False, "é", "e\u0301", "\uffee", "😀", "Z", "z", "x" * 5_000),
)


def any_metadata(chance: random.Random) -> dict[str, Any]:
    """Few keys, any value; a list now and then."""
    held: dict[str, Any] = {}
    for key in chance.sample(KEYS, chance.randrange(6)):
        texts = [value for value in chance.choices(VALUES, k=3) if isinstance(value, str)]
        held[key] = texts if chance.random() < 0.2 else chance.choice(VALUES)
    return held


def any_where(chance: random.Random) -> dict[str, Any]:
    """A ``where`` over the same keys and values, every operator."""
    where: dict[str, Any] = {}
    for key in chance.sample(KEYS, chance.choice((1, 1, 1, 2, 3))):
        word = chance.choice(
            ("eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "exists", "plain", "within")
        )
        value = chance.choice([value for value in VALUES if not isinstance(value, bool)])
        if word == "exists":
            where[key] = {"exists": chance.random() < 0.5}
        elif word in ("in", "not_in"):
            where[key] = {word: chance.choices(VALUES, k=chance.randrange(4))}
        elif word == "plain":
            where[key] = chance.choice(VALUES)
        elif word == "within":
            where[key] = {
                "gte": value,
                "lt": chance.choice([other for other in VALUES if type(other) is type(value)]),
            }
        else:
            where[key] = {word: value}
    return where


def test_any_filter_is_data_and_never_part_of_a_statement(folder: Path) -> None:
    chance, seen = random.Random(3), Statements()
    differing: list[str] = []
    with closing(SqliteStore(SPACE, folder / "filters.db")) as store:
        held = {Ref("notes", str(number)): any_metadata(chance) for number in range(40)}
        batch = [item(ref, "zorbak", metadata=metadata) for ref, metadata in held.items()]
        store.replace(batch)
        kept = {document.ref: document.metadata for document, _ in batch}
        store.words("warm", 1, EVERYTHING)
        with seen.watched(store.path), store.snapshot():
            for number in range(part(FILTERS)):
                where = any_where(chance)
                filter = Filter.parse(where)
                scope = Scope(filter=filter)
                wanted = {ref for ref, metadata in kept.items() if filter.matches(metadata)}
                if number % 4 == 0:
                    found = {summary.ref for summary in store.documents(scope)}
                elif number % 4 == 1:
                    found = {id.ref for id in store.words("zorbak", 100, scope).ids}
                else:
                    found = {id.ref for id in store.nearest(axis(0), 100, scope).ids}
                if found != wanted:
                    differing.append(f"{where!r}: {[kept[ref] for ref in found ^ wanted]}")
        assert store.check() == []
    assert not differing, differing[:3]
    assert seen.with_canary() == []
    assert len(seen.texts) > 50, "the trace saw nothing: it proves nothing"
    record("hostile_filters", filters=part(FILTERS), differing=len(differing), in_statements=0)


def test_a_filter_no_store_can_compare_is_refused(folder: Path) -> None:
    bad_keys = ["", "\0", "a\nb", "k" * 129, None, 1, b"lang", ("lang",), "\ud800"]
    bad_values = [
        None,
        float("nan"),
        float("inf"),
        2**63,
        b"en",
        {"gt": True},
        {"like": "%"},
        {},
        object(),
        {"$ne": 1},
    ]
    refused = 0
    for where in [
        *({key: 1} for key in bad_keys),
        *({"lang": value} for value in bad_values),
        "lang",
        1,
        [1],
    ]:
        with pytest.raises(FilterInvalid):
            Filter.parse(where)  # type: ignore[arg-type]
        refused += 1
    with closing(SqliteStore(SPACE, folder / "filters.db")) as store:
        store.replace([item(Ref("notes", "1"), "zorbak", metadata={"n": 1})])
        by_hand = [
            ("in", (None,)),
            ("gt", ((1, 2),)),
            ("in", (b"1",)),
            ("in", ({},)),
            ("in", tuple(range(40_000))),
        ]
        for operator, values in by_hand:
            scope = Scope(filter=Filter((Condition("n", operator, values),)))  # type: ignore[arg-type]
            for ask in (
                store.documents,
                lambda s: store.nearest(axis(0), 1, s),
                lambda s: store.words("zorbak", 1, s),
            ):
                with pytest.raises(InputError):
                    ask(scope)
                refused += 1
        assert len(store.documents(EVERYTHING)) == 1
    assert refused == len(bad_keys) + len(bad_values) + 3 + 3 * len(by_hand)


def poison_vectors(seed: int, amount: int) -> Iterator[Any]:
    """What must not be stored: not finite, of no length, of another shape, not numbers."""
    chance, size = random.Random(seed), SPACE.dimensions
    for number in range(amount):
        vector = vector_of(f"poison {number % 50}").astype(np.float64)
        place, kind = chance.randrange(size), number % 12
        if kind == 0:
            vector[place] = chance.choice((np.nan, np.inf, -np.inf))
        elif kind == 1:
            vector = vector * chance.choice((0.0, 1e-7, 1e-23, 1e-38, 1e-45, 5e-324))
        elif kind == 2:
            vector = np.full(size, chance.choice((np.nan, np.inf, 0.0, 1e308, sys.float_info.max)))
        elif kind == 3:
            vector = vector[: chance.randrange(size)]
        elif kind == 4:
            vector = np.concatenate([vector, vector[: chance.randrange(1, size)]])
        elif kind == 5:
            vector = vector.reshape(chance.choice(((1, size), (size, 1), (2, size // 2))))
        elif kind == 6:
            vector = vector.astype(chance.choice(("complex64", "U8", "S8", "bool", "O")))
        elif kind == 7:
            yield chance.choice(
                ("[1,2,3", "0x10", b"\0" * 64, 1.0, [], {}, object(), [None] * size, [[1.0]] * size)
            )
            continue
        elif kind == 8:
            vector = np.zeros(size)
            vector[place] = chance.choice((1e-6, 1e-10, -1e-6, 5e-324))
        elif kind == 9:
            vector = np.full(size, 1e200) * chance.choice((1.0, -1.0))
        elif kind == 10:
            vector = np.full(size, "NaT", dtype="datetime64[s]")
        else:
            vector[place] = np.nan
            yield vector.astype(np.float32).tolist()
            continue
        with np.errstate(over="ignore", under="ignore"):
            yield (
                vector
                if chance.random() < 0.5 or vector.dtype != np.float64
                else vector.astype(np.float32)
            )


def test_no_invalid_vector_is_stored_and_none_ranks(folder: Path) -> None:
    stored: list[str] = []
    with closing(SqliteStore(SPACE, folder / "poison.db")) as store:
        good = [item(Ref("good", str(number)), f"good {number}") for number in range(20)]
        waiting = item(Ref("waiting", "1"), "waits", vectors=[None])
        store.replace([*good, waiting])
        for number, poison in enumerate(poison_vectors(5, part(POISON))):
            bad = item(Ref("bad", str(number)), f"bad {number}", "fine", vectors=[poison, axis(0)])
            attempts = (
                lambda bad=bad: store.replace([good[0], bad]),
                lambda poison=poison: store.fill({fingerprint_of("waits"): poison}),
                lambda poison=poison: store.nearest(poison, 5, EVERYTHING),
                lambda poison=poison: store.similarity([good[0][1][0].chunk.id], poison),
            )
            attempt = attempts[0] if number % 2 else attempts[number // 2 % 4]
            try:
                attempt()
            except VectorInvalid:
                continue
            stored.append(repr(poison))
        assert store.stats().documents == len(good) + 1
        ids = {entry.chunk.id for _, entries in good for entry in entries}
        hits = 0
        for number in range(200):
            ranking = store.nearest(vector_of(f"query {number}"), 50, EVERYTHING)
            hits += sum(id not in ids for id in ranking.ids)
            assert len(ranking) == len(good) and all(
                -1.0 <= score <= 1.0 for score in ranking.scores
            )
        assert [chunk.passage for chunk in store.pending(5)] == ["waits"]
        assert store.check() == []
    assert (stored[:3], hits) == ([], 0)
    record("poison_vectors", vectors=part(POISON), stored=len(stored), ranked=hits)


def test_a_vector_of_hardly_any_length_ranks_by_its_direction(folder: Path) -> None:
    with closing(SqliteStore(SPACE, folder / "short.db")) as store:
        lengths = (2e-6, 1e-3, 1.0, 1e6, 1e18)
        near = [
            item(Ref("near", str(length)), f"near {length}", vectors=[axis(0) * np.float64(length)])
            for length in lengths
        ]
        far = item(
            Ref("far", "1"), "far", vectors=[unit([1.0, 1.0, *[0.0] * (SPACE.dimensions - 2)])]
        )
        store.replace([*near, far])
        ranking = store.nearest(axis(0) * np.float64(1e-5), 10, EVERYTHING)
        assert [id.ref.collection for id in ranking.ids] == ["near"] * len(near) + ["far"]
        assert ranking.scores[: len(near)] == (1.0,) * len(near)
