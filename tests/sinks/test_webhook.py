"""The webhook against a real HTTP server, and the addresses that it refuses."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slowhound.core.report import Report
from slowhound.delivery import backoff, sender
from slowhound.delivery.worker import Delivery
from slowhound.sinks import webhook
from slowhound.sinks.webhook import Webhook, WebhookError, signature
from slowhound.system import guard, losses
from tests.harness.hook import Handler, Hook, Posted, hook_server, raw, status
from tests.harness.launch import ROOT
from tests.harness.reports import dead_report, finished, slow_report
from tests.harness.waiting import eventually

# How the receiver checks a signature, from the docs.
DOCUMENTED = (ROOT / "docs" / "delivery.md").read_text().split("# shop/hook.py")[1].split("```")[0]
NASTY = "<script>&`*_~<!channel> <http://evil.example|click>\r\nX: y\x1b[31m\u202e"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    guard.reset()
    losses.reset()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server() as found:
        yield found


def post(hook: Hook, report: Report, **options: Any) -> Posted:
    Webhook(hook.url, private=True, **options).deliver(report)
    return hook.posted[-1]


# What is sent


def test_report_is_posted_as_json(hook: Hook) -> None:
    """With its text, its event, and what is known of its group."""
    posted = post(hook, slow_report(held_back=3))
    assert posted.path == "/hook?key=1"
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.headers["Slowhound-Id"] == "request-1.slow"
    assert posted.headers["Host"] == hook.url.split("/")[2]
    assert posted.headers["Slowhound-Signature"] is None
    body = posted.json
    assert body["id"] == "request-1.slow"
    assert body["kind"] == "slow"
    assert body["headline"] == "Slow, stuck: shop.views.checkout (31.2 s)"
    assert (body["held_back"], body["first_seen"]) == (3, False)
    assert body["event"]["req_id"] == "request-1"
    assert "in checkout" in body["text"]
    assert body["finished"] is None


def test_end_of_a_request_is_posted_with_an_id_of_its_own(hook: Hook) -> None:
    """Of the same group, with what became of it."""
    Webhook(hook.url, private=True).follow_up(slow_report(finished=finished()))
    (posted,) = hook.posted
    body = posted.json
    assert body["id"] == posted.headers["Slowhound-Id"] == "request-1.slow-finished"
    assert body["kind"] == "finished"
    assert body["finished"]["seconds"] == 40.5
    assert body["finished"]["outcome"] == "ok"


def test_death_is_posted(hook: Hook) -> None:
    """With its cause."""
    body = post(hook, dead_report()).json
    assert body["kind"] == "crash"
    assert body["headline"] == "Worker died (oom): shop.views.import_all (12.5 s)"
    assert "shop/rows.py:7:read" in body["text"]


def test_signature_is_that_of_time_and_body(hook: Hook) -> None:
    """HMAC-SHA256, as in the docs; it changes with each part."""
    posted = post(hook, slow_report(), secret="hush")
    stamp = posted.headers["Slowhound-Timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    expected = hmac.new(b"hush", stamp.encode() + b"." + posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["Slowhound-Signature"] == f"v1={expected}"
    example: dict[str, Any] = {}
    exec(DOCUMENTED, example)
    assert example["is_genuine"](posted.headers, posted.body, "hush")
    assert not example["is_genuine"](posted.headers, posted.body + b" ", "hush")
    assert not example["is_genuine"](posted.headers, posted.body, "other")
    old = {**dict(posted.headers), "Slowhound-Timestamp": str(int(stamp) - 600)}
    old["Slowhound-Signature"] = signature("hush", old["Slowhound-Timestamp"], posted.body)
    assert not example["is_genuine"](old, posted.body, "hush")
    assert b"hush" not in posted.body


def test_slack_gets_its_own_form(hook: Hook) -> None:
    """Within Slack's limits, in plain text except for stack and verdict."""
    body = post(hook, slow_report(first_seen=True), format="slack").json
    assert set(body) == {"text", "blocks"}
    assert body["text"] == "Slow, stuck: shop.views.checkout (31.2 s)"
    assert body["blocks"][0]["text"]["type"] == "plain_text"
    shown = json.dumps(body)
    for expected in ("The first of its group.", "srv/shop/views.py:12:checkout", "10.0.0.5:5432"):
        assert expected in shown
    ended = post(hook, slow_report(finished=finished()), format="slack").json
    assert "Finished after 40.5" in json.dumps(ended)


@pytest.mark.parametrize("form", ["json", "slack"])
def test_nothing_of_a_client_gets_out_of_its_place(hook: Hook, form: str) -> None:
    """No link, mention, header or escape sequence from the request works in the message."""
    report = slow_report(
        request_line=NASTY, verdict=NASTY, resp_view=NASTY, req_id=NASTY, host=NASTY
    )
    posted = post(hook, report, format=form)
    assert "X" not in posted.headers
    assert set(posted.headers["Slowhound-Id"]) <= set(webhook_ids())
    assert posted.body.isascii() or posted.body.decode().isprintable()
    if form == "slack":
        coded = [each["text"] for each in posted.json["blocks"] if "text" in each]
        markdown = [each["text"] for each in coded if each["type"] == "mrkdwn"]
        for text in (*markdown, posted.json["text"]):
            inside = text.removeprefix("```").removesuffix("```")
            assert not set(inside) & set("<>`")


def webhook_ids() -> str:
    return "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"


def test_slack_takes_no_more_than_its_limits(hook: Hook) -> None:
    """However long a view, a verdict or a stack is."""
    long = "&<x" * 20_000
    snapshot = replace(slow_report().snapshot, stack=slow_report().snapshot.stack * 500)
    report = slow_report(
        resp_view=long, verdict=long, request_line=long, slow_loc=long, snapshot=snapshot
    )
    for block in post(hook, report, format="slack").json["blocks"]:
        limit = 150 if block["type"] == "header" else 3000
        assert len(block.get("text", {}).get("text", "")) <= limit
        assert all(len(each["text"]) <= 2000 for each in block.get("fields", []))
        assert len(block.get("fields", [])) <= 10


# Answers


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(number: int) -> None:
    """It is a failure like any other."""
    with hook_server() as inside, hook_server(status(number, Location=inside.url)) as hook:
        with pytest.raises(WebhookError, match=str(number)):
            Webhook(hook.url, private=True).deliver(slow_report())
        assert len(hook.posted) == 1
        assert inside.posted == []


@pytest.mark.parametrize(
    "answer",
    [
        status(500),
        status(404),
        status(199),
        raw(b""),
        raw(b"no HTTP at all\r\n"),
        raw(b"HTTP/1.1 two hundred\r\n"),
        raw(b"\x00" * 100_000),
        raw(b"HTTP/1.1 " + b"2" * 100_000),
    ],
    ids=["500", "404", "199", "nothing", "text", "no number", "zeros", "a long number"],
)
def test_other_answers_are_failures(answer: Any) -> None:
    """Garbage too; no more of it is read than the first line."""
    with hook_server(answer) as hook, pytest.raises(OSError):
        Webhook(hook.url, private=True).deliver(slow_report())


def test_answer_without_end_is_not_read(hook: Hook) -> None:
    """Only its status counts."""

    def endless(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            done.set()

    done = threading.Event()
    hook.answers = [endless]
    Webhook(hook.url, private=True).deliver(slow_report())
    assert done.wait(10)


@pytest.mark.parametrize("drop", [b"", b"H"], ids=["silent", "dripping"])
def test_slow_server_is_given_up(hook: Hook, drop: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that sends a byte now and then: the timeout is for the whole response."""
    monkeypatch.setattr(Webhook, "timeout", 0.3)
    over = threading.Event()

    def drips(handler: Handler) -> None:
        while not over.wait(0.05):
            handler.wfile.write(drop)

    hook.answers = [drips]
    try:
        with pytest.raises(TimeoutError):
            Webhook(hook.url, private=True).deliver(slow_report())
    finally:
        over.set()


def test_report_is_posted_again_with_the_same_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a 500 and a garbled answer it arrives, once, as the delivery thread sends it."""
    for module in (backoff, sender):
        monkeypatch.setattr(module, "pause_after", lambda _failures: 0.02)
    with hook_server(status(500), raw(b"?"), status(200)) as hook:
        spec = {
            "sink": "slowhound.sinks.webhook.Webhook",
            "url": hook.url,
            "private": True,
            "secret": "hush",
        }
        made = Delivery((spec,), str(tmp_path / "dir"))
        made.put(slow_report())
        eventually(lambda: len(hook.posted) == 3, "three tries")
        made.stop(5)
        assert {posted.headers["Slowhound-Id"] for posted in hook.posted} == {"request-1.slow"}
        assert len({posted.body for posted in hook.posted}) == 1


# Where it goes


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/", "file:///etc/passwd", "gopher://x/", "example.com/x", "", "https://"],
)
def test_only_http_and_https(url: str) -> None:
    """Other schemes are refused when the sink is made."""
    with pytest.raises(ValueError):
        Webhook(url)


@pytest.mark.parametrize(
    "options",
    [
        {"format": "xml"},
        {"headers": {"A": "b\r\nC: d"}},
        {"headers": {"A\n": "b"}},
        {"url": "https://user:secret@example.com/"},
        {"url": "https://example.com/a secret/"},
        {"url": "https://example.com/secret\u00e4/"},
        {"url": "https://example.com:secret/"},
        {"url": "https://example.com:99999/secret"},
        {"url": "https://example..com/secret"},
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    """And the message does not repeat them: they may be secret."""
    with pytest.raises(ValueError) as raised:
        Webhook(**{"url": "https://example.com/", **options})
    assert "secret" not in str(raised.value)
    assert "b\r" not in str(raised.value)


def test_inside_of_the_network_is_not_reached_unless_asked_for(hook: Hook) -> None:
    """By its address, and by a name that resolves to it."""
    for url in (hook.url, hook.url.replace("127.0.0.1", "localhost")):
        with pytest.raises(WebhookError, match="private=True"):
            Webhook(url).deliver(slow_report())
    assert hook.posted == []


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"]
)
def test_other_spellings_of_an_address_are_the_address(hook: Hook, host: str) -> None:
    """What counts is the address of the connection, not its spelling."""
    url = hook.url.replace("127.0.0.1", host)
    with pytest.raises(WebhookError, match="private=True"):
        Webhook(url).deliver(slow_report())
    assert hook.posted == []
    Webhook(url, private=True).deliver(slow_report())
    assert len(hook.posted) == 1


def test_address_that_the_settings_name_is_reached(hook: Hook) -> None:
    """That one, and no other of the same kind."""
    with pytest.raises(WebhookError):
        Webhook(hook.url, allow=["127.0.0.2"]).deliver(slow_report())
    Webhook(hook.url, allow=["127.0.0.1"]).deliver(slow_report())
    assert len(hook.posted) == 1


@pytest.mark.parametrize("allow", ["10.0.0.1/8", ["10.0.0.1/8"], ["localhost"], [""], ""])
def test_what_is_no_network_is_refused(allow: Any) -> None:
    """When the sink is made; it is not widened to a network."""
    with pytest.raises(ValueError):
        Webhook("https://example.com/", allow=allow)


def resolves_to(monkeypatch: pytest.MonkeyPatch, addresses: list[tuple[Any, ...]]) -> list[Any]:
    """Each name resolves to these; the list gets the addresses of connections."""
    tried: list[Any] = []
    real = socket.socket

    class Socket(real):  # type: ignore[misc, valid-type]
        def connect(self, where: Any) -> None:
            tried.append(where[0])
            super().connect(where)

    families = [socket.AF_INET6 if len(each) == 4 else socket.AF_INET for each in addresses]
    answers = [
        (family, socket.SOCK_STREAM, 6, "", each)
        for family, each in zip(families, addresses, strict=True)
    ]
    monkeypatch.setattr(webhook.socket, "getaddrinfo", lambda *_a, **_k: answers)
    monkeypatch.setattr(webhook.socket, "socket", Socket)
    return tried


def test_of_several_addresses_only_allowed_ones_are_tried(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are skipped, wherever they are in the answer."""
    port = int(hook.url.split(":")[2].split("/")[0])
    found = [
        ("169.254.169.254", 80),
        ("fe80::1%lo", 80, 0, 1),
        ("2002:7f00:1::", port, 0, 0),
        ("64:ff9b::a9fe:a9fe", 80, 0, 0),
        ("127.0.0.1", port),
        ("168.63.129.16", 80),
    ]
    tried = resolves_to(monkeypatch, found)
    Webhook("http://hook.example/", private=True).deliver(slow_report())
    assert tried == ["127.0.0.1"]
    assert len(hook.posted) == 1


def test_address_that_cannot_be_reached_leaves_the_next_one(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server may listen at one of a host's addresses."""
    port = int(hook.url.split(":")[2].split("/")[0])
    tried = resolves_to(monkeypatch, [("127.0.0.2", port), ("127.0.0.1", port)])
    Webhook("http://hook.example/", private=True).deliver(slow_report())
    assert tried == ["127.0.0.2", "127.0.0.1"]
    assert len(hook.posted) == 1


def test_name_is_resolved_once(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose address changes between check and connection leads nowhere else."""
    port = int(hook.url.split(":")[2].split("/")[0])
    resolved: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        resolved.append(str(host))
        if host == "hook.example":
            first = resolved.count("hook.example") == 1
            return real("127.0.0.1" if first else "169.254.169.254", *args, **kwargs)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(webhook.socket, "getaddrinfo", rebinding)
    Webhook(f"http://hook.example:{port}/", private=True).deliver(slow_report())
    assert hook.posted[0].headers["Host"] == f"hook.example:{port}"
    assert resolved.count("hook.example") == 1


def test_proxies_of_the_environment_are_not_used(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would resolve the name themselves."""
    with hook_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        post(hook, slow_report())
        assert proxy.posted == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
def test_https_is_checked(hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrusted certificate is refused; a trusted one for the name is accepted."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
    argv += ["/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*argv, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with hook_server() as secure:
        server = _server_of(secure)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = secure.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(ssl.SSLCertVerificationError):
            Webhook(url, private=True).deliver(slow_report())
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        Webhook(url, private=True).deliver(slow_report())
        assert len(secure.posted) == 1
        with pytest.raises(ssl.SSLCertVerificationError):
            Webhook(url.replace("localhost", "127.0.0.1"), private=True).deliver(slow_report())


def _server_of(hook: Hook) -> Any:
    assert hook.server is not None
    return hook.server


def test_log_does_not_contain_the_url(
    hook: Hook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Anyone who knows the URL of a hook can write to it."""
    hook.answers = [status(500)]
    for path in ("/T0/B0/hush", "/T0 B0/hush", "/T0\u00e4/hush", "/T0\r\n/hush"):
        spec = {
            "sink": "slowhound.sinks.webhook.Webhook",
            "url": hook.url.partition("/hook")[0] + path,
            "private": True,
            "headers": {"Authorization": "Bearer hush"},
            "secret": "hush",
        }
        made = Delivery((spec,), str(tmp_path / "dir"))
        made.put(slow_report(resp_view=path))
        eventually(lambda: "Webhook failed" in caplog.text, "a word on it")
        made.stop(5)
    assert "hush" not in caplog.text
