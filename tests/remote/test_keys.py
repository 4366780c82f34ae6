"""A secret does not show itself, whatever is done with it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from semantic_core.remote import Secret, as_secret, key_fault, read_key

KEY = "sk-0123456789-of-nobody"


def test_a_secret_shows_nothing_and_hands_out_its_text_only_when_asked() -> None:
    secret = Secret(KEY)
    shown = f"{secret} {secret!r} {secret:>40} {secret!s} {[secret]} {vars(Secret)}"
    assert KEY not in shown and "***" in shown
    assert secret.reveal() == KEY and secret == KEY == Secret(KEY).reveal()
    assert secret != Secret("another") and secret != 5
    assert hash(secret) == hash(Secret(KEY)) and copy.deepcopy(secret) is copy.copy(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(secret)
    with pytest.raises(AttributeError):
        secret._text = "new"


def test_a_secret_masks_itself_in_a_text_unless_it_is_as_short_as_a_word() -> None:
    assert Secret(KEY).mask(f"key {KEY}, again {KEY}") == "key ***, again ***"
    assert Secret("word").mask("a word") == "a word"


def test_the_account_of_a_key_tells_nothing_of_it() -> None:
    one, same, other = Secret(KEY), Secret(KEY), Secret(f"{KEY}x")
    assert one.account("a") == same.account("a") != other.account("a") != one.account("b")
    assert len(one.account("a")) == 16 and KEY not in one.account("a")


@pytest.mark.parametrize(
    "key", ["", "   ", "two words", "ключ", "tab\tinside", 12345, b"bytes", "\x00", "é" * 30]
)
def test_what_cannot_be_a_key_has_a_fault_that_does_not_show_it(key: Any) -> None:
    fault = key_fault(key)
    assert fault and (len(str(key).strip()) < 5 or str(key) not in fault)


@pytest.mark.parametrize("key", [None, KEY, f" {KEY}\n", Secret(KEY)])
def test_what_can_be_a_key_has_none(key: Any) -> None:
    assert key_fault(key) == ""
    assert as_secret(key) in (None, KEY)


def test_the_first_variable_that_is_set_counts() -> None:
    variables = {"A": " ", "B": f" {KEY}\n", "C": "other"}
    assert read_key(variables, "A", "B", "C") == KEY
    assert read_key(variables, "A", "D") is None and read_key(variables) is None
