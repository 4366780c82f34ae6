"""Views as an application has them; the database is wherever the test routes to."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from django_site.models import Article

index: dict[str, object] = {}
"""The index of articles, under "search", while a test looks at views."""


def write(request: HttpRequest, number: int) -> HttpResponse:
    Article.objects.create(id=number, title="written", content=f"by a view, number {number}")
    if "fail" in request.GET:
        return HttpResponse(1 // 0)
    return JsonResponse(
        {"found": [row.id for row in index["search"]("written by a view", limit=9)]}
    )


async def write_async(request: HttpRequest, number: int) -> HttpResponse:
    await Article.objects.acreate(
        id=number, title="written", content=f"by an async view, number {number}"
    )
    found = await sync_to_async(index["search"])("written by a view", limit=9)
    return JsonResponse({"found": [row.id for row in found]})


urlpatterns = [path("write/<int:number>", write), path("awrite/<int:number>", write_async)]
