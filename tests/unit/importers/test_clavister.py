"""Clavister: a section of the Log Reference Guide, with the defects that its text has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lexilog.errors import ImportFormatError
from lexilog.importers.clavister import read

NBSP = "\u00a0"
SECTION = f"""\
9.7.{NBSP} WIDGET

Messages about widgets.

9.7.1.{NBSP} [ID: 9001] Widget broke while it[...]

Log Categories
WIDGET,GADGET
Log Message
Widget broke while it was in use. A spare one is taken.
Default Log Severity
Warning
Parameters
srcip, count,name
Explanation
The widget is in two parts.

Neither works.
Gateway Action
Drop
Action Description
What was in it is lost
Proposed Action
Buy a better one.

\f9.7.2.{NBSP} [ID: 42] Widget is ready

Chapter 9: Messages
61
Log Categories
WIDGET
Log Message\f
Widget is ready.
Default Log Severity
Information
Parameters
{NBSP}
Explanation
It can be used.
Gateway Action
None
Action Description
None
Proposed Action
None
"""


def test_a_section_gives_its_facts() -> None:
    """Every heading of an entry is read, over blank lines and page breaks; None and a blank say that there is none."""
    draft = read(SECTION)
    broke, ready = draft.facts
    assert (broke.id, broke.severity, broke.categories) == ("9001", "Warning", ("WIDGET", "GADGET"))
    assert broke.format == "Widget broke while it was in use. A spare one is taken."
    assert broke.parameters == ("srcip", "count", "name")
    assert broke.variables == {"srcip": "address", "count": "integer", "name": "name"}
    assert broke.vendor_action == "Drop"
    assert broke.vendor_text == {
        "Explanation": "The widget is in two parts. Neither works.",
        "Action Description": "What was in it is lost",
        "Proposed Action": "Buy a better one.",
    }
    assert (ready.id, ready.title, ready.format) == ("42", "Widget is ready", "Widget is ready.")
    assert (ready.parameters, ready.vendor_action) == ((), None)
    assert ready.vendor_text == {"Explanation": "It can be used."}


def test_the_catalogue_is_named_after_the_section() -> None:
    """Any chapter of the guide gives a catalogue of its own; without a head the first category names it."""
    draft = read(SECTION)
    assert (draft.name, draft.section) == ("clavister_widget", "9.7 WIDGET")
    headless = read(SECTION[SECTION.index("9.7.1.") :])
    assert (headless.name, headless.section) == ("clavister_widget", "WIDGET")


def test_a_title_that_breaks_off_is_completed() -> None:
    """The first sentence of the message has the rest of the title; where it has not, a person has to look."""
    assert read(SECTION).facts[0].title == "Widget broke while it was in use"
    broke = read(SECTION.replace("Widget broke while it was", "One broke while it was")).facts[0]
    assert (broke.title, broke.review) == ("Widget broke while it[...]", ("title",))


def test_a_title_may_run_over_lines() -> None:
    """What stands between the head and the first heading is the rest of the title."""
    broke = read(SECTION.replace("Widget broke while it[...]", "Widget broke\nwhile it[...]")).facts[0]
    assert broke.title == "Widget broke while it was in use"


def test_braces_are_text() -> None:
    """A brace in a message is no variable of ours."""
    assert read(SECTION.replace("Widget is ready.", "Widget {x} is ready.")).facts[1].format == "Widget {{x}} is ready."


@pytest.mark.parametrize(
    ("text", "line", "expected", "words"),
    [
        ("", 1, "a section of the Clavister", "the text is empty"),
        ("Something else\n", 1, "[ID: …]", "no message has a head with its id"),
        (SECTION[: SECTION.rindex("Proposed Action")], 26, "Proposed Action", "'42' has no 'Proposed Action'"),
        (SECTION[: SECTION.rindex("None")], 44, "Proposed Action", "'42' has no text under 'Proposed Action'"),
        (SECTION.replace("Parameters\nsrcip, count,name\n", ""), 5, "Parameters", "'9001' has no 'Parameters'"),
        (SECTION.replace("Warning", "Purple"), 11, "Default Log Severity", "is no severity: 'Purple'"),
        (SECTION.replace("WIDGET,GADGET", "None"), 7, "Log Categories", "names no category"),
        (SECTION.replace("[ID: 42]", "[ID: 9001]"), 26, "another id", "'9001' is there already, in line 5"),
        (SECTION.replace("[ID: 42]", "42"), 30, "an id", "'9001' has a second 'Log Categories'"),
        (SECTION + "\n9.8. GIZMO\n", 47, "one section", "import one section at a time"),
    ],
)
def test_a_text_that_is_not_whole_is_refused(text: str, line: int, expected: str, words: str) -> None:
    """The error says in which line what is missing, and what to do."""
    with pytest.raises(ImportFormatError) as caught:
        read(text)
    assert caught.value.line == line
    assert expected in caught.value.expected
    assert words in str(caught.value)


def test_a_cut_text_is_refused(whole: Callable[[str, str], list[str]]) -> None:
    """Only a cut behind the last heading of an entry leaves whole entries."""
    assert whole("clavister", SECTION) == ["Buy a better one.", "None"]
