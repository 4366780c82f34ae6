"""The search box of Django's admin, by words and meaning. Copy this file into your project.

Put it beside django_adapter.py. One more base class makes the admin of a model use its index:

    @admin.register(Article)
    class ArticleAdmin(SemanticAdminMixin, admin.ModelAdmin):
        list_display = ["title", "author"]

Which rows there are is decided by Django, as before: by permissions, `get_queryset`, the filters of
the sidebar and `date_hierarchy`. The search chooses among those rows and puts the best first, so
that counts and pages are right. A click on the head of a column sorts the rows that were found.

The file is yours from now on: read it, change it.
"""

from django.contrib import messages
from django.contrib.admin.views.main import ORDER_VAR
from django.db.models import Case, IntegerField, Value, When

from semantic_core.errors import SemanticCoreError


class SemanticAdminMixin:
    """A `ModelAdmin` that searches the index of its model. Write it before `admin.ModelAdmin`.

    semantic_index: the attribute of the model that has the index. by_meaning: how many rows are
    listed first because they are the best by words and meaning together; 0 searches words only.
    most_found: the most rows that a search lists.
    """

    semantic_index = "search"
    by_meaning = 10
    most_found = 1000
    # Django shows the search box only if there are search fields. Name others, and they are
    # searched while the index cannot be, and by `autocomplete_fields` of other models.
    search_fields = ("pk",)

    def semantic_options(self, request):
        """Further arguments of the search, such as `tenant`.

        The user is given to plugins that decide what somebody may find.
        """
        return {"context": {"user": request.user}}

    def get_search_results(self, request, queryset, search_term):
        """See `ModelAdmin.get_search_results`. The rows found, and False: none is there twice."""
        if not search_term.strip():
            return queryset, False
        if _is_autocompletion(request) and tuple(self.search_fields) != ("pk",):
            # What is typed there is the beginning of a word, which has no meaning yet.
            return super().get_search_results(request, queryset, search_term)
        try:
            keys = self.found_keys(request, queryset, search_term)
        except SemanticCoreError as error:
            self.message_user(request, f"The index cannot be searched: {error}", messages.WARNING)
            return super().get_search_results(request, queryset, search_term)
        found = queryset.filter(pk__in=keys)
        if keys and ORDER_VAR not in request.GET:
            found = found.order_by(_order_of(keys))
        return found, False

    def found_keys(self, request, queryset, search_term):
        """The primary keys of the rows found, the best first: the best by words and meaning, then
        all others that contain a word of the query.
        """
        index = getattr(self.model, self.semantic_index)
        options = self.semantic_options(request)
        options["among"] = index.keys_among(queryset)  # the rows that this user may see
        found = []
        if self.by_meaning:
            found += index.search(search_term, limit=self.by_meaning, **options)
        found += index.search(search_term, mode="text", limit=self.most_found, **options)
        keys = dict.fromkeys(row.pk for row in found)
        return list(keys)[: self.most_found]


def _is_autocompletion(request):
    match = request.resolver_match
    return match is not None and match.url_name == "autocomplete"


def _order_of(keys):
    """An expression that is the place of a row among these keys."""
    places = [When(pk=key, then=Value(place)) for place, key in enumerate(keys)]
    return Case(*places, output_field=IntegerField())
