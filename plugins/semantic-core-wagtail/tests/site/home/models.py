"""A blog of Wagtail: a StreamField, a related author, tags, links below a page, and a snippet."""

from __future__ import annotations

from django.db import models
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey
from taggit.models import TaggedItemBase
from wagtail import blocks
from wagtail.fields import RichTextField, StreamField
from wagtail.models import Page
from wagtail.search import index


class Author(index.Indexed, models.Model):
    name = models.CharField(max_length=200)
    search_fields = [index.SearchField("name"), index.AutocompleteField("name")]


class BlogIndexPage(Page):
    intro = RichTextField(blank=True)
    search_fields = [*Page.search_fields, index.SearchField("intro")]


class BlogPageTag(TaggedItemBase):
    content_object = ParentalKey("BlogPage", on_delete=models.CASCADE, related_name="tagged_items")


class BlogPage(Page):
    body = StreamField(
        [("heading", blocks.CharBlock()), ("paragraph", blocks.RichTextBlock())], blank=True
    )
    author = models.ForeignKey(Author, models.SET_NULL, null=True, blank=True, related_name="pages")
    tags = ClusterTaggableManager(through=BlogPageTag, blank=True)
    search_fields = [
        *Page.search_fields,
        index.SearchField("body"),
        index.RelatedFields("author", [index.SearchField("name", boost=3)]),
        index.RelatedFields("tags", [index.SearchField("name")]),
        index.RelatedFields("links", [index.SearchField("label")]),
        index.FilterField("author"),
    ]


class Link(models.Model):
    page = ParentalKey(BlogPage, on_delete=models.CASCADE, related_name="links")
    label = models.CharField(max_length=200)


class Secret(index.Indexed, models.Model):
    text = models.TextField()
    hidden = models.BooleanField(default=False)
    search_fields = [index.SearchField("text"), index.FilterField("hidden")]

    @classmethod
    def get_indexed_objects(cls) -> models.QuerySet[Secret]:
        return super().get_indexed_objects().filter(hidden=False)
