"""Warnings and the map's own tests, and the command that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.root import root
from lattice_bridge.review.check import findings_of
from tests.support.builders import ACCOUNT, role
from tests.support.paths import ROOT
from tests.support.rules import BOTH, HEAD, ROLE, rule


def said(*parts: str) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in findings_of("".join((HEAD, *parts)))]


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(root, list(arguments), input=stdin, catch_exceptions=False)


def written(folder: Path, *parts: str) -> str:
    path = folder / "map.toml"
    path.write_text("".join((HEAD, *parts)))
    return str(path)


# ---- warnings -------------------------------------------------------------------------------------------------------


def test_clean_map_has_no_findings() -> None:
    assert said(BOTH) == []


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([rule("a", f'{ROLE}team/a"\ntenant = "blue"')], f'rule "a": the path in "arn:aws:iam::{ACCOUNT}:role/team/a"'),
        ([rule("a", f'account = "{ACCOUNT}"\ntenant = "blue"')], 'rule "a": allows every principal of the account'),
        (
            [rule("a", 'vpc = "vpc-0b8276c84697e7339"\ntenant = "blue"\naccept_risk = "x"')],
            'rule "a": allows everything that runs in the VPC',
        ),
        (
            [rule("a", 'anyone = true\ntenant = "blue"\naccept_risk = "x"')],
            'rule "a": allows unauthenticated callers',
        ),
    ],
)
def test_rule_that_allows_more_than_it_seems_is_a_warning(parts: list[str], text: str) -> None:
    """Trap B5."""
    found = said(BOTH, *parts)
    assert [level for level, _ in found] == ["warning"]
    assert found[0][1].startswith(text)


def test_fix_of_a_role_with_a_path_is_the_role_without_it() -> None:
    ((_, warned),) = said(BOTH, rule("a", f'{ROLE}team/a"\ntenant = "blue"'))
    assert warned.endswith(f'Fix: write "arn:aws:iam::{ACCOUNT}:role/a"')


@pytest.mark.parametrize(
    ("allowed", "denied"),
    [
        (f'{ROLE}a-b"', f'{ROLE}a-b"'),
        (f'{ROLE}a-b"', f'{ROLE}a-*"'),
        (f'{ROLE}a-b"', f'account = "{ACCOUNT}"'),
        (f'{ROLE}a-b-*"', f'{ROLE}a-*"'),
        (f'{ROLE}a"\nsession = "s-1"\nsession_set_by = "x"', f'{ROLE}a"'),
        (f'sso = {{ account = "{ACCOUNT}", permission_set = "Dev" }}', f'account = "{ACCOUNT}"'),
        (f'user = "arn:aws:iam::{ACCOUNT}:user/ann"', f'account = "{ACCOUNT}"'),
    ],
)
def test_rule_whose_callers_are_all_denied_is_a_warning(allowed: str, denied: str) -> None:
    found = said(BOTH, rule("a", f'{allowed}\ntenant = "blue"'), rule("no", f"{denied}\ndeny = true"))
    assert (
        "warning",
        'rule "a": is never reached, since rule "no" denies all its callers. Fix: remove one of the two',
    ) in found


@pytest.mark.parametrize(
    "denied", [f'{ROLE}a-*"', f'{ROLE}b"', f'{ROLE}a"\nsession = "s-1"', f'{ROLE}a"\norg = "o-a1b2c3d4e5"']
)
def test_rule_with_some_callers_allowed_is_no_warning(denied: str) -> None:
    found = said(BOTH, rule("a", f'{ROLE}a"\ntenant = "blue"'), rule("no", f"{denied}\ndeny = true"))
    assert not any("never reached" in text for _, text in found)


@pytest.mark.parametrize(("one", "other"), [("acme", "Acme"), ("tenant-l", "tenant-1"), ("t0", "to"), ("a_b", "a-b")])
def test_similar_tenant_ids_are_a_warning(one: str, other: str) -> None:
    text = f"[tenants]\n{one} = {{}}\n{other} = {{}}\n" + rule("r", f'{ROLE}r"\ntenants = "*"')
    assert [finding.text for finding in findings_of(text)] == [f"tenants {one}, {other} are easy to confuse"]


def test_unreached_tenant_is_a_warning() -> None:
    assert said(rule("a", f'{ROLE}a"\ntenant = "blue"')) == [
        ("warning", "tenant green is registered, but no rule allows it")
    ]


def test_map_that_does_not_load_has_its_faults_and_no_warnings() -> None:
    found = said(rule("a", f'{ROLE}a"\ntenant = "bleu"'))
    assert found == [("error", 'rule "a": tenant "bleu" is not in [tenants]; did you mean "blue"?')]


# ---- the map's own tests --------------------------------------------------------------------------------------------


def own_test(principal: str, expect: str, **more: str) -> str:
    lines = {"principal": principal, "expect": expect, **more}
    return "[[test]]\n" + "".join(f'{key} = "{value}"\n' for key, value in lines.items())


@pytest.mark.parametrize(
    "test",
    [
        own_test(role("both"), "blue", header="blue"),
        own_test(role("both"), "refused"),
        own_test(role("both"), "refused: ambiguous"),
        own_test(role("both", "444455556666"), "refused: no_rule"),
    ],
)
def test_passing_test_gives_no_finding(test: str) -> None:
    assert said(BOTH, test) == []


@pytest.mark.parametrize(
    ("test", "gets"),
    [
        (own_test(role("both"), "green", header="blue"), "expects green, gets blue"),
        (own_test(role("both"), "refused", header="blue"), "expects refused, gets blue"),
        (own_test(role("both"), "refused: no_rule"), "expects refused: no_rule, gets refused: ambiguous"),
        (own_test("unknown", "blue"), "gets no decision"),
    ],
)
def test_failing_test_is_an_error_with_the_actual_outcome(test: str, gets: str) -> None:
    ((level, text),) = said(BOTH, test)
    assert level == "error"
    assert gets in text


def test_test_table_with_an_unknown_key_is_a_fault() -> None:
    ((_, text),) = said(BOTH, own_test(role("both"), "blue", heder="blue"))
    assert text == "test number 1: heder: unknown key; did you mean header?"


def test_projects_own_maps_hold_their_tests() -> None:
    folder = ROOT
    for name in ("bridge.toml", "examples/open.toml"):
        found = findings_of((folder / name).read_text())
        assert [finding for finding in found if finding.level == "error"] == []


# ---- commands -------------------------------------------------------------------------------------------------------


def test_check_exits_with_0_for_a_good_map_and_1_for_a_bad_one(tmp_path: Path) -> None:
    good = run("check", written(tmp_path, BOTH))
    assert (good.exit_code, good.output.strip().rpartition(": ")[2]) == (0, "no errors, no warnings")
    bad = run("check", written(tmp_path, BOTH, rule("a", f'{ROLE}a"\ntenant = "bleu"')))
    assert bad.exit_code == 1
    assert 'did you mean "blue"?' in bad.output
    assert run("check", str(tmp_path / "nothing.toml")).exit_code == 2


def test_warnings_fail_only_with_strict(tmp_path: Path) -> None:
    path = written(tmp_path, BOTH, rule("a", f'account = "{ACCOUNT}"\ntenant = "blue"'))
    assert (run("check", path).exit_code, run("check", path, "--strict").exit_code) == (0, 1)


def test_check_prints_json_and_sarif(tmp_path: Path) -> None:
    path = written(tmp_path, BOTH, rule("a", f'account = "{ACCOUNT}"\ntenant = "blue"'))
    (found,) = json.loads(run("check", path, "--format", "json").output)
    assert (found["level"], found["subject"], found["file"]) == ("warning", "a", path)
    report = json.loads(run("check", path, "--format", "sarif").output)
    (result,) = report["runs"][0]["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (found["line"], found["column"])
    line = Path(path).read_text().splitlines()[found["line"] - 1]
    assert line[found["column"] - 1 :] == f'"{ACCOUNT}"'


def test_check_finds_faults_in_other_tables(tmp_path: Path) -> None:
    """A file that the bridge would answer 503 for is not a good one."""
    path = written(tmp_path, BOTH, '[[backend]]\nfuncton = "x"\n')
    done = run("check", path)
    assert done.exit_code == 1
    assert "did you mean function?" in done.output


def test_test_with_deep_claims_is_described_briefly() -> None:
    """Trap D9."""
    deep = 'expect = "x"\nclaims.corp.' + ".".join(["a"] * 2000) + " = 1\n"
    found = findings_of(f"{HEAD}[[test]]\n{deep}")
    assert found
    assert all(len(finding.text) < 500 for finding in found)
