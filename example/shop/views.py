"""One page for each thing that can happen to a request.

The functions that cause it have names of their own, which appear in a stack, in ``db_n1`` or in
``exc_cause_loc``.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from decimal import Decimal

import urllib3
from django.conf import settings
from django.core.cache import cache
from django.db.models import F, Sum
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render

import slowhound
from shop.models import Customer, Order, Product

LONGEST_WAIT = 60.0
"""Seconds that a visitor may ask a page to take."""


class CardDeclined(Exception):
    """The bank said no."""


class RecommenderDown(Exception):
    """The service that knows what goes with what does not answer."""


def home(request: HttpRequest) -> HttpResponse:
    """A fast page: one query, one template."""
    products = Product.objects.filter(list_price__gt=0)
    return render(request, "shop/home.html", {"products": products})


def orders(request: HttpRequest) -> HttpResponse:
    """Five queries, as a page of a healthy site does them."""
    everything = Order.objects.all()
    latest = everything.select_related("customer").prefetch_related("lines__product")[:10]
    turnover = everything.aggregate(
        total=Sum(F("lines__quantity") * F("lines__product__price"), default=Decimal(0))
    )
    context = {"orders": latest, "count": everything.count(), "turnover": turnover["total"]}
    return render(request, "shop/orders.html", context)


def n_plus_one(request: HttpRequest) -> HttpResponse:
    """One query for the orders, and one more for the customer of each."""
    return page(request, "Who ordered", who_ordered())


def who_ordered() -> list[str]:
    return [describe(order) for order in Order.objects.all()[:30]]


def describe(order: Order) -> str:
    return f"{order}: {order.customer.name}"


def slow_io(request: HttpRequest) -> HttpResponse:
    """Waits, as for a database or a network that does not answer."""
    wait_for_warehouse(seconds_asked(request))
    return page(request, "Slow I/O", ["The warehouse answered in the end."])


def wait_for_warehouse(seconds: float) -> None:
    time.sleep(seconds)


def slow_python(request: HttpRequest) -> HttpResponse:
    """Computes, in plain Python."""
    routes = plan_delivery(seconds_asked(request))
    return page(request, "Slow Python", [f"The van could take {routes} routes."])


def plan_delivery(seconds: float) -> int:
    routes = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        routes += 1
        measure_route(routes)
    return routes


def measure_route(seed: int, stops: int = 500) -> int:
    length = 0
    for stop in range(stops):
        length += seed * stop % 7
    return length


def gil(request: HttpRequest) -> HttpResponse:
    """Holds the GIL in one C call: no other Python thread of this worker runs meanwhile."""
    text = spaces_that_take(seconds_asked(request))
    trim(text)
    return page(request, "GIL held", [f"Trimmed {len(text):,} characters."])


def trim(text: str) -> str:
    # Seems harmless, and takes quadratic time on white space that is not at the end.
    return re.sub(r"\s+$", "", text)


def spaces_that_take(seconds: float) -> str:
    """The input that keeps trim() busy for about so many seconds on this machine."""
    probe = 4_000
    took = []
    for _ in range(3):
        start = time.perf_counter()
        trim(" " * probe + "x")
        took.append(time.perf_counter() - start)
    return " " * round(probe * (seconds / min(took)) ** 0.5) + "x"


def crash(_request: HttpRequest) -> HttpResponse:
    """Raises an exception that is not caught, a few calls deep."""
    check_out(Decimal("89.00"))
    return HttpResponse("never sent")


def check_out(amount: Decimal) -> None:
    charge_card(amount)


def charge_card(amount: Decimal) -> None:
    message = f"the bank declined {amount}"
    raise CardDeclined(message)


def template_error(request: HttpRequest) -> HttpResponse:
    """Fails in a template that is included three levels deep."""
    return render(request, "shop/catalogue.html", {"products": Product.objects.all()})


def partial(request: HttpRequest) -> HttpResponse:
    """Responds without the part that failed."""
    return page(request, "Partial failure", ["The page is here.", *recommendations()])


@slowhound.on_error(return_value=())
def recommendations() -> tuple[str, ...]:
    message = "no answer within 50 ms"
    raise RecommenderDown(message)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Sends its body piece by piece, with pauses."""
    chunks = min(int(request.GET.get("chunks", "5")), 1_000)
    pause = seconds_asked(request, "pause", 0.1)
    return StreamingHttpResponse(export(chunks, pause), content_type="text/csv")


def export(chunks: int, pause: float) -> Iterator[str]:
    yield "row,value\n"
    for row in range(chunks):
        time.sleep(pause)
        yield f"{row},{row * row}\n" * 100


def context(request: HttpRequest) -> HttpResponse:
    """Adds to its event what only the application knows."""
    customer = Customer.objects.get(pk=request.GET.get("customer", "1"))
    slowhound.Context.set("customer", customer.name)
    with slowhound.Context.time("pricing"):
        total = sum(product.price for product in Product.objects.all())
    return page(request, customer.name, [f"One of each would be {total}."])


def cached(request: HttpRequest) -> HttpResponse:
    """Reads two things from the cache, which has one of them."""
    cache.set("bestseller", "Slow feeder bowl", timeout=60)
    bestseller = cache.get("bestseller")
    newcomer = cache.get("newcomer") or "nothing new"
    return page(request, "From the cache", [bestseller, newcomer])


def outbound(request: HttpRequest) -> HttpResponse:
    """Calls another service over HTTP."""
    if not settings.COURIER_URL:
        return page(request, "Outbound", ["Set SHOP_COURIER_URL to the URL of a service."])
    response = urllib3.request("GET", settings.COURIER_URL, timeout=5.0)
    return page(request, "Outbound", [f"The courier says: {response.data.decode()}"])


async def asynchronous(request: HttpRequest) -> HttpResponse:
    """Waits without occupying a thread, under a server that supports it."""
    await asyncio.gather(*(ask_supplier(n) for n in range(3)))
    return page(request, "Async", ["Three suppliers were asked at the same time."])


async def ask_supplier(n: int) -> None:
    await asyncio.sleep(0.05 * (n + 1))


def page(request: HttpRequest, title: str, lines: list[str]) -> HttpResponse:
    return render(request, "shop/page.html", {"title": title, "lines": lines})


def seconds_asked(request: HttpRequest, name: str = "seconds", default: float = 2.0) -> float:
    return min(float(request.GET.get(name, default)), LONGEST_WAIT)
