"""Models of a small application with Tortoise ORM."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.models import Model
from tortoise_adapter import SemanticIndex


class Writer(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(100)
    texts: Any

    search = SemanticIndex(["name", "texts.title"])


class Label(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(100)


class Text(Model):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(200)
    content = fields.TextField()
    writer: Any = fields.ForeignKeyField("models.Writer", related_name="texts", null=True)
    labels: Any = fields.ManyToManyField("models.Label", related_name="texts")

    search = SemanticIndex(
        ["title", "content", "writer.name", "labels.name"],
        metadata_fields=["writer", "labels"],
        sync="inline",
    )
