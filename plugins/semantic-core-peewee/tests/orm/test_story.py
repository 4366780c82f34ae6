"""What a user does with models, and what the index holds afterwards; on every database there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peewee
import pytest
from semantic_core_peewee import PeeweeAdapter

from semantic_core.errors import EmbedderUnavailable, StoreMisuse
from semantic_core.orm import bind_declared
from semantic_core.testing import HashEmbedder

Make = Callable[..., Any]


class Oops(Exception):
    """What goes wrong in an application."""


def test_what_is_saved_changed_and_deleted_is_followed_by_itself(shelf: Any) -> None:
    ann = shelf.Author.create(name="Ann")
    loops = shelf.Article.create(title="Loops", content="for and while repeat a block", author=ann)
    files = shelf.Article.create(title="Files", content="with closes a file")
    found = shelf.Article.search("repeat a block", limit=5)
    assert found[0] == loops and found[0].content == loops.content
    assert found[0].search_hit is found.hits[0] and found.hits[0].metadata == {
        "author": ann.id,
        "author.name": "Ann",
    }
    files.title, files.content = "Streams", "a pipe is read"
    files.save()
    assert shelf.find("pipe", mode="text") == ["Streams"]
    assert shelf.find("closes", mode="text") == []
    files.delete_instance()
    assert shelf.indexed() == {str(loops.id): "Loops|for and while repeat a block"}


def test_a_where_takes_the_value_of_a_foreign_key_or_its_instance(shelf: Any) -> None:
    ann, bea = (shelf.Author.create(name=name) for name in ("Ann", "Bea"))
    for author in (ann, bea, None):
        shelf.Article.create(
            title=f"By {author and author.name}", content="the same text", author=author
        )
    assert shelf.find("text", where={"author": ann.id}) == ["By Ann"]
    assert shelf.find("text", where={"author": bea}) == ["By Bea"]
    assert sorted(shelf.find("text", where={"author": {"in": [ann, bea]}})) == ["By Ann", "By Bea"]


def test_statements_on_many_rows_are_seen(shelf: Any) -> None:
    Article = shelf.Article
    Article.insert_many([{"title": f"t{n}", "content": f"text {n}"} for n in range(1, 6)]).execute()
    Article.bulk_create([Article(title="b1", content="bulk"), Article(title="b2", content="bulk")])
    Article.update(content="changed").where(Article.title == "t1").execute()
    Article.delete().where(Article.title.in_(["t2", "b2"])).execute()
    rows = list(Article.select().where(Article.title.in_(["t3", "t4"])))
    for row in rows:
        row.content = "one by one"
    Article.bulk_update(rows, [Article.content])
    assert sorted(shelf.indexed().values()) == [
        "b1|bulk",
        "t1|changed",
        "t3|one by one",
        "t4|one by one",
        "t5|text 5",
    ]
    assert Article.search.verify().sound


def test_raw_sql_is_seen(shelf: Any) -> None:
    mark = shelf.db.param
    shelf.db.execute_sql(
        (
            "INSERT INTO article (title, content, stars, draft) VALUES ('raw', "
            f"'quite raw', 0, {mark})"
        ),
        (False,),
    )
    assert shelf.find("raw", mode="text") == ["raw"]
    shelf.db.execute_sql(f"UPDATE article SET content = {mark}", ("cooked",))
    assert list(shelf.indexed().values()) == ["raw|cooked"]
    shelf.db.execute_sql("DELETE FROM article")
    assert shelf.indexed() == {}


def test_a_transaction_counts_when_it_is_committed_and_as_a_whole(shelf: Any) -> None:
    with shelf.db.atomic():
        shelf.Article.create(title="first", content="in a block")
        assert shelf.indexed() == {}
        shelf.Article.create(title="second", content="in a block")
    assert len(shelf.indexed()) == 2


def test_what_is_rolled_back_was_never_there(shelf: Any) -> None:
    kept = shelf.Article.create(title="kept", content="is there")
    with pytest.raises(Oops), shelf.db.atomic():
        shelf.Article.create(title="ghost", content="never was")
        kept.delete_instance()
        raise Oops
    with shelf.db.atomic() as transaction:
        shelf.Article.create(title="ghost", content="never was")
        transaction.rollback()
    assert list(shelf.indexed().values()) == ["kept|is there"]


def test_only_the_savepoint_that_failed_is_forgotten(shelf: Any) -> None:
    with shelf.db.atomic():
        shelf.Article.create(title="outer", content="stays")
        with pytest.raises(Oops), shelf.db.atomic():
            shelf.Article.create(title="inner", content="goes")
            with shelf.db.atomic():
                shelf.Article.create(title="innermost", content="goes too")
            raise Oops
        with shelf.db.atomic():
            shelf.Article.create(title="second inner", content="stays")
    assert sorted(shelf.indexed().values()) == ["outer|stays", "second inner|stays"]


def test_a_transaction_by_hand_is_one_too(shelf: Any) -> None:
    with shelf.db.manual_commit():
        shelf.db.begin()
        shelf.Article.create(title="by hand", content="text")
        assert shelf.indexed() == {}
        shelf.db.commit()
        shelf.db.begin()
        shelf.Article.create(title="ghost", content="text")
        shelf.db.rollback()
    assert list(shelf.indexed().values()) == ["by hand|text"]
    shelf.db.execute_sql("BEGIN")
    shelf.Article.create(title="in SQL", content="text")
    assert len(shelf.indexed()) == 1
    shelf.db.execute_sql("COMMIT")
    assert len(shelf.indexed()) == 2
    shelf.db.session_start()
    shelf.Article.create(title="in a session", content="text")
    shelf.db.session_commit()
    assert len(shelf.indexed()) == 3


def test_a_commit_in_the_middle_of_a_block_is_noticed_at_the_latest_at_its_end(shelf: Any) -> None:
    with pytest.raises(Oops), shelf.db.atomic() as transaction:
        shelf.Article.create(title="committed", content="text")
        transaction.commit()
        shelf.Article.create(title="ghost", content="text")
        raise Oops
    assert list(shelf.indexed().values()) == ["committed|text"]


def test_what_a_statement_gives_back_is_not_lost_to_the_work_that_follows(shelf: Any) -> None:
    Article = shelf.Article
    first = Article.create(title="first", content="text")
    second = Article.create(title="second", content="text")
    assert [row.title for row in Article.select().order_by(Article.id)] == ["first", "second"]
    assert (
        Article.get_by_id(first.id).title == "first"
        and Article.get_by_id(second.id).title == "second"
    )
    assert (
        Article.insert(title="third", content="text").execute()
        == Article.get(Article.title == "third").id
    )
    assert Article.update(content="other").where(Article.id != first.id).execute() == 2
    assert Article.delete().where(Article.id == first.id).execute() == 1
    cursor = shelf.db.execute_sql("UPDATE article SET stars = 1, content = 'again'")
    assert shelf.db.rows_affected(cursor) == 2


@pytest.mark.parametrize("kind", ["sqlite3", "apsw", "postgresql"])
def test_rows_of_a_returning_clause_come_and_are_committed_when_they_are_indexed(
    kind: str, open_database: Make, new_shelf: Make
) -> None:
    shelf = new_shelf(open_database(kind))
    Article = shelf.Article
    query = Article.insert_many(
        [{"title": "a", "content": "one"}, {"title": "b", "content": "two"}]
    )
    given = list(query.returning(Article.id, Article.title).execute())
    assert [row.title for row in given] == ["a", "b"]
    assert sorted(shelf.indexed()) == sorted(str(row.id) for row in given)
    changed = (
        Article.update(content="three").where(Article.title == "a").returning(Article).execute()
    )
    assert [row.content for row in changed] == ["three"]
    gone = shelf.db.execute_sql("DELETE FROM article WHERE title = 'b' RETURNING title")
    assert gone.fetchone() == ("b",) and gone.fetchone() is None
    assert list(shelf.indexed().values()) == ["a|three"]


def test_an_author_who_is_renamed_changes_the_articles(shelf: Any) -> None:
    ann, bea = (shelf.Author.create(name=name) for name in ("Ann", "Bea"))
    for number in range(3):
        shelf.Article.create(title=f"a{number}", content="text", author=ann)
    shelf.Article.create(title="b", content="text", author=bea)
    ann.name = "Anna"
    ann.save()
    assert sorted(shelf.find("text", where={"author.name": "Anna"})) == ["a0", "a1", "a2"]
    shelf.Article.update(author=bea).where(shelf.Article.title == "a0").execute()
    assert sorted(shelf.find("text", where={"author.name": "Bea"})) == ["a0", "b"]
    bea.delete_instance()
    assert sorted(shelf.indexed().values()) == ["a1|text", "a2|text"]


def test_an_edit_of_what_is_not_mapped_costs_nothing(
    database: Any, new_core: Make, new_shelf: Make
) -> None:
    embedder = HashEmbedder()
    shelf = new_shelf(database, core=new_core(embedder=embedder))
    row = shelf.Article.create(title="a", content="one")
    calls, stamp = embedder.calls, _newest_change(shelf)
    row.stars = 5
    row.save()
    shelf.Article.update(stars=6, content=shelf.Article.content).execute()
    assert embedder.calls == calls and _newest_change(shelf) == stamp
    assert shelf.Article.search.status().waiting == 0


def _newest_change(shelf: Any) -> Any:
    """A number that grows with every pending change ever written."""
    if isinstance(shelf.db, peewee.SqliteDatabase):
        return shelf.db.execute_sql(
            "SELECT seq FROM sqlite_sequence WHERE name = 'semantic_outbox'"
        ).fetchone()
    if isinstance(shelf.db, peewee.PostgresqlDatabase):
        return shelf.db.execute_sql("SELECT last_value FROM semantic_outbox_id_seq").fetchone()
    return [
        line
        for line in shelf.db.execute_sql("SHOW CREATE TABLE semantic_outbox").fetchone()[1].split()
        if "=" in line
    ]


def test_a_row_that_moves_to_another_key_moves_in_the_index(shelf: Any) -> None:
    row = shelf.Article.create(title="moves", content="text")
    shelf.Article.update(id=row.id + 1_000).execute()
    assert shelf.indexed() == {str(row.id + 1_000): "moves|text"}


def test_an_upsert_is_seen(shelf: Any) -> None:
    Article = shelf.Article
    row = Article.create(title="old", content="text")
    target = {} if isinstance(shelf.db, peewee.MySQLDatabase) else {"conflict_target": [Article.id]}
    Article.insert(id=row.id, title="new", content="text").on_conflict(
        preserve=[Article.title], **target
    ).execute()
    assert shelf.indexed() == {str(row.id): "new|text"}
    if not isinstance(shelf.db, peewee.PostgresqlDatabase):
        Article.replace(id=row.id, title="newer", content="text").execute()
        assert shelf.indexed() == {str(row.id): "newer|text"}


def test_a_condition_and_a_deleted_flag_are_looked_at_as_the_row_is_now(
    database: Any, new_shelf: Make
) -> None:
    shelf = new_shelf(
        database, condition=lambda row: row.stars >= 0, soft_delete="draft", watch_fields=["stars"]
    )
    row = shelf.Article.create(title="a", content="text", draft=True)
    assert shelf.indexed() == {}
    shelf.Article.update(draft=False).execute()
    assert list(shelf.indexed().values()) == ["a|text"]
    shelf.Article.update(stars=-1).execute()
    assert shelf.indexed() == {}
    shelf.Article.update(stars=1).execute()
    assert shelf.find("text") == ["a"]
    row.draft = True
    row.save()
    assert shelf.indexed() == {}


def test_the_embedder_being_away_stops_neither_saving_nor_finding_words(
    database: Any, new_core: Make, new_shelf: Make
) -> None:
    embedder = HashEmbedder()
    shelf = new_shelf(database, core=new_core(embedder=embedder))
    embedder.fail_with = EmbedderUnavailable("offline")
    shelf.Article.create(title="Loops", content="repeat a block")
    found = shelf.Article.search("repeat", fresh=True)
    assert [row.title for row in found] == ["Loops"] and found.degraded and found.waiting == 0
    embedder.fail_with = None
    shelf.core.sync()  # or a thread was faster
    assert not shelf.Article.search("repeat", fresh=True).degraded


def test_the_store_being_away_never_fails_a_commit(shelf: Any) -> None:
    shelf.core.store.close()
    with shelf.db.atomic():
        row = shelf.Article.create(title="a", content="text")
    assert shelf.Article.get_by_id(row.id).title == "a"
    status = shelf.Article.search.status()
    assert status.waiting == 1 and "closed" in status.last_error


def test_a_search_in_a_transaction_indexes_nothing_that_may_be_rolled_back(shelf: Any) -> None:
    with pytest.raises(Oops), shelf.db.atomic():
        shelf.Article.create(title="ghost", content="never was")
        found = shelf.Article.search("never", fresh=True)
        assert list(found) == [] and found.waiting == 1
        with pytest.raises(StoreMisuse, match="open transaction"):
            shelf.core.sync()
        raise Oops
    assert shelf.indexed() == {}


def test_paused_changes_wait_and_are_processed_afterwards(shelf: Any) -> None:
    with shelf.Article.search.pause():
        shelf.Article.create(title="a", content="text")
        shelf.Article.create(title="b", content="text")
        assert shelf.indexed() == {} and shelf.Article.search.status().waiting == 2
        assert shelf.Article.search.status().paused
        assert sorted(shelf.find("text", fresh=True)) == ["a", "b"]
        shelf.Article.create(title="c", content="text")
        assert len(shelf.indexed()) == 2
    assert len(shelf.indexed()) == 3


def test_fresh_finds_what_was_just_committed_though_nobody_works_it_off(
    database: Any, new_shelf: Make
) -> None:
    shelf = new_shelf(database, sync="manual")
    shelf.Article.create(title="a", content="text")
    assert shelf.find("text") == []
    found = shelf.Article.search("text", fresh=True)
    assert [row.title for row in found] == ["a"] and found.waiting == 0


def test_a_reindex_shows_how_far_it_is_and_goes_on_where_it_was_interrupted(
    database: Any, new_shelf: Make
) -> None:
    shelf = new_shelf(database, sync="manual", bind=False)
    shelf.Article.insert_many(
        [{"title": f"t{n}", "content": f"text {n}"} for n in range(10)]
    ).execute()
    _bind(shelf)
    search = shelf.Article.search
    assert search.status().backfill == 10
    shelf.db.execute_sql("DELETE FROM semantic_outbox")

    def stop(progress: Any) -> None:
        if progress.rows >= 6:
            raise Oops

    with pytest.raises(Oops):
        search.reindex(progress=stop, batch=3)
    there = len(shelf.indexed())
    assert 6 <= there < 10
    steps: list[Any] = []
    report = search.reindex(progress=steps.append, batch=3)
    assert len(shelf.indexed()) == 10 and report.added == 10 - there
    assert report.added + report.unchanged < 10 and steps[-1].total == 10
    assert search.verify().sound


def _bind(shelf: Any) -> None:
    bind_declared(PeeweeAdapter, shelf.core, database=shelf.db)


def test_verify_names_unnoticed_changes_and_repair_indexes_them(shelf: Any) -> None:
    rows = [shelf.Article.create(title=f"t{n}", content=f"text {n}") for n in range(5)]
    search = shelf.Article.search
    search.uninstall()
    assert not search.status().capturing
    rows[0].delete_instance()
    shelf.Article.update(content="changed").where(shelf.Article.id == rows[1].id).execute()
    new = shelf.Article.create(title="new", content="row")
    found = search.verify()
    assert (found.rows, found.missing, found.stale, found.ghosts) == (5, 1, 1, 1)
    assert sorted(found.keys) == [
        ("ghosts", f"article/{rows[0].id}"), ("missing", f"article/{new.id}"),
        ("stale", f"article/{rows[1].id}"),
    ]  # fmt: skip
    search.repair()
    found = search.verify()
    assert (found.missing, found.stale, found.ghosts) == (0, 0, 0)
    assert not found.sound and "triggers on article are missing" in found.comparing
    search.install(backfill="now")
    assert search.verify().sound
