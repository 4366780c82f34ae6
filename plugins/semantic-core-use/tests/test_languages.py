"""A question in one language finds the passage in another, and a text in a language that the model
was not trained on is told apart.
"""

from __future__ import annotations

import numpy as np
import pytest
from language_pairs import PASSAGES, QUESTIONS
from semantic_core_use import UseEmbedder
from semantic_core_use.embedder import LANGUAGES

from semantic_core import Document, Ref, SemanticCore
from semantic_core.coverage import POORLY_COVERED

LEAST = 18
"""Passages of twenty that are found first: one in ten may be missed."""

COVERED = {
    "ar": "يحتفظ المخزن بكل شيء عند إغلاقه، وتحل الوثيقة محل تلك التي لها نفس المرجع.",
    "de": "Der Speicher behält alles, und ein Dokument ersetzt das mit demselben Verweis.",
    "en": "The store keeps everything, and a document replaces the one of the same reference.",
    "es": "El almacén conserva todo, y un documento reemplaza al que tiene la misma referencia.",
    "fr": "Le magasin conserve tout, et un document remplace celui qui a la même référence.",
    "it": "L'archivio conserva tutto, e un documento sostituisce quello con lo stesso nome.",
    "ja": "ストアは閉じられてもすべてを保持し、文書は同じ参照を持つ文書を置き換えます。",
    "ko": "저장소는 닫힐 때 모든 것을 보관하며, 문서는 같은 참조를 가진 문서를 대체합니다.",
    "nl": "De opslag bewaart alles, en een document vervangt dat met dezelfde verwijzing.",
    "pl": "Magazyn zachowuje wszystko, a dokument zastępuje ten, który ma ten sam odnośnik.",
    "pt": "O armazém guarda tudo, e um documento substitui o que tem a mesma referência.",
    "ru": "Хранилище сохраняет всё, и документ заменяет тот, у которого такая же ссылка.",
    "th": "ที่เก็บข้อมูลจะเก็บทุกอย่างไว้ และเอกสารจะแทนที่เอกสารที่มีการอ้างอิงเดียวกัน",
    "tr": "Depo her şeyi saklar ve bir belge aynı başvuruya sahip olanın yerini alır.",
    "zh": "存储在关闭时保留所有内容，文档会替换具有相同引用的文档。",
}
NOT_COVERED = {
    "bn": "সংগ্রহস্থল সবকিছু রাখে এবং একটি নথি একই নামের নথিকে প্রতিস্থাপন করে।",
    "cs": "Úložiště zachová vše, a dokument nahradí ten, který má stejný odkaz.",
    "el": "Η αποθήκη κρατά τα πάντα, και ένα έγγραφο αντικαθιστά εκείνο με την ίδια αναφορά.",
    "fi": "Semanttinen haku löytää asiakirjoja merkityksen perusteella eikä sanojen avulla.",
    "he": "המאגר שומר הכול כשהוא נסגר, ומסמך מחליף את זה שיש לו אותה הפניה.",
    "hi": "भंडार सब कुछ रखता है, और एक दस्तावेज़ उसी संदर्भ वाले को बदल देता है।",
    "hu": "A tároló mindent megőriz, és egy dokumentum felváltja az azonos hivatkozásút.",
    "ka": "საცავი ინახავს ყველაფერს, და დოკუმენტი ცვლის იმავე მითითების მქონეს.",
}


@pytest.mark.parametrize("language", sorted(QUESTIONS))
def test_a_question_finds_the_passage_in_english(embedder: UseEmbedder, language: str) -> None:
    rows = embedder.embed_documents(PASSAGES)
    questions = np.array([embedder.embed_query(text) for text in QUESTIONS[language]])
    found = (questions @ rows.T).argmax(axis=1) == np.arange(len(PASSAGES))
    assert found.sum() >= LEAST, [
        question for question, hit in zip(QUESTIONS[language], found, strict=True) if not hit
    ]


@pytest.mark.parametrize("language", sorted(QUESTIONS))
def test_an_index_finds_them_with_its_defaults(embedder: UseEmbedder, language: str) -> None:
    with SemanticCore(store="memory", embedder=embedder) as core:
        core.ingest(Document(Ref("notes", str(place)), text) for place, text in enumerate(PASSAGES))
        found = [core.search(text, limit=1).hits[0].ref.key for text in QUESTIONS[language]]
    hits = sum(key == str(place) for place, key in enumerate(found))
    assert hits >= LEAST, found


def test_every_language_it_was_trained_on_is_covered(embedder: UseEmbedder) -> None:
    assert set(COVERED) == LANGUAGES == embedder.languages
    for text, share in zip(COVERED.values(), embedder.coverage([*COVERED.values()]), strict=True):
        assert share > 0.8, text


@pytest.mark.parametrize("language", sorted(NOT_COVERED))
def test_a_language_it_was_not_trained_on_is_told_apart(
    embedder: UseEmbedder, language: str
) -> None:
    (share,) = embedder.coverage([NOT_COVERED[language]])
    assert share < POORLY_COVERED


def test_coverage_reads_no_weights() -> None:
    from semantic_core_use import open_use

    embedder = open_use()
    assert embedder.coverage(["Где находится библиотека?", "12:30", ""])[1:] == [1.0, 1.0]
    assert embedder._model is None
