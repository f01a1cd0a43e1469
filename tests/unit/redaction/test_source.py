"""Literals beside secret names in lines of source: none shows, and ordinary lines stay readable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.redaction.mask import MASK
from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.source import names as source_names
from slowhound.redaction.source.lines import SourceMask, source
from tests.harness.launch import ROOT

CORPUS = [
    json.loads(line)
    for line in (ROOT / "tests" / "redaction" / "source.jsonl").read_text("utf-8").splitlines()
]
SECRET = [line for kind, line in CORPUS if kind == "secret-source"]
HARMLESS = [line for kind, line in CORPUS if kind == "harmless-source"]
# In pieces, so that nobody takes it for one.
BEGIN, END = ("-----" + word + " RSA PRIVATE" + " KEY-----" for word in ("BEGIN", "END"))


def masked(text: str) -> str:
    """Consecutive lines, masked."""
    mask = SourceMask()
    return "".join(mask.line(line) for line in text.splitlines(keepends=True))


@pytest.mark.parametrize("line", SECRET)
def test_literal_beside_a_secret_name_does_not_show(line: str) -> None:
    """This holds for all ways to write them."""
    shown = source(line)
    assert "hunter2" not in shown
    assert MASK in shown


@pytest.mark.parametrize("line", HARMLESS)
def test_ordinary_line_stays_as_it_is(line: str) -> None:
    """Keys, prose, values of harmless names, and texts about secrets stay."""
    assert source(line) == line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password: str = 'x1'", "password: str = '{}'"),
        ("a = b'x'; password = rb'x1'", "a = b'x'; password = rb'{}'"),
        ('password = """x1"""  # theirs', 'password = """{}"""  # theirs'),
        ("d.get('password', 'x1')", "d.get('password', '{}')"),
        ("f(user='bob', password='x1', page='a')", "f(user='bob', password='{}', page='a')"),
        ("password = header.split(' ')[1] + ''", "password = header.split(' ')[1] + ''"),
        ("token == 'x1' and role == 'admin'", "token == '{}' and role == 'admin'"),
        ("x = 'a' if token else 'b'", "x = 'a' if token else 'b'"),
        ("password = 'x1", "password = '{}"),
        ("# password = 'x1' # theirs", "# password = '{}' # theirs"),
    ],
)
def test_masked_literal_keeps_its_quotes_and_the_rest_of_the_line(line: str, shown: str) -> None:
    """Only the value is masked."""
    assert source(line) == shown.format(MASK)


@pytest.mark.parametrize(
    "text",
    [
        "connect(\n    password=(\n        'hunter2'\n    ),\n    user='shown',\n)\n",
        "connect(\n    password=\n    # the one of the shop\n    'hunter2')\nx = 'shown'\n",
        "PASSWORD = '''\nhunter2\n  hunter2'''\nx = 'shown'\n",
        "password = \\\n    'hunter2'\nx = 'shown'\n",
        "password = 'a\\\nhunter2'\nx = 'shown'\n",
        "PASSWORDS = {\n    'a': 'hunter2',\n    'b': [\n        'hunter2'],\n}\nx = 'shown'\n",
        "user.set_password(\n    'hunter2',\n)\nx = 'shown'\n",
        "pair = (\n    'password',\n    'hunter2',\n)\nx = 'shown'\n",
        "if (token ==\n    'hunter2'):\n    x = 'shown'\n",
        '"""\npassword=hunter2\n"""\nx = "shown"\n',
        "password = (\n    'hunter2\ndef view():\n    x = 'shown'\n",
        "SETTINGS = {\n    'USER': 'shown',\n    'PASSWORD': 'hunter2',\n}\n",
        f'K = """{BEGIN}\nhunter2\n{END}"""\nx = "shown"\n',
        f'K = "{BEGIN}\\n" \\\n    "hunter2"\nx = "shown"\n',
        f'K = ("{BEGIN}\\n"\n    "hunter2\\n"\n    "{END}")\nx = "shown"\n',
        f'K = ["{BEGIN}",\n    "hunter2",\n]\nx = "shown"\n',
        f'# {BEGIN}\n# hunter2\n# {END}\nx = "shown"\n',
        f'{BEGIN}\nhunter2\n{END}\nx = "shown"\n',
        f'# {BEGIN}\n# hunter2\nx = "shown"\n',
    ],
)
def test_what_goes_on_over_lines_is_known_in_each_of_them(text: str) -> None:
    """The lines of a report begin anywhere."""
    shown = masked(text)
    assert "hunter2" not in shown
    assert "shown" in shown
    assert shown.count("\n") == text.count("\n")


ENCODED = "MIIEpAIBAAKCAQEAx7Qm3ZkT9vB2nWcY5sLd8RfHj1GoPuKeXaVi"


@pytest.mark.parametrize(
    "line", [ENCODED, f"    {ENCODED}\n", f'"{ENCODED}\\n"', f"# {ENCODED}", f"b'{ENCODED}=='),"]
)
def test_line_of_nothing_but_base64_is_masked(line: str) -> None:
    """It belongs to a key, whose first line may be elsewhere."""
    assert ENCODED not in source(line)


@pytest.mark.parametrize(
    "line",
    [
        "    '" + "0123456789abcdef" * 4 + "',",
        "ANameOfAClassThatIsVeryLongAndThatSomebodyHasWritten2",
        "    '/usr/Lib/Python3/12/site/packages/shop/templates/orders1',",
        "    a_name_that_is_very_long_and_that_somebody_has_written_2,",
        "1234567890" * 5,
        ENCODED[:39],
    ],
)
def test_line_of_a_hash_a_name_or_a_path_is_shown(line: str) -> None:
    assert source(line) == line


def test_doubtful_name_hides_only_what_is_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """``session`` is mostly an object, ``pin`` a text; what a ``key`` opens, the code knows."""
    monkeypatch.setattr(
        source_names,
        "secrecy_of",
        lambda name: Secrecy.DOUBTFUL if name in ("session", "pin", "key") else Secrecy.HARMLESS,
    )
    for line in ("pin = 'x1'", "f(pin='x1')", "pin in ('x1', 'x1')", "{'pin': 'x1'}"):
        assert "x1" not in source(line)
    for line in (
        "session = requests.get('https://example.com')",
        "session.get('https://example.com')",
        "request.session['cart'] = 'full'",
        "pin = f'user:{pin}'",
        "sorted(orders, key='price')",
        "key = 'orders'",
    ):
        assert source(line) == line


# What Python's own tokens are made of, and what begins and ends a key.
PIECES = ("'", '"', "'''", '"""', *"()[]{},:=.\\\n# -0", "password", "x", "f", BEGIN, END)
WORDS = ("if", "else", "for", "in", "and", "or", "raise", "def")


@given(st.lists(st.sampled_from([*PIECES, *WORDS]), max_size=40).map("".join))
def test_no_text_makes_it_fail(text: str) -> None:
    """A file may contain anything, and a line of it may be cut anywhere."""
    shown = masked(text)
    assert shown.count("\n") == text.count("\n")
    assert isinstance(source(text), str)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "(",
            "[",
            "a=",
            "'",
            '"',
            "'''",
            "\\",
            "#",
            "password='",
            "a.",
            "password,",
            "f(",
            "'a' ",
        ),
        *("'password', ", "{'password':", "1", " ", "<a", "%(a", "{a", ": ab ", "# 'a'=", "if "),
        *("for x in ", "'a'==", "--a ", "a[", "x=password ", "'a\\'", "x(password='"),
    ],
)
def test_work_grows_with_the_line_alone(unit: str) -> None:
    """A line eight times as long takes about eight times the work, and not 64 times."""

    def work(count: int) -> float:
        return min(_took(lambda: SourceMask()._scanned(unit * count)) for _ in range(3))

    assert work(8000) < 24 * work(1000) + 0.005


def _took(call: Callable[[], object]) -> float:
    before = time.thread_time()
    call()
    return time.thread_time() - before
