"""One model with an index declared on it; another that it reads through."""

from __future__ import annotations

from django.db import models

from semantic_core.orm import SemanticIndex
from semantic_core.testing import HashEmbedder


class Writer(models.Model):
    name = models.CharField(max_length=200)


class Entry(models.Model):
    title = models.CharField(max_length=200)
    body = models.TextField()
    writer = models.ForeignKey(Writer, models.CASCADE, null=True)

    search = SemanticIndex(
        ["title", "body", "writer.name"], store="memory", embedder=HashEmbedder(), sync="inline"
    )
