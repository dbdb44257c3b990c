"""The picture of the template's dashboard in docs/operations.md."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lattice_bridge.deployment.cloudformation.text import read_yaml
from tests.support.paths import ROOT
from tests.support.written import WRITE
from tools.dashboard import PICTURE, columns, dashboard_body, picture, series

TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")


def test_picture_is_that_of_the_template() -> None:
    drawn = picture()
    if os.environ.get(WRITE) == "1":
        PICTURE.write_text(drawn, encoding="utf-8")
    assert PICTURE.read_text(encoding="utf-8") == drawn, "docs/dashboard.svg is out of date: run `make docs`"


def test_picture_has_every_widget_and_is_marked_as_an_example() -> None:
    texts = [element.text for element in ElementTree.fromstring(picture()).iter("{http://www.w3.org/2000/svg}text")]
    widgets = dashboard_body(read_yaml(TEMPLATE, "template.yaml"))["widgets"]
    assert {widget["properties"]["title"] for widget in widgets} <= {*texts}
    assert "Example data" in texts
    names = [name for widget in widgets for name in names_of(widget)]
    assert len(names) > 20
    assert {*names} <= {*texts}


def names_of(widget: dict[str, dict[str, str]]) -> list[str]:
    is_table = widget["properties"]["view"] == "table"
    return columns(widget) if is_table else [line.name for line in series(widget)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SELECT SUM(Refusals)", "SELECT SUM(Forgeries)"),
        ("as parse_ms", "as sign_ms"),
        ("fields @timestamp, status", "fields @timestamp, sourceIp, status"),
        ("'UniqueContributors'", "'Sum'"),
    ],
)
def test_query_without_example_data_is_an_error(before: str, after: str, tmp_path: Path) -> None:
    """So that a change of the template cannot leave an old picture."""
    start = TEMPLATE.index("  Dashboard:\n")
    changed = TEMPLATE[:start] + TEMPLATE[start:].replace(before, after, 1)
    assert changed != TEMPLATE
    (tmp_path / "template.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises((KeyError, AssertionError)):
        picture(tmp_path / "template.yaml")


def test_picture_loads_nothing_and_is_readable_in_dark_and_light() -> None:
    drawn = picture()
    assert not re.search(r"href|url\(|<script|<image", drawn)
    assert "prefers-color-scheme:dark" in drawn
