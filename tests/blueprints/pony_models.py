"""The kit's tables in Pony ORM: entities belong to one `Database`, so each database has its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pony.orm import Database, LongStr, Optional, PrimaryKey, Required, Set


class Tagging:
    """Stands for the rows of kit_tagging, which Pony writes without an entity."""


def entities(db: Database) -> dict[str, type]:
    """The kit's entities in this database. Its mapping is generated when it is bound."""
    text = {"nullable": True, "autostrip": False}

    class Author(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_author"
        id = PrimaryKey(int)
        name = Optional(str, 200, **text)
        mentor = Optional("Author", reverse="students", column="mentor_id")
        students = Set("Author", reverse="mentor")
        articles = Set("Article", cascade_delete=True)

    class Tag(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_tag"
        id = PrimaryKey(int)
        name = Optional(str, 200, **text)
        articles = Set("Article", table="kit_tagging", column="article_id")

    class Article(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_article"
        id = PrimaryKey(int)
        title = Optional(str, 200, **text)
        content = Optional(LongStr, **text)
        stars = Optional(int)
        hidden = Optional(bool)
        deleted_at = Optional(datetime)
        author = Optional(Author, column="author_id")
        tags = Set(Tag, column="tag_id")

    class Seat(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_seat"
        hall = Required(str, 200)
        number = Required(int)
        label = Optional(str, 200, **text)
        PrimaryKey(hall, number)

    class Page(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_page"
        slug = PrimaryKey(str, 200, autostrip=False)
        body = Optional(LongStr, **text)

    class Parcel(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_parcel"
        id = PrimaryKey(UUID)
        content = Optional(LongStr, **text)

    class Note(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_note"
        id = PrimaryKey(int)
        owner = Optional(str, 200, **text)
        body = Optional(LongStr, **text)

    class Media(db.Entity):  # type: ignore[name-defined, misc]
        _table_ = "kit_media"
        id = PrimaryKey(int)
        title = Optional(str, 200, **text)

    found: dict[str, Any] = {
        "author": Author,
        "article": Article,
        "tag": Tag,
        "tagging": Tagging,
        "seat": Seat,
        "page": Page,
        "parcel": Parcel,
        "note": Note,
        "media": Media,
    }
    return found
