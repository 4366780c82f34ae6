"""What is found and what is not, in each language: queries and texts meet in a term, and a search
of the store in memory returns the right document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest
from semantic_core_languages import LanguagesAnalyser

from semantic_core import Document, Ref, SemanticCore

FOUND = [
    ("en", "searches", "He searched the archives."),
    ("en", "archive", "He searched the archives."),
    ("en", "the user's", "all the users"),
    ("en", "full text", "a full-text index"),
    ("en", "full-text", "the text is full"),
    ("en", "cafe", "a CAFÉ in town"),
    ("ru", "документ", "Найдено много документов."),
    ("ru", "документами", "документ"),
    ("ru", "поиск документа", "поиска документов"),
    ("ru", "ёлки", "Елка стоит"),
    ("ru", "елки", "Ёлка стоит"),
    ("ru", "НЕЙРОСЕТЬ", "обучение нейросетей"),
    ("de", "Haus", "Die Häuser am See"),
    ("de", "haeuser", "Das Haus am See"),
    ("de", "Strasse", "die Straßen"),
    ("de", "muenchen", "in München"),
    ("de", "Kindern", "Kinder spielen"),
    ("fr", "cheval", "les chevaux"),
    ("fr", "homme", "L'homme est là"),
    ("fr", "generations", "une génération"),
    ("es", "canciones", "la canción"),
    ("es", "nino", "los niños"),
    ("tr", "kitap", "kitapları okudum"),
    ("tr", "ISPARTA", "Isparta'da yaşıyor"),
    ("tr", "istanbul", "İSTANBUL'DA"),
    ("tr", "evler", "evlerimizden"),
    ("ar", "محمد", "مُحَمَّد"),
    ("ar", "احمد", "أحمد"),
    ("ar", "كتاب", "الكتاب"),
    ("ar", "مـدرسة", "المدرسة"),
    ("he", "שלום", "שָׁלוֹם עולם"),
    ("he", "צהל", "צה״ל"),
    ("zh", "数据库", "关系数据库系统"),
    ("zh", "猫", "我家的猫很可爱"),
    ("zh", "Python", "使用Python开发"),
    ("ja", "東京タワー", "昨日東京タワーへ行った"),
    ("ja", "検索", "全文検索の仕組み"),
    ("ko", "한국어", "한국어를 배운다"),
    ("th", "ภาษาไทย", "ฉันพูดภาษาไทยได้"),
    ("el", "αναζητηση", "Αναζήτηση κειμένου"),
    ("ru", "запросы базе", "Запрос SELECT в базе PostgreSQL через psycopg2"),
    ("ru", "postgresql", "Запрос SELECT в базе PostgreSQL через psycopg2"),
    ("ru", "indexes", "Построение index в node.js"),
    ("ru", "node.js", "Построение index в Node.js, версия 20.1.2"),
    ("ru", "20.1", "Построение index в Node.js, версия 20.1.2"),
    ("ru", "js", "Построение index в Node.js"),
    ("en", "snake case", "call snake_case()"),
    ("en", "snake_case", "call snake_case()"),
    ("en", "CamelCase", "class CamelCase:"),
    ("en", "camelcase", "class CamelCase:"),
    ("en", "camel", "class CamelCase:"),
    ("en", "http response", "getHTTPResponse"),
    ("en", "phone", "my iPhone"),
    ("en", "C++", "written in C++."),
    ("en", "c#", "written in C#!"),
    ("en", "3.11.2", "Python 3.11.2 is out"),
    ("en", "3.11", "Python 3.11.2 is out"),
    ("en", "ann@example.com", "mail <Ann@Example.com>, please"),
    ("en", "example.com", "mail ann@example.com"),
    ("en", "ann", "mail ann@example.com"),
    ("en", "example.com", "see https://example.com/docs/page?x=1#top"),
    ("en", "example.com/docs/page", "see https://example.com/docs/page?x=1#top"),
    ("en", "page", "see https://example.com/docs/page"),
    ("en", "main.py", "src/main.py"),
    ("en", "usa", "the U.S.A."),
    ("en", "R&D", "our R&D department"),
    ("hi", "किताब", "किताब पढ़ो"),
]
NOT_FOUND = [
    ("en", "searches", "a sea of arches"),
    ("en", "cat", "concatenate"),
    ("ru", "поиск", "документы"),
    ("ru", "йод", "иод"),
    ("de", "Haus", "Hase"),
    ("fr", "homme", "femme"),
    ("es", "nino", "nido"),
    ("tr", "kitap", "kalem"),
    ("ar", "كتاب", "قلم"),
    ("he", "שלום", "עולם"),
    ("zh", "数据", "据数"),
    ("zh", "狗", "我家的猫很可爱"),
    ("ja", "京東", "東京"),
    ("th", "แมว", "ภาษาไทย"),
    ("hi", "किताब", "कलम"),
    ("en", "node.js", "a node of the tree, and some js"),
    ("en", "C++", "C is older than C#"),
    ("en", "3.11.2", "Python 3.11.3"),
    ("en", "ann@example.com", "bob@example.com"),
    ("en", "snake_case", "a case of snakes"),
]
ALL = ("en", "ru", "de", "fr", "es", "tr")


def meets(analyser: LanguagesAnalyser, query: str, text: str, language: str | None) -> bool:
    """Whether every word of the query is in the text."""
    terms = {token.term for token in analyser.tokens(text, language)}
    words: dict[int, set[str]] = {}
    for token in analyser.query_tokens(query):
        words.setdefault(token.position, set()).add(token.term)
    return bool(words) and all(alternatives & terms for alternatives in words.values())


@pytest.mark.parametrize(("language", "query", "text"), FOUND)
def test_it_is_found_where_the_language_is_set(language: str, query: str, text: str) -> None:
    assert meets(LanguagesAnalyser([language]), query, text, None)
    assert meets(LanguagesAnalyser([language, "en"]), query, text, language)


@pytest.mark.parametrize(("language", "query", "text"), NOT_FOUND)
def test_it_is_not_found(language: str, query: str, text: str) -> None:
    for languages in ([], [language], ALL):
        assert not meets(LanguagesAnalyser(languages), query, text, language)


@pytest.mark.parametrize(("language", "query", "text"), FOUND)
def test_what_is_written_the_same_is_found_without_any_setting(
    language: str, query: str, text: str
) -> None:
    analyser = LanguagesAnalyser()
    for word in text.split():
        assert meets(analyser, word, text, language) or not analyser.query_tokens(word)
        assert meets(analyser, word, text, None) or not analyser.query_tokens(word)


@pytest.mark.parametrize(
    ("query", "text"),
    [(query, text) for language, query, text in FOUND if language in "ru ar zh ja th ko he el hi"],
)
def test_a_script_tells_the_language_without_any_setting(query: str, text: str) -> None:
    assert meets(LanguagesAnalyser(), query, text, None)


FORMS = ["документ", "документа", "документу", "документом", "документе", "документы", "документов"]


@pytest.mark.parametrize("language", [None, "ru", "en"])
def test_every_form_of_a_russian_word_finds_every_other(language: str | None) -> None:
    analyser = LanguagesAnalyser()
    for asked in FORMS:
        for written in FORMS:
            assert meets(analyser, asked, f"Это {written} в Python.", language)


Search = Callable[[Sequence[str], Sequence[str], str], list[int]]


@pytest.fixture(params=["memory", "sqlite"])
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Search:
    """A search of a new store: (languages, texts, query) -> the places of the texts that are found,
    best first.
    """
    numbers = count()

    def search(languages: Sequence[str], texts: Sequence[str], query: str) -> list[int]:
        options = {"path": tmp_path / f"{next(numbers)}.db"} if request.param == "sqlite" else {}
        with SemanticCore(
            store=request.param, embedder=None, languages=languages, **options
        ) as core:
            core.ingest(Document(Ref("t", str(place)), text) for place, text in enumerate(texts))
            return [int(hit.ref.key) for hit in core.search(query, mode="text")]

    return search


@pytest.mark.parametrize(("language", "query", "text"), FOUND[::3])
def test_a_search_finds_it(found: Search, language: str, query: str, text: str) -> None:
    assert found([language], ["Nothing 42", text], query) == [1]


def test_a_search_finds_other_inflections_and_the_whole_identifier_first(
    found: Search,
) -> None:
    texts = ["Поиск документов в Node.js", "js в документе", "Ничего похожего"]
    assert found(["ru", "en"], texts, "документами") == [1, 0]
    assert found([], texts, "node.js") == [0]
    assert set(found([], texts, "js")) == {0, 1}
    assert found([], texts, "похожие") == [2]


def test_the_words_of_a_query_are_looked_for_in_every_language_that_is_set(
    found: Search,
) -> None:
    texts = ["Kinder spielen im Garten", "all the children play", "les chevaux courent"]
    languages = ["de", "en", "fr"]
    assert found(languages, texts, "Kindern") == [0]
    assert found(languages, texts, "playing") == [1]
    assert found(languages, texts, "cheval") == [2]
