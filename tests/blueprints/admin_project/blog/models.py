"""Articles of authors, with an index; comments that choose an article."""

from __future__ import annotations

from django.db import models

from semantic_core.orm import SemanticIndex


class Article(models.Model):
    title = models.CharField(max_length=200)
    content = models.TextField(blank=True)
    published = models.BooleanField(default=True)
    owner = models.ForeignKey("auth.User", models.CASCADE, null=True)

    class Meta:
        ordering = ("title",)

    search = SemanticIndex(["title", "content", "owner.username"])


class Comment(models.Model):
    article = models.ForeignKey(Article, models.CASCADE)
