"""Forcepoint: a table that has lost its cells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lexilog.errors import ImportFormatError
from lexilog.importers.forcepoint import read

PAGE = """\
Widget notices

What you see in the logs.

Table 1. Usual messages
Information message Description
Widget selectors near: [...]

This message is visible only when Widget diagnostics are enabled.

The first thing that a widget says. Then it goes on.

Starting widget initiator run

Starting widget responder run

The run begins.

Which of the two is shown depends on who began.

Starting Fancy Widget Fancy widgets are started for a user.
Fancy Widget Done A fancy widget is ready. It stays.

Widget end {now} [...]

Everybody goes home
because it is late.
Last word heard The other side has said
something.
"""


def test_messages_and_descriptions_are_told_apart() -> None:
    """A message does not end like a sentence; a description may stand behind it on the same line."""
    draft = read(PAGE)
    assert [fact.title for fact in draft.facts] == [
        "Widget selectors near:",
        "Starting widget initiator run",
        "Starting widget responder run",
        "Starting Fancy Widget",
        "Fancy Widget Done",
        "Widget end {now}",
        "Last word heard",
    ]
    texts = [fact.vendor_text["Description"] for fact in draft.facts]
    assert texts[1] == texts[2] == "The run begins. Which of the two is shown depends on who began."
    assert texts[3:] == [
        "Fancy widgets are started for a user.",
        "A fancy widget is ready. It stays.",
        "Everybody goes home because it is late.",
        "The other side has said something.",
    ]


def test_what_the_page_says_of_a_message_is_data() -> None:
    """That diagnostics must be on, and the role that the text names, are facts and not sentences."""
    facts = read(PAGE).facts
    assert [fact.diagnostics for fact in facts] == [True, *[False] * 6]
    assert facts[0].vendor_text == {"Description": "The first thing that a widget says. Then it goes on."}
    assert [fact.role for fact in facts[:3]] == [None, "initiator", "responder"]


def test_a_bracketed_tail_is_left_out() -> None:
    """What the page leaves out is not known, so such a format is to be looked at; braces are text."""
    facts = read(PAGE).facts
    assert (facts[5].id, facts[5].format, facts[5].review) == ("widget-end-now", "Widget end {{now}}", ("format",))
    assert facts[1].review == ()


def test_the_catalogue_is_named_after_the_page() -> None:
    """No line carries an id, and every wrapping of the product's log forwarding can hold the text."""
    draft = read(PAGE)
    assert (draft.name, draft.section, draft.coded) == ("forcepoint_widget_notices", "Widget notices", False)
    assert {"cef", "leef", "key_value"} <= set(draft.frame)


@pytest.mark.parametrize(
    ("text", "line", "expected", "words"),
    [
        ("", 1, "a Forcepoint NGFW help page", "the text is empty"),
        ("Widget notices\n\nText.\n", 1, "Information message Description", "there is no line 'Information message"),
        (PAGE[: PAGE.index("Widget selectors")], 6, "a message", "the table has no rows: is the text complete?"),
        (
            PAGE.replace("Widget selectors near: [...]", ""),
            9,
            "a message",
            "a description stands before the first message",
        ),
        (PAGE[: PAGE.index("Everybody")], 24, "a description", "'Widget end {now} [...]' has no description"),
        (PAGE[: PAGE.index(" a user.")], 21, "a description", "has no description: is the text complete?"),
        (PAGE.replace("Last word heard", "Fancy Widget Done"), 28, "another message", "is there already"),
        (PAGE.replace("Widget end {now} [...]", "… [...]"), 24, "another message", "has no letter"),
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
    """Only a cut behind a description leaves whole rows."""
    assert whole("forcepoint", PAGE) == [
        "The first thing that a widget says. Then it goes on.",
        "The run begins.",
        "Which of the two is shown depends on who began.",
        "Starting Fancy Widget Fancy widgets are started for a user.",
        "Fancy Widget Done A fancy widget is ready. It stays.",
        "because it is late.",
        "something.",
    ]
