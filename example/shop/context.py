"""What every template of the shop is given."""

from django.http import HttpRequest

import slowhound


def request_id(_request: HttpRequest) -> dict[str, str]:
    """The id that all events of this request carry: what a visitor can quote to us."""
    record = slowhound.current()
    return {"request_id": record.id if record else ""}
