"""local.toml: commands, URLs and ids, with the place of every fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.local.local_file import BadLocalFile, LocalFile, read_local_file

WHOLE = """
[local.runtimes]
java21 = ["java", "-cp", "{code}/lib/*:{code}", "AWSLambda", "{handler}"]
ruby = ["tools/ruby", "{handler}"]
"python3.9" = ["{code}/run", "${HOME}"]

[local.functions]
Orders = "http://127.0.0.1:9002"

[local.ids]
OrdersApi = "a1b2c3d4e5"
"""


def read(folder: Path, text: str) -> LocalFile:
    (folder / "local.toml").write_text(text, encoding="utf-8")
    return read_local_file(folder / "local.toml")


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadLocalFile) as caught:
        read(folder, text)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def test_whole_file_is_read(tmp_path: Path) -> None:
    """A program with a slash is relative to the file, as other paths beside the template are."""
    found = read(tmp_path, WHOLE)
    assert found.runtimes["java21"][0] == "java"
    assert found.runtimes["ruby"] == (f"{tmp_path}/tools/ruby", "{handler}")
    assert found.runtimes["python3.9"] == ("{code}/run", "${HOME}")
    assert (found.functions, found.ids) == ({"Orders": "http://127.0.0.1:9002"}, {"OrdersApi": "a1b2c3d4e5"})


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/bridge/0123456789abcdef",
        "arn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-0123456789abcdef0",
    ],
)
def test_resource_can_have_an_arn(arn: str, tmp_path: Path) -> None:
    assert read(tmp_path, f'[local.ids]\nTargets = "{arn}"').ids == {"Targets": arn}


def test_missing_and_empty_file_change_nothing(tmp_path: Path) -> None:
    assert read_local_file(tmp_path / "local.toml") == LocalFile()
    found = read(tmp_path, "")
    assert (found.runtimes, found.functions, found.ids) == ({}, {}, {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[locale]", "1:2: locale: unknown key; did you mean local?"),
        ("[local.runtime]", "1:8: local: runtime: unknown key; did you mean runtimes?"),
        ("local = 1", "1:9: local: 1 is not a table. Fix: write [local]"),
        ("[local]\nids = 1", "2:7: ids: 1 is not a table. Fix: write [local.ids]"),
        ("[local.runtimes]\njava = 'java'", '2:8: runtimes: java: "java" is not a list. Fix: write one word of '),
        ("[local.runtimes]\njava = []", "2:8: runtimes: java: [] is not a list of words. Fix: write strings that "),
        ("[local.runtimes]\njava = ['']", '2:8: runtimes: java: [""] is not a list of words. Fix: '),
        ("[local.runtimes]\njava = [1]", "2:8: runtimes: java: [1] is not a list of words. Fix: "),
        (
            "[local.runtimes]\njava = ['a', '{hadler}']",
            '2:8: runtimes: java: "{hadler}": {hadler} is unknown; did ',
        ),
        (
            "[local.runtimes]\nJava = ['a']",
            "2:8: runtimes: Java: is not the beginning of a runtime. Fix: write one",
        ),
        (
            "[local.runtimes]\npython3.9 = ['a']",
            "a key with a dot is a table. Fix: write it in quotes",
        ),
        ("[local.functions]\nA = 1", "2:5: functions: A: 1 is not a string. Fix: write A = "),
        (
            "[local.functions]\nA = 'http://x'",
            '2:5: functions: A: "http://x" is not an http URL on this machine',
        ),
        ("[local.ids]\nA = 'a/b'", '2:5: ids: A: "a/b" is not an id or an ARN. Fix: write it as AWS shows it, as in'),
        ("[local.ids]\nA = 'arn:aws:x'", '2:5: ids: A: "arn:aws:x" is not an id or an ARN. Fix: write it as AWS shows'),
        ("[local.ids]\nA = 'abcd'\nB = 'abcd'", "3:5: ids: B: A has this id too. Fix: give each resource its own"),
        ("[local.ids]\nA = 'abcd'\nA = 'abce'", "local.toml:3:1: "),
        ("[local", "local.toml:1:"),
    ],
)
def test_fault_has_its_place_and_a_fix(tmp_path: Path, text: str, fault: str) -> None:
    (line,) = faults(tmp_path, text)
    assert line.startswith("local.toml:")
    assert fault in line


def test_every_fault_is_named(tmp_path: Path) -> None:
    found = faults(tmp_path, "[local.runtimes]\nJ = ['a']\n[local.ids]\nA = 1\nB = 2\n[other]\n")
    assert [line.split(": ")[0] for line in found] == [f"local.toml:{place}" for place in ("2:5", "4:5", "5:5", "6:2")]


def test_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "local.toml").mkdir()
    with pytest.raises(BadLocalFile, match="not a regular file but a folder"):
        read_local_file(tmp_path / "local.toml")


def test_name_that_the_template_does_not_have_is_a_fault(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    found.check_names(["OrdersApi", "Orders"], ["orders"])
    with pytest.raises(BadLocalFile) as caught:
        found.check_names(["OrderApi"], ["orders"])
    path = tmp_path / "local.toml"
    assert str(caught.value).splitlines() == [
        f'{path}:8:10: functions: Orders: the template has no such function; did you mean "orders"?',
        f'{path}:11:13: ids: OrdersApi: the template has no such resource; did you mean "OrderApi"?',
    ]
