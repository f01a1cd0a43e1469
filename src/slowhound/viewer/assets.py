"""Scripts, style and images, served from the package itself: no CDN, no ``collectstatic``.

Only files that the package had when it was imported are served, by their exact names: what is
asked for is looked up in a dict and never made into a path.
"""

from __future__ import annotations

import functools
import hashlib
import os

from django.http import Http404, HttpRequest, HttpResponse

ROOT = os.path.join(os.path.dirname(__file__), "static", "slowhound")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
# Speedscope brings styles of its own into the page, draws with WebGL, and reads its profile from
# this site. It is allowed what it needs on its own page, and no script but its files.
SPEEDSCOPE_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:;"
    " worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@functools.cache
def files() -> dict[str, str]:
    """The name in the URL of each file that is served, and its path."""
    found = {}
    for folder, _, names in os.walk(ROOT):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1] in TYPES:
                found[os.path.relpath(path, ROOT)] = path
    return found


@functools.cache
def version() -> str:
    """Changes with any of the viewer's own files, so that a browser may keep them."""
    digest = hashlib.sha256()
    for name in ("viewer.css", "viewer.js"):
        with open(files()[name], "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:12]


def serve(request: HttpRequest, name: str) -> HttpResponse:
    """One file. No access rule: it is public software, and holds nothing of the site."""
    path = files().get(name)
    if path is None:
        raise Http404("no such file")
    suffix = os.path.splitext(name)[1]
    with open(path, "rb") as file:
        response = HttpResponse(file.read(), content_type=TYPES[suffix])
    policy = SPEEDSCOPE_CSP if suffix == ".html" else "default-src 'none'"
    response["Content-Security-Policy"] = policy
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "public, max-age=86400"
    return response
