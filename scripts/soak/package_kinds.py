"""Work of packages with C code; one that is not installed is left out."""

from __future__ import annotations

from typing import Any

from kinds import Kind

XML = (
    "<shop>" + "".join(f"<item id='{i}'><price>{i}</price></item>" for i in range(500)) + "</shop>"
)
TEXT = "one fish two fish red fish blue fish " * 200


def use_numpy(n: int) -> int:
    """Sorts, and multiplies matrices, which releases the GIL."""
    import numpy as np

    ones = np.ones((200, 200))
    total = 0
    for _ in range(n):
        total += int(np.sort(np.arange(50_000)[::-1])[10]) + int((ones @ ones)[3, 4])
    return total


def use_lxml(n: int) -> int:
    """Parses a document and searches it."""
    from lxml import etree

    return sum(len(etree.fromstring(XML).xpath("//price[text() >= 0]")) for _ in range(n))


def use_regex(n: int) -> int:
    """Finds words by an expression that backtracks a lot."""
    import regex

    found = regex.compile(r"(?:(?:\w+\s)*?)(fish)\b")
    return sum(len(found.findall(TEXT)) for _ in range(n))


def use_pillow(n: int) -> int:
    """Makes an image, shrinks and blurs it."""
    from PIL import Image, ImageFilter

    total = 0
    for _ in range(n):
        image = Image.new("L", (400, 400), 7).resize((200, 200))
        value: Any = image.filter(ImageFilter.GaussianBlur(2)).getpixel((100, 100))
        total += value
    return total


def use_greenlets(n: int) -> int:
    """Two greenlets pass a number back and forth, 200 times, and both finish.

    One that did not finish would be ended when it is collected, perhaps during another switch.
    """
    from greenlet import greenlet

    def add(value: int) -> int:
        for _ in range(200):
            value = first.switch(value + 1)
        return value

    def count() -> int:
        value = 0
        second: Any = greenlet(add)
        for _ in range(200):
            value = second.switch(value)
        return int(second.switch(value))

    total = 0
    for _ in range(n):
        first: Any = greenlet(count)
        total += first.switch()
    return total


KINDS = (
    Kind("numpy", use_numpy, lambda n: 210 * n, (50, 150), package="numpy"),
    Kind("lxml", use_lxml, lambda n: 500 * n, (50, 200), package="lxml.etree"),
    Kind("regex", use_regex, lambda n: 800 * n, passes=5, package="regex"),
    Kind("pillow", use_pillow, lambda n: 7 * n, (50, 150), package="PIL.Image"),
    Kind("greenlets", use_greenlets, lambda n: 200 * n, passes=50, package="greenlet"),
)
