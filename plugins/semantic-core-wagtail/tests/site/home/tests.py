"""What a Wagtail site does with its search; run by Django's own test runner."""

from __future__ import annotations

from io import StringIO
from typing import Any
from unittest import mock

from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.db.models import F, Q
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modelsearch.query import And, Fuzzy, Not, Or, Phrase, PlainText
from semantic_core_wagtail import SearchBackend
from semantic_core_wagtail.apps import check_settings
from semantic_core_wagtail.documents import LONGEST_PREFIX, as_text, declaration, prefixes_in
from semantic_core_wagtail.families import families, top_of, watched_fields
from semantic_core_wagtail.following import adapter_module, index_of
from semantic_core_wagtail.options import Options, checked_options
from semantic_core_wagtail.words import Matches
from wagtail.models import Page
from wagtail.search import index
from wagtail.search.backends import get_search_backend

from home.models import Author, BlogIndexPage, BlogPage, Link, Secret


def titles(found: Any) -> list[str]:
    return [page.title for page in found]


def words(query: Any, queryset: Any = None, **options: Any) -> list[str]:
    """The titles of pages that match by words, sorted."""
    rows = Page.objects.all() if queryset is None else queryset
    return sorted(titles(rows.search(query, backend="words", **options)))


def blog_page(parent: Page, title: str, text: str = "", **fields: Any) -> BlogPage:
    body = [("paragraph", f"<p>{text}</p>")] if text else []
    page: BlogPage = parent.add_child(instance=BlogPage(title=title, body=body, **fields))
    return page


class Tree(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        home = Page.objects.get(depth=2)
        cls.ann = Author.objects.create(name="Ann Gardener")
        cls.blog = home.add_child(instance=BlogIndexPage(title="Blog", intro="<p>All posts</p>"))
        cls.other = home.add_child(instance=BlogIndexPage(title="Archive"))
        cls.bread = blog_page(
            cls.blog, "Sourdough", "Mix flour and water, and bake a loaf.", author=cls.ann
        )
        cls.tomato = blog_page(cls.blog, "Watering tomatoes", "A litre every morning.")


class Pages(Tree):
    def test_the_text_of_a_streamfield_is_found_as_a_page_and_as_its_type(self) -> None:
        self.assertEqual(words("flour loaf"), ["Sourdough"])
        self.assertEqual(words("flour", BlogPage.objects.all()), ["Sourdough"])
        self.assertIs(type(BlogPage.objects.search("flour")[0]), BlogPage)
        self.assertEqual(words("flour", BlogIndexPage.objects.all()), [])

    def test_markup_is_not_text(self) -> None:
        self.assertEqual(words("p"), [])

    def test_meaning_is_found_where_no_word_is(self) -> None:
        self.assertEqual(words("baking dough"), [])
        found = BlogPage.objects.search("how do I make bread at home")
        self.assertEqual(found[0].title, "Sourdough")
        self.assertEqual(found.count(), len(list(found)))

    def test_meaning_is_found_among_the_rows_of_the_query_set(self) -> None:
        for number in range(40):
            blog_page(self.other, f"Bread {number}", "bread dough bakery flour oven")
        found = Page.objects.descendant_of(self.blog).search(
            "bread dough bakery", backend="default"
        )
        self.assertEqual(sorted(titles(found)), ["Sourdough", "Watering tomatoes"])

    def test_drafts_are_found_unless_the_query_set_wants_live_pages(self) -> None:
        self.bread.unpublish()
        self.assertEqual(words("flour"), ["Sourdough"])
        self.assertEqual(words("flour", Page.objects.live()), [])
        self.bread.save_revision().publish()
        self.assertEqual(words("flour", Page.objects.live()), ["Sourdough"])

    def test_a_draft_that_is_not_published_changes_nothing(self) -> None:
        self.bread.title = "Rye"
        self.bread.body = [("paragraph", "<p>rye only</p>")]
        revision = self.bread.save_revision()
        self.assertEqual(words("rye"), [])
        revision.publish()
        self.assertEqual(words("rye"), ["Rye"])
        self.assertEqual(words("flour"), [])

    def test_a_moved_page_is_found_below_its_new_parent(self) -> None:
        self.bread.move(self.other, pos="last-child")
        self.assertEqual(words("flour", Page.objects.descendant_of(self.other)), ["Sourdough"])
        self.assertEqual(words("flour", Page.objects.descendant_of(self.blog)), [])

    def test_a_copy_is_found_with_its_children(self) -> None:
        self.blog.copy(recursive=True, update_attrs={"slug": "again", "title": "Blog again"})
        self.assertEqual(words("flour"), ["Sourdough", "Sourdough"])

    def test_a_deleted_branch_is_gone(self) -> None:
        self.blog.delete()
        self.assertEqual(words("flour"), [])
        self.assertEqual(words("posts"), [])

    def test_related_fields_follow_the_related_row(self) -> None:
        self.assertEqual(words("gardener"), ["Sourdough"])
        Author.objects.filter(pk=self.ann.pk).update(name="Bea Miller")
        self.assertEqual(words("gardener"), [])
        self.assertEqual(words("miller"), ["Sourdough"])
        self.assertEqual(
            [each.name for each in get_search_backend().search("miller", Author)], ["Bea Miller"]
        )
        self.ann.delete()
        self.assertEqual(words("miller"), [])

    def test_rows_below_a_page_and_tags_are_followed(self) -> None:
        link = Link.objects.create(page=self.tomato, label="hosepipe")
        self.assertEqual(words("hosepipe"), ["Watering tomatoes"])
        Link.objects.filter(pk=link.pk).update(label="bucket")
        self.assertEqual(words("bucket"), ["Watering tomatoes"])
        self.tomato.tags.add("vegetables")
        self.tomato.save()
        self.assertEqual(words("vegetables"), ["Watering tomatoes"])
        tag = self.tomato.tags.get()
        type(tag).objects.filter(pk=tag.pk).update(name="greens")
        self.assertEqual(words("greens"), ["Watering tomatoes"])

    def test_boosts_of_related_fields_decide(self) -> None:
        blog_page(self.blog, "About", "gardener gardener gardener gardener")
        found = BlogPage.objects.search("gardener", backend="words")
        self.assertEqual(titles(found), ["Sourdough", "About"])

    def test_bulk_statements_and_sql_are_seen(self) -> None:
        Page.objects.filter(pk=self.bread.pk).update(title="Levain")
        self.assertEqual(words("levain"), ["Levain"])
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE wagtailcore_page SET title = 'Poolish' WHERE id = %s", [self.bread.pk]
            )
        self.assertEqual(words("poolish"), ["Poolish"])
        BlogPage.objects.filter(pk=self.bread.pk).update(body=[("paragraph", "<p>spelt</p>")])
        self.assertEqual(words("spelt"), ["Poolish"])
        Secret.objects.bulk_create([Secret(text="walnut"), Secret(text="walnut", hidden=True)])
        self.assertEqual(get_search_backend("words").search("walnut", Secret).count(), 1)
        Secret.objects.update(hidden=F("hidden") == False)  # noqa: E712
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM home_secret")
        self.assertEqual(get_search_backend("words").search("walnut", Secret).count(), 0)

    def test_what_is_rolled_back_is_not_found(self) -> None:
        class Undone(Exception):
            pass

        try:
            with transaction.atomic():
                blog_page(self.blog, "Undone", "zucchini")
                self.bread.delete()
                self.assertEqual(words("zucchini"), ["Undone"])
                raise Undone
        except Undone:
            pass
        self.assertEqual(words("zucchini"), [])
        self.assertEqual(words("flour"), ["Sourdough"])

    def test_kinds_of_queries_are_sets(self) -> None:
        blog_page(self.blog, "Rye bread", "rye flour and water")
        flour, water = PlainText("flour"), PlainText("water")
        self.assertEqual(words(And([flour, Not(PlainText("rye"))])), ["Sourdough"])
        self.assertEqual(
            words(Or([PlainText("litre"), PlainText("loaf")])),
            [
                "Sourdough",
                "Watering tomatoes",
            ],
        )
        self.assertEqual(words(Phrase("flour and water")), ["Rye bread", "Sourdough"])
        self.assertEqual(words(Phrase("water and flour")), [])
        self.assertEqual(words(flour & water), ["Rye bread", "Sourdough"])
        self.assertEqual(words("rye water", fields=["title"]), [])
        self.assertEqual(words("rye bread", fields=["title"]), ["Rye bread"])
        everything_else = set(words(~flour))
        self.assertEqual(len(everything_else), Page.objects.count() - 2)
        self.assertEqual(words(Fuzzy("flouer")), ["Rye bread", "Sourdough"])
        self.assertEqual(words(Fuzzy("flouer sordo", operator="and")), [])
        self.assertEqual(words(Fuzzy("tomattoes")), ["Watering tomatoes"])
        with self.assertRaisesMessage(NotImplementedError, "`str` is not supported"):
            words(And(["flour"]))

    def test_what_is_typed_completes_titles(self) -> None:
        found = Page.objects.autocomplete("wat tom", backend="words")
        self.assertEqual(titles(found), ["Watering tomatoes"])
        self.assertEqual(titles(Page.objects.autocomplete("litr")), [])
        self.assertEqual(titles(Page.objects.live().autocomplete("sour")), ["Sourdough"])

    def test_any_query_set_limits_a_search(self) -> None:
        rows = BlogPage.objects.filter(Q(author=self.ann) | Q(author=None)).exclude(
            title="Sourdough"
        )
        self.assertEqual(words("a litre", rows), ["Watering tomatoes"])
        self.assertEqual(words("flour", rows), [])
        self.assertEqual(words("flour", Page.objects.order_by("pk")[:2]), [])

    def test_results_are_paged_counted_sorted_and_faceted(self) -> None:
        for number in range(25):
            blog_page(self.other, f"Page {number:02}", "penguin")
        found = BlogPage.objects.search("penguin", backend="words")
        pages = Paginator(found, 10)
        self.assertEqual(pages.num_pages, 3)
        self.assertEqual(len(set(titles(pages.page(1)) + titles(pages.page(3)))), 15)
        by_title = BlogPage.objects.search("penguin", backend="words", order_by="title")
        self.assertEqual(titles(by_title[2:4]), ["Page 02", "Page 03"])
        self.assertEqual(by_title.count(), 25)
        self.assertEqual(dict(found.facet("author")), {None: 25})

    def test_scores_fall_along_the_answer(self) -> None:
        found = Page.objects.search("flour water bread").annotate_score("how_well")
        scores = [page.how_well for page in found]
        self.assertEqual(scores, sorted(scores, reverse=True))

    def test_the_admin_finds_pages(self) -> None:
        self.client.force_login(User.objects.create_superuser("boss"))
        for query, found in (("sourd", True), ("flour", False)):
            answer = self.client.get(reverse("wagtailadmin_pages:search"), {"q": query})
            self.assertEqual(answer.status_code, 200)
            self.assertEqual("Sourdough" in answer.content.decode(), found)
        chooser = self.client.get(reverse("wagtailadmin_choose_page_search"), {"q": "tomat"})
        self.assertContains(chooser, "Watering tomatoes")


class Settings(SimpleTestCase):
    def test_mistakes_are_named(self) -> None:
        mistakes = {
            "unknown option 'MEANINGS'; there are MEANING, LEAST_SIMILARITY, CORE, ADAPTER. Did": {
                "MEANINGS": 3
            },
            "MEANING must be a whole number, got '3'": {"MEANING": "3"},
            "MEANING must be from 0 to 1,000, got -1": {"MEANING": -1},
            "LEAST_SIMILARITY must be a number from -1 to 1, got 2": {"LEAST_SIMILARITY": 2},
            "CORE must be a mapping": {"CORE": "wordllama"},
            "ADAPTER must be the name of a module": {"ADAPTER": 1},
        }
        for message, params in mistakes.items():
            with self.assertRaisesMessage(ImproperlyConfigured, message):
                checked_options("default", params)
        self.assertEqual(checked_options("default", {"AUTO_UPDATE": False}), Options())

    def test_the_system_check_reports_them(self) -> None:
        wrong = {"default": {"BACKEND": "semantic_core_wagtail", "MEANING": "many"}}
        two = {
            "default": {"BACKEND": "semantic_core_wagtail", "CORE": {"embedder": "none"}},
            "other": {"BACKEND": "semantic_core_wagtail.SearchBackend"},
        }
        for backends, code in ((wrong, "E001"), (two, "E002")):
            with self.settings(WAGTAILSEARCH_BACKENDS=backends):
                (error,) = check_settings(None)
                self.assertEqual(error.id, f"semantic_core_wagtail.{code}")

    def test_the_app_must_be_installed(self) -> None:
        with (
            mock.patch.object(apps, "is_installed", return_value=False),
            self.assertRaisesMessage(ImproperlyConfigured, "to INSTALLED_APPS, and run manage.py"),
        ):
            SearchBackend({})

    def test_a_module_that_is_no_adapter_is_named(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "The module 'nowhere', which the"):
            adapter_module("nowhere")


class Families(SimpleTestCase):
    def test_all_types_of_pages_share_one_index(self) -> None:
        members = families()[Page]
        self.assertEqual(members[0], Page)
        self.assertEqual(set(members), {Page, BlogPage, BlogIndexPage})
        self.assertIs(top_of(BlogPage), Page)

    def test_what_documents_are_made_of_is_watched(self) -> None:
        watched = watched_fields(Page)
        for path in ("title", "live", "blogpage.body", "blogpage.author.name"):
            self.assertIn(path, watched)
        self.assertIn("blogpage.links.label", watched)
        self.assertIn("blogpage.tagged_items.tag.name", watched)

    def test_search_fields_are_part_of_the_declaration(self) -> None:
        before = declaration(Author)
        with mock.patch.object(Author, "search_fields", [index.SearchField("name")]):
            self.assertNotEqual(
                declaration(Author)._declaration["condition"].keywords,
                before._declaration["condition"].keywords,
            )


UNIVERSE = frozenset("abcdef")
SETS = st.frozensets(st.sampled_from(sorted(UNIVERSE)))


class Algebra(SimpleTestCase):
    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(SETS, SETS, SETS, st.booleans(), st.booleans(), st.booleans())
    def test_matches_are_combined_as_sets_are(
        self, one: Any, two: Any, three: Any, no1: bool, no2: bool, no3: bool
    ) -> None:
        def made(keys: Any, inverted: bool) -> Matches:
            return Matches(dict.fromkeys(keys, 1.0), inverted)

        def meant(keys: Any, inverted: bool) -> Any:
            return UNIVERSE - keys if inverted else keys

        a, b, c = made(one, no1), made(two, no2), made(three, no3)
        x, y, z = meant(one, no1), meant(two, no2), meant(three, no3)
        for found, expected in (
            (a & b, x & y),
            (a | b, x | y),
            (~(a & b) | c, (UNIVERSE - (x & y)) | z),
            ((a | ~b) & c, (x | (UNIVERSE - y)) & z),
        ):
            self.assertEqual(meant(frozenset(found.scores), found.inverted), expected)


class Texts(SimpleTestCase):
    def test_values_are_written_as_a_person_reads_them(self) -> None:
        self.assertEqual(as_text(None), "")
        self.assertEqual(as_text(["a", None, {"b": "c", "d": 2}]), "a, c, 2")

    def test_beginnings_are_folded_and_of_limited_length(self) -> None:
        self.assertEqual(prefixes_in(["Été"]), ("e", "et", "ete"))
        self.assertEqual(max(map(len, prefixes_in(["x" * 99]))), LONGEST_PREFIX)


class Commands(Tree):
    def said(self, *arguments: str) -> str:
        out = StringIO()
        call_command(*arguments, stdout=out)
        return out.getvalue()

    def test_update_index_says_what_it_does(self) -> None:
        said = self.said("update_index", "--backend", "default")
        self.assertIn("modelsearch.wagtailcore.page", said)
        self.assertEqual(words("flour"), ["Sourdough"])

    def test_the_command_of_the_kernel_is_there(self) -> None:
        words("flour")
        self.assertIn("modelsearch.wagtailcore.page: 6 rows", self.said("semantic_core", "verify"))

    def test_settings_are_checked(self) -> None:
        self.assertIn("no issues", self.said("check"))


class Committed(TransactionTestCase):
    """Without a transaction around the test."""

    def test_update_index_brings_back_what_was_reset(self) -> None:
        Secret.objects.create(text="walnut")
        backend = get_search_backend("words")
        self.assertEqual(backend.search("walnut", Secret).count(), 1)
        backend.reset_indexes()
        self.assertEqual(backend.search("walnut", Secret).count(), 0)
        call_command("update_index", "--backend", "words", stdout=StringIO())
        self.assertEqual(backend.search("walnut", Secret).count(), 1)
        self.assertTrue(index_of(Secret).verify().sound)
