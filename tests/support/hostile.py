"""Strategies for hostile strings and JSON values: near misses of tenant names, look-alikes, and any text."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from tests.support.decision_reference import NAMES

SHAPES: Final = (
    *(
        "{}",
        " {}",
        "{} ",
        "{}\n",
        "{}\r\n",
        "\t{}",
        "{}\0",
        "\0{}",
        "{}\0x",
        "{}\u200b",
        "\ufeff{}",
        "{}\u0301",
        "{}\ud800",
    ),
    *("{}/../green", "../{}", "{}/", "/{}", "./{}", "{}%00", "%62{}", "{},green", "{};green", "-{}", "{}=", "{{{}}}"),
    *("t-{}", "t-t-{}", "T-{}", "t-{}\n", "t- {}", "t-{{tenant}}", "x{}x", '"{}"', '["{}"]'),
    *("spiffe://example.org/t/{}/api", "spiffe://example.org/t/{}/api\n", "spiffe://example.org/t/{}/../green/api"),
    *("spiffe://example.org/t/{}%2fgreen/api", "spiffe://Example.org/t/{}/api", "spiffe://example.org//t/{}/api"),
    *("spiffe://example.org/t/{}/green/api", "spiffe://example.org/t/{}/api?x", "SPIFFE://example.org/t/{}/api"),
    *("spiffe://example.org/{}", "spiffe://example.org/t/{}/api/", "spiffe://example.org/t/.{}/api"),
)
LOOK_ALIKES: Final = (
    *(
        "ｂｌｕｅ",
        "bl\u03c5e",
        "b\u0131ue",
        "BLUE",
        "gr\u0435en",
        "blue" * 64,
        "b" * 256,
        "b" * 257,
        "b" * 100_000,
        "",
        " ",
        ".",
    ),
    *(
        "..",
        "t-",
        "t-..",
        "*",
        "{tenant}",
        "spiffe://example.org/t//api",
        "spiffe://example.org/t/../api",
        "null",
        "None",
    ),
)
hostile = (
    st.sampled_from([shape.format(name) for shape in SHAPES for name in (*NAMES, "unknown")])
    | st.sampled_from(LOOK_ALIKES)
    | st.text(st.characters(codec=None), max_size=20)
)
json_values = st.recursive(
    hostile | st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tenant", "app", "", "0"]) | hostile, inner, max_size=3)
    ),
    max_leaves=6,
)
