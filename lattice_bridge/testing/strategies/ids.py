"""Tenant ids, and strings that are nearly tenant ids.

Rule: most invalid ids are close to valid ones: each is a trap of docs/traps.md A10 to A13, or similar to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from lattice_bridge.message import is_tenant_id

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


ALPHANUMERIC: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_IDS: Final = ("blue", "green", "t-1", "Blue", "0", "a.b_c:d/e=f+g@h-i", "a/../b", "a" * 256)
_NEAR_MISSES: Final = (
    *("{} ", " {}", "{0} {0}", "{}\n", "{}\r\n", "\t{}", "{}\0", "{}\x7f", "{}\x85", "{}\xa0", "{}\u2028", "{}\u3000"),
    *("{}\u200b", "\ufeff{}", "{}\u0301", "{}\ud800", "\u202e{}", "{0},{0}", "{};{}", "{}|x", "{}*", "{}?", "{}#"),
    *("%62{}", "{}%00", "{}%20", "{}%2Fx", "{}%0a", "{}%", '"{}"', "'{}'", '["{}"]', "{{{}}}", "<{}>", "$({})", "{}\\"),
    *("{}&", "-{}", ".{}", "/{}", "_{}", ":{}", "=?utf-8?q?{}?=", "+{}", "@{}", "../{}", "{}~", "{}!"),
)
"""Patterns that give no tenant id, whatever id is inserted."""

_LOOK_ALIKES: Final = (
    *("ｂｌｕｅ", "bl\u03c5e", "b\u0131ue", "gr\u0435en", "\u212a", "K\u0435y", "\u0661\u0662", "²", "é", "e\u0301"),
    *("ß", "日本", "😀", "\U0001d41b", "\ud83d", "\udc00", "\u00ad", "blue\u2044green", "blue\u2010green"),
)


def tenant_ids() -> SearchStrategy[str]:
    """Every string that may be sent to Lambda as a tenant id (`lattice_bridge.message.is_tenant_id`)."""
    return TENANT_IDS


def not_tenant_ids() -> SearchStrategy[str]:
    """Strings that are no tenant ids, but most of them nearly: with spaces, line ends or look-alikes, percent-encoded,
    257 characters long, two ids, none. Values that are no strings are in `anything`."""
    return _NOT_TENANT_IDS


TENANT_IDS: Final[SearchStrategy[str]] = st.sampled_from(_IDS) | st.builds(
    "{}{}".format, st.sampled_from(ALPHANUMERIC), st.text(ALPHANUMERIC + "._:/=+@-", max_size=255)
)
_NOT_TENANT_IDS: Final[SearchStrategy[str]] = st.one_of(
    st.sampled_from(["", " ", "\n", "-", "..", "*", "\0"]),
    st.builds(lambda shape, name: shape.format(name, name), st.sampled_from(_NEAR_MISSES), TENANT_IDS),
    st.sampled_from(_LOOK_ALIKES),
    st.builds(lambda name, size: (name * size)[:size], TENANT_IDS, st.sampled_from([257, 258, 512, 9000])),
    st.text(st.characters(codec=None), max_size=20).filter(lambda text: not is_tenant_id(text)),
)
