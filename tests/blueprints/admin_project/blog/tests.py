"""What the admin lists and the command says; run by Django's own test runner."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any
from unittest import mock

from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import TestCase
from django.urls import reverse

from blog.models import Article
from semantic_core.errors import StoreError
from semantic_core.types import Ref

LIST = "admin:blog_article_changelist"


class Prepared(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.boss = User.objects.create_superuser("boss")
        cls.ann = User.objects.create_user("ann", is_staff=True)
        cls.ann.user_permissions.add(Permission.objects.get(codename="view_article"))
        rows = [
            ("Walrus", "a walrus walrus walrus", True, cls.ann),
            ("Otter", "an otter and one walrus among many other words", True, cls.boss),
            ("Seal", "seals lie on the ice", True, cls.boss),
            ("Hidden", "walrus", False, cls.boss),
        ]
        for title, content, published, owner in rows:
            Article.objects.create(title=title, content=content, published=published, owner=owner)

    def listed(self, user: User, **asked: Any) -> list[str]:
        self.client.force_login(user)
        response = self.client.get(reverse(LIST), asked)
        self.assertEqual(response.status_code, 200)
        self.changelist = response.context["cl"]
        return [row.title for row in self.changelist.result_list]


class TheAdmin(Prepared):
    def test_all_rows_with_the_word_are_listed_best_first(self) -> None:
        found = self.listed(self.boss, q="walrus")
        self.assertEqual(set(found), {"Walrus", "Hidden", "Otter"})
        self.assertEqual(found[-1], "Otter")
        self.assertEqual(self.changelist.result_count, 3)
        self.assertEqual(self.changelist.full_result_count, 4)

    def test_filters_of_the_sidebar_choose_before_the_search(self) -> None:
        found = self.listed(self.boss, q="walrus", published__exact="1")
        self.assertEqual(found, ["Walrus", "Otter"])
        self.assertEqual(self.changelist.result_count, 2)

    def test_a_user_finds_only_what_the_list_shows(self) -> None:
        self.assertEqual(self.listed(self.ann, q="walrus"), ["Walrus"])
        self.assertEqual(self.listed(self.ann, q="seals ice"), ["Walrus"])
        # the one that is closest in meaning, among the only row there is

    def test_who_may_see_nothing_finds_nothing(self) -> None:
        bob = User.objects.create_user("bob", is_staff=True)
        self.client.force_login(bob)
        self.assertEqual(self.client.get(reverse(LIST), {"q": "walrus"}).status_code, 403)

    def test_what_is_close_in_meaning_is_found_without_the_word(self) -> None:
        found = self.listed(self.boss, q="frozen water")
        self.assertEqual(found[0], "Seal")

    def test_a_click_on_a_column_sorts_what_was_found(self) -> None:
        self.assertEqual(self.listed(self.boss, q="walrus", o="1"), ["Hidden", "Otter", "Walrus"])
        self.assertEqual(self.listed(self.boss, q="walrus", o="-1"), ["Walrus", "Otter", "Hidden"])

    def test_pages_are_slices_of_one_order(self) -> None:
        for number in range(25):
            Article.objects.create(title=f"Number {number}", content="penguin")
        pages = [self.listed(self.boss, q="penguin", p=str(page)) for page in (1, 2, 3)]
        self.assertEqual([len(page) for page in pages], [10, 10, 5])
        self.assertEqual(self.changelist.result_count, 25)
        self.assertEqual(len(set().union(*pages)), 25)

    def test_a_renamed_owner_is_found_after_raw_sql(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE auth_user SET username = 'zebulon' WHERE username = 'ann'")
        self.assertEqual(self.listed(self.boss, q="zebulon")[0], "Walrus")

    def test_an_empty_search_lists_everything(self) -> None:
        self.assertEqual(len(self.listed(self.boss, q=" ")), 4)

    def test_fields_that_choose_an_article_find_beginnings(self) -> None:
        self.client.force_login(self.boss)
        asked = {
            "term": "Walr",
            "app_label": "blog",
            "model_name": "comment",
            "field_name": "article",
        }
        answer = self.client.get(reverse("admin:autocomplete"), asked).json()
        self.assertEqual(len(answer["results"]), 1)

    def test_an_index_that_cannot_be_searched_is_reported_and_the_fields_are(self) -> None:
        with mock.patch.object(type(Article.search.core.store), "words", side_effect=broken):
            found = self.listed(self.boss, q="Walrus")
        self.assertEqual(found, ["Walrus"])
        (message,) = self.client.get(reverse(LIST)).wsgi_request._messages or [None]
        self.assertIsNone(message)


def broken(*_: Any, **__: Any) -> None:
    raise StoreError("The disk is gone.")


class TheCommand(Prepared):
    def said(self, *arguments: str, **options: Any) -> str:
        out = StringIO()
        call_command("semantic_core", *arguments, stdout=out, **options)
        return out.getvalue()

    def test_a_sound_index_is_verified(self) -> None:
        self.assertIn("blog_article: 4 rows, all as in the index", self.said("verify"))

    def test_a_document_that_is_missing_is_named_and_repaired(self) -> None:
        row = Article.objects.get(title="Seal")
        self.assertEqual(len(Article.search("seals")), 4)  # everything is indexed
        Article.search.core.remove(Ref("blog_article", str(row.pk)))
        with self.assertRaisesMessage(CommandError, "Not in order: blog_article."):
            self.said("verify")
        self.assertIn("1 added", self.said("repair"))
        self.assertIn("all as in the index", self.said("verify", "blog.Article"))

    def test_status_sync_and_reindex_are_done_for_a_model(self) -> None:
        self.assertIn("blog_article: 4 waiting", self.said("status", "article"))
        self.assertIn("blog_article: ", self.said("sync", "blog_article"))
        self.assertIn("4 of 4", self.said("reindex"))

    def test_programs_read_json(self) -> None:
        answer = json.loads(self.said("verify", json=True))
        self.assertEqual(answer["blog_article"]["rows"], 4)
        self.assertTrue(answer["blog_article"]["ok"])

    def test_an_unknown_index_is_answered_with_those_there_are(self) -> None:
        with self.assertRaisesMessage(CommandError, "There is no index 'blogs'; there are blog_"):
            self.said("status", "blogs")
