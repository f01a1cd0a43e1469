"""A site with the viewer mounted in it, and an access rule of its own."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import include, path

urlpatterns = [path("staff/hound/", include("slowhound.viewer.urls"))]


def only_with_a_badge(request: HttpRequest) -> bool:
    return "Badge" in request.headers
