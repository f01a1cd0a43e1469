"""The site's routes."""

from __future__ import annotations

from django.urls import path

from tests.site.options import OPTIONS
from tests.site.views import basic, bodies, db, deadlock, deaths, errors, gil, outside, waiting

urlpatterns = [
    path("ok/", basic.ok, name="ok"),
    path("item/<int:number>/", basic.item, name="item"),
    path("page/", basic.Page.as_view(), name="page"),
    path("unnamed/", basic.ok),
    path("unnamed-page/", basic.Page.as_view()),
    path("headers/", basic.headers, name="headers"),
    path("length/", basic.length, name="length"),
    path("collect/", basic.collect, name="collect"),
    path("cpu/", basic.cpu, name="cpu"),
    path("hold-gil/", basic.hold_gil, name="hold-gil"),
    path("fork-lingering/<slug:gate>/", basic.fork_lingering, name="fork-lingering"),
    path("fork/", basic.fork, name="fork"),
    path("five/", db.five, name="five"),
    path("n1/", db.n1, name="n1"),
    path("four-times/", db.four_times, name="four-times"),
    path("many/", db.many, name="many"),
    path("composed/", db.composed, name="composed"),
    path("server-side/", db.server_side, name="server-side"),
    path("aliases/", db.aliases, name="aliases"),
    path("db-threads/<int:threads>/<int:each>/", db.in_threads, name="db-threads"),
    path("db-bare-threads/<int:threads>/<int:each>/", db.in_bare_threads, name="db-bare-threads"),
    path("bad-sql/", db.bad_sql, name="bad-sql"),
    path("slow-sql/", db.slow_sql, name="slow-sql"),
    path("raise/", errors.raises, name="raise"),
    path("raise-from/", errors.raises_from, name="raise-from"),
    path("denied/", errors.denied, name="denied"),
    path("missing/", errors.missing, name="missing"),
    path("refused/", errors.refused, name="refused"),
    path("unprintable/", errors.unprintable, name="unprintable"),
    path("hostile-message/", errors.hostile_message, name="hostile-message"),
    path("in-template/", errors.in_template, name="in-template"),
    path("swallowed/", errors.swallowed, name="swallowed"),
    path("stream/<int:chunks>/<int:size>/", bodies.stream, name="stream"),
    path("stream-pauses/<int:chunks>/", bodies.stream_pauses, name="stream-pauses"),
    path("stream-endless/", bodies.stream_endless, name="stream-endless"),
    path("stream-gated/<slug:gate>/", bodies.stream_gated, name="stream-gated"),
    path("stream-breaks/", bodies.stream_breaks, name="stream-breaks"),
    path("file/<int:size>/", bodies.file, name="file"),
    path("large/<int:size>/", bodies.large, name="large"),
    path("empty/", bodies.empty, name="empty"),
    path("sleep/<str:seconds>/", waiting.sleep, name="sleep"),
    path("nap/<str:seconds>/", waiting.nap, name="nap"),
    path("gate/<slug:gate>/", waiting.gated, name="gate"),
    path("gate-large/<slug:gate>/", waiting.gated_large, name="gate-large"),
    path("query-then-gate/<slug:gate>/", waiting.query_then_gate, name="query-then-gate"),
    path("secrets/<slug:gate>/", waiting.secrets, name="secrets"),
    path("cached/", outside.cached, name="cached"),
    path("cached-many/", outside.cached_many, name="cached-many"),
    path("call-urllib3/", outside.call_urllib3, name="call-urllib3"),
    path("call-httpx/", outside.call_httpx, name="call-httpx"),
    path("call-nobody/", outside.call_nobody, name="call-nobody"),
    path("template/", outside.template, name="template"),
    path("started/<slug:name>/<str:seconds>/", deaths.started, name="started"),
    path("deaf/<slug:gate>/", deaths.deaf, name="deaf"),
    path("holding/", deaths.holding, name="holding"),
    path("holding/<slug:gate>/", deaths.holding_from, name="holding-from"),
    path("endless-sql/", deaths.endless_sql, name="endless-sql"),
    path("main-stuck/<slug:gate>/", deaths.main_stuck, name="main-stuck"),
    path("signal-at/<slug:name>/<int:line>/<int:number>/", deaths.signal_at, name="signal-at"),
    path("exits/", deaths.exits, name="exits"),
    path("threads/", deaths.threads, name="threads"),
    path("gil/sort/<slug:name>/", gil.sort, name="gil-sort"),
    path("gil/regex/<slug:name>/", gil.regex, name="gil-regex"),
    path("gil/power/<slug:name>/", gil.power, name="gil-power"),
    path("gil/native/<slug:name>/", gil.native, name="gil-native"),
    path("gil/native-later/<slug:name>/", gil.native_later, name="gil-native-later"),
    path("gil/lock/<slug:name>/", gil.lock, name="gil-lock"),
    path("gil/slow-then-lock/<slug:name>/<str:seconds>/", gil.slow_then_lock, name="gil-late"),
    path("gil/in-background/<slug:name>/", gil.in_background, name="gil-in-background"),
    path("gil/sleeps/<slug:name>/", gil.sleeps, name="gil-sleeps"),
    path("deadlock/<slug:which>/", deadlock.deadlock, name="deadlock"),
    path("segfault/", gil.segfault, name="segfault"),
    path("leaves/<int:code>/", gil.leaves, name="leaves"),
    path("allocate/", gil.allocate, name="allocate"),
]

if OPTIONS.get("slowhound") is not None:
    from tests.site.views import recorder, secrets

    if OPTIONS["instrumenters"]:
        from tests.site import instrumenters  # noqa: F401  an application imports its own

    urlpatterns += [
        path("context/", recorder.context, name="context"),
        path("hostile-context/", recorder.hostile_context, name="hostile-context"),
        path("partial/", recorder.partial, name="partial"),
        path("partial-async/", recorder.partial_async, name="partial-async"),
        path("current/", recorder.current_record, name="current"),
        path("leak/<int:number>/<slug:token>/<path:rest>/", secrets.leak, name="leak"),
        path("posted/<slug:gate>/", secrets.posted, name="posted"),
        path("posted-all/<slug:gate>/", secrets.posted_all, name="posted-all"),
        path("guarded/<slug:gate>/", secrets.guarded, name="guarded"),
    ]
