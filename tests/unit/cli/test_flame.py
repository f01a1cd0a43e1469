"""`slowhound flame`: which profiles it finds, what it draws, and where it writes."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from slowhound.cli import main
from slowhound.flames.files import FlameFiles
from slowhound.flames.profile import SUFFIX, Profile, ProfileFrame, ProfileSample

SECOND = "20261122T10000"


def profile(*functions: str, **event: Any) -> Profile:
    """A request that spent one second in each function."""
    return Profile(
        event={"event_type": "request", **event},
        started=1_795_000_000.0,
        duration=float(len(functions)),
        interval=0.01,
        frames=[ProfileFrame(each, "/srv/shop/views.py", 7) for each in functions],
        stacks=[[number] for number in range(len(functions))],
        samples=[ProfileSample(number + 1.0, 1.0, number) for number in range(len(functions))],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three requests: two of one view, one of another."""
    directory = tmp_path / "dir"
    directory.mkdir(mode=0o700)
    files = FlameFiles(str(directory), 10_000_000)
    for number, each in enumerate(
        (
            profile("cart", "tax", req_id="a-1", resp_view="pay", slow_fingerprint="f1"),
            profile(
                "cart",
                req_id="a-2",
                resp_view="pay",
                req_route="pay/<int>/",
                report="slow_request_1.log",
            ),
            profile("search", req_id="b-1", resp_view="find", slow_fingerprint="f2"),
        )
    ):
        name = f"flame_{SECOND}{number}Z_7_{number}_0000000{number}{SUFFIX}"
        assert files.write(name, each)
    return directory


def flame(folder: Path, *arguments: str) -> int:
    return main(["flame", "--dir", str(folder), *arguments])


def drawn(folder: Path, tmp_path: Path, *arguments: str) -> dict[str, int]:
    """The weights in the graph, in microseconds."""
    target = tmp_path / "graph.txt"
    assert flame(folder, "--format", "collapsed", "-o", str(target), *arguments) == 0
    lines = target.read_text().splitlines()
    return {
        path.split(" ")[0]: int(weight) for path, _, weight in (x.rpartition(" ") for x in lines)
    }


@pytest.mark.parametrize(
    "name",
    [
        "a-2",
        "slow_request_1.log",
        "slow_request_1",
        f"flame_{SECOND}1Z_7_1_00000001{SUFFIX}",
        f"flame_{SECOND}1Z_7_1_00000001",
        f"flame_{SECOND}1Z_7_1_00000001.svg",
    ],
)
def test_one_is_found_by_all_its_names(folder: Path, tmp_path: Path, name: str) -> None:
    """The request, its report, the file of its profile or of its drawing."""
    assert drawn(folder, tmp_path, name) == {"cart": 1_000_000}


@pytest.mark.parametrize(
    ("arguments", "weights"),
    [
        (["a-1", "b-1"], {"cart": 1, "tax": 1, "search": 1}),
        (["--view", "pay"], {"cart": 2, "tax": 1}),
        (["--view", "pay/<int>/"], {"cart": 1}),
        (["--fingerprint", "f2"], {"search": 1}),
        (["--since", "2026-11-22T10:00:01"], {"cart": 1, "search": 1}),
        (["--view", "pay", "--since", "2026-11-22T10:00:01+00:00"], {"cart": 1}),
    ],
)
def test_many_are_one_graph(
    folder: Path, tmp_path: Path, arguments: list[str], weights: dict[str, int]
) -> None:
    """By ids, view, group or time."""
    found = drawn(folder, tmp_path, *arguments)
    assert found == {name: seconds * 1_000_000 for name, seconds in weights.items()}


def test_every_format_is_what_it_is_called(folder: Path, tmp_path: Path) -> None:
    """And its file is readable by its owner only."""
    for kind in ("svg", "speedscope", "collapsed", "pprof"):
        target = tmp_path / kind
        assert flame(folder, "a-1", "--format", kind, "-o", str(target)) == 0
        assert target.stat().st_mode & 0o777 == 0o600
    assert ET.parse(tmp_path / "svg").getroot().tag.endswith("svg")
    assert json.loads((tmp_path / "speedscope").read_text())["exporter"] == "slowhound"
    assert (tmp_path / "collapsed").read_text().count("\n") == 2
    assert b"cart" in gzip.decompress((tmp_path / "pprof").read_bytes())


def test_graph_goes_into_a_pipe(folder: Path, capfdbinary: Any) -> None:
    """Only the graph; `-o -` asks for it explicitly."""
    for arguments in ([], ["-o", "-"]):
        assert flame(folder, "b-1", *arguments) == 0
        out, err = capfdbinary.readouterr()
        assert out.startswith(b"<svg ")
        assert err == b""


def test_in_a_terminal_it_becomes_a_file(
    folder: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """In the current folder, with the name of its newest profile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert flame(folder, "--view", "pay") == 0
    name = f"flame_{SECOND}1Z_7_1_00000001_and_1_more.svg"
    assert capsys.readouterr().out == f"{name}: 2 requests\n"
    assert (tmp_path / name).exists()


def test_difference_is_to_the_other_requests_of_the_view(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    """The requests that are drawn do not count as normal."""
    target = tmp_path / "diff.svg"
    assert flame(folder, "a-1", "--diff", "-o", str(target)) == 0
    assert capsys.readouterr().out == f"{target}: 1 request, compared with 1\n"
    text = target.read_text()
    assert "compared with" in text
    # Half of it is in `tax` now, and nothing was before: 50 points more.
    assert "+50.0" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nobody"], "there is no such profile in"),
        (["--view", "nothing"], "there is no such profile in"),
        (["b-1", "--diff"], "there is no other profile of find"),
        (["a-1", "b-1", "--diff"], "requests of one view"),
        (["a-1", "-o", "/nowhere/at/all.svg"], "cannot be written"),
    ],
)
def test_nothing_found_is_reported(
    folder: Path, arguments: list[str], text: str, capsys: Any
) -> None:
    """On one line, with exit code 1."""
    assert flame(folder, *arguments) == 1
    err = capsys.readouterr().err
    assert text in err
    assert err.count("\n") == 1


def test_one_that_is_missing_among_others_is_reported(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    """The others are drawn."""
    assert drawn(folder, tmp_path, "b-1", "\x1b[2Jnobody") == {"search": 1_000_000}
    assert r"there is no profile of \x1b[2Jnobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--diff"],
        ["a-1", "--format", "png"],
        ["a-1", "--diff", "--format", "pprof"],
        ["--since", "yesterday"],
        ["--since", "10"],
    ],
)
def test_wrong_use(folder: Path, arguments: list[str]) -> None:
    """Exit code 2."""
    with pytest.raises(SystemExit) as ended:
        flame(folder, *arguments)
    assert ended.value.code == 2


def test_files_that_are_no_profiles_are_skipped(folder: Path, tmp_path: Path, capsys: Any) -> None:
    """Torn files, noise, a gzip bomb, a pipe without a writer, a link, and unknown names."""
    flames = folder / "flames"
    good = next(iter(sorted(flames.iterdir())))

    def name(number: int) -> Path:
        return flames / f"flame_20261122T11000{number}Z_7_1_0000000{number}{SUFFIX}"

    name(0).write_bytes(b"")
    name(1).write_bytes(good.read_bytes()[:100])
    name(2).write_bytes(b"noise")
    name(3).write_bytes(gzip.compress(b'{"event":' + b"[" * 10_000_000))
    os.mkfifo(name(4))
    name(5).symlink_to(good)
    name(6).write_bytes(gzip.compress(b'{"event":"pay","started":0}'))
    name(7).mkdir()
    (flames / "mine.flame.json.gz").write_bytes(good.read_bytes())
    assert drawn(folder, tmp_path, "--since", "2026-11-22") == {
        "cart": 2_000_000,
        "tax": 1_000_000,
        "search": 1_000_000,
    }
    assert capsys.readouterr().err == ""  # nor are they reported


def test_profile_that_ends_badly_is_left_out(folder: Path, tmp_path: Path, capsys: Any) -> None:
    """And reported with its name."""
    flames = folder / "flames"
    event = b'{"event":{"resp_view":"pay"},"started":0}'
    broken = f"flame_20261122T120000Z_7_1_00000009{SUFFIX}"
    (flames / broken).write_bytes(gzip.compress(event))
    assert drawn(folder, tmp_path, "--view", "pay") == {"cart": 2_000_000, "tax": 1_000_000}
    assert f"{broken} is left out" in capsys.readouterr().err


def test_folder_without_graphs_is_reported(tmp_path: Path, capsys: Any) -> None:
    """With exit code 1."""
    tmp_path.chmod(0o700)
    assert flame(tmp_path, "a-1") == 1
    assert "No flame graph has been written here" in capsys.readouterr().err
