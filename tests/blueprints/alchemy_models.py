"""The kit's tables in SQLAlchemy."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

KEY = String(200).with_variant(String(200, collation="utf8mb4_bin"), "mysql", "mariadb")
"""Text that is compared to the letter, on MariaDB too."""


class Base(DeclarativeBase):
    """Of the kit's models."""


class Author(Base):
    __tablename__ = "kit_author"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None] = mapped_column(String(200))
    mentor_id: Mapped[int | None] = mapped_column(ForeignKey("kit_author.id", ondelete="SET NULL"))
    mentor: Mapped[Author | None] = relationship(remote_side=[id])
    articles: Mapped[list[Article]] = relationship(
        back_populates="author", cascade="all", passive_deletes=True
    )


class Tagging(Base):
    __tablename__ = "kit_tagging"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    article_id: Mapped[int] = mapped_column(ForeignKey("kit_article.id", ondelete="CASCADE"))
    tag_id: Mapped[int] = mapped_column(ForeignKey("kit_tag.id", ondelete="CASCADE"))


class Tag(Base):
    __tablename__ = "kit_tag"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None] = mapped_column(String(200))
    articles: Mapped[list[Article]] = relationship(
        secondary="kit_tagging", back_populates="tags", passive_deletes=True
    )


class Article(Base):
    __tablename__ = "kit_article"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    title: Mapped[str | None] = mapped_column(String(200))
    content: Mapped[str | None] = mapped_column(Text)
    stars: Mapped[int | None]
    hidden: Mapped[bool | None]
    deleted_at: Mapped[datetime | None]
    author_id: Mapped[int | None] = mapped_column(ForeignKey("kit_author.id", ondelete="CASCADE"))
    author: Mapped[Author | None] = relationship(back_populates="articles")
    tags: Mapped[list[Tag]] = relationship(
        secondary="kit_tagging", back_populates="articles", passive_deletes=True
    )


class Seat(Base):
    __tablename__ = "kit_seat"
    hall: Mapped[str] = mapped_column(KEY, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str | None] = mapped_column(String(200))


class Page(Base):
    __tablename__ = "kit_page"
    slug: Mapped[str] = mapped_column(KEY, primary_key=True)
    body: Mapped[str | None] = mapped_column(Text)


class Parcel(Base):
    __tablename__ = "kit_parcel"
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    content: Mapped[str | None] = mapped_column(Text)


class Note(Base):
    __tablename__ = "kit_note"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[str | None] = mapped_column(Text)


class Media(Base):
    __tablename__ = "kit_media"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    title: Mapped[str | None] = mapped_column(String(200))


class Book(Media):
    __tablename__ = "kit_book"
    id: Mapped[int] = mapped_column(
        ForeignKey("kit_media.id", ondelete="CASCADE"), primary_key=True
    )
    blurb: Mapped[str | None] = mapped_column(Text)


MODELS: dict[str, type] = {
    "author": Author,
    "article": Article,
    "tag": Tag,
    "tagging": Tagging,
    "seat": Seat,
    "page": Page,
    "parcel": Parcel,
    "note": Note,
    "media": Media,
    "book": Book,
}
