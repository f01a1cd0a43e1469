"""The README and ``docs/`` say what is true: tables, names, links and examples."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import slowhound.gunicorn
from slowhound import blackbox
from slowhound.config import SETTINGS
from slowhound.fields import FIELDS, NAMES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "slowhound"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
FIELD_LIKE = re.compile(r"([a-z]+)_[a-z0-9_]+")
# Kinds of fields that are not there yet: a page must not promise them either.
PLANNED = {"gil", "trace", "span"}
PREFIXES = {name.partition("_")[0] for name in NAMES if "_" in name} | PLANNED
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
from slowhound.config import problems as _problems

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
from slowhound.conf import get_config
from slowhound.sinks.delivery import build
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
GUNICORN_EXAMPLES = [each for each in EXAMPLES if each.file == "gunicorn.conf.py"]
PAGES_WITH_SITE = sorted({each.page for each in SITE_EXAMPLES})


def words(page: Path) -> list[str]:
    """What stands in backticks in the text of a page, its blocks left out."""
    return CODE.findall(BLOCK.sub("", page.read_text()))


def run(folder: Path, script: str, *arguments: str) -> str:
    """Run `script` in the site in `folder`; what it printed."""
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "shop.settings", "SLOWHOUND_LOUD": "1"}
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def build_site(folder: Path, found: list[Example]) -> list[str]:
    """Write the site with these examples in it; the names of the examples' modules."""
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


def make_docs():
    """The script that generates pages, as a module."""
    path = ROOT / "scripts" / "make_docs.py"
    spec = importlib.util.spec_from_file_location("make_docs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", each.lower()) for each in headings]
    return {each.replace(" ", "-") for each in plain}


@pytest.mark.parametrize("name", ["fields.md", "settings.md"])
def test_generated_pages_are_up_to_date(name):
    """A generated page is what scripts/make_docs.py writes now."""
    page = ROOT / "docs" / name
    assert page.read_text() == make_docs().PAGES[name](), "run scripts/make_docs.py"
    assert "generated" in page.read_text()[:200]


def test_every_field_is_documented():
    """Each field of an event has a row in docs/fields.md."""
    text = (ROOT / "docs" / "fields.md").read_text()
    assert [each.name for each in FIELDS if f"\n| `{each.name}` |" not in text] == []


def test_every_setting_is_documented():
    """Each key of SLOWHOUND has a row in docs/settings.md."""
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [key for key in SETTINGS if f"\n| `{key}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_fields_exist(page):
    """What looks like the name of an event field is one, or is the application's own."""
    unknown = []
    for word in words(page):
        name = re.sub(r'(="[^"]*"| = .*)$', "", word)
        found = FIELD_LIKE.fullmatch(name)
        if found and found[1] in PREFIXES and name not in NAMES:
            unknown.append(word)
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_settings_exist(page):
    """SLOWHOUND["KEY"] names a key that there is, in the text and in the examples."""
    named = re.findall(r"""SLOWHOUND\[["'](\w+)["']\]""", page.read_text())
    named += re.findall(r'SLOWHOUND = \{"(\w+)"', page.read_text())
    assert [key for key in named if key not in SETTINGS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_lines_have_real_fields(page):
    """A canonical line that a page shows has no field that does not exist."""
    shown = [
        name
        for language, text in BLOCK.findall(page.read_text())
        if language == "text"
        for line in text.splitlines()
        if line.startswith("event_type=")
        for name in re.findall(r'(?:^|(?<= ))(\w+)="', line)
    ]
    assert [name for name in shown if name not in NAMES and not name.startswith("app_")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_source_files_exist(page):
    """A Python file of slowhound's that a page names in backticks exists."""
    applications = ("gunicorn.conf.py", "wsgi.py", "settings.py", "manage.py check")
    named = [
        word
        for word in words(page)
        if re.fullmatch(r"[\w./]+\.py", word) and word not in applications
    ]
    missing = [word for word in named if not ((PACKAGE / word).exists() or (ROOT / word).exists())]
    assert missing == []


def test_every_hook_is_documented():
    """The page about Gunicorn names all that the star import brings."""
    text = (ROOT / "docs" / "gunicorn.md").read_text()
    assert [name for name in slowhound.gunicorn.__all__ if f"`{name}`" not in text] == []


def test_the_box_is_documented_as_it_is():
    """The cells of the box's header in docs/internals.md are those of blackbox.py."""
    text = (ROOT / "docs" / "internals.md").read_text()
    cells = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert cells[0] == ("0", "MAGIC")
    assert [(int(cell), name) for cell, name in cells[1:]] == [
        (getattr(blackbox, name), name) for _, name in cells[1:]
    ]


def test_every_page_is_linked_from_the_readme():
    """The README links to each page in docs/."""
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name})" not in text] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.id)
def test_examples_compile_and_say_what_file_they_are(example):
    """Each Python block is whole, and its first line names the file that it belongs into."""
    assert example.file
    compile(example.text, example.file, "exec")


@pytest.mark.parametrize("page", PAGES_WITH_SITE)
def test_examples_run_in_a_site(page, tmp_path):
    """The examples of a page together make a Django site that passes its checks and answers."""
    found = [each for each in SITE_EXAMPLES if each.page == page]
    modules = build_site(tmp_path, found)
    printed = run(tmp_path, RUN_SITE, *modules)
    # A page that says what its own fields are called shows them in its example.
    for name in re.findall(r"`(app_\w+)`", (ROOT / "docs" / page).read_text()):
        assert name in printed


@pytest.mark.parametrize("example", GUNICORN_EXAMPLES, ids=lambda each: each.id)
def test_gunicorn_examples_are_loaded_by_gunicorn(example, tmp_path):
    """Gunicorn reads each configuration, ends up with slowhound's hooks, and imports no Django."""
    build_site(tmp_path, [])
    (tmp_path / "gunicorn.conf.py").write_text(example.text)
    printed = run(tmp_path, RUN_GUNICORN)
    assert printed.split() == ["combined" if "def post_request" in example.text else "plain"]
