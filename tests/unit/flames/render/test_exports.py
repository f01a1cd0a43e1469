"""Collapsed stacks, speedscope and pprof have the data of the profile, in valid formats."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import slowhound
from slowhound.flames.profile import UNSAMPLED, Profile, ProfileSample
from slowhound.flames.render import collapsed, pprof, speedscope
from tests.harness.example_profiles import LINES, basket, frame, profile_of

VENDORED = Path(slowhound.__file__).parent / "viewer" / "static" / "slowhound" / "speedscope"
FLAMEGRAPH = Path("/usr/share/perl5/Devel/NYTProf/flamegraph.pl")
# The pattern of flamegraph.pl, which is greedy.
PERL = re.compile(r"^(.*)\s+?(\d+(?:\.\d*)?)$")
HOSTILE = ["a;b", "SELECT 1 LIMIT 5", "two\nlines\r", "\udc80\u202e\x1b[31m", "", '<b>"&', "x 1.5"]

# https://github.com/google/pprof/blob/main/proto/profile.proto: name, number, type, repeated.
SCHEMA = {
    "ValueType": [("type", 1, "int64", 0), ("unit", 2, "int64", 0)],
    "Label": [("key", 1, "int64", 0), ("str", 2, "int64", 0), ("num", 3, "int64", 0)],
    "Sample": [("location_id", 1, "uint64", 1), ("value", 2, "int64", 1), ("label", 3, "Label", 1)],
    "Line": [("function_id", 1, "uint64", 0), ("line", 2, "int64", 0)],
    "Location": [("id", 1, "uint64", 0), ("mapping_id", 2, "uint64", 0), ("line", 4, "Line", 1)],
    "Function": [
        ("id", 1, "uint64", 0),
        ("name", 2, "int64", 0),
        ("system_name", 3, "int64", 0),
        ("filename", 4, "int64", 0),
    ],
    "Profile": [
        ("sample_type", 1, "ValueType", 1),
        ("sample", 2, "Sample", 1),
        ("location", 4, "Location", 1),
        ("function", 5, "Function", 1),
        ("string_table", 6, "string", 1),
        ("time_nanos", 9, "int64", 0),
        ("duration_nanos", 10, "int64", 0),
        ("period_type", 11, "ValueType", 0),
        ("period", 12, "int64", 0),
        ("comment", 13, "int64", 1),
    ],
}


def pprof_message():
    """The class of ``perftools.profiles.Profile``."""
    file = descriptor_pb2.FileDescriptorProto(
        name="profile.proto", package="perftools.profiles", syntax="proto3"
    )
    kinds = {"int64": 3, "uint64": 4, "string": 9}
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number, label=3 if repeated else 1)
            added.type = kinds.get(kind, 11)
            if kind not in kinds:
                added.type_name = f".perftools.profiles.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perftools.profiles.Profile"))


def read_pprof(data: bytes):
    message = pprof_message()()
    message.ParseFromString(gzip.decompress(data))
    return message


def lines_of(text: str) -> Counter[str]:
    weights: Counter[str] = Counter()
    for line in text.splitlines():
        stack, number = PERL.match(line).groups()
        assert not PERL.match(stack), f"flamegraph.pl would read two numbers: {line!r}"
        weights[stack] += int(number)
    return weights


def hostile() -> Profile:
    return profile_of(
        [(1, [frame(name, name, 3, "app")], "running") for name in HOSTILE]
        + [(1, [frame(LINES, kind="sql")], UNSAMPLED), (1, [], UNSAMPLED)]
    )


def test_collapsed_stacks_have_all_time_in_microseconds() -> None:
    """Each stack is one line, and the numbers add up to the time that was sampled."""
    weights = lines_of(collapsed.render(basket()))
    assert sum(weights.values()) == pytest.approx(2_560_000, abs=100)
    (query,) = [number for stack, number in weights.items() if f";{LINES};" in stack]
    assert query == pytest.approx(900_000, abs=20)


def test_no_name_breaks_a_collapsed_line() -> None:
    """With any name, a function is one frame in one line that ends in one number."""
    text = collapsed.render(hostile())
    weights = lines_of(text)
    assert len(weights) == len(HOSTILE) + 2
    assert all(";" not in stack.removesuffix(";(unsampled)") for stack in weights)
    assert text.replace("\n", "").isprintable()
    assert "SELECT 1 LIMIT 5 (SELECT 1 LIMIT 5)" in weights
    alone = collapsed.render(profile_of([(1, [frame("SELECT 1 LIMIT 5", kind="sql")], "running")]))
    assert alone == "SELECT 1 LIMIT_5 10000\n"


@pytest.mark.skipif(not FLAMEGRAPH.exists(), reason="no flamegraph.pl (libdevel-nytprof-perl)")
@pytest.mark.parametrize("make", [basket, hostile])
def test_flamegraph_pl_reads_collapsed_stacks(make, tmp_path) -> None:
    """Brendan Gregg's script, as Debian has it, draws all lines and ignores none."""
    text = collapsed.render(make())
    (tmp_path / "stacks.txt").write_text(text)
    command = ["perl", str(FLAMEGRAPH), "--minwidth=0", str(tmp_path / "stacks.txt")]
    run = subprocess.run(command, capture_output=True, check=True, text=True, timeout=30)
    assert "Ignored" not in run.stderr
    whole = re.search(r"<title>all \(([\d,]+) samples, 100%\)</title>", run.stdout)
    assert int(whole[1].replace(",", "")) == sum(lines_of(text).values())


def test_unsampled_and_starved_time_is_not_attributed_to_a_function() -> None:
    """In all exports such a stack ends in a frame for it."""
    ends = {
        line.rpartition(";")[2].rpartition(" ")[0]
        for line in collapsed.render(basket()).splitlines()
    }
    assert {"(unsampled)", "(starved: wanted to run)"} <= ends
    data = json.loads(speedscope.render(basket()))
    names = [each["name"] for each in data["shared"]["frames"]]
    profile = data["profiles"][0]
    assert "tidy" not in {names[stack[-1]] for stack in profile["samples"]}
    assert "tidy" in {names[stack[-2]] for stack in profile["samples"] if len(stack) > 1}
    read = read_pprof(pprof.render(basket()))
    texts, functions = read.string_table, {each.id: each for each in read.function}
    places = {each.id: each.line[0] for each in read.location}
    leaves = {
        texts[functions[places[each.location_id[0]].function_id].name] for each in read.sample
    }
    assert "tidy" not in leaves
    assert "(unsampled)" in leaves


@pytest.mark.parametrize("make", [basket, hostile, lambda: profile_of([])])
def test_speedscope_files_are_valid(make) -> None:
    """By the schema that comes with the vendored speedscope."""
    schema = json.loads((VENDORED / "file-format-schema.json").read_text())
    data = json.loads(speedscope.render(make()))
    jsonschema.validate(data, schema)
    (profile,) = data["profiles"]
    assert len(profile["samples"]) == len(profile["weights"])
    assert all(
        0 <= at < len(data["shared"]["frames"]) for stack in profile["samples"] for at in stack
    )


def test_speedscope_has_the_samples_in_time_with_their_weights() -> None:
    """Samples are in order, from the begin of the first one on, with weights in seconds."""
    data = json.loads(speedscope.render(basket()))
    (profile,) = data["profiles"]
    assert profile["startValue"] == pytest.approx(1.0)
    assert profile["endValue"] == pytest.approx(3.56)
    assert sum(profile["weights"]) == pytest.approx(2.56)
    assert profile["weights"][0] == pytest.approx(0.9)
    frames = data["shared"]["frames"]
    assert frames[profile["samples"][0][-3]]["name"] == LINES
    assert {"name": "tidy", "file": "shop/tidy.py", "line": 12} in frames
    # Sampled in several lines: still one function.
    assert {"name": "basket", "file": "shop/views.py"} in frames


def test_pprof_files_decode_by_the_schema() -> None:
    """Samples, innermost first, with functions, files, lines, time and state."""
    read = read_pprof(pprof.render(basket()))
    texts = list(read.string_table)
    assert texts[0] == ""
    assert (texts[read.sample_type[0].type], texts[read.sample_type[0].unit]) == (
        "wall",
        "nanoseconds",
    )
    assert sum(each.value[0] for each in read.sample) == pytest.approx(2.56e9)
    assert (read.duration_nanos, read.period) == (pytest.approx(2.56e9), 10_000_000)
    assert read.time_nanos == 1795305600 * 10**9
    functions = {each.id: each for each in read.function}
    places = {each.id: each.line[0] for each in read.location}
    first = [places[number] for number in read.sample[0].location_id]
    named = [(texts[functions[each.function_id].name], each.line) for each in first]
    assert named[0] == ("waits: recv from 10.0.0.5:5432", 0)
    assert named[-1] == ("ThreadWorker.handle_request", 335)
    assert ("basket", 41) in named
    states = Counter()
    for each in read.sample:
        assert texts[each.label[0].key] == "state"
        states[texts[each.label[0].str]] += each.value[0]
    assert states["unsampled"] == pytest.approx(0.16e9)
    assert states["waiting"] == pytest.approx(1.48e9)


def test_pprof_takes_hostile_names() -> None:
    """All names are UTF-8, and each text is in the table once."""
    read = read_pprof(pprof.render(hostile()))
    assert len(read.sample) == len(HOSTILE) + 2
    assert len(set(read.string_table)) == len(read.string_table)
    assert "\\udc80\\u202e\\u001b[31m" in read.string_table


WEIGHTS = st.lists(st.sampled_from([0.0, -1.0, 1e-12, 4e-7, 6e-7, 0.5]), max_size=8)


@given(WEIGHTS)
def test_no_entry_of_weight_0_is_in_any_of_them(weights: list[float]) -> None:
    """Also where it is 0 after rounding, and in files that were not made by slowhound."""
    samples = [ProfileSample(1.0, weight, at % 2) for at, weight in enumerate(weights)]
    profile = replace(
        profile_of([(1, [frame("a")], "running"), (1, [], UNSAMPLED)]), samples=samples
    )
    sampled = json.loads(speedscope.render(profile))["profiles"][0]
    assert len(sampled["samples"]) == len(sampled["weights"])
    assert all(weight > 0 for weight in sampled["weights"])
    assert all(weight > 0 for weight in lines_of(collapsed.render(profile)).values())
    message = pprof_message()()
    message.ParseFromString(gzip.decompress(pprof.render(profile)))
    assert all(sample.value[0] > 0 for sample in message.sample)
