"""Source lines for reports: from files, and never from a loader of the application's."""

from __future__ import annotations

import codecs
import linecache
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slowhound.frames.frames import Frame, render
from slowhound.frames.source_lines import source_line, source_lines, source_part
from slowhound.peers import dumps
from slowhound.redaction import masking
from slowhound.redaction.mask import MASK
from slowhound.sinks import sentry_event
from slowhound.watch import source_places

NOWHERE = "/nowhere/secret.py"


class Loader:
    """Would decrypt the source, or fetch it from a database."""

    def get_source(self, name: str) -> str:
        raise AssertionError(f"was asked for {name}")


@pytest.fixture(autouse=True)
def promised() -> Iterator[None]:
    """What a traceback of the application's leaves for each module that it has seen."""
    assert linecache.lazycache(NOWHERE, {"__name__": "secret", "__loader__": Loader()})
    yield
    linecache.cache.pop(NOWHERE, None)


def held(filename: str) -> Any:
    return source_places._text(filename, (1, 1, 0, 4))


@pytest.mark.parametrize(
    ("read", "nothing"),
    [
        (lambda: source_lines(NOWHERE, 1, 9), []),
        (lambda: Frame(NOWHERE, 1, "view").source, ""),
        (lambda: "context_line" in sentry_event._frame(Frame(NOWHERE, 1, "view")), False),
        (lambda: held(NOWHERE), ""),
    ],
    ids=["lines", "frame", "sentry", "lock"],
)
def test_loader_is_not_called_for_what_is_in_no_file(read: Callable[[], Any], nothing: Any) -> None:
    """A line is missing then, and the application may still ask for it."""
    assert read() == nothing
    assert len(linecache.cache[NOWHERE]) == 1


def test_file_on_the_disk_is_read_though_there_is_a_loader(tmp_path: Path) -> None:
    """Of modules in files, tracebacks leave the same entries."""
    file = tmp_path / "shop.py"
    file.write_text("first\nsecond\n")
    linecache.lazycache(str(file), {"__name__": "shop", "__loader__": Loader()})
    assert source_lines(str(file), 1, 2) == ["first\n", "second\n"]
    assert source_lines(str(file), -4, 1) == ["first\n"]
    assert source_lines(str(file), 2, 7) == ["second\n"]
    assert source_line(str(file), 2) == "second\n"
    assert source_line(str(file), 0) == source_line(str(file), 3) == ""


def test_what_the_application_has_loaded_is_shown() -> None:
    """Lines that are already there need no file: such as a cell of a notebook."""
    linecache.cache[NOWHERE] = (4, None, ["line\n", "next\n"], NOWHERE)
    assert source_lines(NOWHERE, 1, 1) == ["line\n"]
    assert source_lines(NOWHERE, 2, 5) == ["next\n"]


def test_rest_of_the_file_is_not_kept(tmp_path: Path) -> None:
    """Files that stay whole cost megabytes, and more by where their strings lie."""
    file = tmp_path / "shop.py"
    file.write_text("first\nsecond\n")
    assert Frame(str(file), 2, "view").source == "second"
    assert "context_line" in sentry_event._frame(Frame(str(file), 2, "view"))
    assert held(str(file)) == "firs"
    assert str(file) not in linecache.cache


@pytest.mark.parametrize("line", [1, 3, 12, 20], ids=str)
def test_sentry_gets_the_lines_around(tmp_path: Path, line: int) -> None:
    """Five before and five after, as far as there are any."""
    file = tmp_path / "shop.py"
    file.write_text("".join(f"line {number}\n" for number in range(1, 21)))
    made = sentry_event._frame(Frame(str(file), line, "view"))
    shown = [*made["pre_context"], made["context_line"], *made["post_context"]]
    assert made["context_line"] == f"line {line}"
    assert shown == [f"line {at}" for at in range(max(1, line - 5), min(20, line + 5) + 1)]


def test_what_is_no_source_is_not_read(tmp_path: Path) -> None:
    """A code object may name any file: opening a pipe waits, and what is large takes memory."""
    pipe, large = tmp_path / "pipe", tmp_path / "large.py"
    os.mkfifo(pipe)
    with large.open("wb") as out:
        out.truncate(9 * 1024 * 1024)
    before = os.listdir("/proc/self/fd")
    for path in (pipe, large, tmp_path, tmp_path / "none", "nul\0"):
        assert source_lines(str(path), 1, 5) == []
    assert os.listdir("/proc/self/fd") == before


def test_file_without_an_end_or_with_secrets_is_not_read() -> None:
    """Those of ``/proc`` are regular, and have no size."""
    for name in ("pagemap", "environ"):
        assert source_lines(f"/proc/self/{name}", 1, 1) == []


def test_name_of_no_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``exec`` calls its source ``<string>``; somebody may have uploaded a file of that name."""
    monkeypatch.chdir(tmp_path)
    for name in ("<string>", "shop.py"):
        (tmp_path / name).write_text("uploaded\n")
        assert source_line(name, 1) == ""


def test_long_line_is_cut(tmp_path: Path) -> None:
    """Else 900 frames in one of 500 KiB are 450 MB; the next line is found all the same."""
    file = tmp_path / "shop.py"
    file.write_text("a = '" + "x" * 500_000 + "'\nb = lock\n")
    assert source_line(str(file), 1) == ("a = '" + "x" * 500_000)[:1000]
    assert source_line(str(file), 2) == source_lines(str(file), 1, 2)[1] == "b = lock\n"
    assert source_places._text(str(file), (1, 1, 4, 9)) == ""
    assert source_places._text(str(file), (2, 2, 4, 8)) == "lock"
    linecache.cache[NOWHERE] = (4, None, ["y" * 5000, None], NOWHERE)  # type: ignore[list-item]
    assert source_lines(NOWHERE, 1, 2) == ["y" * 1000]


def test_file_that_comes_later_is_found(tmp_path: Path) -> None:
    """What could not be read is tried again: a worker may have had no descriptor left."""
    file = tmp_path / "shop.py"
    assert source_line(str(file), 1) == held(str(file)) == ""
    file.write_text("pass\n")
    assert source_line(str(file), 1) == "pass\n"
    assert held(str(file)) == "pass"
    assert source_places._text(str(file), (1, 2, 0, 4)) == ""


def test_columns_are_not_counted_in_what_is_no_utf8(tmp_path: Path) -> None:
    """There a character is one byte, and another text would be taken for the lock's name."""
    file = tmp_path / "shop.py"
    file.write_bytes("# coding: latin-1\nd['\xe9'], lock\n".encode("latin-1"))
    assert source_places._text(str(file), (2, 2, 8, 12)) == ""


def test_encoding_of_the_application_is_not_used(tmp_path: Path) -> None:
    """A file may say that only the application can read it; what is no UTF-8 is shown as such."""
    asked: list[str] = []

    def search(name: str) -> None:
        asked.append(name)

    codecs.register(search)
    try:
        file = tmp_path / "shop.py"
        file.write_bytes(b"\xef\xbb\xbf# coding: secret\ngr\xfcn = 1\nblue = 2\n")
        assert source_lines(str(file), 1, 3) == [
            "# coding: secret\n",
            "gr\ufffdn = 1\n",
            "blue = 2\n",
        ]
    finally:
        codecs.unregister(search)
    assert asked == []


# In pieces, so that nobody takes it for one.
BEGIN, END = ("-----" + word + " RSA PRIVATE" + " KEY-----" for word in ("BEGIN", "END"))
WAYS_OUT: list[Callable[[Frame], str]] = [
    lambda frame: frame.source,
    lambda frame: render((frame,)),
    lambda frame: str(dumps._frame(frame)),
    lambda frame: str(sentry_event._frame(frame)),
    lambda frame: source_line(frame.filename, frame.line),
    lambda frame: str(source_lines(frame.filename, frame.line, frame.line)),
    lambda frame: source_part(frame.filename, frame.line, frame.line, 0, 200),
]


@pytest.mark.parametrize(
    "way", WAYS_OUT, ids=["frame", "report", "dump", "sentry", "line", "lines", "part"]
)
@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("", "password: str = 'hunter2'"),
        ("connect(\n    user='b',\n    password=(\n", "    'hunter2'"),
        ("PASSWORDS = {\n" + "    'a': b,\n" * 150, "    'c': 'hunter2',"),
        ("PASSWORD = '''\n", "  hunter2"),
        ("PASSWORD = '''\n" + "a\n" * 500, "  'hunter2'"),
        (f'KEY = """{BEGIN}\n' + "Ab1\n" * 500, "'hunter2'"),
        (f'def view():\n    """It\'s old."""\n    k = """{BEGIN}\n', "hunter2"),
    ],
    ids=["one line", "argument", "dict", "literal", "long literal", "long key", "key"],
)
def test_line_does_not_show_what_it_continues(
    tmp_path: Path, way: Callable[[Frame], str], before: str, line: str
) -> None:
    """What is secret in it is only known where the lines before it are."""
    file = tmp_path / "shop.py"
    file.write_text(before + line + "\n")
    assert "hunter2" not in way(Frame(str(file), before.count("\n") + 1, "view"))


def test_lines_after_a_literal_or_a_bracket_are_shown(tmp_path: Path) -> None:
    """Also where one was left open, or seems to be."""
    file = tmp_path / "shop.py"
    lines = [
        '"""The view\'s \'password\' page."""',
        "x = '''it's \\''' here'''",
        "TOKENS = [",
        "    'a',",
        "def view():  # password = (",
        "    wait('for us')",
    ]
    file.write_text("\n".join(lines) + "\n")
    assert source_line(str(file), 1) == lines[0] + "\n"
    assert source_line(str(file), 4) == f"    '{MASK}',\n"
    assert source_line(str(file), 6) == lines[5] + "\n"


def test_line_is_masked_before_it_is_cut(tmp_path: Path) -> None:
    """A token that is cut is not known any more, nor a literal without its quotes."""
    file = tmp_path / "shop.py"
    token = "ghp" + "_" + "hunter2hunter2" * 2
    for room in range(970, 1010, 3):
        file.write_text("x" * room + f" = f('{token}')\npassword = '{'hunter2' * 300}'\n")
        assert "hunter2" not in "".join(source_lines(str(file), 1, 2))
    file.write_text("x" * 283 + f" = f('{token}')\n")
    assert "hunter2" not in str(sentry_event._frame(Frame(str(file), 1, "view")))


def test_setting_mask_counts_for_lines_that_were_shown_before(tmp_path: Path) -> None:
    """They are remembered as they were masked."""
    file = tmp_path / "shop.py"
    file.write_text("maiden = 'hunter2'\n")
    assert "hunter2" in source_line(str(file), 1)
    masking.extend(["maiden"])
    try:
        assert "hunter2" not in source_line(str(file), 1)
    finally:
        masking.extend([])


def test_part_of_a_line_is_shown_only_as_the_line_is(tmp_path: Path) -> None:
    """By itself, the name of a lock does not tell what it stands behind."""
    file = tmp_path / "shop.py"
    lines = ["token = f(locks['a'], lock('hunter2').acquire())", "with locks['a']: pass"]
    file.write_text("\n".join(lines))
    assert source_part(str(file), 1, 1, 22, 37) == ""
    assert source_part(str(file), 1, 1, 8, 9) == "f"
    assert source_part(str(file), 2, 2, 5, 15) == "locks['a']"
    assert held(str(file)) == "toke"


def test_line_of_megabytes_is_read_only_in_part(tmp_path: Path) -> None:
    """And the next one is known all the same."""
    file = tmp_path / "shop.py"
    file.write_text("x = [" + "'a', " * 500_000 + "]\ny = ['b']\n")
    assert len(source_line(str(file), 1)) == 1000
    assert source_line(str(file), 2) == "y = ['b']\n"
