"""A small SMTP server on loopback, which keeps the mails that it gets."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


@dataclass
class Mail:
    """A mail as it arrived."""

    sender: str
    to: list[str]
    message: EmailMessage


@dataclass
class Mailbox:
    """The server's port, and the mails that it has got."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)


class Session(socketserver.StreamRequestHandler):
    """A client's session: HELO, MAIL, RCPT, DATA, QUIT, as in RFC 5321."""

    server: Server

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 localhost")
        sender, to = "", []
        while line := self.rfile.readline():
            text = line.decode().strip()
            command = text.upper()
            if command.startswith(("HELO", "EHLO")):
                self.say("250 localhost")
            elif command.startswith("MAIL FROM:"):
                sender = text[10:].split()[0].strip("<>")
                self.say("250 ok")
            elif command.startswith("RCPT TO:"):
                to.append(text[8:].split()[0].strip("<>"))
                self.say("250 ok")
            elif command == "DATA":
                self.say("354 go on")
                self.server.mailbox.mails.append(Mail(sender, to, self.message()))
                sender, to = "", []
                self.say("250 kept")
            elif command == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def message(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return cast("EmailMessage", message_from_bytes(b"".join(lines), policy=policy.default))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.mailbox = mailbox


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    """A running server and its mailbox."""
    mailbox = Mailbox()
    with Server(mailbox) as server:
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()
