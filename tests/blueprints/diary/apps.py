from django.apps import AppConfig
from django_adapter import keep_indexes


class DiaryConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "diary"

    def ready(self):
        keep_indexes()
