"""Adds to each event what this shop wants to know about its requests."""

from http.cookies import SimpleCookie
from typing import Any

import slowhound


@slowhound.register_instrumenter
class BasketSize:
    """Adds ``app_basket``: how many things the visitor had in the basket."""

    def setup(self) -> None:
        """Called once in each worker; a connection or a counter would be made here."""

    def call(self, _request: Any, _response: Any, environ: dict[str, Any] | None) -> None:
        """Called when a request ends. The request is the server's own; Django may not know it."""
        basket = SimpleCookie((environ or {}).get("HTTP_COOKIE", "")).get("basket")
        if basket is not None:
            slowhound.Context.set("basket", len(basket.value.split(".")))
