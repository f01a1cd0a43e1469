"""The routes of the site under ASGI servers."""

from __future__ import annotations

from django.urls import path

from tests.site.views import basic, bodies, coroutines, db, errors, waiting

urlpatterns = [
    path("ok/", basic.ok, name="ok"),
    path("raise/", errors.raises, name="raise"),
    path("stream/<int:chunks>/<int:size>/", bodies.stream, name="stream"),
    path("file/<int:size>/", bodies.file, name="file"),
    path("large/<int:size>/", bodies.large, name="large"),
    path("empty/", bodies.empty, name="empty"),
    path("five/", db.five, name="five"),
    path("gate/<slug:gate>/", waiting.gated, name="gate"),
    path("current/", coroutines.current_id, name="current"),
    path("quick/", coroutines.quick, name="quick"),
    path("fails/", coroutines.fails, name="fails"),
    path("cancels/", coroutines.cancels, name="cancels"),
    path("parts/<int:chunks>/<int:size>/", coroutines.parts, name="parts"),
    path("parts-gated/<slug:gate>/", coroutines.parts_gated, name="parts-gated"),
    path("parts-break/", coroutines.parts_break, name="parts-break"),
    path("parts-endless/", coroutines.parts_endless, name="parts-endless"),
    path("queried/<int:count>/", coroutines.queried, name="queried"),
    path("way/<str:name>/<slug:gate>/", coroutines.way, name="way"),
    path("waits/<slug:gate>/", coroutines.waits, name="waits"),
    path("blocks/<slug:gate>/", coroutines.blocks, name="blocks"),
    path("child-blocks/<slug:gate>/", coroutines.child_blocks, name="child-blocks"),
    path("power/<slug:name>/", coroutines.power, name="power"),
    path("queued/<int:number>/<slug:gate>/", coroutines.queued, name="queued"),
]
