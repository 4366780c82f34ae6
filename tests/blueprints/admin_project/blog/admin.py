"""An admin that searches the index: staff see their own articles only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django_admin import SemanticAdminMixin

from blog.models import Article, Comment


@admin.register(Article)
class ArticleAdmin(SemanticAdminMixin, admin.ModelAdmin):
    list_display = ("title", "owner")
    list_filter = ("published",)
    list_per_page = 10
    search_fields = ("title",)
    by_meaning = 1

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(owner=request.user)


@admin.register(Comment)
class CommentAdmin(admin.ModelAdmin):
    autocomplete_fields = ("article",)
