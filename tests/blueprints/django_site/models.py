"""The kit's tables, and models of the kinds that ask more of an adapter."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models


class Visible(models.Manager):
    """Hides rows, as managers for soft deletion do."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().exclude(hidden=True)


class Author(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.CharField(max_length=200, null=True)
    mentor = models.ForeignKey("self", models.SET_NULL, null=True)

    class Meta:
        db_table = "kit_author"


class Tag(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.CharField(max_length=200, null=True)

    class Meta:
        db_table = "kit_tag"


class Article(models.Model):
    id = models.IntegerField(primary_key=True)
    title = models.CharField(max_length=200, null=True)
    content = models.TextField(null=True)
    stars = models.IntegerField(null=True)
    hidden = models.BooleanField(null=True)
    deleted_at = models.DateTimeField(null=True)
    author = models.ForeignKey(Author, models.CASCADE, null=True, related_name="articles")
    tags = models.ManyToManyField(Tag, through="Tagging", related_name="articles")

    objects = Visible()

    class Meta:
        db_table = "kit_article"


class Tagging(models.Model):
    id = models.IntegerField(primary_key=True)
    article = models.ForeignKey(Article, models.CASCADE)
    tag = models.ForeignKey(Tag, models.CASCADE)

    class Meta:
        db_table = "kit_tagging"


class Seat(models.Model):
    pk = models.CompositePrimaryKey("hall", "number")
    hall = models.CharField(max_length=200)
    number = models.IntegerField()
    label = models.CharField(max_length=200, null=True)

    class Meta:
        db_table = "kit_seat"


class Page(models.Model):
    slug = models.CharField(max_length=200, primary_key=True)
    body = models.TextField(null=True)

    class Meta:
        db_table = "kit_page"


class Parcel(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    content = models.TextField(null=True)

    class Meta:
        db_table = "kit_parcel"


class Note(models.Model):
    id = models.IntegerField(primary_key=True)
    owner = models.CharField(max_length=200, null=True)
    body = models.TextField(null=True)

    class Meta:
        db_table = "kit_note"


class Media(models.Model):
    id = models.IntegerField(primary_key=True)
    title = models.CharField(max_length=200, null=True)

    class Meta:
        db_table = "kit_media"


class Book(Media):
    blurb = models.TextField(null=True)

    class Meta:
        db_table = "kit_book"


class Praised(Article):
    """The same rows under another class."""

    class Meta:
        proxy = True


class Chapter(Book):
    """A table of its own, below that of its parent, below that of its grandparent."""

    number = models.IntegerField(null=True)

    class Meta:
        db_table = "trial_chapter"


class Club(models.Model):
    """Many-to-many fields whose tables Django makes, one of them to its own rows."""

    name = models.CharField(max_length=200)
    members = models.ManyToManyField(Author, related_name="clubs")
    rivals = models.ManyToManyField("self")

    class Meta:
        db_table = "trial_club"


class Team(Club):
    """Inherits them."""

    class Meta:
        db_table = "trial_team"


class Sensor(models.Model):
    """A key that is a date."""

    day = models.DateField(primary_key=True)
    text = models.TextField()

    class Meta:
        db_table = "trial_sensor"
