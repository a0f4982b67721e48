"""The steps of the ingest pipeline that find out what wraps a line; the same wrappings as `lexilog.framing`.

Each step is a script. It puts the frame into ``ctx._lexilog.frame``: a map with the attributes of `lexilog.model.Frame`
by name, of which those that are None, empty or False may be left out. ``time`` is a number of microseconds since 1970.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.painless import script, step
from lexilog.compilers.source import Source

__all__ = ["FRAMING", "begin", "framers", "framing", "framing_pipelines"]

# The pipeline that tries all framers on one text.
FRAMING = "lexilog@framing"


class _Framer(NamedTuple):
    """A framer: what it is called, when its line is worth a look, and the files that it is made of.

    The function of kind ``key_value`` is ``Map frameKeyValue(String line, Map context)``; it returns null where the
    line is not in its wrapping.
    """

    kind: str
    when: str
    needs: tuple[str, ...]


# In the order of `lexilog.framing.FRAMERS`.
_FRAMERS = (
    _Framer("cef", "ctx._lexilog.line.contains('CEF:')", ("time", "header", "payload", "piped", "frame_cef")),
    _Framer("leef", "ctx._lexilog.line.contains('LEEF:')",
            ("time", "header", "payload", "piped", "java_time", "frame_leef")),
    _Framer("mocana", "ctx._lexilog.line.contains('[')",
            ("time", "header", "payload", "strings", "json", "beginning", "json_tail", "frame_mocana")),
    _Framer("clavister", "ctx._lexilog.line.contains('=') || ctx._lexilog.line.contains('EFW') || "
            "ctx._lexilog.line.contains('] IKE') || ctx._lexilog.line.contains('] IPSEC') || "
            "ctx._lexilog.line.contains('] RULE') || ctx._lexilog.line.contains('IKE,')",
            ("time", "header", "payload", "strings", "clavister_body", "frame_clavister")),
    _Framer("key_value", "ctx._lexilog.line.contains('=\"') && ctx._lexilog.line.contains('\",')",
            ("time", "header", "payload", "smc", "frame_key_value")),
    _Framer("xml", "ctx._lexilog.line.contains('<')", ("time", "header", "payload", "smc", "xml", "frame_xml")),
    _Framer("csv", "ctx._lexilog.line.contains(',')", ("time", "header", "payload", "smc", "frame_csv")),
    _Framer("junos", "true", ("time", "header", "junos_parts", "frame_junos")),
    _Framer("syslog", "true", ("time", "header", "frame_syslog")),
)  # fmt: skip

_MAY_BE_WRAPPED = (
    "ctx._lexilog?.line != null && (ctx._lexilog.line.startsWith('{') || ctx._lexilog.line.contains('@cee:'))"
)
# The line itself is tried last.
_UNWRAP = """
Map inner = unwrapJson(ctx._lexilog.line, ctx._lexilog.context);
if (inner != null) {
inner.texts.add(ctx._lexilog.line);
ctx._lexilog.texts = inner.texts;
ctx._lexilog.header = inner.header;
ctx._lexilog.tried = 0;
}
"""
_NEXT = """if (ctx._lexilog.frame == null) {
ctx._lexilog.line = ctx._lexilog.texts[ctx._lexilog.tried];
ctx._lexilog.tried += 1;
}"""
_BEHIND = """
int count = ctx._lexilog.texts.size();
if (ctx._lexilog.frame != null && ctx._lexilog.tried < count) {
fillBehind(ctx._lexilog.header, ctx._lexilog.frame);
}
ctx._lexilog.line = ctx._lexilog.texts[count - 1];
for (String name : ['texts', 'header', 'tried']) {
ctx._lexilog.remove(name);
}
"""


def begin() -> dict[str, Any]:
    """Return the step that looks for the line and lays out what the other steps work on, in ``ctx._lexilog``."""
    return step("begin", "Find the line", script(("iso_date", "labels", "begin"), ""))


def framers(*kinds: str) -> list[dict[str, Any]]:
    """Return the steps that try one wrapping after the other; all of them, or those of some kinds."""
    steps = []
    for framer in _FRAMERS:
        if kinds and framer.kind not in kinds:
            continue
        function = "frame" + "".join(word.capitalize() for word in framer.kind.split("_"))
        main = f"ctx._lexilog.frame = {function}(ctx._lexilog.line, ctx._lexilog.context);"
        condition = f"ctx._lexilog?.line != null && ctx._lexilog.frame == null && ({framer.when})"
        steps.append(
            step(f"frame-{framer.kind}", f"Is it {framer.kind}?", script(framer.needs, main), condition=condition)
        )
    return steps


def framing() -> list[dict[str, Any]]:
    """Return the steps of the main pipeline that follow `begin`: they need the pipelines of `framing_pipelines`.

    After them ``ctx._lexilog.frame`` is the frame, or null or missing where no wrapping fits. A line that an agent has
    put into JSON is taken out of it first, as `lexilog.framing.frame` does; ``line`` is the whole line in the end.
    """
    call = {"tag": "frame", "name": FRAMING}
    plain, wrapped = "ctx._lexilog?.line != null && ctx._lexilog.texts == null", "ctx._lexilog?.texts != null"
    needs = ("time", "header", "payload", "strings", "json", "unwrap")
    return [
        step("unwrap", "Is the line in a JSON object?", script(needs, _UNWRAP), condition=_MAY_BE_WRAPPED),
        {"pipeline": {**call, "if": plain}},
        {"foreach": {"tag": "frame-each", "if": wrapped, "field": "_lexilog.texts", "processor": {"pipeline": call}}},
        step(
            "unwrapped", "Add what the header before the object says", script(("behind",), _BEHIND), condition=wrapped
        ),
    ]


def framing_pipelines(source: Source) -> tuple[ClusterObject, ...]:
    """Return the pipelines that the steps of `framing` call."""
    following = step(
        "next-text", "Take the next text out of the object", _NEXT, condition="ctx._lexilog?.texts != null"
    )
    body = {
        "description": "Finds out what wraps a line. The pipeline lexilog calls it for each text that may be the line.",
        "processors": [following, *framers()],
        "_meta": source.meta,
    }
    return (ClusterObject("ingest_pipeline", FRAMING, body),)
