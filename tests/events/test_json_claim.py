"""The claim in a JSON text: how deep it may be. The tests of each service have what else is refused."""

from __future__ import annotations

import sys
from typing import Final

import pytest

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.json_claim import MOST_LEVELS, value_in

DEEP: Final = '{"tenant": "blue", "a": ' + "[" * MOST_LEVELS + "]" * MOST_LEVELS + "}"
STRINGS: Final = '{"tenant": "blue", "a": [' + '"\\"[[{", ' * MOST_LEVELS + '""]}'
SIDE_BY_SIDE: Final = '{"tenant": "blue", "a": [' + "[], {}, " * MOST_LEVELS + "1]}"


@pytest.mark.parametrize("text", [DEEP.replace("[]", "1"), STRINGS, SIDE_BY_SIDE])
def test_text_with_many_brackets_and_few_levels_is_read(text: str) -> None:
    assert value_in(text, ("tenant",)) == "blue"


@pytest.mark.parametrize("text", [DEEP, "[" * 200_000, '{"a":' * 200_000, '"' + "[" * 1000 + '"' + "[" * 1000])
def test_text_with_many_levels_is_refused_before_python_reaches_the_end_of_its_stack(text: str) -> None:
    """Trap E6: at the end of the stack, a callback of the garbage collector fails too."""
    with pytest.raises(BadRequest, match="claim_unreadable: the body has more than 500 levels") as raised:
        value_in(text, ("tenant",))
    assert raised.value.__cause__ is None
    assert sys.getrecursionlimit() > MOST_LEVELS
