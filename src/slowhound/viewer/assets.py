"""Scripts, style and images, served from the package itself: no CDN, no ``collectstatic``.

Only files that the package had when it was imported are served, by their exact names: the name in
the URL is a key of a dict and never becomes part of a path.
"""

from __future__ import annotations

import functools
import hashlib
import os

from django.http import Http404, HttpRequest, HttpResponse

STATIC_ROOT = os.path.join(os.path.dirname(__file__), "static", "slowhound")
CONTENT_TYPES = {
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
# Speedscope adds inline styles to its page, draws with WebGL, and reads its profile from this site.
# Its own page allows that, and no scripts but its files.
SPEEDSCOPE_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:;"
    " worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@functools.cache
def files() -> dict[str, str]:
    """The path of each file that is served, by its name in the URL."""
    found = {}
    for folder, _, names in os.walk(STATIC_ROOT):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1] in CONTENT_TYPES:
                found[os.path.relpath(path, STATIC_ROOT)] = path
    return found


@functools.cache
def version() -> str:
    """A hash of the viewer's own files; it is in their URLs, so a browser may cache them."""
    digest = hashlib.sha256()
    for name in ("viewer.css", "viewer.js"):
        with open(files()[name], "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:12]


def serve(request: HttpRequest, name: str) -> HttpResponse:
    """One file. It needs no access rule: it is public software, and holds nothing of the site."""
    path = files().get(name)
    if path is None:
        raise Http404("no such file")
    suffix = os.path.splitext(name)[1]
    with open(path, "rb") as file:
        response = HttpResponse(file.read(), content_type=CONTENT_TYPES[suffix])
    policy = SPEEDSCOPE_CSP if suffix == ".html" else "default-src 'none'"
    response["Content-Security-Policy"] = policy
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "public, max-age=86400"
    return response
