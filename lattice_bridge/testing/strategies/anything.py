"""JSON values that a handler must survive.

Rule: most are close to an event, since a handler refuses others at once.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lattice_bridge.formats import alb, apigateway_v1, apigateway_v2, lattice_v1, lattice_v2
from lattice_bridge.testing.strategies.requests import events
from lattice_bridge.testing.strategies.who import as_one

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Table = dict[str, Any]


class Nested(list[Any]):
    """Lists inside lists to a given depth, with a short `repr`."""

    def __init__(self, depth: int) -> None:
        inner: list[Any] = []
        for _ in range(depth - 1):
            inner = [inner]
        super().__init__([inner])
        self._depth = depth

    def __repr__(self) -> str:
        return f"Nested({self._depth})"


_KEYS: Final = (
    *(*lattice_v2.FIELDS, *lattice_v1.FIELDS, *lattice_v2.CONTEXT_FIELDS, *lattice_v2.IDENTITY_FIELDS.values()),
    *(
        "principalOrgId",
        lattice_v1.IDENTITY_FIELDS["san_uri"],
        "x-tenant-id",
        "X-Tenant-Id",
        "x_tenant_id",
        "host",
        "HOST",
        "cookie",
        "Cookie",
    ),
    *(alb.BALANCER, *alb.MARKS, *apigateway_v1.MARKS, *apigateway_v2.MARKS),
    *("authorization", "x-id-token", "x-lattice-bridge-hops", "x-amzn-lattice-identity", "x-forwarded-for", "a b", ""),
    *("content-type", "Content-Encoding", "connection", "\ud800", "é", "__proto__", "x" * 300),
)
_TEXTS: Final = (
    *("", " ", "a", "2.0", "1.0", "AWS_IAM", "NONE", "GET", "HEAD", "get", "\0", "\r\n", "\ud800", "\udfff\ud800"),
    "é日😀",
    *("/", "*", "/a?b=%zz", "/\ud800", "/é日\u2028?a=é", "/ ", "//", "https://example.com/", "aGk=", "aGk", "===="),
    *("4", "-1"),
    "99999999",
    *("arn:aws:sts::111122223333:assumed-role/a/b", "arn:aws:iam::111122223333:root", "arn:aws:iam:::role/a"),
    "arn::::::",
    *("arn:aws:iam::١١١١٢٢٢٢٣٣٣٣:role/a", "Principal=a; Principal=b; Type=AWS_IAM", ";=;=", "Type=AWS_IAM", "blue\n"),
    *("x" * 8200, "日" * 3000, "\u2028", "a" * 40, "%" * 50, '"}', "null", "true", "\u212a", "Bearer a.b.c", "AWS4-x"),
    *("Bearer eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.e30.", "Bearer " + "a" * 20_000, "a.b", "."),
)
_NUMBERS: Final = (
    *(0, -1, 1, 2, 2.0, 200, 1.5, 1e308, -0.0, 2**31, 2**53 + 1, 2**63, -(2**64), 10**400, 10**4200, 10**17),
    *(float("nan"), float("inf"), float("-inf"), 5e-324),
)
_LEAVES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_TEXTS),
    st.text(st.characters(codec=None), max_size=12),
    st.integers() | st.floats(),
)
_SHALLOW: Final = st.one_of(
    st.lists(_LEAVES, max_size=3),
    st.dictionaries(st.sampled_from(_KEYS), _LEAVES, max_size=3),
    st.lists(st.lists(_LEAVES, max_size=2), max_size=2),
    st.builds(Nested, st.sampled_from([2, 100, 900, 5000])),
    st.sampled_from([100, 101]).map(lambda size: {f"x-{number}": "x" for number in range(size)}),
    st.sampled_from([100, 101]).map(lambda size: ["x"] * size),
)
_ANY: Final = as_one(_LEAVES) | as_one(_SHALLOW)


def anything(near: SearchStrategy[dict[str, Any]] | None = None) -> SearchStrategy[Any]:
    """JSON values that a handler must survive: events with parts replaced, removed, added or under the other version's
    name, wrong types at every place, lists nested 5,000 deep (`Nested`), numbers of 4,200 digits, `NaN`, lone
    surrogates; and, less often, values that are no events at all.

    Args:
        near: the events that are changed, also in place; by default `events()`.
    """
    return st.one_of(
        _changed(_EVENTS if near is None else near),
        as_one(_changed(_EVENTS if near is None else near)),
        st.builds(_with_headers, _EVENTS if near is None else near, _BAGS),
        as_one(_BAGS | _ANY),
    )


_CHANGES: Final = ("replace", "drop", "add", "rename", "wrap", "unwrap", "double", "text")


def _places(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, from the outside in: the object or list, and the key."""
    if isinstance(value, Nested) or not isinstance(value, dict | list) or depth > 6:
        return []
    keys = [*value] if isinstance(value, dict) else [*range(len(value))]
    inside = [place for key in keys for place in _places(value[key], depth + 1)]
    return [*((value, key) for key in keys), *inside]


_OTHER_NAMES: Final = {
    lattice_v1.PATH: lattice_v2.PATH,
    lattice_v1.QUERY: lattice_v2.QUERY,
    lattice_v1.IS_BASE64: lattice_v2.IS_BASE64,
    lattice_v1.REQUEST_ID: lattice_v2.REQUEST_ID,
}
_RENAMED: Final = _OTHER_NAMES | {new: old for old, new in _OTHER_NAMES.items()}


def _with_headers(event: Table, more: Table) -> Table:
    return {**event, "headers": {**event["headers"], **more}}


@st.composite
def _changed(draw: st.DrawFn, events: SearchStrategy[dict[str, Any]]) -> Any:
    """An event with up to four changes."""
    event = draw(events)
    for _ in range(draw(st.integers(0, 4))):
        places = _places(event)
        if not places:
            break
        node, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(_CHANGES))
        if change == "replace":
            node[key] = draw(_ANY)
        elif change == "add" and isinstance(node, dict):
            node[draw(st.sampled_from(_KEYS))] = draw(_ANY)
        elif change == "rename" and isinstance(key, str):
            node[_RENAMED.get(key, key.swapcase())] = node.pop(key)
        elif change == "double" and isinstance(key, str):
            node[_RENAMED.get(key, key.upper())] = copy(node[key])
        elif change == "wrap":
            node[key] = [node[key]]
        elif change == "unwrap" and isinstance(node[key], list) and node[key]:
            node[key] = node[key][0]
        elif change == "text" and isinstance(node[key], str):
            node[key] += draw(st.sampled_from(_TEXTS))
        else:
            del node[key]
    return event


_EVENTS: Final = events()
_BAGS: Final = st.dictionaries(st.sampled_from(_KEYS), _ANY, max_size=8)
