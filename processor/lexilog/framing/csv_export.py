"""Rows of the SMC log in its CSV form: an exported file, or entries forwarded one by one.

    TIMESTAMP,LOG_ID,NODE_ID,FACILITY,…                         the first row of an exported file
    Oct 24 10:24:41 192.0.2.9 "2024-10-24 10:19:38","77",…      a forwarded entry: no names, and a header

Source: SMC 6.5.0 online help, "Exportable Firewall … log entry fields"; samples of forwarded entries. Which columns
there are, and in which order, differs between versions and is said by the first row of a file alone. `columns_of` reads
that row; whoever reads the file tells its rows' columns by `Context.columns`.
"""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from itertools import islice

from lexilog.framing.payload import HEADER_LIMIT, build_frame, header_before
from lexilog.framing.smc import PRODUCT, VENDOR, Facts, is_header, read_facts
from lexilog.framing.syslog import Header, read_priority
from lexilog.framing.timestamp import Context, read_stamp, read_time
from lexilog.model import Frame

__all__ = ["columns_of", "parse_csv_export"]

# Separators of files and groups stand for line breaks while the module reads.
_HIDDEN_BREAKS = str.maketrans("\n\r", "\x1c\x1d")
_SHOWN_BREAKS = str.maketrans("\x1c\x1d", "\n\r")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_IPSEC = re.compile(r'(?:\A|,)\s*+"?ipsec"?\s*+(?:,|\Z)', re.IGNORECASE)
_BEHIND_HEADER = re.compile(r"(?<=[\s>\ufeff])")
# A protocol or service with its meaning: UDP (User Datagram Protocol).
_EXPLAINED = re.compile(r"\S{1,32} \([^()]{1,80}\)")
# An export has dozens of columns; rows with fewer than this are anybody's.
_EXPORTED = 8
# At how many places the first cell is looked for behind a header.
_PLACES = 24


def columns_of(line: str) -> tuple[str, ...] | None:
    """Return the names in the first row of an export; None where the line is no such row.

    Such a row names a time (TIMESTAMP), and the message (INFO_MSG) or the situation (SITUATION).
    """
    if "," not in line:
        return None
    names = tuple(_cells(line.removeprefix("\ufeff")))
    return names if is_header(names) else None


def parse_csv_export(line: str, context: Context) -> Frame | None:
    """Return the frame of a row: its text is INFO_MSG, its component FACILITY, its time TIMESTAMP.

    Where the columns are told, a line is a row if it has a time in the column for it, or a cell for each column. Where
    they are not, it is one if a cell is "IPsec" and another a time; the cell with the most words is the text then, and
    the vendor is assumed.
    """
    if "," not in line or not (context.columns or ("ipsec" in line.lower() and _IPSEC.search(line))):
        return None
    found = _find_row(line, context)
    if found is None:
        return None
    header, start = found
    body = line[start:].rstrip("\r\n")
    cells = _cells(body)
    if not context.columns:
        return _frame_without_columns(header, body, cells, context)
    data = {name: cell for name, cell in zip(context.columns, cells, strict=False) if cell}
    facts = read_facts(data, context)
    is_short = len(cells) < len(context.columns)
    if is_header(cells) or (facts["time"] is None and is_short):
        return None
    # In a whole row quotes are even.
    return build_frame(header, "csv", body, data=data, truncated=is_short or body.count('"') % 2 == 1, **facts)


def _frame_without_columns(header: Header, body: str, cells: list[str], context: Context) -> Frame | None:
    facility = next((cell for cell in cells if cell.casefold() == "ipsec"), None)
    time = next((cell for cell in cells if _TIME.fullmatch(cell)), None)
    if facility is None or time is None:
        return None
    texts = [
        cell for cell in cells if cell != facility and not _TIME.fullmatch(cell) and not _EXPLAINED.fullmatch(cell)
    ]
    # Of several the last: the message stands near the end, behind the engine's name.
    text = max(reversed(texts), key=lambda cell: len(cell.split()), default="")
    facts = Facts(
        text=text,
        time=read_stamp(time, context),
        vendor=VENDOR,
        product=PRODUCT,
        # Nobody has said whose facility it is: in a short row it is no proof of a message that needs one.
        component=facility if len(cells) >= _EXPORTED else None,
        level=None,
    )
    return build_frame(header, "csv", body, truncated=body.count('"') % 2 == 1, **facts)


def _find_row(line: str, context: Context) -> tuple[Header, int] | None:
    """Return the header and where the row begins, which a comma does not tell: the header ends in the first cell."""
    start = 1 if line.startswith("\ufeff") else 0
    first = line[: line.index(",")]
    if len(first) > HEADER_LIMIT:
        return None
    if _is_time(first[start:]) or not (read_priority(first, start) or read_time(first, start, context)):
        return Header(), start
    for place in islice(_BEHIND_HEADER.finditer(first), _PLACES):
        cell = first[place.end() :]
        if (_is_time(cell) or _is_word(cell)) and (header := header_before(line, place.end(), context)) is not None:
            return header, place.end()
    return None


def _is_time(cell: str) -> bool:
    return _TIME.fullmatch(cell.strip(' "')) is not None


def _is_word(cell: str) -> bool:
    return cell.startswith('"') or " " not in cell


def _cells(row: str) -> list[str]:
    row = row.rstrip("\r\n")
    with suppress(csv.Error):
        return [cell.strip() for cell in next(csv.reader([row], skipinitialspace=True), [])]
    # The module refuses a line break outside quotes; what stands around it is still a row.
    with suppress(csv.Error):
        cells = next(csv.reader([row.translate(_HIDDEN_BREAKS)], skipinitialspace=True), [])
        return [cell.translate(_SHOWN_BREAKS).strip() for cell in cells]
    # A cell that is longer than the module reads.
    return [cell.strip() for cell in row.split(",")]
