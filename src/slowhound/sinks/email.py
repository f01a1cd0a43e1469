"""Reports by email, through Django's own mail settings."""

from __future__ import annotations

from django.core.mail import EmailMessage

from slowhound.report import Report, one_line


class Email:
    """One mail for each report.

    Args:
        to: addresses.
        sender: the From address; None: Django's ``DEFAULT_FROM_EMAIL``.
    """

    def __init__(self, to: list[str] | tuple[str, ...] | str, sender: str | None = None) -> None:
        self.to = [to] if isinstance(to, str) else list(to)
        self.sender = sender

    def deliver(self, report: Report) -> None:
        """Sends the mail; raises what Django's mail raises (the caller counts it)."""
        subject = f"Slow Request Watchdog: {one_line(report.request_line)}"
        # A surrogate in a source line has no UTF-8; a mail without it is better than none.
        body = report.text().encode("utf-8", "backslashreplace").decode("utf-8")
        EmailMessage(subject[:200], body, self.sender, self.to).send()

    def close(self) -> None:
        """Nothing is kept open."""
