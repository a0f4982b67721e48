"""Blue Cedar: the help page on gateway logs, whose tables have lost their cells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lexilog.errors import ImportFormatError
from lexilog.importers.bluecedar import read

NBSP = "\u00a0"
PAGE = f"""\
Skip to main content

Widget log contents

Examples

BASH
Nov 11 2021 22:24:37 gw1 Mocana: [CORE], SubCls:999, EID: 6,{" "}
Type: General, Sev:Informational,{" "}
Opening port p7 at 192.0.2.1 for handle 0xff01

Nov 11 2021 22:24:37 gw1 Mocana: [NET] SubCls:050, EID: 0,{" "}
Type: General, Sev:Warning, 192.0.2.7

Nov 11 2021 22:24:37 gw1 Mocana: [CORE], SubCls:ACCT, EID: 3,{" "}
Type: Acct, Sev:Informational,{" "}
Visit END {{"visit":{{"username":"user1","guest":{{"nickName":"A b"}}}}}}

FieldDescription
TimestampWhen it was
Mocana: [component]

Which part wrote it. Possible values:

  • core:{NBSP} The middle of it
  • Note: It is small.
  • net: The edge (what goes in: and out).
  • net-io:{NBSP} Cables.
SubCls:nnnA class
Sev:level

Possible values:

  • Critical: Bad.
  • Major: Less so.
  • Informational:{NBSP} Good.
  • Warning: In between.

Log message

These are the messages that include JSON objects:

  • Visit END: A visit is over.
  • Guest REFUSED:{NBSP} Somebody may not come in.

Visit END

BASH
Oct  2 13:42:50 gw1 Mocana: [CORE], SubCls:ACCT, EID:          3, Type:    Acct, Sev:Informational,{" "}
Visit END {{"visit":{{"username":"user1",
   {NBSP} "seconds":49,
    "guest":{{"ofType":"a","hat":false}}}}}}

visit: The object has details.

  • username
  • seconds:
  • guest
  • NameDescription
    ofTypeiOS or another
    patchLevelNewest one that it has.
    wantsTeaWhether tea is wanted.
  • hat
hat

Colour of the hat:

  • red: a red one

Guest REFUSED

BASH
Oct 22 2021 13:31:13.664259: [CORE]{" "}
Guest REFUSED {{"reason":"Came without shoes",
               "visit":{{"username":"user1"}}}}

ReasonNotes
Came without any shoesA guest has no shoes on.
Guest has no invitation

The list has no such name. It then includes a "hint:" entry.

Ask for one.

Late for teaTea is over.

On this page

JavaScript errors detected
"""


def test_the_list_of_messages_leads_to_their_sections() -> None:
    """Each message with JSON is read from its own section, and each documented reason is an entry of its own."""
    draft = read(PAGE)
    assert [fact.id for fact in draft.facts] == [
        "visit-end",
        "guest-refused",
        "guest-refused-came-without-any-shoes",
        "guest-refused-guest-has-no-invitation",
        "guest-refused-late-for-tea",
        "opening-port-at-for-handle",
        "net-address",
        "component-core",
        "component-net",
        "component-net-io",
    ]
    assert (draft.name, draft.frame, draft.coded) == ("bluecedar_gateway", ("mocana",), False)
    assert draft.section == "Widget log contents"


def test_components_and_severities_are_the_pages() -> None:
    """Notes in between are none of them; a word that syslog lacks has both numbers."""
    draft = read(PAGE)
    assert draft.components == {
        "core": "The middle of it",
        "net": "The edge (what goes in: and out).",
        "net-io": "Cables.",
    }
    assert draft.severities == {"Critical": 2, "Major": (3, 17), "Informational": 6, "Warning": 4}


def test_fields_are_those_of_tables_and_samples() -> None:
    """Names are cut out of rows by the JSON of the samples, or by the change of case; JSON may have more of them."""
    end = read(PAGE).facts[0]
    assert end.parameters == (
        "SubCls",
        "EID",
        "Type",
        "username",
        "seconds",
        "ofType",
        "patchLevel",
        "wantsTea",
        "hat",
        "nickName",
    )
    assert end.variables == {
        "SubCls": "name", "EID": "integer", "Type": "name", "username": "name", "seconds": "seconds", "ofType": "name",
        "patchLevel": "name", "wantsTea": "boolean", "hat": "boolean", "nickName": "text",
    }  # fmt: skip
    assert (end.format, end.component, end.severity) == ("Visit END", "core", None)
    assert end.vendor_text == {
        "Description": "A visit is over.",
        "Field ofType": "iOS or another",
        "Field patchLevel": "Newest one that it has.",
        "Field wantsTea": "Whether tea is wanted.",
        "Field hat": "Colour of the hat: red: a red one",
    }


def test_a_reason_tells_entries_with_one_format_apart() -> None:
    """The sample's wording of a reason counts as well; notes may run over paragraphs, and name a further field."""
    _, refused, shoes, invitation, late, *_ = read(PAGE).facts
    assert (refused.where, refused.parameters) == ({}, ("SubCls", "EID", "Type", "hint", "reason", "username"))
    assert shoes.where == {"reason": ("Came without any shoes", "Came without shoes")}
    assert invitation.where == {"reason": ("Guest has no invitation",)}
    assert invitation.vendor_text["Notes"].endswith('It then includes a "hint:" entry. Ask for one.')
    assert late.where == {"reason": ("Late for tea",)}
    assert {fact.format for fact in (refused, shoes, invitation, late)} == {"Guest REFUSED"}


def test_values_of_plain_samples_become_variables() -> None:
    """A word with a digit is a value, named by the word in front of it; all of this is a guess."""
    facts = {fact.id: fact for fact in read(PAGE).facts}
    port, address = facts["opening-port-at-for-handle"], facts["net-address"]
    assert port.format == "Opening port {port} at {at} for handle {handle}"
    assert (port.component, port.severity) == ("core", None)
    assert (address.format, address.component, address.severity) == ("{address}", "net", None)
    assert set(port.review) == {"format", "title"}


@pytest.mark.parametrize(
    ("text", "line", "expected", "words"),
    [
        ("", 1, "the Blue Cedar help page", "the text is empty"),
        ("Another page\n\nof text\n", 3, "Mocana: [component]", "there is no 'Mocana: [component]' up to here"),
        (PAGE[: PAGE.index("  • core")], 21, "a list", "no list '• name: description'"),
        (PAGE[: PAGE.index("Log message\n")], 37, "include JSON", "there is no 'include JSON objects:'"),
        (PAGE[: PAGE.index("\nVisit END\n")], 44, "Visit END", "there is no section 'Visit END'"),
        (PAGE[: PAGE.index("\nGuest REFUSED\n")], 68, "Guest REFUSED", "there is no section 'Guest REFUSED'"),
        (PAGE[: PAGE.index("Oct 22")], 72, "a sample", "the sample of 'Guest REFUSED' is empty"),
        (PAGE[: PAGE.index("BASH\nOct 22")], 70, "BASH", "'Guest REFUSED' has no sample"),
        (PAGE[: PAGE.index('"visit":{"username":"user1"}}\n')], 73, "JSON", "the JSON of 'Guest REFUSED' breaks off"),
        (PAGE[: PAGE.index('{"reason"')], 73, "JSON", "the sample of 'Guest REFUSED' has no JSON"),
        (PAGE[: PAGE.index("\nThe list has no")], 79, "notes", "reason 'Guest has no invitation' has no notes"),
        (PAGE.replace("  • Major", "  • Purple"), 30, "a severity", "severity 'Purple' is none"),
        (PAGE.replace("  • Warning", "  • Minor"), 12, "a severity", "severity 'Warning' of this sample is not in"),
        (PAGE[: PAGE.index("Came without any")], 77, "notes", "there is no row below 'ReasonNotes'"),
        (PAGE.replace("[NET]", "[NOT]"), 12, "a component", "component 'not' of this sample is not in"),
        (PAGE.replace("SubCls:050, EID: 0", "SubCls:050, EID:"), 12, "a header", "the header of this sample breaks"),
        (PAGE.replace("Opening port p7 at 192.0.2.1 for handle 0xff01", ""), 8, "a message", "has a header, and no"),
        (PAGE.replace("192.0.2.7", "Opening port 1 at 2 for handle 3"), 1, "messages with words", "have the same"),
    ],
)  # fmt: skip
def test_a_text_that_is_not_whole_is_refused(text: str, line: int, expected: str, words: str) -> None:
    """The error says in which line what is missing, and what to do."""
    with pytest.raises(ImportFormatError) as caught:
        read(text)
    assert expected in caught.value.expected
    assert words in str(caught.value)
    assert caught.value.line == line


def test_a_cut_text_is_refused(whole: Callable[[str, str], list[str]]) -> None:
    """Only a cut in the last table of the last section leaves a page with all its messages."""
    assert whole("bluecedar", PAGE) == [
        '"visit":{"username":"user1"}}',
        "Came without any shoesA guest has no shoes on.",
        'The list has no such name. It then includes a "hint:" entry.',
        "Ask for one.",
        "Late for teaTea is over.",
        "On this page",
        "JavaScript errors detected",
    ]
