"""Models of a small application with Tortoise ORM."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.models import Model
from tortoise_adapter import SemanticIndex


class Writer(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(100)
    email = fields.CharField(100, unique=True)
    texts: Any
    profile: Any
    notices: Any

    search = SemanticIndex(["name", "texts.title", "profile.motto", "notices.body"], sync="inline")


class Profile(Model):
    id = fields.IntField(primary_key=True)
    motto = fields.CharField(100)
    writer: Any = fields.OneToOneField("models.Writer", related_name="profile")


class Notice(Model):
    """Points at another column than the key."""

    id = fields.IntField(primary_key=True)
    body = fields.CharField(100)
    to: Any = fields.ForeignKeyField("models.Writer", related_name="notices", to_field="email")

    search = SemanticIndex(["body", "to.name"], metadata_fields=["to"], sync="inline")


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
