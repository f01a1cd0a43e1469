"""The routes of requests of every kind, under any server."""

from __future__ import annotations

from django.urls import path

from tests.site.views import mixed

urlpatterns = [
    path("plain/<int:size>/<int:ms>/", mixed.plain),
    path("posted/", mixed.posted),
    path("stream/<int:chunks>/<int:size>/<int:ms>/", mixed.stream),
    path("late/<int:size>/<int:ms>/", mixed.late),
    path("endless/", mixed.endless),
    path("file/<int:size>/", mixed.file),
    path("unchanged/", mixed.unchanged),
    path("fails/<int:ms>/", mixed.fails),
    path("missing/", mixed.missing),
    path("calls/", mixed.calls),
    path("aplain/<int:size>/<int:ms>/", mixed.aplain),
    path("astream/<int:chunks>/<int:size>/<int:ms>/", mixed.astream),
    path("alate/<int:size>/<int:ms>/", mixed.alate),
    path("aendless/", mixed.aendless),
    path("afails/<int:ms>/", mixed.afails),
]
