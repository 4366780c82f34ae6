from django.db import migrations, models


def shout(apps, schema_editor):
    """What data migrations do: rows change while there are no triggers."""
    apps.get_model("diary", "Entry").objects.using(schema_editor.connection.alias).update(
        body="written by a migration"
    )


class Migration(migrations.Migration):
    """SQLite alters no column: Django makes the table anew,
    and with the old one its triggers go.
    """

    dependencies = [("diary", "0001_initial")]
    operations = [
        migrations.AlterField("entry", "title", models.CharField(max_length=200)),
        migrations.RunPython(shout, migrations.RunPython.noop),
    ]
