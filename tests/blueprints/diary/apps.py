from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate
from django_adapter import init_database


class DiaryConfig(AppConfig):
    name = "diary"

    def ready(self):
        init_database(install=False)  # from here on the models can be searched; no database is touched
        pre_migrate.connect(before_migrations, sender=self)
        post_migrate.connect(after_migrations, sender=self)


def before_migrations(using, plan, **sent):
    if plan:
        for index in init_database(using=using, install=False):
            index.uninstall(forget=False)


def after_migrations(using, **sent):
    there = connections[using].introspection.table_names()
    for index in init_database(using=using, install=False):
        if index.table.name in there:
            index.install()
