"""The kit's tables in Tortoise ORM."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.expressions import Q
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import QuerySet


class Visible(Manager):
    """Hides rows."""

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(Q(hidden=False) | Q(hidden__isnull=True))


class Author(Model):
    id = fields.IntField(primary_key=True, generated=False)
    name = fields.CharField(200, null=True)
    mentor: Any = fields.ForeignKeyField(
        "models.Author", related_name="students", null=True, on_delete=fields.SET_NULL
    )
    articles: Any

    class Meta:
        table = "kit_author"


class Tag(Model):
    id = fields.IntField(primary_key=True, generated=False)
    name = fields.CharField(200, null=True)
    articles: Any

    class Meta:
        table = "kit_tag"


class Article(Model):
    id = fields.IntField(primary_key=True, generated=False)
    title = fields.CharField(200, null=True)
    content = fields.TextField(null=True)
    stars = fields.IntField(null=True)
    hidden = fields.BooleanField(null=True)
    deleted_at = fields.DatetimeField(null=True)
    author: Any = fields.ForeignKeyField(
        "models.Author", related_name="articles", null=True, on_delete=fields.CASCADE
    )
    tags: Any = fields.ManyToManyField(
        "models.Tag",
        related_name="articles",
        through="kit_tagging",
        forward_key="tag_id",
        backward_key="article_id",
    )

    class Meta:
        table = "kit_article"
        manager = Visible()


class Tagging(Model):
    id = fields.IntField(primary_key=True, generated=False)
    article: Any = fields.ForeignKeyField("models.Article", related_name="taggings")
    tag: Any = fields.ForeignKeyField("models.Tag", related_name="taggings")

    class Meta:
        table = "kit_tagging"


class Page(Model):
    slug = fields.CharField(200, primary_key=True)
    body = fields.TextField(null=True)

    class Meta:
        table = "kit_page"


class Parcel(Model):
    id = fields.UUIDField(primary_key=True)
    content = fields.TextField(null=True)

    class Meta:
        table = "kit_parcel"


class Note(Model):
    id = fields.IntField(primary_key=True, generated=False)
    owner = fields.CharField(200, null=True)
    body = fields.TextField(null=True)

    class Meta:
        table = "kit_note"


class Media(Model):
    id = fields.IntField(primary_key=True, generated=False)
    title = fields.CharField(200, null=True)

    class Meta:
        table = "kit_media"


MODELS: dict[str, type] = {
    "author": Author,
    "article": Article,
    "tag": Tag,
    "tagging": Tagging,
    "page": Page,
    "parcel": Parcel,
    "note": Note,
    "media": Media,
}
