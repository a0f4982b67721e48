"""Characters that readers of JSON and XML refuse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing.unfit import hide, show


@given(st.text(st.characters() | st.sampled_from("\0\udcff\U0010fffd\ue000\ue001")))
def test_what_is_hidden_is_shown_again(text: str) -> None:
    """A text comes back as it was, and in between it has nothing that is no character."""
    hidden = hide(text)
    hidden.encode()
    assert not any(character < " " and character not in "\t\n\r" for character in hidden)
    assert show(hidden) == text


def test_every_unfit_character_has_its_own_place() -> None:
    """No two of them are mixed up."""
    characters = [*map(chr, [*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF])]
    assert len(set(map(hide, characters))) == len(characters)
    assert show(hide("".join(characters))) == "".join(characters)
