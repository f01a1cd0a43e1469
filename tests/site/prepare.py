"""`python -m tests.site.prepare`: makes the tables and a few rows in each database."""

from __future__ import annotations

import django
from django.core.management import call_command

ROWS = 6


def main() -> None:
    django.setup()
    from django.db import connections

    from tests.site.models import Author, Item

    for alias in connections:
        call_command("migrate", run_syncdb=True, database=alias, verbosity=0)
        for number in range(ROWS):
            author = Author.objects.using(alias).create(name=f"author {number}")
            Item.objects.using(alias).create(name=f"item {number}", author=author)
    connections.close_all()


if __name__ == "__main__":
    main()
