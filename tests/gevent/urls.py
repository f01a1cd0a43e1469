"""The site's routes, and those that only make sense where requests are greenlets."""

from __future__ import annotations

from django.urls import path

from tests.gevent import views
from tests.site.urls import urlpatterns as everywhere

urlpatterns = [
    *everywhere,
    *(path(f"waits/{kind}/<slug:gate>/", view, name=kind) for kind, view in views.VIEWS.items()),
    path("spin/<slug:name>/", views.spin, name="spin"),
    path("block/<slug:name>/", views.block, name="block"),
    path("fetch/<slug:gate>/", views.fetch, name="fetch"),
    path("too-long/", views.too_long, name="too-long"),
    path("spawns/<slug:gate>/", views.spawns, name="spawns"),
    path("spawns-counting/<int:each>/", views.spawns_counting, name="spawns-counting"),
    path("counts/<int:queries>/", views.counts, name="counts"),
    path("blocking-spawn/<slug:name>/", views.blocking_spawn, name="blocking-spawn"),
    path("logs-slowly/<slug:name>/", views.logs_slowly, name="logs-slowly"),
    path("kill/<slug:gate>/", views.kill, name="kill"),
    path("fast/", views.fast, name="fast"),
    path("inside/", views.inside, name="inside"),
]
