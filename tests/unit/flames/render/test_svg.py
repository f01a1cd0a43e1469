"""The SVG file: always well-formed, true to its profile, complete without scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import xml.etree.ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slowhound.flames.profile import Accuracy, Profile, ProfileFrame, ProfileSample
from slowhound.flames.render import svg
from slowhound.flames.render.tree import STATES, grow, share_step
from tests.harness.example_profiles import (
    LINES,
    basket,
    frame,
    normal_basket,
    profile_of,
    wide_and_deep,
)

NS = {"s": "http://www.w3.org/2000/svg"}
HOSTILE = (
    "<script>alert(1)</script>",
    "]]>",
    "]]></metadata><script>alert(1)</script>",
    '" onload="alert(1)',
    "' & &amp; &#0;",
    "\x00\x1b\x7f\x85\u2028\ufffe",
    "\udc80\ud800",
    "\u202egnp.exe",
    "-->",
    "",
)
names = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=20))


@st.composite
def profiles(draw):
    """Any profile that ``profile.load`` would accept."""
    kinds = st.sampled_from(["app", "library", "sql", "wait", "note"])
    frames = draw(
        st.lists(st.builds(ProfileFrame, names, names, st.integers(-1, 10**6), kinds), max_size=6)
    )
    stack = st.lists(st.integers(0, len(frames) - 1), max_size=6) if frames else st.just([])
    stacks = draw(st.lists(stack, min_size=1, max_size=6))
    sample = st.builds(
        ProfileSample,
        st.floats(0, 1e4),
        st.floats(0, 100),
        st.integers(0, len(stacks) - 1),
        st.sampled_from(STATES),
    )
    event = draw(
        st.dictionaries(st.sampled_from(["req_path", "resp_view", "slow_verdict", "host"]), names)
    )
    return Profile(
        event,
        draw(st.floats(-1e18, 1e18)),
        1.0,
        0.01,
        frames,
        stacks,
        draw(st.lists(sample, max_size=8)),
        Accuracy(ways=draw(st.dictionaries(names, st.integers(0, 9), max_size=2))),
        draw(st.integers(1, 3)),
    )


def read(text: str) -> ET.Element:
    return ET.fromstring(text.encode("utf-8"))


def data_of(text: str) -> dict:
    return json.loads(read(text).findtext("s:metadata", namespaces=NS))


def titles(text: str) -> list[str]:
    return [each.text for each in read(text).iterfind(".//s:g/s:title", NS)]


@settings(max_examples=60)
@given(profiles(), st.none() | profiles())
def test_any_profile_makes_well_formed_xml(profile, normal) -> None:
    """No name ends an element, becomes one, or adds a control character."""
    text = svg.render(profile, normal)
    root = read(text)
    assert len(list(root.iter(f"{{{NS['s']}}}script"))) == 1
    assert root.findtext("s:script", namespaces=NS) == svg.script()
    assert not [
        key
        for each in root.iter()
        for key in each.attrib
        if key.lower().startswith("on") or key == "style"
    ]
    drawn = text.replace(svg.script(), "").replace(svg.style(), "")
    assert drawn.replace("\n", "").isprintable()
    assert "]]>" not in data_text(text)


def data_text(text: str) -> str:
    begin = text.index("<metadata>") + len("<metadata>")
    return text[begin : text.index("</metadata>")]


def test_the_data_cannot_end_its_element() -> None:
    """There is no character of markup between the tags of the data."""
    steps = [(3, [frame(name, name, 1, "app")], "running") for name in HOSTILE]
    inside = data_text(svg.render(profile_of(steps)))
    assert not set("<>&") & set(inside)
    assert inside.isascii()
    assert "<script>alert(1)</script>" in [each[0] for each in json.loads(inside)["functions"]]


def test_script_and_style_are_the_same_in_every_file() -> None:
    """Their hashes, for a Content-Security-Policy, do not depend on the profile."""
    for text in (svg.render(basket()), svg.render(basket(), normal_basket())):
        for tag, wanted in (("script", svg.SCRIPT_HASH), ("style", svg.STYLE_HASH)):
            found = read(text).findtext(f"s:{tag}", namespaces=NS)
            digest = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
            assert wanted == f"'sha256-{digest}'"
    assert "]]>" not in svg.script() + svg.style()


def test_without_scripts_the_boxes_are_drawn() -> None:
    """Each box shows its share, as the width of its rectangles and as text."""
    text = svg.render(basket())
    found = [each for each in titles(text) if each.startswith(LINES)]
    assert found == [f"{LINES}, 900 ms, 35.2 %"]
    for box in read(text).iterfind(".//s:g[@class='box']", NS):
        if box.findtext("s:title", namespaces=NS).startswith(LINES):
            width = sum(float(each.get("width")) for each in box.iterfind("s:rect", NS))
            assert width / 1172 == pytest.approx(0.352, abs=0.002)


def test_states_are_side_by_side_in_a_box() -> None:
    """A box that ran, starved and waited shows the share of each; unsampled time is hatched."""
    text = svg.render(basket())
    (box,) = [
        each
        for each in read(text).iterfind(".//s:g[@class='box']", NS)
        if (each.findtext("s:title", namespaces=NS) or "").startswith("basket (")
    ]
    widths = {each.get("class"): float(each.get("width")) for each in box.iterfind("s:rect", NS)}
    assert list(widths) == ["s-running", "s-waiting", "s-starved", "s-unsampled"]
    assert widths["s-waiting"] / sum(widths.values()) == pytest.approx(148 / 246, abs=0.01)
    assert "url(#slowhound-hatch)" in svg.style()


def test_header_shows_the_request_and_footer_the_accuracy() -> None:
    """The request's fields are above the graph, its accuracy is below."""
    text = svg.render(basket(), normal_basket())
    words = " ".join("".join(each.itertext()) for each in read(text).iterfind(".//s:text", NS))
    for wanted in (
        "GET /shop/basket/",
        "view shop.views.basket",
        "time 4.21 s",
        "db 1.52 s",
        "queries 43",
        "slow: 50 % of the time",
        "256 of 265 due, every 10 ms",
        "longest gap 41 ms",
        "unsampled 160 ms (6.",
        "±1.4 points at most (estimate)",
        "taken by hound 244, remote 12",
        "compared with 37 requests",
    ):
        assert wanted in words, wanted


def test_lines_of_one_function_are_one_box() -> None:
    """The box has its heaviest line, and the number of lines."""
    tree = grow(basket())
    (box,) = [
        at for at, number in enumerate(tree.function) if tree.functions[number].name == "basket"
    ]
    assert (tree.line[box], tree.lines[box]) == (41, 6)


def test_a_tree_has_all_time_once() -> None:
    """The boxes' own times add up to the samples, by state; parents come before children."""
    tree = grow(basket())
    assert [sum(own[at] for own in tree.own) for at in range(4)] == tree.total[0]
    assert tree.total[0] == [830_000, 1_480_000, 90_000, 160_000]
    assert all(up < box for box, up in enumerate(tree.parent) if box)


def test_narrowest_boxes_are_left_out_and_mentioned() -> None:
    """With a low limit the heaviest boxes stay, and no time is lost."""
    whole, small = grow(basket()), grow(basket(), most=14)
    assert len(small.parent) == 14
    assert small.total[0] == whole.total[0]
    kept = sorted((sum(each) for each in small.total), reverse=True)
    assert kept == sorted((sum(each) for each in whole.total), reverse=True)[:14]
    assert small.left_out == sorted((sum(each) for each in whole.total), reverse=True)[14]
    assert whole.left_out == 0


def test_a_difference_has_the_sign_and_size_of_the_share() -> None:
    """The query that is quick in normal requests is red, and what takes less time is blue."""
    text = svg.render(basket(), normal_basket())
    classes = {}
    for box in read(text).iterfind(".//s:g", NS):
        title = box.findtext("s:title", namespaces=NS)
        if title:
            classes[title.partition(",")[0].partition(" (")[0]] = box.find("s:rect", NS).get(
                "class"
            )
    assert classes[LINES] == "d-more3"
    assert classes["price_of"] == "d-less2"
    assert classes["the request"] == "d-same"


def test_what_only_normal_requests_do_is_in_the_data() -> None:
    """A box without time in this request has its normal time, for the normal widths."""
    data = data_of(svg.render(basket(), normal_basket()))
    names = [data["functions"][number][0] for number in data["function"]]
    before = dict(zip(data["before"][::2], data["before"][1::2], strict=True))
    assert before[names.index("vouchers")] == pytest.approx(150_000, abs=20)


@pytest.mark.parametrize(
    ("points", "step"),
    [(0.9, "same"), (-0.9, "same"), (1, "more1"), (-1, "less1"), (7, "more2"), (-40, "less3")],
)
def test_steps_of_difference(points, step) -> None:
    """Each step has its class; less than a point is no difference."""
    assert share_step(points) == step


def test_samples_are_in_time_with_their_gaps() -> None:
    """Equal samples are one run; a time without samples is a gap before the next one."""
    whole = profile_of([(5, [frame("f", kind="app")], "running")])
    late = [msgspec.structs.replace(each, at=each.at + 0.5) for each in whole.samples[2:]]
    data = data_of(svg.render(msgspec.structs.replace(whole, samples=[*whole.samples[:2], *late])))
    assert data["start"] == 1_000_000
    assert data["runs"] == [0, 20_000, 1, 0, 500_000, 30_000, 1, 0]


@pytest.mark.slow
def test_a_wide_and_deep_graph_stays_small() -> None:
    """50,000 samples of depth 100 stay within the limit of boxes, and few of them are drawn."""
    text = svg.render(wide_and_deep())
    root = read(text)
    assert len(data_of(text)["parent"]) == 50_000
    assert len(root.findall(".//s:g[@class='graph']/s:g", NS)) <= 2000
    assert sum(1 for _ in root.iter()) < 12_000
    assert len(text) < 4_000_000
    words = " ".join("".join(each.itertext()) for each in root.iterfind(".//s:text", NS))
    assert "left out of the drawing boxes under" in words


def test_profile_without_samples_is_drawn() -> None:
    """A request that ended before its first sample has its header and an empty graph."""
    text = svg.render(profile_of([]))
    assert "GET /shop/basket/" in text
    assert "0 of 9 due" in text
