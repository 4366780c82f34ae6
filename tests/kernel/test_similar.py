"""Documents like one document: by its vectors and its rarest words, without itself."""

from __future__ import annotations

from typing import Any

import pytest

from semantic_core import Document, Ref, Scope, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core._similar import MOST_WORDS, likeness_of
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import InputError, TenantRefused
from semantic_core.protocols import ChunkVectors
from semantic_core.testing import HashEmbedder

NOTES = {
    "walrus": "The walrus rests on the ice with long tusks and whiskers.",
    "seal": "A seal rests on the ice and has whiskers, but no tusks.",
    "otter": "An otter floats on its back and cracks shells.",
    "loops": "Loops repeat a block of code while a condition holds.",
    "code": "A block of code is run again by loops.",
}


def opened(*plugins: object, embedder: Any = None, **options: Any) -> SemanticCore:
    made = HashEmbedder() if embedder is None else embedder
    store = MemoryStore(made.space, **options)
    return SemanticCore(store=store, embedder=made, plugins=plugins)


def filled(*plugins: object) -> SemanticCore:
    core = opened(*plugins)
    for key, text in NOTES.items():
        core.ingest(
            Document(Ref("notes", key), text, metadata={"sea": key not in ("loops", "code")})
        )
    return core


def keys(found: Any) -> list[str]:
    return [hit.ref.key for hit in found]


def test_what_is_like_a_document_comes_first_without_itself():
    core = filled()
    for key, like in (("walrus", "seal"), ("loops", "code"), ("code", "loops")):
        found = core.similar(Ref("notes", key))
        assert keys(found)[0] == like
        assert key not in keys(found)
    assert (
        core.similar(core.search("walrus tusks")[0]).hits
        == core.similar(Ref("notes", "walrus")).hits
    )


def test_no_embedder_is_asked():
    core = filled()
    asked = core.embedder.calls
    assert core.similar(Ref("notes", "walrus")).mode == "hybrid"
    assert core.embedder.calls == asked


def test_pages_fit_together():
    core = filled()
    whole = keys(core.similar(Ref("notes", "walrus"), limit=10))
    assert len(whole) == len(NOTES) - 1
    pages = [keys(core.similar(Ref("notes", "walrus"), limit=2, offset=at)) for at in (0, 2, 4)]
    assert [key for page in pages for key in page] == whole


def test_filters_and_collections_hold_for_what_is_found():
    core = filled()
    core.ingest(Document(Ref("blog", "walrus"), NOTES["walrus"]))
    assert keys(core.similar(Ref("notes", "walrus"), limit=1, collections=["blog"])) == ["walrus"]
    found = core.similar(Ref("notes", "walrus"), where={"sea": False})
    assert set(keys(found)) == {"loops", "code"}


def test_without_vectors_the_words_decide():
    core = opened()
    for key, text in NOTES.items():
        core.ingest(Document(Ref("notes", key), text), mode="async")
    found = core.similar(Ref("notes", "walrus"))
    assert (found.mode, keys(found)[0]) == ("text", "seal")


def test_an_index_of_words_alone_has_similar_documents():
    core = SemanticCore(store="memory", embedder=None)
    for key, text in NOTES.items():
        core.ingest(Document(Ref("notes", key), text))
    assert keys(core.similar(Ref("notes", "walrus")))[0] == "seal"


def test_a_document_of_many_passages_is_like_all_of_them():
    core = opened()
    long = "\n\n".join(NOTES[key] for key in ("walrus", "loops"))
    core = SemanticCore(store=core.store, embedder=core.embedder, plugins=(), max_chars=60)
    core.ingest(Document(Ref("notes", "long"), long))
    for key in ("seal", "code", "otter"):
        core.ingest(Document(Ref("notes", key), NOTES[key]))
    assert set(keys(core.similar(Ref("notes", "long")))[:2]) == {"seal", "code"}


def test_its_words_are_the_rare_ones_that_others_have():
    core = filled()
    likeness = likeness_of(Ref("notes", "walrus"), core.store, Scope(), WordAnalyser())
    assert likeness is not None
    assert set(likeness.words.split()) == {"rests", "ice", "tusks", "whiskers"}
    many = " ".join(f"word{number}" for number in range(100))
    core.ingest(Document(Ref("notes", "a"), many), Document(Ref("notes", "b"), many))
    likeness = likeness_of(Ref("notes", "a"), core.store, Scope(), WordAnalyser())
    assert likeness is not None
    assert len(likeness.words.split()) == MOST_WORDS


def test_a_document_without_words_is_like_nothing():
    core = filled()
    core.ingest(Document(Ref("notes", "odd"), "... !"))
    assert len(core.similar(Ref("notes", "odd"))) == 0


def test_a_document_that_is_not_there_is_told():
    with pytest.raises(InputError, match="no document notes/absent"):
        filled().similar(Ref("notes", "absent"))


def test_what_is_not_shown_is_as_if_it_were_not_there():
    class SeaOnly:
        @hookimpl
        def semantic_restrict(self, context):
            return {"sea": True}

    core = filled(SeaOnly())
    with pytest.raises(InputError, match="no document notes/loops"):
        core.similar(Ref("notes", "loops"))
    assert set(keys(core.similar(Ref("notes", "walrus"), limit=10))) == {"seal", "otter"}
    assert keys(core.unrestricted().similar(Ref("notes", "loops")))[0] == "code"


def test_words_of_hidden_documents_do_not_make_a_word_known():
    class SeaOnly:
        @hookimpl
        def semantic_restrict(self, context):
            return {"sea": True}

    core = filled(SeaOnly())
    core.ingest(Document(Ref("notes", "lone"), "zorbak and whiskers", metadata={"sea": True}))
    core.ingest(Document(Ref("notes", "hidden"), "zorbak", metadata={"sea": False}))
    assert core.similar(Ref("notes", "lone")).query == "whiskers"
    assert core.unrestricted().similar(Ref("notes", "lone")).query.split() == ["zorbak", "whiskers"]


def test_a_tenant_has_its_own_similar_documents():
    core = opened(multi_tenant=True)
    for tenant in ("ann", "bob"):
        for key in ("walrus", "seal"):
            core.ingest(Document(Ref("notes", key, tenant), NOTES[key]))
    found = core.tenant("ann").similar(Ref("notes", "walrus"))
    assert [hit.ref for hit in found] == [Ref("notes", "seal", "ann")]
    with pytest.raises(TenantRefused):
        core.tenant("ann").similar(Ref("notes", "walrus", "bob"))


def test_bad_input_is_refused():
    core = filled()
    for options in ({"limit": 0}, {"offset": -1}, {"collections": "notes"}):
        with pytest.raises(InputError):
            core.similar(Ref("notes", "walrus"), **options)
    with pytest.raises(InputError, match="Wanted a Ref"):
        core.similar("walrus")  # type: ignore[arg-type]


def test_passages_of_plugins_are_compared_by_their_vectors_too():
    class Shouts:
        @hookimpl
        def semantic_context(self, document, chunks):
            return [f"Notes: {chunk.text.upper()}" for chunk in chunks]

    core = filled(Shouts())
    found = core.similar(Ref("notes", "walrus"))
    assert (found.mode, keys(found)[0]) == ("hybrid", "seal")


class Bare(MemoryStore):
    """The store without the vectors of chunks."""

    vectors = None  # type: ignore[assignment]


def test_a_store_that_gives_no_vectors_of_chunks_is_asked_by_passages():
    core = filled()
    whole = likeness_of(Ref("notes", "walrus"), core.store, Scope(), WordAnalyser())
    core.store.__class__ = Bare
    assert not isinstance(core.store, ChunkVectors)
    bare = likeness_of(Ref("notes", "walrus"), core.store, Scope(), WordAnalyser())
    assert whole is not None
    assert bare is not None
    assert whole.words == bare.words
    assert whole.vector is not None
    assert abs(float(whole.vector @ bare.vector) - 1) < 1e-6  # type: ignore[operator]
