"""The README and ``docs/`` are true: tables, names, links and examples."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django.test import override_settings
from django.utils.module_loading import import_string

import slowhound.gunicorn
from slowhound.asgi import ASGI_SLOTS
from slowhound.blackbox import layout
from slowhound.cli.diagnostics.installation import ASGI_SERVERS
from slowhound.compat.dogslow import watchdog_config
from slowhound.config.legacy import LEGACY
from slowhound.config.settings import SETTINGS
from slowhound.core.observations import COMPARED_FRAMES, WAYS, Sample
from slowhound.event.fields import FIELDS, NAMES
from slowhound.frames.frames import Frame
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from slowhound.recorder.process import Server
from slowhound.store.questions import QUESTIONS
from slowhound.system.wait_states import StateKind
from slowhound.watch.samples import KEPT_SAMPLES
from slowhound.watch.verdict import verdict
from tests.harness.asgi_servers import SERVERS
from tests.harness.docs import make_docs

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "slowhound"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
SOURCES = sorted(PACKAGE.rglob("*.py"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
FIELD_LIKE = re.compile(r"([a-z]+)_[a-z0-9_]+")
# Kinds of fields that are not there yet: a page must not promise them either.
PLANNED = {"trace", "span"}
# Names that another project's README has by mistake; one page explains them.
MISNAMED = {"req_referer": "req_referrer", "exc_message": "exc_msg", "g_w_backlog": "g_backlog"}
PEER = "gunicorn_django_canonical_logs"
PREFIXES = {name.partition("_")[0] for name in NAMES if "_" in name} | PLANNED
SUPPORTED = ["3.11", "3.12", "3.13", "3.14", "3.15"]
# The files that an example may be; the names above its first line say which it is.
EXAMPLE_FILES = re.compile(r"# (gunicorn\.conf\.py|shop/\w+\.py)\n")

# The site that the examples are put into. They come after it, and so win.
SITE = {
    "shop/__init__.py": "",
    "shop/settings.py": """
SECRET_KEY = "of the examples"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["slowhound"]
MIDDLEWARE = ["slowhound.middleware.SlowhoundMiddleware"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
""",
    "shop/views.py": """
from django.http import HttpResponse

def home(request):
    return HttpResponse("hello")
""",
    "shop/urls.py": """
from django.urls import path
from shop.views import home

urlpatterns = [path("", home, name="home")]
""",
    "shop/wsgi.py": """
import os
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()
""",
}

# After each example of settings.
CHECKED = """
from slowhound.config.config import problems as _problems

assert not _problems(globals().get("SLOWHOUND", {})), _problems(SLOWHOUND)
"""
# After all of them: nothing is written outside of the test's folder.
KEPT_INSIDE = """
SLOWHOUND = {**globals().get("SLOWHOUND", {}), "DIR": "hound", "STREAM": None}
"""

RUN_SITE = """
import importlib, sys
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from slowhound.config.from_django import get_config
from slowhound.delivery.sink import build
from slowhound.testing import capture_events

call_command("check", fail_level="WARNING")
for name in sys.argv[1:]:
    if name != "shop.tests":
        importlib.import_module(name)
for spec in get_config().sinks:
    sink = build(spec)
    assert callable(sink.deliver) and callable(sink.close)
with capture_events() as events:
    assert Client(headers={"Accept-Language": "de"}).get("/").status_code == 200
assert [event["event_type"] for event in events] == ["request"], events
print({name: value for name, value in events[0].items() if name.startswith("app_")})
if "shop.tests" in sys.argv:
    call_command("test", "shop.tests", verbosity=0)
"""

RUN_GUNICORN = """
import sys
sys.argv = ["gunicorn", "--config", "gunicorn.conf.py", "shop.wsgi"]
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter
from slowhound import gunicorn
from slowhound.gunicorn import Logger, hooks

cfg = Arbiter(WSGIApplication("%(prog)s")).cfg
assert cfg.logger_class is Logger and cfg.accesslog == "-"
for name in set(gunicorn.__all__) - {"Logger"}:
    hook = getattr(cfg, name)
    assert hook is getattr(hooks, name) or hook.slowhound, name
assert not any(name.partition(".")[0] == "django" for name in sys.modules)
print("combined" if hasattr(cfg.post_request, "slowhound") else "plain")
"""


class Example(NamedTuple):
    """A block of Python in a page."""

    page: str
    line: int
    file: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


def examples(page: Path) -> Iterator[Example]:
    """The Python blocks of one page."""
    whole = page.read_text()
    for block in BLOCK.finditer(whole):
        language, text = block.groups()
        if language == "python":
            line = whole.count("\n", 0, block.start()) + 1
            named = EXAMPLE_FILES.match(text)
            yield Example(page.name, line, named[1] if named else "", text)


EXAMPLES = [each for page in PAGES for each in examples(page)]
SITE_EXAMPLES = [each for each in EXAMPLES if each.file.startswith("shop/")]
BEFORE_AND_AFTER = [each for each in SITE_EXAMPLES if each.page == "from-dogslow.md"]
GUNICORN_EXAMPLES = [each for each in EXAMPLES if each.file == "gunicorn.conf.py"]
PAGES_WITH_SITE = sorted({each.page for each in SITE_EXAMPLES})


def words(page: Path) -> list[str]:
    """The texts in backticks on a page, outside of its blocks."""
    return CODE.findall(BLOCK.sub("", page.read_text()))


def run(folder: Path, script: str, *arguments: str) -> str:
    """Runs `script` in the site in `folder`; returns its output."""
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "shop.settings", "SLOWHOUND_LOUD": "1"}
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def build_site(folder: Path, found: list[Example]) -> list[str]:
    """Writes the site with these examples in it; returns the names of the examples' modules."""
    files = dict(SITE)
    for each in found:
        if each.file == "shop/settings.py":
            files[each.file] += each.text + CHECKED
        else:
            files[each.file] = each.text
    files["shop/settings.py"] += KEPT_INSIDE
    (folder / "shop").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return sorted({each.file[:-3].replace("/", ".") for each in found})


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", each.lower()) for each in headings]
    return {each.replace(" ", "-") for each in plain}


def block_lines(page: Path, start: str = "") -> list[str]:
    """The lines of a page's blocks that begin with ``start``, without it."""
    lines = [line for _, text in BLOCK.findall(page.read_text()) for line in text.splitlines()]
    return [line.removeprefix(start) for line in lines if line.startswith(start)]


def import_lines(page: Path) -> list[str]:
    """What a page imports from slowhound: in examples, as a diff's new line, and in the text."""
    found = [line.removeprefix("+") for line in block_lines(page)] + words(page)
    return [line for line in found if re.match(r"(from|import) slowhound\b", line)]


@pytest.mark.parametrize("name", make_docs().PAGES)
def test_generated_pages_are_up_to_date(name):
    """A generated page is what scripts/make_docs.py writes now."""
    page = ROOT / "docs" / name
    assert page.read_text() == make_docs().PAGES[name](), "run scripts/make_docs.py"
    assert "generated" in page.read_text()


def test_every_field_is_documented():
    """Each field of an event has a row in docs/fields.md."""
    text = (ROOT / "docs" / "fields.md").read_text()
    assert [each.name for each in FIELDS if f"\n| `{each.name}` |" not in text] == []


def test_every_setting_is_documented():
    """Each key of SLOWHOUND has a row in docs/settings.md."""
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [key for key in SETTINGS if f"\n| `{key}` |" not in text] == []


def test_every_old_setting_is_documented():
    """Each setting of dogslow's has a row, and the key of SLOWHOUND in it exists."""
    text = (ROOT / "docs" / "from-dogslow.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*\| `([A-Z_]+)` \|$", text, re.MULTILINE)
    assert [name for name, _ in rows] == list(LEGACY)
    assert [key for _, key in rows if key not in SETTINGS] == []


@pytest.mark.parametrize("name", LEGACY)
def test_defaults_of_old_settings_are_as_documented(name):
    """To set an old setting to its documented default changes nothing."""
    shown = eval(make_docs().LEGACY_DEFAULTS[name], {"tempfile": tempfile})
    # A logger, for without one its level is nowhere to be seen.
    given = {"SLOWHOUND": {}, "DOGSLOW_LOGGER": "slow"} if "LOG" in name else {"SLOWHOUND": {}}
    with override_settings(**given):
        without = watchdog_config()
    with override_settings(**given | ({} if name == "DOGSLOW_LOGGER" else {name: shown})):
        assert watchdog_config() == without


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_imports_in_pages_work(page):
    """Each import from slowhound that a page shows can be executed."""
    for line in import_lines(page):
        for node in ast.parse(line).body:
            names = [each.name for each in node.names]
            if isinstance(node, ast.Import):
                assert [importlib.import_module(each) for each in names]
            elif names != ["*"]:
                module = importlib.import_module(node.module)
                assert [each for each in names if not hasattr(module, each)] == [], line
            else:
                assert importlib.import_module(node.module).__all__


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_dotted_names_in_pages_exist(page):
    """A dotted name of slowhound's, in the text or as a string in an example, exists."""
    text = "\n".join(block_lines(page)) + "\n" + "\n".join(f'"{word}"' for word in words(page))
    for name in re.findall(r'"(slowhound(?:\.\w+)+)(?:\(.*\))?"', text):
        if re.fullmatch(r"slowhound\.[EW]\d{3}", name):  # the number of a system check
            continue
        try:
            importlib.import_module(name)
        except ImportError:
            assert import_string(name)


def test_moving_over_is_a_new_name_in_the_imports():
    """The new import lines are the old ones with another package's name, each of them."""
    page = ROOT / "docs" / "from-canonical-logs.md"
    old = block_lines(page, f"-from {PEER}")
    new = block_lines(page, "+from slowhound.compat.canonical_logs")
    assert len(old) == 10
    assert old == new


def test_fields_of_another_name_are_explained():
    """The page names each field that the predecessor's README misnames, and its real name."""
    text = (ROOT / "docs" / "from-canonical-logs.md").read_text()
    for wrong, right in MISNAMED.items():
        assert f"| `{wrong}` | `{right}` |" in text
        assert wrong not in NAMES
        assert right in NAMES


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_named_fields_exist(page):
    """A word with the form of an event field's name is one, or is the application's own."""
    unknown = []
    for word in words(page):
        name = re.sub(r'(="[^"]*"| = .*)$', "", word)
        found = FIELD_LIKE.fullmatch(name)
        known = name in NAMES or (page.name == "from-canonical-logs.md" and name in MISNAMED)
        if found and found[1] in PREFIXES and not known:
            unknown.append(word)
    assert unknown == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_named_settings_exist(page):
    """SLOWHOUND["KEY"] names an existing key, in the text and in the examples."""
    named = re.findall(r"""SLOWHOUND\[["'](\w+)["']\]""", page.read_text())
    named += re.findall(r'SLOWHOUND = \{"(\w+)"', page.read_text())
    assert [key for key in named if key not in SETTINGS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_lines_have_real_fields(page):
    """A canonical line on a page has only existing fields."""
    shown = [
        name
        for language, text in BLOCK.findall(page.read_text())
        if language == "text"
        for line in text.splitlines()
        if line.startswith("event_type=")
        for name in re.findall(r'(?:^|(?<= ))(\w+)="', line)
    ]
    assert [name for name in shown if name not in NAMES and not name.startswith("app_")] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    """A link to another page leads to a file, and to a heading in it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


# Files of applications, of which the docs speak as well.
OF_APPLICATIONS = {"gunicorn.conf.py", "wsgi.py", "settings.py", "manage.py"}
OF_OTHERS = {"DataSourceAliYun.py", "InternalDocs/exception_handling.md", "sync.py", "thread.py"}
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|md|toml|sh|jsonl|html|css|js)")
# A pattern's own dots and stars are not taken for the end of a name.
IN_SOURCE = re.compile(r"(?<![\w.*/<>-])(?:\w+/)*[\w-]+\.(?:py|md)\b(?![\w`]*\()")
FOLDERS = {path.name for root in (ROOT, PACKAGE) for path in root.iterdir() if path.is_dir()}


def is_there(name: str, *, beside: Path) -> bool:
    """A file or folder of the repository, by its path in it, in the package or from a page."""
    return any((folder / name).exists() for folder in (PACKAGE, ROOT, ROOT / "docs", beside))


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_named_files_exist(page):
    """A file or a folder of slowhound's that a page names in backticks exists."""
    named = [
        word
        for word in words(page)
        if (FILE.fullmatch(word) and word not in OF_APPLICATIONS and not word.startswith("DIR/"))
        or (re.fullmatch(r"[\w./-]+", word) and "/" in word and word.split("/")[0] in FOLDERS)
    ]
    assert [word for word in named if not is_there(word, beside=page.parent)] == []


MODULES = {
    part
    for path in PACKAGE.rglob("*.py")
    for part in (path.stem, ".".join(path.relative_to(PACKAGE).with_suffix("").parts))
} | {path.name for path in PACKAGE.rglob("*") if path.is_dir()}


@pytest.mark.parametrize("name", sorted(str(path.relative_to(ROOT)) for path in SOURCES))
def test_modules_that_the_source_refers_to_exist(name):
    """A comment or a docstring refers to an existing module, or to a name in the same file."""
    path = ROOT / name
    text = path.read_text()
    named = set(IN_SOURCE.findall(text)) - OF_APPLICATIONS - OF_OTHERS
    assert [word for word in named if not is_there(word, beside=path.parent)] == []
    referred = re.findall(r"\b[Ss]ee\s+(?:#\s+)?``(?:slowhound\.)?([\w.]+)``", text)
    known = {getattr(node, "name", "") for node in ast.walk(ast.parse(text))} | MODULES
    assert [word for word in referred if not {word, word.rpartition(".")[0]} & known] == []


def test_each_module_has_a_line_of_its_own():
    """A sentence that says what the module does: the table of modules is made of these."""
    docs = make_docs()
    lines = {name: line for folder in docs.package_map() for name, line in docs.modules_of(folder)}
    odd = [name for name, line in lines.items() if not re.fullmatch(r"(?!It |This ).+\.", line)]
    assert odd == []
    twice = [name for name, line in lines.items() if list(lines.values()).count(line) > 1]
    assert twice == []


def test_every_hook_is_documented():
    """The page about Gunicorn names all hooks of the star import."""
    text = (ROOT / "docs" / "gunicorn.md").read_text()
    assert [name for name in slowhound.gunicorn.__all__ if f"`{name}`" not in text] == []


def test_the_box_is_documented_as_it_is():
    """The cells of the box's header in docs/black-box.md are those of blackbox/layout.py."""
    text = (ROOT / "docs" / "black-box.md").read_text()
    cells = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert cells[0] == ("0", "MAGIC")
    assert len(cells) == layout.CELLS
    assert [(int(cell), name) for cell, name in cells[1:]] == [
        (getattr(layout, name), name) for _, name in cells[1:]
    ]


def text_of(page: str) -> str:
    """A page in docs/, with its lines joined."""
    return " ".join((ROOT / "docs" / page).read_text().split())


def values_of(field: str) -> list[str]:
    """The values of a field that its row in the table of fields names."""
    (found,) = [each for each in FIELDS if each.name == field]
    return CODE.findall(found.meaning)


@pytest.mark.parametrize("way", WAYS)
def test_words_about_a_held_gil_are_those_of_the_report(way):
    """docs/gil.md has a report's sentence about a stack that was taken without the GIL."""
    assert f"| `{way}` | {' '.join(WAYS[way].split())} |" in text_of("gil.md")


@pytest.mark.parametrize(
    ("page", "field"),
    [
        ("deaths.md", "crash_cause"),
        ("deaths.md", "crash_stack_by"),
        ("deaths.md", "timeout_stack_by"),
        ("gil.md", "slow_stack_by"),
        ("slow-reports.md", "slow_verdict"),
        ("slow-reports.md", "stall_kind"),
    ],
)
def test_values_of_fields_have_a_row(page, field):
    """Each value that a field can have is explained where the field is."""
    text = (ROOT / "docs" / page).read_text()
    assert values_of(field)
    assert [each for each in values_of(field) if f"\n| `{each}` |" not in text] == []


def test_limits_in_pages_are_those_of_the_code():
    """Numbers on pages are those of the code."""
    assert f"heartbeat is {UNRESPONSIVE_AFTER} seconds old" in text_of("gil.md")
    assert f"at most {KEPT_SAMPLES} samples" in text_of("slow-reports.md")
    assert f"answers one of {len(QUESTIONS)} [questions]" in (ROOT / "README.md").read_text()
    assert COMPARED_FRAMES == 5
    assert "the five innermost frames" in text_of("slow-reports.md")
    assert f"black box has {ASGI_SLOTS} slots" in text_of("servers.md")
    assert f"black box has {Server().slots} slots" in text_of("servers.md")
    assert f"slots for {ASGI_SLOTS + 2} requests" in text_of("servers.md")


def test_verdicts_that_pages_show_have_the_words_of_the_code():
    """The first words of a verdict in an example are those that verdicts begin with."""
    frame = Frame("a.py", 1, "f")
    words = {
        verdict([Sample(0.0, (frame,)), Sample(1.0, stack)]).text.split()[0]
        for stack in ((frame,), (frame, frame))
    }
    for page in PAGES:
        shown = re.findall(r"^Verdict.*:\n  (\S+)", page.read_text(), re.MULTILINE)
        assert set(shown) <= words


@pytest.mark.parametrize("server", [*ASGI_SERVERS, "gevent_pywsgi", "uWSGI", "runserver"])
def test_every_server_is_on_the_page_of_servers(server):
    """Users find there what slowhound gives on it."""
    assert server in text_of("servers.md")


@pytest.mark.parametrize("server", ASGI_SERVERS)
def test_every_asgi_server_is_tested(server):
    """The tests of requests run on each of them."""
    assert server in {each.name for each in SERVERS}


def sinks() -> list[str]:
    """The dotted paths that ``SINKS`` may name of slowhound's own."""
    found = []
    for path in sorted((PACKAGE / "sinks").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            methods = {each.name for each in getattr(node, "body", []) if hasattr(each, "name")}
            if isinstance(node, ast.ClassDef) and {"deliver", "close"} <= methods:
                found.append(f"slowhound.sinks.{path.stem}.{node.name}")
    return found


@pytest.mark.parametrize("sink", sinks())
def test_every_sink_is_documented(sink):
    """A page has the dotted path for SINKS; the sink of an old setting has none."""
    assert sink == "slowhound.sinks.dogslow_sentry.Discards" or any(
        f'"{sink}"' in page.read_text() for page in PAGES
    )


@pytest.mark.parametrize("kind", StateKind, ids=lambda kind: kind.name)
def test_every_state_of_a_thread_is_explained(kind):
    """A verdict names what a request waits for; the page has each of these texts."""
    assert f"\n| `{kind.text}" in (ROOT / "docs" / "slow-reports.md").read_text()


def test_soak_is_shown_for_each_python_and_passed() -> None:
    """The page's claims of safety rest on this table."""
    page = (ROOT / "docs" / "risks.md").read_text()
    header = re.search(r"^\| Python \| minutes \|.*$", page, re.MULTILINE)
    assert header is not None
    rows = re.findall(r"^\| 3\.1\d\.\d+ \|.*$", page, re.MULTILINE)
    names, *runs = [[cell.strip() for cell in row.split("|")[1:-1]] for row in (header[0], *rows)]
    found = [dict(zip(names, run, strict=True)) for run in runs]
    assert [each["Python"].rpartition(".")[0] for each in found] == SUPPORTED
    for each in found:
        shown = [each[name] for name in ("minutes", "wrong", "EINTR", "deaths", "result")]
        assert shown == ["10", "0", "0", "0", "passed"]


def test_every_page_is_linked():
    """The README links to each page in docs/, except those that docs/internals.md links to."""
    readme, internals = ((ROOT / each).read_text() for each in ("README.md", "docs/internals.md"))
    links = {*re.findall(r"\]\(docs/([\w-]+\.md)\)", readme)}
    links |= {*re.findall(r"\]\(([\w-]+\.md)\)", internals)}
    assert [page.name for page in PAGES[1:] if page.name not in links] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.id)
def test_examples_compile_and_name_their_file(example):
    """Each Python block is whole, and its first line names its file."""
    assert example.file
    compile(example.text, example.file, "exec")


@pytest.mark.slow  # half a second each
@pytest.mark.parametrize("page", PAGES_WITH_SITE)
def test_examples_run_in_a_site(page, tmp_path):
    """The examples of a page together make a Django site that passes its checks and answers."""
    found = [each for each in SITE_EXAMPLES if each.page == page]
    modules = build_site(tmp_path, found)
    printed = run(tmp_path, RUN_SITE, *modules)
    # A page that says what its own fields are called shows them in its example.
    for name in re.findall(r"`(app_\w+)`", (ROOT / "docs" / page).read_text()):
        assert name in printed


@pytest.mark.parametrize("example", BEFORE_AND_AFTER, ids=lambda each: each.id)
def test_settings_before_and_after_a_change_work_alone(example, tmp_path):
    """A page that shows settings before and after a change has a site that answers with each."""
    build_site(tmp_path, [example])
    run(tmp_path, RUN_SITE)


@pytest.mark.parametrize("example", GUNICORN_EXAMPLES, ids=lambda each: each.id)
def test_gunicorn_examples_are_loaded_by_gunicorn(example, tmp_path):
    """Gunicorn reads each configuration, ends up with slowhound's hooks, and imports no Django."""
    build_site(tmp_path, [])
    (tmp_path / "gunicorn.conf.py").write_text(example.text)
    printed = run(tmp_path, RUN_GUNICORN)
    own_hooks = "def post_request" in example.text or "gunicorn_hooks" in example.text
    assert printed.split() == ["combined" if own_hooks else "plain"]
