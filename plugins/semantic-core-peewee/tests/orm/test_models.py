"""Whatever a model is like: its keys, its relations, its bases, its indexes, its tenants."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import peewee
import pytest
from playhouse import apsw_ext
from semantic_core_peewee import PeeweeAdapter, SemanticIndex

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError, TenantRequired
from semantic_core.orm import Table, bind_declared

Make = Callable[..., Any]


def indexed(core: SemanticCore) -> dict[str, str]:
    """Key -> title and text of every document of a core."""
    refs = [summary.ref for summary in core.documents(limit=1_000)]
    held = {ref.key: core.get(ref) for ref in refs}
    return {
        key: f"{document.title}|{document.text}"
        for key, document in held.items()
        if document is not None
    }


def bound(db: Any, core: SemanticCore, *models: Any) -> None:
    db.create_tables(models)
    bind_declared(PeeweeAdapter, core, database=db)


def test_documents_go_whose_keys_are_of_the_type_keys_had_before(
    database: Any, core: SemanticCore
) -> None:
    def note(key: Any) -> Any:
        class Note(peewee.Model):
            code = key
            body = peewee.TextField()

            class Meta:
                database = db

        return Note

    db = database
    before = note(peewee.AutoField())
    db.create_tables([before])
    index = core.bind(before, adapter=PeeweeAdapter, source_fields=["body"])
    before.create(body="old words")
    assert indexed(core) == {"1": "|old words"}
    index.coordinator.leave(index)
    db.drop_tables([before])
    after = note(peewee.UUIDField(primary_key=True))
    db.create_tables([after])
    index = core.bind(after, adapter=PeeweeAdapter, source_fields=["body"])
    after.create(code=uuid.UUID(int=7), body="new words")
    assert [row.body for row in index("words")] == ["new words"]
    index.repair()
    assert indexed(core) == {str(uuid.UUID(int=7)): "|new words"}
    assert index.verify().sound


def key(kind: str, db: Any) -> tuple[Any, list[Any]]:
    """A field that is a key, and some values."""
    fields = apsw_ext if isinstance(db, apsw_ext.APSWDatabase) else peewee
    return {
        "uuid": (peewee.UUIDField(primary_key=True), [uuid.UUID(int=n) for n in (1, 2**100)]),
        "bytes of a uuid": (
            peewee.BinaryUUIDField(primary_key=True),
            [uuid.UUID(int=n) for n in (1, 2**100)],
        ),
        "text": (peewee.CharField(primary_key=True), ["a/b c", "Ünï'\"\\%s"]),
        "number": (peewee.BigIntegerField(primary_key=True), [-5, 2**40]),
        "moment": (
            peewee.TimestampField(primary_key=True),
            [datetime.datetime(year, 1, 2, 3, 4, 5) for year in (2020, 1999)],
        ),
        "day": (
            fields.DateField(primary_key=True),
            [datetime.date(2020, 1, 2), datetime.date(1999, 12, 31)],
        ),
        "address": (peewee.IPField(primary_key=True), ["10.0.0.1", "255.255.255.255"]),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["uuid", "bytes of a uuid", "text", "number", "day", "moment", "address"]
)
def test_any_field_can_be_the_key(kind: str, database: Any, core: SemanticCore) -> None:
    field, values = key(kind, database)

    class Note(peewee.Model):
        code = field
        body = peewee.TextField()
        search = SemanticIndex(["body"])

        class Meta:
            pass

    Note._meta.set_database(database)
    bound(database, core, Note)
    for number, value in enumerate(values):
        Note.create(code=value, body=f"text {number}")
    assert sorted(indexed(core)) == sorted(map(str, values))
    assert {note.code for note in Note.search("text")} == set(values)
    Note.delete().where(Note.code == values[0]).execute()
    assert list(indexed(core)) == [str(values[1])] and Note.search.verify().sound


def named(db: Any, table: str) -> Any:
    class Note(peewee.Model):
        body = peewee.TextField()

        class Meta:
            database = db
            table_name = table

    return Note


@pytest.mark.parametrize("name", ['we"ird', "it's", "back`tick", "Two Words"])
def test_a_table_may_be_called_what_its_database_allows(
    database: Any, core: SemanticCore, name: str
) -> None:
    Note = named(database, name)
    database.create_tables([Note])
    index = core.bind(Note, adapter=PeeweeAdapter, source_fields=["body"])
    Note.create(body="a walrus")
    assert [row.body for row in index("walrus", fresh=True)] == ["a walrus"]
    assert index.verify().sound


@pytest.mark.parametrize("what", ["a name with a dot", "a view"])
def test_what_cannot_be_followed_is_refused_before_anything_is_made(
    database: Any, core: SemanticCore, what: str
) -> None:
    if what == "a view":
        database.execute_sql("CREATE VIEW shown AS SELECT 1 AS id, 'walrus' AS body")
    elif isinstance(database, peewee.SqliteDatabase):
        pytest.skip("A dot is part of a name there.")
    Note, said = (
        (named(database, "shown"), "shown is a view")
        if what == "a view"
        else (named(database, "no.te"), "a dot in its name")
    )
    with pytest.raises(ConfigError, match=said):
        core.bind(Note, adapter=PeeweeAdapter, source_fields=["body"])
    assert not [table for table in database.get_tables() if table.startswith("semantic_")]


def test_rows_whose_key_is_null_or_bytes_are_said_to_be_in_no_index(
    db: Any, core: SemanticCore, caplog: pytest.LogCaptureFixture
) -> None:
    db.execute_sql("CREATE TABLE page (slug TEXT PRIMARY KEY, title TEXT)")
    db.execute_sql(
        "INSERT INTO page VALUES (NULL, 'walrus one'), ('b', 'walrus two'), "
        "(x'00ff', 'walrus three')"
    )

    class Page(peewee.Model):
        slug = peewee.TextField(primary_key=True)
        title = peewee.TextField()

        class Meta:
            database = db

    index = core.bind(Page, adapter=PeeweeAdapter, source_fields=["title"])
    report = core.sync()
    said = (
        "2 rows of page can be in no index: the primary key is NULL, or bytes in place of text. "
        "Give them keys."
    )
    assert said in caplog.text or [failure.reason for failure in report.failed] == [said]
    db.execute_sql("INSERT INTO page VALUES (NULL, 'walrus four')")
    assert [row.title for row in index("walrus")] == ["walrus two"]
    verified = index.verify()
    assert not verified.sound and verified.keys == (("failed", "page: rows without a key"),)
    assert [failure.reason for failure in index.reindex().failed] == [
        said.replace("2 rows", "3 rows")
    ]
    db.execute_sql("UPDATE page SET slug = title WHERE slug IS NULL OR typeof(slug) = 'blob'")
    assert len(index("walrus", fresh=True)) == 4
    assert index.verify().sound and not index.reindex().failed


def test_a_key_of_several_columns_one_of_them_a_foreign_key(
    database: Any, core: SemanticCore
) -> None:
    class Base(peewee.Model):
        class Meta:
            pass

    Base._meta.set_database(database)

    class Book(Base):
        title = peewee.CharField()

    class Page(Base):
        book = peewee.ForeignKeyField(Book, backref="pages")
        number = peewee.IntegerField()
        body = peewee.TextField()
        search = SemanticIndex(["book.title", "body"], metadata_fields=["number", "book"])

        class Meta:
            primary_key = peewee.CompositeKey("book", "number")

    bound(database, core, Book, Page)
    one, two = Book.create(title="Moby"), Book.create(title="Emma")
    Page.insert_many(
        [(book, number, f"text {number}") for book in (one, two) for number in (1, 2)]
    ).execute()
    assert sorted(indexed(core)) == sorted(
        f'["{book.id}","{number}"]' for book in (one, two) for number in (1, 2)
    )
    found = Page.search("text", where={"book": two}, limit=5)
    assert sorted((page.book_id, page.number) for page in found) == [(two.id, 1), (two.id, 2)]
    Page.update(number=7).where((Page.book == one) & (Page.number == 2)).execute()
    Page.delete().where(Page.book == two).execute()
    assert sorted(indexed(core)) == sorted([f'["{one.id}","1"]', f'["{one.id}","7"]'])
    Book.update(title="Dick").execute()
    assert all("Dick" in text for text in indexed(core).values())
    assert Page.search.verify().sound
    assert Page.search.reindex(batch=1).unchanged == 2


def test_a_foreign_key_can_be_the_key(database: Any, core: SemanticCore) -> None:
    class Base(peewee.Model):
        class Meta:
            pass

    Base._meta.set_database(database)

    class Person(Base):
        name = peewee.CharField()

    class Profile(Base):
        person = peewee.ForeignKeyField(Person, primary_key=True)
        bio = peewee.TextField()
        search = SemanticIndex(["bio"], metadata_fields=["person"])

    bound(database, core, Person, Profile)
    ann = Person.create(name="Ann")
    Profile.create(person=ann, bio="likes maps")
    assert [profile.person_id for profile in Profile.search("maps")] == [ann.id]
    assert list(indexed(core)) == [str(ann.id)]


def test_related_rows_come_with_one_query_whatever_leads_to_them(
    db: Any, core: SemanticCore
) -> None:
    class Base(peewee.Model):
        class Meta:
            database = db

    class Country(Base):
        name = peewee.CharField()

    class User(Base):
        name = peewee.CharField()
        country = peewee.ForeignKeyField(Country, null=True)

    class Article(Base):
        title = peewee.CharField()
        author = peewee.ForeignKeyField(User, backref="written")
        editor = peewee.ForeignKeyField(User, null=True, backref="edited")
        parent = peewee.ForeignKeyField("self", null=True, backref="parts")
        search = SemanticIndex(
            ["title"],
            metadata_fields={
                "land": "author.country.name", "author": "author.name", "editor": "editor.name",
                "parent": "parent.title",
            },
        )  # fmt: skip

    bound(db, core, Country, User, Article)
    peru = Country.create(name="Peru")
    ann, bea = User.create(name="Ann", country=peru), User.create(name="Bea")
    top = Article.create(title="top", author=ann, editor=bea)
    Article.create(title="part", author=bea, parent=top)
    queries: list[str] = []
    db.query_hooks.append(lambda event: queries.append(event.sql))
    rows = {row.title: row for row in Article.search.load([1, 2])}
    assert len(queries) == 1
    assert (
        rows["top"].author.country.name == "Peru"
        and rows["top"].editor.name == "Bea"
        and rows["top"].parent is None
    )
    assert (
        rows["part"].editor is None
        and rows["part"].parent.title == "top"
        and rows["part"].author.country is None
    )
    assert len(queries) == 1
    db.query_hooks.clear()
    assert [row.title for row in Article.search("top part", where={"land": "Peru"})] == ["top"]
    Country.update(name="Chile").execute()
    assert [row.title for row in Article.search("top part", where={"land": "Chile"})] == ["top"]


def test_rows_that_point_here_are_part_of_the_text(database: Any, core: SemanticCore) -> None:
    class Base(peewee.Model):
        class Meta:
            pass

    Base._meta.set_database(database)

    class Post(Base):
        title = peewee.CharField()
        search = SemanticIndex(["title", "comments.body"])

    class Comment(Base):
        post = peewee.ForeignKeyField(Post, backref="comments", on_delete="CASCADE")
        body = peewee.TextField()

    bound(database, core, Post, Comment)
    post = Post.create(title="Loops")
    first = Comment.create(post=post, body="too long")
    Comment.create(post=post, body="too short")
    assert [row.title for row in Post.search("short", mode="text")] == ["Loops"]
    first.delete_instance()
    assert [row.title for row in Post.search("long", mode="text")] == []
    Comment.update(body="just right").execute()
    assert [row.title for row in Post.search("right", mode="text")] == ["Loops"]


def test_a_related_row_that_is_gone_is_nothing(db: Any, core: SemanticCore) -> None:
    class Base(peewee.Model):
        class Meta:
            database = db

    class Author(Base):
        name = peewee.CharField()

    class Article(Base):
        title = peewee.CharField()
        author = peewee.ForeignKeyField(Author)
        search = SemanticIndex(["title"], metadata_fields=["author", "author.name"])

    bound(db, core, Author, Article)
    db.pragma("foreign_keys", 0)
    Article.create(title="orphan", author=99)
    assert [hit.metadata for hit in Article.search("orphan").hits] == [{"author": 99}]


def test_a_default_filter_of_the_application_hides_no_rows(db: Any, core: SemanticCore) -> None:
    class Note(peewee.Model):
        body = peewee.TextField()
        hidden = peewee.BooleanField(default=False)
        search = SemanticIndex(["body"])

        class Meta:
            database = db

        @classmethod
        def select(cls, *fields: Any) -> Any:
            return super().select(*fields).where(~cls.hidden)

    bound(db, core, Note)
    Note.create(body="seen", hidden=True)
    assert [note.body for note in Note.search("seen")] == ["seen"]


def test_models_that_inherit_a_declaration_have_indexes_of_their_own(
    db: Any, core: SemanticCore
) -> None:
    class Searchable:
        search = SemanticIndex(["name"])

    class Base(Searchable, peewee.Model):  # has no table: a base only
        name = peewee.CharField()

        class Meta:
            database = db

    class Cat(Base):
        pass

    class Dog(Base):
        pass

    class BigDog(Dog):
        weight = peewee.IntegerField(default=50)

    bound(db, core, Cat, Dog, BigDog)
    for model in (Cat, Dog, BigDog):
        model.create(name="Tom")
        assert [type(row) for row in model.search("Tom")] == [model]
    assert core.documents().total == 3
    with pytest.raises(ConfigError, match="not bound"):
        _ = Base.search


def test_a_model_can_have_several_indexes(db: Any, core: SemanticCore) -> None:
    class Note(peewee.Model):
        title = peewee.CharField()
        body = peewee.TextField()
        search = SemanticIndex(["body"])
        by_title = SemanticIndex(["title"])

        class Meta:
            database = db

    bound(db, core, Note)
    note = Note.create(title="alpha", body="omega")
    assert [row.id for row in Note.search("omega", mode="text")] == [note.id]
    assert [row.id for row in Note.by_title("alpha", mode="text")] == [note.id]
    assert list(Note.search("alpha", mode="text")) == []
    assert core.stats().collections == {"note": 1, "note.by_title": 1}


@pytest.mark.parametrize(
    "tenant", ["owner", "owner.name", lambda row: row.owner_id], ids=["field", "path", "callable"]
)
def test_tenants_are_kept_apart_and_rows_move_with_them(
    tenant: Any, database: Any, new_core: Make
) -> None:
    class Base(peewee.Model):
        class Meta:
            pass

    Base._meta.set_database(database)

    class Owner(Base):
        name = peewee.CharField(unique=True)

    class Note(Base):
        owner = peewee.ForeignKeyField(Owner, null=True)
        body = peewee.TextField()
        search = SemanticIndex(["body"], tenant=tenant)

    core = new_core(multi_tenant=True)
    bound(database, core, Owner, Note)
    acme, beta = Owner.create(name="acme"), Owner.create(name="beta")
    name = {
        owner: owner.name if tenant == "owner.name" else str(owner.id) for owner in (acme, beta)
    }
    ours = Note.create(owner=acme, body="the plan")
    Note.create(owner=beta, body="the plan")
    Note.create(owner=None, body="the plan")
    with pytest.raises(TenantRequired):
        Note.search("plan")
    assert [row.id for row in Note.search("plan", tenant=name[acme])] == [ours.id]
    Note.update(owner=beta).where(Note.owner == acme).execute()
    assert list(Note.search("plan", tenant=name[acme])) == []
    assert len(Note.search("plan", tenant=name[beta])) == 2
    Note.update(owner=None).execute()
    assert [core.tenant(each).documents().total for each in name.values()] == [0, 0]
    assert Note.search.verify().sound


def test_a_model_says_what_its_table_is(db: Any, core: SemanticCore) -> None:
    class Base(peewee.Model):
        class Meta:
            database = db

    class Author(Base):
        code = peewee.CharField(primary_key=True)

    class Article(Base):
        writer = peewee.ForeignKeyField(
            Author, column_name="by_whom", object_id_name="writer_code", backref="texts"
        )
        text = peewee.TextField(column_name="body")
        search = SemanticIndex(["text"])

        class Meta:
            table_name = "art"

    db.create_tables([Author, Article])
    adapter = PeeweeAdapter.bind(Article, core, source_fields=["text"])
    table: Table = adapter.inspect(Article)
    assert (table.name, list(table.key), table.key_columns) == ("art", ["id"], ("id",))
    assert table.columns == {"id": "id", "writer_code": "by_whom", "text": "body"}
    assert (table.relations["writer"].own, table.relations["writer"].theirs) == ("by_whom", "code")
    back = adapter.inspect(Author).relations["texts"]
    assert (back.model, back.own, back.theirs) == (Article, "code", "by_whom")


def test_what_cannot_be_followed_says_why(db: Any, core: SemanticCore) -> None:
    class Base(peewee.Model):
        class Meta:
            database = db

    class Loose(Base):
        body = peewee.TextField()

        class Meta:
            primary_key = False

    class Bytes(Base):
        code = peewee.BlobField(primary_key=True)
        body = peewee.TextField()

    class Away(Base):
        body = peewee.TextField()

        class Meta:
            schema = "other"

    for model, why in [
        (Loose, "no primary key"),
        (Bytes, "is bytes"),
        (Away, "attached database 'other'"),
    ]:
        with pytest.raises(ConfigError, match=why):
            PeeweeAdapter.bind(model, core, source_fields=["body"])


@pytest.mark.parametrize("kind", ["sqlite3", "postgresql", "mysql"])
def test_events_see_what_the_model_itself_saves_and_deletes(
    kind: str, open_database: Make, new_shelf: Make
) -> None:
    shelf = new_shelf(open_database(kind), capture="events", metadata_fields=["stars"])
    row = shelf.Article.create(title="a", content="one")
    row.content = "two"
    row.save()
    assert list(shelf.indexed().values()) == ["a|two"]
    shelf.Article.insert(title="unseen", content="text").execute()
    assert len(shelf.indexed()) == 1 and shelf.Article.search.verify().missing == 1
    with pytest.raises(ZeroDivisionError), shelf.db.atomic():
        shelf.Article.create(title="ghost", content="never was")
        row.delete_instance()
        raise ZeroDivisionError
    assert list(shelf.indexed().values()) == ["a|two"]
    row.delete_instance()
    assert shelf.indexed() == {}
    shelf.Article.search.uninstall()
    shelf.Article.create(title="unheard", content="text")
    assert shelf.indexed() == {}


def test_events_of_a_model_are_not_those_of_its_children(db: Any, core: SemanticCore) -> None:
    class Note(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"], capture="events")

        class Meta:
            database = db

    class Memo(Note):
        search = None

    bound(db, core, Note, Memo)
    Memo.create(body="not a note")
    Note.create(body="a note")
    assert list(indexed(core).values()) == ["|a note"]


def test_events_follow_a_row_from_one_tenant_to_another(db: Any, new_core: Make) -> None:
    class Note(peewee.Model):
        owner = peewee.CharField()
        body = peewee.TextField()
        search = SemanticIndex(["body"], tenant="owner", capture="events")

        class Meta:
            database = db

    core = new_core(multi_tenant=True)
    bound(db, core, Note)
    note = Note.create(owner="acme", body="text")
    note.owner = "beta"
    note.save()
    assert core.tenant("acme").documents().total == 0 and core.tenant("beta").documents().total == 1
    note.owner = "gamma"  # never saved
    note.delete_instance()
    assert core.tenant("beta").documents().total == 0


def test_a_table_between_that_peewee_makes_is_followed(database: Any, core: SemanticCore) -> None:
    class Tag(peewee.Model):
        name = peewee.CharField()
        search = SemanticIndex(["name", "posts.title"], sync="inline")

        class Meta:
            database = None

    Tag._meta.set_database(database)

    class Post(peewee.Model):
        title = peewee.CharField()
        tags = peewee.ManyToManyField(Tag, backref="posts", on_delete="CASCADE")
        search = SemanticIndex(["title", "tags.name"], metadata_fields=["tags"], sync="inline")

        class Meta:
            database = None

    Post._meta.set_database(database)
    Post.tags.through_model._meta.set_database(database)
    database.create_tables([Tag, Post, Post.tags.through_model])
    bound_models = bind_declared(PeeweeAdapter, core, database=database)
    try:
        red, blue = Tag.create(name="red"), Tag.create(name="blue")
        loops, files = Post.create(title="Loops"), Post.create(title="Files")
        loops.tags.add([red, blue])
        files.tags.add(blue)
        assert [post.title for post in Post.search("red")][:1] == ["Loops"]
        assert {
            post.title for post in Post.search("blue", where={"tags": str(blue.id)}, mode="text")
        } >= {"Loops"}
        Tag.update(name="azure").where(Tag.id == blue.id).execute()
        assert {post.title for post in Post.search("azure", mode="text")} == {"Loops", "Files"}
        loops.tags.remove(blue)
        assert {post.title for post in Post.search("azure", mode="text")} == {"Files"}
        Post.update(title="Directories").where(Post.id == files.id).execute()
        assert [tag.name for tag in Tag.search("directories", mode="text")] == ["azure"]
        files.tags.clear()
        assert len(Post.search("azure", mode="text")) == 0 and Post.search.verify().sound
    finally:
        for index in bound_models:
            index.uninstall()


def test_a_weighted_field_counts_more_and_rows_below_min_score_are_left_out(
    db: Any, core: SemanticCore
) -> None:
    class Page(peewee.Model):
        title = peewee.TextField()
        body = peewee.TextField()
        search = SemanticIndex(["title^20", "body"])

        class Meta:
            database = db

    bound(db, core, Page)
    filler = " ".join(f"filler{number}" for number in range(20))
    Page.create(title="About zorbak of old", body=filler)
    Page.create(title="Something else", body="zorbak zorbak zorbak")
    for number in range(5):
        Page.create(title=f"Other {number}", body=f"unrelated {number}")

    def titles(**options: Any) -> list[str]:
        return [page.title for page in Page.search("zorbak", mode="text", **options)]

    assert titles() == ["About zorbak of old", "Something else"]
    assert titles(ranking={"boosts": {}}) == ["Something else", "About zorbak of old"]
    best = Page.search("zorbak", mode="text", ranking={"boosts": {}})[0].search_hit.score
    assert titles(ranking={"boosts": {}}, min_score=best) == ["Something else"]
