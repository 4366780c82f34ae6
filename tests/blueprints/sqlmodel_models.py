"""The kit's tables in SQLModel.

Its rows can be iterated over, and take no attributes that are no fields.
"""

# No `from __future__ import annotations`: SQLModel reads the annotations of relationships as they
# stand.

from typing import Optional
from uuid import UUID

from pydantic import NaiveDatetime
from sqlalchemy import Column, ForeignKey, MetaData, String, Text
from sqlmodel import Field, Relationship, SQLModel


class Base(SQLModel):
    """Of these models alone: other tests use SQLModel, too."""

    metadata = MetaData()


def _key_of(table: str, on_delete: str) -> Column[int]:
    return Column(ForeignKey(f"{table}.id", ondelete=on_delete))


class Author(Base, table=True):
    __tablename__ = "kit_author"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    name: str | None = Field(default=None, sa_type=String(200))
    mentor_id: int | None = Field(default=None, sa_column=_key_of("kit_author", "SET NULL"))
    mentor: Optional["Author"] = Relationship(sa_relationship_kwargs={"remote_side": "Author.id"})
    articles: list["Article"] = Relationship(
        back_populates="author", sa_relationship_kwargs={"cascade": "all", "passive_deletes": True}
    )


class Tagging(Base, table=True):
    __tablename__ = "kit_tagging"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    article_id: int = Field(sa_column=_key_of("kit_article", "CASCADE"))
    tag_id: int = Field(sa_column=_key_of("kit_tag", "CASCADE"))


class Tag(Base, table=True):
    __tablename__ = "kit_tag"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    name: str | None = Field(default=None, sa_type=String(200))
    articles: list["Article"] = Relationship(
        back_populates="tags", link_model=Tagging, sa_relationship_kwargs={"passive_deletes": True}
    )


class Article(Base, table=True):
    __tablename__ = "kit_article"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    title: str | None = Field(default=None, sa_type=String(200))
    content: str | None = Field(default=None, sa_type=Text)
    stars: int | None = None
    hidden: bool | None = None
    deleted_at: NaiveDatetime | None = None
    author_id: int | None = Field(default=None, sa_column=_key_of("kit_author", "CASCADE"))
    author: Author | None = Relationship(back_populates="articles")
    tags: list[Tag] = Relationship(
        back_populates="articles",
        link_model=Tagging,
        sa_relationship_kwargs={"passive_deletes": True},
    )


class Seat(Base, table=True):
    __tablename__ = "kit_seat"
    hall: str = Field(primary_key=True, sa_type=String(200))
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    label: str | None = Field(default=None, sa_type=String(200))


class Page(Base, table=True):
    __tablename__ = "kit_page"
    slug: str = Field(primary_key=True, sa_type=String(200))
    body: str | None = Field(default=None, sa_type=Text)


class Parcel(Base, table=True):
    __tablename__ = "kit_parcel"
    id: UUID = Field(primary_key=True)
    content: str | None = Field(default=None, sa_type=Text)


class Note(Base, table=True):
    __tablename__ = "kit_note"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    owner: str | None = Field(default=None, sa_type=String(200))
    body: str | None = Field(default=None, sa_type=Text)


MODELS: dict[str, type] = {
    "author": Author,
    "article": Article,
    "tag": Tag,
    "tagging": Tagging,
    "seat": Seat,
    "page": Page,
    "parcel": Parcel,
    "note": Note,
}
