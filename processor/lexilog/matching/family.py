"""Which catalogue an id that none has would belong to: what a dashboard of missing entries is made of."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterable

from lexilog.model import Entry, Frame, UnknownId

__all__ = ["Families", "device_of"]

# Numbers that are longer begin with their category, of three digits: those of Clavister cOS Core and Cisco ASA do.
_SHORT = 4
_CATEGORY = 3


class _Family:
    """The ids of one catalogue that are of one family."""

    def __init__(self, catalog: str) -> None:
        self.catalog = catalog
        self.ids: list[str] = []
        self._devices: set[tuple[str, str] | None] = set()
        self._categories: set[str | None] = set()

    def add(self, code: str, entry: Entry) -> None:
        """Take in an id, and what is told of whose lines have it; None stands for anybody's."""
        insort(self.ids, code)
        self._devices.update(entry.devices or (None,))
        # Of several categories a line begins with the one that is its own.
        self._categories.add(entry.categories[0].lower() if entry.categories else None)

    def may_hold(self, frame: Frame) -> bool:
        """Tell whether a line is of this family's device and, where it names one, of its log categories."""
        if None not in self._devices and device_of(frame) not in self._devices:
            return False
        return frame.component is None or None in self._categories or frame.component.lower() in self._categories

    def in_common(self, tag: str) -> int:
        """Return how many characters an id has in common with the start of the most similar one."""
        at = bisect(self.ids, tag)
        return max(_in_common(tag, other) for other in self.ids[max(0, at - 1) : at + 1])


class Families:
    """The ids of all catalogues by family: those with one first word, or numbers of one category.

    ``KMD_VPN_UP`` and ``KMD_NEW`` are a family, ``01800905`` and ``01800999`` are; the short numbers of a kind of frame
    are all one. An id of any other form has none.

    Args:
        entries: the entries of all catalogues, each with the kinds of frame that its lines may be in.
    """

    def __init__(self, entries: Iterable[tuple[Entry, tuple[str, ...]]]) -> None:
        self._families: dict[tuple[str, str], dict[str, _Family]] = {}
        for entry, kinds in entries:
            name = _family(entry.code) if entry.code is not None else None
            if entry.code is None or name is None:
                continue
            for kind in kinds:
                families = self._families.setdefault((kind, name), {})
                families.setdefault(entry.catalog, _Family(entry.catalog)).add(entry.code, entry)

    def find(self, frame: Frame) -> UnknownId | None:
        """Return the id of a line that is no entry, and the catalogue that should have it.

        Where several catalogues have the family it is the one with the most similar id.
        """
        name = _family(frame.tag) if frame.tag is not None else None
        if frame.tag is None or name is None:
            return None
        tag = frame.tag
        families = [one for one in self._families.get((frame.kind, name), {}).values() if one.may_hold(frame)]
        if not families:
            return None
        return UnknownId(max(families, key=lambda family: family.in_common(tag)).catalog, tag)


def device_of(frame: Frame) -> tuple[str, str]:
    """Return vendor and product as a wrapping names them, in lower case."""
    return (frame.vendor or "").lower(), (frame.product or "").lower()


def _in_common(one: str, other: str) -> int:
    differ = (at for at, (ours, theirs) in enumerate(zip(one, other, strict=False)) if ours != theirs)
    return next(differ, min(len(one), len(other)))


def _family(code: str) -> str | None:
    word, bar, _ = code.partition("_")
    if bar:
        return word
    if code.isascii() and code.isdigit():
        return code[:_CATEGORY] if len(code) > _SHORT else "short"
    return None
