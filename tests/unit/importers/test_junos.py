"""Junos: chapters of the reference, where variables are plain words, and what a device prints for help syslog."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lexilog.errors import ImportFormatError
from lexilog.importers.draft import Draft
from lexilog.importers.junos import read

CHAPTER = """\
EXD System Log Messages

Messages of the example daemon.

EXD_PEER_GONE

System Log Message

Peer remote-address:remote-port of tunnel tunnel-name is gone: error-message

Description

The peer went away. It may
come back.

Type

Error: An error occurred

Severity

error

Facility

LOG_AUTH

Cause

Somebody pulled a cable.

EXD_READY

System Log Message

Daemon is ready.

Description

All is well.

Type

Event: This message reports an event, not an error

Severity

notice

Facility

LOG_EXAMPLE
"""

SESSION = """\
{master:0}
user@host> help syslog ?
Possible completions:
  <syslog-tag>           Syslog tag
\t. . .
  EXD_LISTED             Daemon does something
  EXD_PEER_GONE          Peer has gone
  EXD_WITH_A_VERY_LONG_TAG_NAME
                         Daemon does something else,
                         and says so
---(more 4%)---

user@host> help syslog EXD_PEER_GONE
Name:          EXD_PEER_GONE
Message:       Peer <peer-name> of <peer-name> is gone, after <count>
               tries {really}
Help:          Peer has gone
Description:   The peer went away and did not
---(more)---\r            \r               come back.
Type:          Error: An error occurred
Severity:      warning
Facility:      LOG_DAEMON
Action:        None

user@host> help syslog EXD_READY
Name:          EXD_READY
Message:       Daemon is ready
Help:          Daemon is ready to work
Description:   All is well.
Type:          Event: This message reports an event, not an error
Severity:      unknown

user@host>
"""


def _formats(draft: Draft) -> dict[str, str | None]:
    return {fact.id: fact.format for fact in draft.facts}


def _chapter(text: str) -> str:
    """Return a chapter with one message of this text."""
    return CHAPTER.replace("Daemon is ready.", text)


def test_a_chapter_gives_its_facts() -> None:
    """Ids, texts, types, severities and facilities are the chapter's; sentences are kept apart from them."""
    draft = read(CHAPTER)
    gone, ready = draft.facts
    assert (gone.id, gone.type, gone.severity, gone.facility) == ("EXD_PEER_GONE", "error", "error", "LOG_AUTH")
    assert gone.vendor_text == {
        "Description": "The peer went away. It may come back.",
        "Cause": "Somebody pulled a cable.",
    }
    assert (ready.id, ready.type, ready.severity, ready.format) == ("EXD_READY", "event", "notice", "Daemon is ready.")
    assert (draft.name, draft.section, draft.frame) == ("juniper_exd", "EXD System Log Messages", ("junos",))
    assert draft.severities == {"error": 3, "notice": 5}


def test_a_facility_without_a_known_number_is_kept() -> None:
    """The vendor's word is a fact even where nobody here knows the number that it is sent as."""
    assert read(CHAPTER).facilities == {"LOG_AUTH": 4, "LOG_EXAMPLE": None}


def test_variables_of_a_chapter_are_found() -> None:
    """Words with a hyphen are variables, and that this is a guess is noted; a text without any is no guess."""
    gone, ready = read(CHAPTER).facts
    assert gone.format == "Peer {remote-address}:{remote-port} of tunnel {tunnel-name} is gone: {error-message}"
    assert gone.variables == {
        "remote-address": "address", "remote-port": "port", "tunnel-name": "name", "error-message": "text",
    }  # fmt: skip
    assert "format" in gone.review
    assert ready.review == ()


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("login of username refused", "login of {username} refused"),
        ("unexpected status status seen", "unexpected status {status} seen"),
        ("mode = mode, no such mode", "mode = {mode}, no such mode"),
        ("waited size seconds", "waited {size} seconds"),
        ("header (size) is short", "header ({size}) is short"),
        ("spi(sizeu)=data", "spi({size}u)={data}"),
        ("read lengthubytes", "read {length}ubytes"),
        ("protocol=proto-idd", "protocol={proto-id}d"),
        ("peer user-name of user-name", "peer {user-name1} of {user-name2}"),
        ("no traffic-selector for ike-id peer-id", "no traffic-selector for ike-id {peer-id}"),
        ("Phase-1 and phase-2 sizes differ", "Phase-1 and phase-2 sizes differ"),
        ("braces {a} of if-name", "braces {{a}} of {if-name}"),
    ],
)
def test_which_words_are_variables(text: str, form: str) -> None:
    """A place where a value must be makes a word a variable; names that occur twice are numbered."""
    assert _formats(read(_chapter(text)))["EXD_READY"] == form


def test_help_syslog_gives_the_same_facts() -> None:
    """Wrapped lines, prompts and the pager are undone; variables stand in angle brackets, so the format is no guess."""
    facts = {fact.id: fact for fact in read(SESSION).facts}
    gone = facts["EXD_PEER_GONE"]
    assert gone.format == "Peer {peer-name1} of {peer-name2} is gone, after {count} tries {{really}}"
    assert (gone.type, gone.severity, gone.facility) == ("error", "warning", "LOG_DAEMON")
    assert gone.vendor_text == {"Help": "Peer has gone", "Description": "The peer went away and did not come back."}
    assert (gone.title, gone.review) == ("EXD_PEER_GONE", ())
    assert (facts["EXD_READY"].severity, facts["EXD_READY"].facility) == (None, None)


@pytest.mark.parametrize("start", ["               ", "---(more)---\r            \r               "])
@pytest.mark.parametrize("rest", ["<count> tries", "100% sure", "[edit] seen", "..."])
def test_a_wrapped_line_may_look_like_something_else(start: str, rest: str) -> None:
    """Inside a block, what is indented or comes behind the pager goes on, even if it looks like a prompt or a mode."""
    text = SESSION.replace("               tries {really}", f"{start}{rest}")
    expected = rest.replace("<count>", "{count2}")
    assert (_formats(read(text))["EXD_PEER_GONE"] or "").endswith(f"}} {expected}")


def test_the_list_of_tags_gives_ids() -> None:
    """The short help is the vendor's sentence, so it is no title; a tag that is shown in full as well is there once."""
    facts = read(SESSION).facts
    assert [fact.id for fact in facts] == [
        "EXD_PEER_GONE", "EXD_READY", "EXD_LISTED", "EXD_WITH_A_VERY_LONG_TAG_NAME",
    ]  # fmt: skip
    assert (facts[2].title, facts[2].format) == ("EXD_LISTED", None)
    assert facts[2].vendor_text == {"Help": "Daemon does something"}
    assert facts[3].vendor_text == {"Help": "Daemon does something else, and says so"}


def test_what_else_a_session_prints_is_passed_over() -> None:
    """Banners, settings of the terminal and complaints about a tag that is not there are no messages."""
    noise = "--- JUNOS 21.4R3 Kernel 64-bit\nuser@gw1> set cli screen-length 0\nScreen length set to 0\n"
    wrong = "user@gw1> help syslog EXD_NOTHING\n                          ^\nsyntax error, expecting <command>.\n"
    assert read(noise + wrong + SESSION) == read(SESSION)


def test_a_numbered_name_meets_no_other() -> None:
    """Where the text has a variable of that number already, the next number is taken."""
    text = SESSION.replace("Peer <peer-name> of <peer-name>", "<peer> <peer> <peer1>")
    form = _formats(read(text))["EXD_PEER_GONE"]
    assert form is not None
    assert form.startswith("{peer2} {peer3} {peer1} is gone")


def test_variables_that_touch_leave_the_text_to_a_person() -> None:
    """No format can say where one of two values ends; the text is kept with the vendor's sentences."""
    gone = read(SESSION.replace("<peer-name> of <peer-name>", "<peer-name><unit>")).facts[0]
    assert (gone.format, gone.variables) == (None, {})
    assert "format" in gone.review
    assert gone.vendor_text["Message"] == "Peer <peer-name><unit> is gone, after <count> tries {really}"


def test_a_lone_block_is_read() -> None:
    """What is copied without the prompt is read as well; one tag is named after its first word."""
    draft = read(SESSION[SESSION.index("Name:          EXD_READY") :])
    assert ([fact.id for fact in draft.facts], draft.name) == (["EXD_READY"], "juniper_exd")


@pytest.mark.parametrize(
    ("text", "line", "expected", "words"),
    [
        ("", 1, "a chapter", "the text is empty"),
        ("\n\n  \n", 1, "a chapter", "the text is empty"),
        ("Some other page\n\nwith text", 1, "System Log Message", "no message begins here"),
        (CHAPTER[: CHAPTER.index("Severity")], 5, "Severity", "'EXD_PEER_GONE' has no 'Severity': is the text"),
        (CHAPTER[: CHAPTER.rindex("LOG_EX")], 50, "Facility", "'EXD_READY' has no text under 'Facility'"),
        (CHAPTER[: CHAPTER.rindex("Facility")], 32, "Facility", "'EXD_READY' has no 'Facility'"),
        (CHAPTER[: CHAPTER.index("EXD_READY") + 9], 32, "System Log Message", "'EXD_READY' has no 'System Log"),
        (CHAPTER.replace("EXD_READY\n", "\n"), 34, "an id", "second 'System Log Message'"),
        (CHAPTER.replace("EXD_READY", "EXD_PEER_GONE"), 32, "another id", "is there already, in line 5"),
        (CHAPTER.replace("\nnotice", "\nbad"), 46, "Severity", "is no word of syslog: 'bad'"),
        (CHAPTER.replace("Event: This", "This"), 42, "Type", "begins with neither 'Event' nor 'Error'"),
        (SESSION.replace("Severity:      warning\n", ""), 14, "Severity", "'EXD_PEER_GONE' has no 'Severity'"),
        ("user@host> help syslog EXD_X\n", 1, "Name:", "names no message"),
    ],
)  # fmt: skip
def test_a_text_that_is_not_whole_is_refused(text: str, line: int, expected: str, words: str) -> None:
    """The error says in which line what is missing, and what to do."""
    with pytest.raises(ImportFormatError) as caught:
        read(text)
    assert caught.value.line == line
    assert expected in caught.value.expected
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"line {line}: ")


def test_a_cut_text_is_refused(whole: Callable[[str, str], list[str]]) -> None:
    """Only behind a facility, or a text that may follow it, is an entry whole; an old chapter has no facility."""
    assert whole("junos", CHAPTER) == ["error", "LOG_AUTH", "Somebody pulled a cable.", "LOG_EXAMPLE"]


def test_a_cut_session_is_refused(whole: Callable[[str, str], list[str]]) -> None:
    """A block is whole behind its severity; behind a prompt and in the table nothing tells that more was there."""
    assert whole("junos", SESSION) == [
        "EXD_LISTED             Daemon does something",
        "EXD_PEER_GONE          Peer has gone",
        "EXD_WITH_A_VERY_LONG_TAG_NAME",
        "Daemon does something else,",
        "and says so",
        "---(more 4%)---",
        "user@host> help syslog EXD_PEER_GONE",
        "Severity:      warning",
        "Facility:      LOG_DAEMON",
        "Action:        None",
        "user@host> help syslog EXD_READY",
        "Severity:      unknown",
        "user@host>",
    ]
