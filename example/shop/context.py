"""Template context for all templates of the shop."""

from django.http import HttpRequest

import slowhound


def request_id(_request: HttpRequest) -> dict[str, str]:
    """The id in all events of this request, which a visitor can quote to us."""
    record = slowhound.current()
    return {"request_id": record.id if record else ""}
