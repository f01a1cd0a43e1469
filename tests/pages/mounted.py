"""The test site with the viewer mounted in it; as a script it makes the tables and users.

As a script it prints the session of each user as JSON.
"""

from __future__ import annotations

import json

from django.urls import include, path

USERS = {"user": {}, "staff": {"is_staff": True}, "former": {"is_staff": True, "is_active": False}}


def urls() -> list[object]:
    from tests.site.urls import urlpatterns as site

    return [*site, path("slowhound/", include("slowhound.viewer.urls"))]


def main() -> None:
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    sessions = {}
    for name, about in USERS.items():
        user = get_user_model().objects.create_user(name, password="x", **about)
        client = Client()
        client.force_login(user)
        sessions[name] = client.cookies["sessionid"].value
    print(json.dumps(sessions))


if __name__ == "__main__":
    main()
else:
    urlpatterns = urls()
