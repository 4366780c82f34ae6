"""What was used last stays, within a limit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from semantic_core_peewee.sqlite.remembered import Remembered


def test_the_least_recently_used_goes_first():
    kept: Remembered[str] = Remembered(3)
    for key in "abc":
        kept.keep(key, key.upper())
    assert kept.get("a") == "A"
    kept.keep("d", "D")
    assert kept.get("b") is None
    assert [kept.get(key) for key in "acd"] == ["A", "C", "D"]
    assert kept.memory == 3


def test_a_value_that_is_larger_than_all_may_have_stays_alone():
    kept: Remembered[str] = Remembered(10)
    kept.keep("small", "s", 4)
    kept.keep("large", "l", 40)
    assert (kept.get("small"), kept.get("large"), kept.memory) == (None, "l", 40)
    kept.keep("large", "m", 5)
    assert (kept.get("large"), kept.memory) == ("m", 5)
    kept.forget()
    assert (kept.get("large"), kept.memory) == (None, 0)


def test_threads_may_share_it():
    kept: Remembered[int] = Remembered(8)

    def use(first: int) -> None:
        for number in range(first, first + 3_000):
            kept.keep(number % 20, number)
            kept.get((number + 7) % 20)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(use, range(4)))
    assert 0 < kept.memory <= 8
