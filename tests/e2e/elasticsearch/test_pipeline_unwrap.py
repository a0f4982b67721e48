"""Framing of any line, on a real node, against `lexilog.framing.frame`: lines in JSON, and hostile bodies.

What `test_pipeline_framing` leaves out: the step that takes a line out of a JSON object, the pipeline that is called
for each text in it, and bodies of Blue Cedar and Clavister put together from the marks that their readers look for.
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
from lexilog.compilers.elasticsearch.framing import FRAMING, begin, framing, framing_pipelines
from lexilog.compilers.source import load_source
from lexilog.framing import Context, frame

Told = Callable[[Iterable[str]], list[str]]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
TESTS = Path(__file__).resolve().parents[2]
NAME = "test-unwrap@framing"


@pytest.fixture(scope="module")
def differences(es9: Node) -> Iterator[Told]:
    """Return a function from lines to what differs between the cluster's frames and the processor's, in words."""
    (called,) = framing_pipelines(load_source())
    es9.request("PUT", f"/_ingest/pipeline/{NAME}", called.body)
    steps = json.loads(json.dumps([begin(), *framing()]).replace(json.dumps(FRAMING), json.dumps(NAME)))

    def run(lines: Iterable[str]) -> list[str]:
        told, count = [], 0
        left = iter(lines)
        while batch := list(islice(left, 500)):
            docs = [{"_source": {"message": line, "_lexilog_now": "2026-01-15T12:00:00.000Z"}} for line in batch]
            answers = es9.request(
                "POST", "/_ingest/pipeline/_simulate", {"pipeline": {"processors": steps}, "docs": docs}
            )
            for line, answer in zip(batch, answers["docs"], strict=True):
                got, want = _found(answer), _expected(line)
                count += want is not None
                if got != want:
                    told.append(f"{line[:300]!r}\n    pipeline  {got}\n    processor {want}")
        assert count, "no line has a frame: there is nothing to compare"
        return told

    yield run
    es9.request("DELETE", f"/_ingest/pipeline/{NAME}")


def _found(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        return answer["error"]
    work = answer["doc"]["_source"]["_lexilog"]
    left = work.keys() & {"texts", "header", "tried"}
    found = work.get("frame")
    return f"left behind: {left}" if left else None if found is None else _said(found)


def _expected(line: str) -> dict[str, Any] | None:
    found = frame(line, Context(NOW))
    if found is None:
        return None
    plain = msgspec.to_builtins(msgspec.structs.replace(found, time=None))
    return _said({**plain, "time": (found.time - EPOCH) // timedelta(microseconds=1) if found.time else None})


def _said(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if not (value is None or value is False or value == {})}


GOLDEN = [
    path.read_bytes().removesuffix(b"\n").decode("utf-8", "replace")
    for path in sorted((TESTS / "golden").glob("*/*/*/input.log"))
]
LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_X: text"

WRAPPERS: dict[str, Callable[[str], str]] = {
    "Docker": lambda line: json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}),
    "Beats": lambda line: json.dumps(
        {"@timestamp": "2026", "message": line, "log": {"file": {"path": "/x"}}}, indent=1
    ),
    "Logstash": lambda line: json.dumps({"event": {"original": line}, "message": "cut"}, ensure_ascii=False) + "\r\n",
    "journal": lambda line: json.dumps({"MESSAGE": line, "PRIORITY": 6}, ensure_ascii=False),
    "CEE": lambda line: f"<13>1 2025-01-01T00:00:00Z relay app 12 - - @cee: {json.dumps({'msg': line})}",
    "CEE behind an old header": lambda line: f"<13>Jan  1 00:00:00 relay app[12]: @cee:{json.dumps({'msg': line})}",
    "the second text": lambda line: json.dumps({"log": "no line", "body": line, "message": "nor this"}),
    "raw control characters": lambda line: '{"log":"' + line.replace("\\", "").replace('"', "'") + '\t\x01"}',
    "cut": lambda line: json.dumps({"log": line})[:-2],
    "two objects": lambda line: json.dumps({"log": line}) * 2,
    "twice": lambda line: json.dumps({"message": json.dumps({"message": line})}),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_golden_lines_have_the_processors_frame(differences: Told, wrapper: str) -> None:
    """A golden line that an agent has put into an object has the frame that the processor gives it, or none."""
    # A JSON that no line comes out of has no frame: the bare line proves that the steps work.
    assert differences([LINE, *(WRAPPERS[wrapper](line) for line in GOLDEN)]) == []


def test_bare_golden_lines_have_the_processors_frame(differences: Told) -> None:
    """A line that is in no object goes through the same pipeline once."""
    assert differences(GOLDEN) == []


ODD = (
    *(
        "{",
        "{}",
        "[]",
        '{"message":7}',
        '{"message":{"log":"x"}}',
        '{"event":"x"}',
        '["log"]',
        '{"message":"\\n"}',
        "@cee: text",
    ),
    *(f'{{"log":"{LINE}",}}', f'{{"log":"{LINE}","log":7}}', f'{{"log":7,"log":"{LINE}"}}', f"{{'log':'{LINE}'}}"),
    *(f' {{"log":"{LINE}"}}', f'{{"log":"{LINE}"}} and more', f'{{"log":"{LINE}","a":01}}', f'{{"log":"{LINE}\\x"}}'),
    f'{{"log":"{LINE} \\u00e9 \\ud83d\\ude00","a":[1,2.5e3,-0,NaN,true,false,null,{{}},[]],"b":-Infinity}}',
    f'<30>Aug  3 10:18:44 srx1 app: he wrote @cee: {{"log":"{LINE}"}}',
    '<30>1 2025-08-03T10:18:44Z srx1 app 12 - [x@1 a="b"] @cee: {"msg":"KMD_X: text"}',
    '<0>1 2025-08-03T10:18:44Z srx1 app 0 - - @cee: {"msg":"KMD_X: text"}',
    '{"a":' + "[" * 400 + "]" * 400 + f',"log":"{LINE}"}}',
    '{"a":' + "[" * 60_000,
)


def test_odd_objects_have_the_processors_frame(differences: Told) -> None:
    """An object that is broken, deep or odd holds a line where it does for the processor, and no other."""
    assert differences([LINE, *ODD]) == []
    assert differences([LINE, *(ODD[-4][:end] for end in range(len(ODD[-4])))]) == []


TAIL = (
    *("{", "}", "[", "]", '"', ":", ",", '"a"', '"b"', '"a":1,', '"b":[1,"x",{"c":null}],', '"k":{"k":{"k":', '"":2'),
    *(
        '"x\\ny"',
        '"\\u00e9"',
        '"\\ud83d\\ude00"',
        '"\\ud800"',
        '"\\q"',
        "1",
        "-0",
        "1.50",
        "01",
        "true",
        "false",
        "null",
        "NaN",
    ),
    *(
        "\nOct  2 13:45:35 gw1 Mocana: ",
        "\nOct  2 13:45:35 gw1 Mocana: [AAA] EID: 3, ",
        "Sev:x,",
        "#012",
        "#302#240",
        "\\n",
        " ",
        "\n",
        "\xa0",
        "\u201cq\u201d",
        "\u201c",
        "\\",
        "\0",
        "\t",
        f'"{"z" * 70}":1,',
    ),
)
PAIRS = (
    *("[", "]", "[conn ", "[a b c d e ", "[x", "conn=", "id=5", "id=01800905", 'id="77"', "rev=1", 'prio="3"'),
    *("event=x_y", 'event="a b"', "localip=192.0.2.1", "destip=192.0.2.2 rem", "0xAB foo", " ", "  ", ",", '", ', '"'),
    *(
        '"a" b"',
        '\\"',
        "\\",
        "CN=gw1, O=Ex, OU=y",
        "message=",
        'msg="',
        "text=Peer is dead.",
        "EFW:",
        "EFW: ",
        "IPSEC: ",
    ),
    *(
        "IKE,IPSEC: ",
        "RULE: ",
        "SYSTEM: ",
        "[2024-09-01 13:04:11] ",
        "<134>",
        "<999>",
        "sn=4",
        "app[12]: ",
        "=",
        "\ufeff",
    ),
)
MOCANA = (
    "Nov 11 2021 22:24:37 gw1 Mocana: [AAA], SubCls:ACCT, text {",
    "Oct 22 2021 07:15:30.401772: [AAA] text {",
    "<13>Oct  2 13:45:35 gw1 [IKE] Sev:Warning, text",
    "<13>Oct  2 13:45:35 relay gw1 [IKE] SubCls : 9 , EID:4,Sev: x#012Type:y ",
    "Oct  2 13:45:35 relay Mocana[12] :  [x-y]: , sev:Warning,text ",
    "<13>[datapath]\n",
    "Oct  2 13:45:35 gw1 x[AAA] SubCls:1, text ",
    "Oct  2 13:45:35 gw1:[AAA] SubCls:1, Sev:text ",
    "Oct  2 13:45:35 gw1 xMocana[1]: [AAA] y [zzz] Mocana [ike], ",
)
CLAVISTER = (
    "<134>[2024-09-01 13:04:11] EFW: IPSEC: ",
    "[2024-09-01 13:04:11] IKE,IPSEC: ",
    "[2024-09-01T13:04:11.25] RULE, IKE: ",
    "<134>1 2025-01-01T00:00:00Z gw1 EFW - IPSEC - ",
    "<134>Feb  5 09:45:23 gw1 IKE: Peer is dead. ",
    "<134>Feb  5 09:45:23 gw1 app[7]: IPSEC: ",
    "id=1800906 event=x ",
    'id="01800906" event="x" ',
    "",
)


def _object(dice: random.Random, depth: int = 0) -> str:
    """Return an object as a program writes it, with keys that come twice, and arrays of everything."""

    def value() -> str:
        kind = dice.randrange(10 if depth < 4 else 7)
        if kind < 7:
            return dice.choice(['"x"', '"\\u00e9\\n"', "1.50", "-0", "true", "false", "null", "12e+3", '" "', '""'])
        if kind == 7:
            return f"[{', '.join(value() for _ in range(dice.randrange(4)))}]"
        return _object(dice, depth + 1)

    pairs = (f'"{dice.choice("abcdef")}": {value()}' for _ in range(dice.randrange(5)))
    return f"{{{','.join(pairs)}}}"


def test_objects_have_the_processors_leaves(differences: Told) -> None:
    """Every leaf of an object has the processor's name and text, whether the object is whole, cut, or goes on."""
    dice = random.Random(7)
    lines = []
    for _ in range(1_500):
        text = _object(dice)
        lines += [
            f"{MOCANA[0][:-1]}{text[: dice.choice([len(text), dice.randrange(len(text) + 1)])]}{end}"
            for end in ("", " on")
        ]
    assert differences(lines) == []


BOUNDS = {
    "deep": ('{"a":' * 63 + "1" + "}" * 63, '{"a":' * 64 + "1" + "}" * 64, '{"a":' * 70 + "1" + "}" * 70),
    "deep array": tuple('{"a":' + "[" * depth + "1" + "]" * depth + "}" for depth in (62, 63, 64, 65)),
    "many leaves": tuple("{" + ",".join(f'"{n}":{n}' for n in range(count)) + "}" for count in (4095, 4096, 4097)),
    "many items": tuple('{"a":[' + "1," * count + "1" + end for count in (8_000, 20_000) for end in ("]}", "]", "")),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_objects_too_large_for_a_record_have_the_processors_leaves(differences: Told, bound: str) -> None:
    """Of an object that is deeper or larger than a log record's the same leaves are kept as by the processor."""
    assert differences([MOCANA[0][:-1] + text for text in BOUNDS[bound]]) == []


@pytest.mark.parametrize(("heads", "pieces"), [(MOCANA, TAIL), (CLAVISTER, PAIRS)], ids=["mocana", "clavister"])
def test_bodies_put_together_from_pieces_have_the_processors_frame(
    differences: Told, heads: tuple[str, ...], pieces: tuple[str, ...]
) -> None:
    """The marks of a body in any order are read as the processor reads them, with what is cut off and what is not."""
    dice = random.Random(7)
    lines = ["".join([dice.choice(heads), *dice.choices(pieces, k=dice.randrange(1, 20))]) for _ in range(3_000)]
    assert differences(lines) == []
