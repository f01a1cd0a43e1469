"""Example profiles to draw: a shop's slow basket, and one that is wide and deep."""

from __future__ import annotations

import random

from slowhound.flames.profile import Accuracy, Profile, ProfileFrame, ProfileSample

EVENT = {
    "event_type": "request",
    "req_id": "5f0c2a9d11",
    "req_method": "GET",
    "req_path": "/shop/basket/",
    "req_route": "shop/basket/",
    "resp_view": "shop.views.basket",
    "resp_status": 200,
    "resp_outcome": "ok",
    "resp_time": 4.21,
    "db_time": 1.52,
    "db_queries": 43,
    "cache_time": 0.06,
    "tmpl_time": 0.41,
    "out_time": 0.2,
    "resp_cpu_time": 0.93,
    "slow_verdict": "slow: 50 % of the time in one query, SELECT … FROM shop_line",
    "host": "web-1",
    "pid": 4711,
    "release": "2026.11.1",
}
STARTED = 1795305600.0


def frame(name, file="", line=0, kind="library"):
    return ProfileFrame(name, file, line, kind)


INNER = frame(
    "convert_exception_to_response.<locals>.inner", "django/core/handlers/exception.py", 55
)
SERVER = [
    frame("ThreadWorker.handle_request", "gunicorn/workers/gthread.py", 335),
    frame("WSGIHandler.__call__", "django/core/handlers/wsgi.py", 124),
    frame("BaseHandler.get_response", "django/core/handlers/base.py", 140),
    frame("SecurityMiddleware", kind="middleware"),
    INNER,
    frame("SessionMiddleware", kind="middleware"),
    INNER,
    frame("BaseHandler._get_response", "django/core/handlers/base.py", 197),
]


def view(line):
    return [*SERVER, frame("basket", "shop/views.py", line, "app")]


def query(text):
    return [
        frame("QuerySet.__iter__", "django/db/models/query.py", 400),
        frame("SQLCompiler.execute_sql", "django/db/models/sql/compiler.py", 1610),
        frame(text, kind="sql"),
        frame("Cursor.execute", "psycopg/cursor.py", 97),
        frame("waits: recv from 10.0.0.5:5432", kind="wait"),
    ]


LINES = "SELECT … FROM shop_line WHERE basket_id = %s"
PRODUCT = "SELECT … FROM shop_product WHERE id = %s LIMIT 21"
PRICE = [
    frame("Basket.total", "shop/models.py", 120, "app"),
    frame("price_of", "shop/prices.py", 17, "app"),
]
PAGE = [
    frame("render", "django/shortcuts.py", 25),
    frame("Template.render", "django/template/base.py", 171),
    frame("basket.html:12", "shop/templates/basket.html", 12, "template"),
]
STOCK = [
    frame("stock", "shop/stock.py", 9, "app"),
    frame("GET stock.example.com", kind="http"),
    frame("HTTPConnectionPool.urlopen", "urllib3/connectionpool.py", 789),
    frame("waits: recv from 192.0.2.7:443", kind="wait"),
]
# What the request does, in order: hundredths of a second, stack, state.
STEPS = [
    (90, [*view(41), frame("Basket.lines", "shop/models.py", 88, "app"), *query(LINES)], "waiting"),
    (
        24,
        [*view(41), frame("Basket.lines", "shop/models.py", 91, "app"), *query(PRODUCT)],
        "waiting",
    ),
    (6, [*view(39), frame("get basket:count", kind="cache")], "waiting"),
    (22, [*view(44), *PRICE], "running"),
    (9, [*view(44), *PRICE], "starved"),
    (20, [*view(44), *PRICE, frame("Decimal.quantize", "decimal.py", 2500)], "running"),
    (20, [*view(47), *STOCK], "waiting"),
    (12, [*view(49), frame("tidy", "shop/tidy.py", 12, "app")], "blind"),
    (
        35,
        [*view(52), *PAGE, frame("VariableNode.render", "django/template/base.py", 1075)],
        "running",
    ),
    (8, [*view(52), *PAGE, *query("SELECT … FROM shop_recommendation")], "waiting"),
    (4, [], "blind"),
    (6, SERVER[:5], "running"),
]


def profile_of(steps, **fields):
    """A profile with a sample every 10 ms, from one second after the request's start on."""
    frames, stacks, samples, at = {}, {}, [], 1.0
    for count, stack, state in steps:
        numbers = tuple(frames.setdefault(each, len(frames)) for each in stack)
        number = stacks.setdefault(numbers, len(stacks))
        for _ in range(count):
            at += 0.01
            samples.append(ProfileSample(at, 0.01, number, state))
    given = {
        "event": EVENT,
        "started": STARTED,
        "duration": at - 1.0,
        "interval": 0.01,
        "accuracy": Accuracy(
            len(samples) + 9,
            len(samples),
            0.041,
            0.16,
            0,
            0.014,
            {"hound": len(samples) - 12, "remote": 12},
        ),
        **fields,
    }
    return Profile(
        frames=list(frames), stacks=[list(each) for each in stacks], samples=samples, **given
    )


def basket():
    """A slow basket."""
    return profile_of(STEPS)


def normal_basket():
    """A normal basket: the slow query is quick, and something else is done as well."""
    steps = [
        (20 if LINES in [each.name for each in stack] else count, stack, state)
        for count, stack, state in STEPS
    ]
    steps.append((15, [*view(60), frame("vouchers", "shop/vouchers.py", 4, "app")], "running"))
    return profile_of(steps, requests=37)


def wide_and_deep(samples=50_000, depth=100, seed=3):
    """Stacks whose innermost frames change from sample to sample, as those of real code do."""
    chance = random.Random(seed)
    frames = [
        frame(f"function_{n}", f"app/module_{n % 50}.py", n, "app" if n % 3 else "library")
        for n in range(2000)
    ]
    path = [chance.randrange(2000) for _ in range(depth)]
    stacks, taken = [], []
    for at in range(samples):
        changed = min(depth - 1, int(chance.expovariate(1 / 15)) + 1)
        path = path[: depth - changed] + [chance.randrange(2000) for _ in range(changed)]
        stacks.append(path)
        state = chance.choice(["running", "waiting", "starved"])
        taken.append(ProfileSample((at + 1) / 1000, 0.001, at, state))
    accuracy = Accuracy(samples, samples, 0.001, 0, 0, 0.01, {"thread": samples})
    event = {"req_method": "GET", "req_path": "/big/"}
    return Profile(event, STARTED, samples / 1000, 0.001, frames, stacks, taken, accuracy)
