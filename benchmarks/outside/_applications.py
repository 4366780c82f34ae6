"""Which applications are run, in which version, and how their authors run their tests."""

from __future__ import annotations

import os

import attrs


@attrs.frozen
class Application:
    """One application and its suite.

    name, version: of its source distribution. orm: what binds its models, see `inside`. bound: for
    the page, which models.
    requires: what its tests need besides. start: a module or script and its arguments, as for
    `inside/outside_run.py`.
    again: the same for single tests, whose names are appended.
    checkout: the environment variable that names a folder with its tests, for one whose source
    distribution has none.
    scratch: whether its tests leave files in the folder they run in, so that it must be another,
    and a fast one.
    database, prepare: the environment variable that names its SQLite file, and what makes its
    tables, for one whose migrations take minutes: each run takes a copy of the file that was made
    once.
    unsteady: tests that end by chance, without an index too, and are left out of both runs.
    explained: tests that ask for an exact list of what the index is among now: tables, receivers of
    a signal.
    """

    name: str
    version: str
    orm: str
    bound: str
    requires: tuple[str, ...]
    start: tuple[str, ...]
    again: tuple[str, ...] = ()
    folder: str = ""
    checkout: str = ""
    scratch: bool = False
    database: str = ""
    prepare: tuple[str, ...] = ()
    unsteady: tuple[str, ...] = ()
    explained: tuple[str, ...] = ()

    @property
    def plugins(self) -> tuple[str, ...]:
        """Folders of this clone to install beside the kernel."""
        return ("plugins/semantic-core-peewee",) if self.orm == "peewee" else ()


DJANGO_LABELS = (
    "aggregation basic bulk_create composite_pk custom_columns custom_managers custom_pk defer "
    "delete delete_regress force_insert_update generic_relations get_or_create m2m_regress "
    "m2m_through many_to_many many_to_one many_to_one_null model_inheritance "
    "model_inheritance_regress multiple_database null_fk one_to_one ordering proxy_models queries "
    "raw_query save_delete_hooks select_related select_related_onetoone signals test_utils "
    "transaction_hooks transactions update update_only_fields"
)
HAYSTACK_LABELS = (
    "test_backends test_discovery test_forms test_indexes test_managers test_models test_query "
    "test_templatetags test_utils test_views simple_tests whoosh_tests multipleindex"
)
WAGTAIL_LABELS = (
    "wagtail.tests.test_page_model wagtail.tests.test_page_queryset wagtail.tests.test_page_search "
    "wagtail.tests.test_search_fields wagtail.tests.test_page_permissions "
    "wagtail.tests.test_page_privacy wagtail.tests.test_revision_model "
    "wagtail.tests.test_draft_model wagtail.tests.test_signals wagtail.tests.actions "
    "wagtail.contrib.search_promotions"
)
PYTEST = ("pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".")
"""For a suite that has no settings of pytest: without these it would find those of this clone,
in which it lies.
"""

APPLICATIONS = (
    Application(
        name="wagtail",
        version="8.0.1",
        orm="django",
        bound=(
            "every model with text columns: pages of every kind, revisions, sites, users, images, "
            "documents, snippets"
        ),
        requires=(
            "Django==5.2.19",
            "Jinja2",
            "boto3",
            "django-pattern-library",
            "factory-boy",
            "freezegun",
            "responses",
            "tblib",
        ),
        start=(
            "wagtail/test/manage.py",
            "test",
            *WAGTAIL_LABELS.split(),
            "--parallel=1",
            "--keepdb",
        ),
        again=("wagtail/test/manage.py", "test", "--parallel=1", "--keepdb"),
        database="DATABASE_NAME",
        prepare=("wagtail/test/manage.py", "migrate", "-v", "0"),
    ),
    Application(
        name="ihatemoney",
        version="7.2.1",
        orm="sqlalchemy",
        bound=(
            "projects, people, bills, archives, and the version tables that SQLAlchemy-Continuum "
            "creates for them"
        ),
        requires=("pytest~=9.0.2", "pytest-flask~=1.3.0"),
        start=(*PYTEST, "ihatemoney/tests"),
        again=PYTEST,
    ),
    Application(
        name="flask-peewee",
        version="4.0.1",
        orm="peewee",
        bound="users, messages, notes, tokens and the other models of its test application",
        requires=("peewee==4.5.3", "wtforms", "wtf-peewee"),
        start=("unittest", "flask_peewee.tests"),
        again=("unittest",),
        scratch=True,
    ),
    Application(
        name="django-haystack",
        version="3.4.0",
        orm="django",
        bound="its mock models, and the models of Django's admin, users and sessions",
        requires=("Django==5.2.19", "geopy", "pysolr", "python-dateutil", "requests", "whoosh"),
        start=(
            "test_haystack/run_tests.py",
            *(f"test_haystack.{label}" for label in HAYSTACK_LABELS.split()),
            "--parallel=1",
        ),
        again=("test_haystack/run_tests.py", "--parallel=1"),
    ),
    Application(
        name="Django",
        version="5.2.19",
        orm="django",
        bound=(
            "every model with text columns of the test apps named in "
            "`benchmarks/outside/_applications.py`"
        ),
        requires=("Pillow", "docutils", "jinja2", "tblib"),
        start=("runtests.py", "--parallel=1", *DJANGO_LABELS.split()),
        again=("runtests.py", "--parallel=1"),
        folder="tests",
        explained=("signals.tests.SignalTests.test_disconnect_in_dispatch",),
    ),
    Application(
        name="peewee",
        version="4.3.0",
        orm="peewee",
        bound="every model with text columns, bound again whenever a test creates its table",
        requires=("pydantic",),
        start=("runtests.py",),
        again=("unittest",),
        checkout="PEEWEE",
        scratch=True,
        # Its function has to be registered before another thread connects: without an index it
        # failed 3 of 8 times.
        unsteady=("tests.sqliteq.TestThreadedDatabaseThreads.test_timeout",),
        explained=(
            "tests.dataset.TestDataSet.test_case_insensitive",
            "tests.dataset.TestDataSet.test_introspect",
            "tests.dataset.TestDataSet.test_update_cache",
            "tests.db_tests.TestAttachDatabase.test_sqlite_schema_support",
            "tests.pwiz_integration.TestPwiz.test_print_models",
            "tests.pwiz_integration.TestPwizInvalidColumns.test_invalid_columns",
            "tests.pwiz_integration.TestPwizInvalidColumns.test_odd_columns_legacy",
            "tests.pwiz_integration.TestPwizOrdered.test_ordered_columns",
        ),
    ),
)
