"""The language of a text, by its frequent words and letters."""

from __future__ import annotations

import pytest
from semantic_core_languages.detection import (
    FUNCTION_WORDS,
    LEAST_POINTS,
    MOST_LANGUAGES,
    Detector,
)

SENTENCES = {
    "en": "Nobody knows what the weather will be like on the day of the festival.",
    "de": "Niemand weiß, wie das Wetter am Tag des Festes wird und ob es regnet.",
    "fr": "Personne ne sait quel temps il fera le jour de la fête.",
    "es": "Nadie sabe qué tiempo hará el día de la fiesta.",
    "it": "Nessuno sa che tempo farà il giorno della festa.",
    "pt": "Ninguém sabe como vai ser o tempo no dia da festa, mas não importa.",
    "nl": "Niemand weet hoe het weer op de dag van het feest zal zijn.",
    "sv": "Ingen vet hur vädret blir på dagen för festen, och det är synd.",
    "da": "Ingen ved, hvordan vejret bliver på dagen for festen, og det er synd.",
    "no": "Ingen vet hvordan været blir på dagen for festen, og det er synd at jeg ikke ser noe.",
    "fi": "Kukaan ei tiedä, millainen sää on juhlapäivänä, mutta se ei haittaa.",
    "tr": "Bayram günü havanın nasıl olacağını kimse bilmiyor, ama çok önemli değil.",
    "pl": "Nikt nie wie, jaka będzie pogoda w dniu święta, ale to nie jest ważne.",
    "ro": "Nimeni nu știe cum va fi vremea în ziua sărbătorii, dar nu este important.",
    "hu": "Senki sem tudja, milyen lesz az idő az ünnep napján, de nem is fontos.",
    "cs": "Nikdo neví, jaké bude počasí v den slavnosti, ale to není důležité.",
    "vi": "Không ai biết thời tiết của ngày lễ sẽ như thế nào, và điều đó không quan trọng.",
}


def detected(detector: Detector, text: str) -> str | None:
    sums = [0] * len(detector.languages)
    for word in text.replace(",", " ").replace(".", " ").split():
        sums = [one + more for one, more in zip(sums, detector.points(word), strict=True)]
    place = detector.language(sums)
    return None if place is None else detector.languages[place]


@pytest.mark.parametrize("language", FUNCTION_WORDS)
def test_a_sentence_shows_its_language(language: str) -> None:
    assert detected(Detector.among(()), SENTENCES[language]) == language


def test_a_word_or_two_show_nothing() -> None:
    detector = Detector.among(())
    for text in ("", "documentation", "Berlin", "12 + 3", "a"):
        assert detected(detector, text) is None


def test_only_the_languages_that_are_set_are_told_apart() -> None:
    detector = Detector.among(["de", "en"])
    assert detected(detector, SENTENCES["nl"]) in ("de", "en", None)
    assert detected(detector, SENTENCES["en"]) == "en"


def test_of_equal_ones_the_first_is_taken() -> None:
    assert Detector(["a", "b"]).language([LEAST_POINTS, LEAST_POINTS]) == 0
    assert Detector(["a", "b"]).language([LEAST_POINTS - 1, 0]) is None
    assert len(FUNCTION_WORDS) <= MOST_LANGUAGES
