"""The framing steps of the ingest pipeline, on a real node, against `lexilog.framing.frame`.

The lines are those of the golden cases, of the examples, of other products, and what is left of the golden ones when
somebody cuts, garbles, wraps or relays them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from elasticsearch_node import Node
from lexilog.catalog.samples import samples
from lexilog.compilers.elasticsearch.framing import FRAMING, begin, framing, framing_pipelines
from lexilog.compilers.source import load_source
from lexilog.framing import FRAMERS, Context, frame
from lexilog.model import Frame

Simulate = Callable[..., list[Any]]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
TESTS = Path(__file__).resolve().parents[2]
# Characters: of the longest line that a hostile sender can make of one UDP datagram.
LONGEST = 65_000
_BATCH = 1_000
# Beside what other tests have put on the node.
_NAME = "test-pipeline-framing"


@pytest.fixture(scope="module")
def simulate(es9: Node) -> Iterator[Simulate]:
    """Return a function from lines to the frames that the steps find, or the error that one of them gives."""
    (pipeline,) = framing_pipelines(load_source())
    path = f"/_ingest/pipeline/{_NAME}"
    es9.request("PUT", path, pipeline.body)
    processors = [begin(), *json.loads(json.dumps(framing()).replace(FRAMING, _NAME))]

    def run(lines: Iterable[Any], now: datetime = NOW) -> list[Any]:
        clock = f"{now:%Y-%m-%dT%H:%M:%S}.000Z"
        found: list[Any] = []
        for batch in _batches(lines):
            docs = [{"_source": {"message": line, "_lexilog_now": clock}} for line in batch]
            body = {"pipeline": {"processors": processors}, "docs": docs}
            answers = es9.request("POST", "/_ingest/pipeline/_simulate", body)["docs"]
            found.extend(_frame_of(answer) for answer in answers)
        return found

    yield run
    es9.request("DELETE", path)


def _batches(lines: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(lines)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _frame_of(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        return answer["error"]
    found = answer["doc"]["_source"].get("_lexilog", {}).get("frame")
    return None if found is None else _said(found)


def _said(frame: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in frame.items() if not (value is None or value is False or value == {})}


def _expected(line: str, now: datetime = NOW) -> dict[str, Any] | None:
    found = frame(line, Context(now))
    return None if found is None else _plain(found)


def _plain(frame: Frame) -> dict[str, Any]:
    plain = msgspec.to_builtins(msgspec.structs.replace(frame, time=None))
    if frame.time is not None:
        plain["time"] = (frame.time - EPOCH) // timedelta(microseconds=1)
    return _said(plain)


def _differences(simulate: Simulate, lines: dict[str, str], now: datetime = NOW) -> list[str]:
    """Return what differs, line by line, in the words of a failure."""
    assert lines
    told = []
    for (name, line), got in zip(lines.items(), simulate(lines.values(), now), strict=True):
        want = _expected(line, now)
        if got != want:
            told.append(f"{name}: {line[:300]!r}\n    pipeline  {_apart(got, want)}\n    processor {_apart(want, got)}")
    return told


def _apart(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: value for name, value in one.items() if other.get(name) != value}
    return one


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_bytes().decode("utf-8", "replace").split("\n") if line]


def _named(paths: Iterable[Path]) -> dict[str, str]:
    return {
        f"{path.relative_to(TESTS.parent)}:{number}": line
        for path in paths
        for number, line in enumerate(_lines(path), start=1)
    }


GOLDEN = _named(sorted((TESTS / "golden").glob("*/*/*/input.log")))

# What happens to a line on its way, and what nobody has thought of.
MUTATIONS: dict[str, Callable[[str], str]] = {
    "first quarter": lambda line: line[: len(line) // 4],
    "first half": lambda line: line[: len(line) // 2],
    "first three quarters": lambda line: line[: 3 * len(line) // 4],
    "last character missing": lambda line: line[:-1],
    "last ten characters missing": lambda line: line[:-10],
    "first character missing": lambda line: line[1:],
    "first word missing": lambda line: line.partition(" ")[2],
    "first three words missing": lambda line: " ".join(line.split(" ")[3:]),
    "first five words missing": lambda line: " ".join(line.split(" ")[5:]),
    "header missing": lambda line: line.partition(": ")[2],
    "second word missing": lambda line: " ".join(line.split(" ")[:1] + line.split(" ")[2:]),
    "CR LF": lambda line: line + "\r\n",
    "NUL": lambda line: line + "\0",
    "blank first": lambda line: " " + line,
    "blank last": lambda line: line + " ",
    "byte order mark first": lambda line: "\ufeff" + line,
    "blanks doubled": lambda line: line.replace(" ", "  "),
    "one blank doubled": lambda line: line.replace(" ", "  ", 1),
    "tabs for blanks": lambda line: line.replace(" ", "\t"),
    "no blanks": lambda line: line.replace(" ", ""),
    "no-break space": lambda line: line.replace(" ", "\xa0", 3),
    "no quotes": lambda line: line.replace('"', ""),
    "quotes escaped": lambda line: line.replace('"', '\\"'),
    "quote last": lambda line: line + '"',
    "backslash last": lambda line: line + "\\",
    "bracket last": lambda line: line + "]",
    "no closing brackets": lambda line: line.replace("]", ""),
    "no colons": lambda line: line.replace(":", ""),
    "no equals signs": lambda line: line.replace("=", ""),
    "commas become semicolons": lambda line: line.replace(",", ";"),
    "lower case": str.lower,
    "upper case": str.upper,
    "umlaut in the middle": lambda line: line[: len(line) // 2] + "\u00fc" + line[len(line) // 2 :],
    "emoji in the middle": lambda line: line[: len(line) // 2] + "\U0001f511" + line[len(line) // 2 :],
    "twice": lambda line: line + line,
    "digits become nines": lambda line: line.translate(dict.fromkeys(map(ord, "012345678"), "9")),
    "PRI": lambda line: "<13>" + line,
    "PRI and blank": lambda line: "<189> " + line,
    "octet count": lambda line: f"{len(line) + 4} <13>{line}",
    "PRI too high": lambda line: "<192>" + line,
    "BSD header": lambda line: "<13>Jan  2 03:04:05 relay " + line,
    "BSD header with program": lambda line: "Jan  2 03:04:05 192.0.2.9 relay[17]: " + line,
    "ISO header": lambda line: "2026-01-02T03:04:05.678901+01:00 relay.example " + line,
    "RFC 5424 header": lambda line: "<13>1 2026-01-02T03:04:05Z relay app - - - " + line,
    "RFC 5424 header and mark": lambda line: "<13>1 2026-01-02T03:04:05Z relay app 17 ID7 - \ufeff" + line,
    "RFC 5424 header with data": lambda line: (
        '<13>1 2026-01-02T03:04:05Z relay app - - [origin ip="192.0.2.9"] ' + line
    ),
    "facility in words": lambda line: "Jan  2 03:04:05 relay local0.notice " + line,
    "five BSD headers": lambda line: "<13>Jan  2 03:04:05 relay " * 5 + line,
    "nine blanks after colons": lambda line: line.replace(": ", ":" + 9 * " "),
    "Docker's JSON": lambda line: json.dumps({"log": line + "\n", "stream": "stdout"}),
    "an agent's JSON behind a header": lambda line: "Jan  2 03:04:05 relay @cee: " + json.dumps({"msg": line}),
    "JSON with two texts": lambda line: json.dumps({"message": "up", "event": {"original": line}}),
    "cut JSON": lambda line: json.dumps({"message": line})[:-1],
    "prose before": lambda line: "we have seen on that day: " + line,
}

# Each is repeated until the line is as long as it can be.
HOSTILE = (
    *(" ", "a", "A", "1", "A_B_", ":", "a ", "<30>", "Aug  3 10:18:44 "),
    *(
        "<30>Aug  3 10:18:44 h ",
        "2025-08-03T10:18:44Z ",
        "(FPC Slot 1, PIC Slot 1) ",
        "[",
        "[a ",
        '[a b="c"]',
        '[a b="c" ',
    ),
    *("\\", '"', 'a="b",', "a=b ", ",", "|", "CEF:0|a|b|", "LEEF:2.0|a|b|", "<a>", "&amp;", "{", "\u00fc"),
)
HEADS = (
    "",
    "<30>Aug  3 10:18:44 ",
    "<30>1 2025-08-03T10:18:44Z gw1 kmd 17 ",
    "CEF:0|a|b|1|2|c|3|",
    "LEEF:2.0|a|b|1|2|^|",
    "<LOG_ENTRY>",
)


@pytest.mark.parametrize(
    "product", sorted({path.parent.parent.parent.name for path in (TESTS / "golden").glob("*/*/*/input.log")})
)
def test_golden_lines_have_the_processors_frame(simulate: Simulate, product: str) -> None:
    """Every golden line of a product has the same frame in the cluster as in the processor."""
    lines = {name: line for name, line in GOLDEN.items() if name.startswith(f"tests/golden/{product}/")}
    assert _differences(simulate, lines) == []


@pytest.mark.parametrize("name", ["bluecedar", "clavister", "forcepoint", "junos"])
def test_examples_have_the_processors_frame(simulate: Simulate, name: str) -> None:
    """Every line of the examples has the same frame in the cluster as in the processor."""
    assert _differences(simulate, _named([TESTS.parent / "examples" / "lines" / f"{name}.log"])) == []


def test_lines_of_other_products_have_the_processors_frame(simulate: Simulate) -> None:
    """A line of a product that lexilog does not know is refused, or framed, as the processor refuses or frames it."""
    assert _differences(simulate, _named([TESTS / "data" / "negatives.log"])) == []


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutated_lines_have_the_processors_frame(simulate: Simulate, mutation: str) -> None:
    """A golden line that something has happened to has the same frame in the cluster as in the processor."""
    mutate = MUTATIONS[mutation]
    assert _differences(simulate, {name: mutate(line) for name, line in GOLDEN.items()}) == []


def test_lines_cut_anywhere_have_the_processors_frame(simulate: Simulate) -> None:
    """A line that ends after any number of its first characters has the processor's frame: one line of each framer."""
    longest: dict[str, str] = {}
    for line in GOLDEN.values():
        found = frame(line, Context(NOW))
        if found and len(line) > len(longest.get(found.kind, "")) and len(line) < 600:
            longest[found.kind] = line
    assert len(longest) >= len(FRAMERS)
    cut = {f"{kind} cut at {end}": line[:end] for kind, line in longest.items() for end in range(len(line))}
    assert _differences(simulate, cut) == []


def test_sample_lines_have_the_processors_frame(simulate: Simulate) -> None:
    """The line that the catalogue makes of each entry, in each of its wrappings, has the processor's frame."""
    lines = {
        f"{entry.id} as {sample.frame}": sample.line for entry in load_source().entries for sample in samples(entry)
    }
    assert _differences(simulate, lines) == []


# What headers are made of, well and badly.
PIECES = (
    *("<30>", "<30>1 ", "<30> ", "<0>", "<07>", "<191>", "<192>", "12 <3>", "1 ", "123 ", "\ufeff"),
    *("Aug  3 10:18:44 ", "Aug 13 2025 10:18:44: ", "2025-08-03T10:18:44.123+02:00 ", "2025-08-03T10:18:44Z "),
    *(
        "gw1 ",
        "192.0.2.9 ",
        "relay: ",
        "kmd[14162]: ",
        "kmd ",
        "17 ",
        "- ",
        "local0.notice ",
        "SYSTEM3.Crit: ",
        "kernel: ",
    ),
    *("(FPC Slot 5, PIC Slot 0) ", "(FPC Slot 5, PIC Slot 0) A_B ", "SPC5_PIC0 ", "node1.fpc0.pic0 ", "node0: "),
    *(
        "KMD_VPN_UP: ",
        "KMD_VPN_UP",
        "A_B_ ",
        "%DAEMON-6-KMD_UP: ",
        "%KERN-3: ",
        "%ASA-6-302013: ",
        "%DAEMON\u20136\u2013A_B: ",
    ),
    *('[junos@2636.1.1.1.2.129 a="b\\"c"] ', '[a="b"] ', '[x@1 y="z\\\\]"][origin ip="192.0.2.9"] ', "[a", '[a b="c'),
    *("last message repeated 3 times", "message repeated 2 times: [ ", "[Aug 22 20:40:14]", "[Aug 22 20:40:14.5] "),
    *(
        " ",
        " " * 9,
        "\t",
        "\r",
        ":",
        "-",
        "%",
        "[",
        "]",
        '"',
        "\\",
        "=",
        ",",
        "_",
        "\u2013",
        "\u00fc",
        "\xa0",
        "\x1f",
        "(",
        ".",
    ),
    *("a" * 49, "a" * 255 + " ", "a" * 256 + " ", "1" * 11 + " ", "[" + "a" * 129 + "]", "[a " + "b" * 257 + '="c"] '),
    *("EFW: IPSEC: prio=2 ", "CEF:0|FORCEPOINT|", "LEEF:1.0|FORCEPOINT|", 'InfoMsg="a",', "Mocana: [IKE], "),
)


@pytest.mark.parametrize("seed", range(4))
def test_lines_put_together_from_pieces_have_the_processors_frame(simulate: Simulate, seed: int) -> None:
    """Pieces of headers in any order, with what is left of a golden line behind them, have the processor's frame."""
    dice = random.Random(seed)
    golden = list(GOLDEN.values())
    lines = {}
    for number in range(2_500):
        head = "".join(dice.choices(PIECES, k=dice.randrange(1, 12)))
        rest = dice.choice(golden)
        lines[f"line {number} of seed {seed}"] = (
            head + rest[dice.randrange(len(rest)) :] if dice.random() < 0.6 else head
        )
    assert _differences(simulate, lines) == []


@pytest.mark.parametrize("bit", HOSTILE)
def test_long_hostile_lines_have_the_processors_frame(simulate: Simulate, bit: str) -> None:
    """A line of 65,000 characters made to be slow or to break a script has the processor's frame, and no error."""
    lines = {f"{bit!r} behind {head!r}": head + bit * (LONGEST // len(bit)) for head in HEADS}
    assert _differences(simulate, lines) == []


@pytest.mark.parametrize(
    "now", ["2025-12-31T23:59:59", "2026-01-01T00:00:00", "2026-02-28T12:00:00", "2024-02-29T12:00:00"]
)
def test_times_without_a_year_get_the_processors_year(simulate: Simulate, now: str) -> None:
    """A time without a year gets the year that the processor gives it, on both sides of New Year and in leap years."""
    days = ("Dec 30", "Dec 31", "Jan  1", "Jan  2", "Jan  3", "Feb 28", "Feb 29", "Mar  1", "Mar  2", "Jun 31")
    lines = {day: f"<30>{day} 12:00:00 gw1 kmd[17]: KMD_VPN_UP: up" for day in days}
    assert _differences(simulate, lines, datetime.fromisoformat(f"{now}+00:00")) == []


TIMES = (
    "2025-08-03T10:18:44Z",
    "2025-08-03 10:18:44",
    "2025-08-03T10:18:44.1Z",
    "2025-08-03T10:18:44,123456789+05:30",
    "2025-08-03T10:18:44.1234567890Z",
    "2025-08-03T10:18:44-0330",
    "2025-08-03T10:18:44 UTC",
    "2025-08-03T10:18:44 CEST",
    "2025-08-03T10:18:44+24:00",
    "2025-08-03T10:18:44+23:99",
    "2025-02-29T10:18:44Z",
    "2024-02-29T10:18:44Z",
    "2025-13-01T10:18:44Z",
    "2025-08-03T24:00:00Z",
    "2025-06-30T23:59:60Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "Aug  3 10:18:44",
    "Aug 3 10:18:44",
    "Aug 03 10:18:44.250",
    "Aug  3 2025 10:18:44",
    "Aug  3 10:18:44 2025",
    "Aug  3 10:18:44 UTC 2025",
    "Aug  3 10:18:44+02:00",
    "Aug  3 1825 10:18:44",
    "Foo  3 10:18:44",
    "Feb 30 10:18:44",
    "aug  3 10:18:44",
)


def test_times_are_read_as_the_processor_reads_them(simulate: Simulate) -> None:
    """Each spelling of a header's time, and each text that only looks like one, gives the processor's time."""
    lines = {time: f"<30>{time} gw1 kmd[17]: KMD_VPN_UP: up" for time in TIMES}
    lines |= {f"{time}, and a colon": f"<30>{time}: gw1 kmd[17]: up" for time in TIMES}
    lines |= {f"[{time}]": f"[{time}] EFW: IPSEC: prio=2 id=1800906 rev=1 event=up" for time in TIMES}
    lines |= {
        f"CEF with {time}": f"CEF:0|FORCEPOINT|Firewall|1|2|c|3|rt={time} msg=up"
        for time in (*TIMES, "1754216324", "1754216324123")
    }
    assert _differences(simulate, lines) == []


@pytest.mark.parametrize("value", ["", "\r\n", None, 7, True, ["a"], {"a": "b"}], ids=repr)
def test_what_is_no_line_has_no_frame(simulate: Simulate, value: Any) -> None:
    """A message that is empty, missing or no text gives neither a frame nor an error."""
    assert simulate([value]) == [None]
