"""Differences that could allow a caller, stated claims, and commands that read files as the bridge does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lattice_bridge.config.settings import Settings
from lattice_bridge.errors import InvalidMap
from tests.support.builders import ACCOUNT, MAP, SERVICE, VPC, role, v2
from tests.support.commands import BOX, assert_harmless, explained, read, seen, written
from tests.support.paths import ROOT
from tests.support.rules import BOTH, HEAD, ROLE, rule

# ---- no difference that could allow a caller is left out -------------------------------------------------------------

WHOLE = f"""
[[backend]]
function = "orders:live"

[lattice]
services = ["{SERVICE}"]

[tenants]
blue = {{}}
green = {{}}

[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
jwks_url = "https://issuer.example/keys"

[[rule]]
id = "users"
jwt = "corp"
tenant_from = "claim"
claim = ["app/tenant"]

[[rule]]
id = "api"
role = "arn:aws:iam::{ACCOUNT}:role/api"
tenant = "blue"

[[rule]]
id = "account"
account = "{ACCOUNT}"
tenants = "*"
"""
API_RULE = WHOLE[WHOLE.index('[[rule]]\nid = "api"') : WHOLE.index('[[rule]]\nid = "account"')]


@pytest.mark.parametrize(
    ("old", "new", "subject"),
    [
        ("issuer.example/keys", "evil.example/keys", "jwt.corp.jwks_url"),
        ('issuer = "https://issuer.example"', 'issuer = "https://evil.example"', "jwt.corp.issuer"),
        ('audience = ["orders"]', 'audience = ["orders", "all"]', "jwt.corp.audience"),
        (f'services = ["{SERVICE}"]', "", "lattice.services"),
        ("[tenants]", '[header]\nname = "x-other"\n[tenants]', "header.name"),
        ('["app/tenant"]', '["app", "tenant"]', "jwt corp"),
        ('["app/tenant"]', '["app/tenant"]\nclaim_is_list = true', "jwt corp"),
        ('"orders:live"', '"orders:live"\nisolated = false', "backend /.isolated"),
        ('"orders:live"', '"orders"', "backend /.function"),
        ("[tenants]", "[map]\nrefresh = 86400\n[tenants]", "map.refresh"),
    ],
)
def test_change_that_admits_a_caller_is_a_difference(tmp_path: Path, old: str, new: str, subject: str) -> None:
    assert old in WHOLE
    before = written(tmp_path / "old.toml", WHOLE)
    after = written(tmp_path / "new.toml", WHOLE.replace(old, new, 1))
    done = read("diff", before, after)
    assert done.exit_code == 1
    assert subject in done.output
    assert read("diff", before, before).exit_code == 0


def test_role_that_falls_to_a_broader_rule_gains_its_tenants(tmp_path: Path) -> None:
    before, after = written(tmp_path / "old.toml", WHOLE), written(tmp_path / "new.toml", WHOLE.replace(API_RULE, ""))
    assert f"gains\trole api of {ACCOUNT}\tblue\tany registered tenant" in read("diff", before, after).output


def test_removed_deny_of_an_account_restores_its_roles(tmp_path: Path) -> None:
    denied = f'[[rule]]\nid = "no"\naccount = "{ACCOUNT}"\ndeny = true\n'
    before, after = written(tmp_path / "old.toml", WHOLE + denied), written(tmp_path / "new.toml", WHOLE)
    assert f"gains\trole api of {ACCOUNT}\trefused: denied\tblue" in read("diff", before, after).output


def test_role_that_falls_to_a_vpc_rule_is_reported(tmp_path: Path) -> None:
    base = "[tenants]\nblue = {}\ngreen = {}\n"
    base += f'[[rule]]\nid = "vpc"\nvpc = "{VPC}"\ntenant = "green"\naccept_risk = "x"\n'
    before, after = written(tmp_path / "old.toml", base + API_RULE), written(tmp_path / "new.toml", base)
    [line, _] = read("diff", before, after).output.splitlines()
    assert line.startswith(f"changes\trole api of {ACCOUNT}\tblue\trefused, but from vpc-")


@pytest.mark.parametrize("text", ["", "{}\n", '{"not": "an event"}\n\n'])
def test_events_that_cannot_be_compared_exit_with_2(tmp_path: Path, text: str) -> None:
    path, events = written(tmp_path / "map.toml", WHOLE), written(tmp_path / "events.jsonl", text)
    assert read("diff", path, path, "--events", events).exit_code == 2


def test_line_separator_inside_an_event_is_no_line_end(tmp_path: Path) -> None:
    line = json.dumps(v2(role("api"), path="/\u2028"), ensure_ascii=False)
    path, events = written(tmp_path / "map.toml", WHOLE), written(tmp_path / "events.jsonl", line + "\n")
    assert read("diff", path, path, "--events", events).exit_code in (0, 2)
    assert "not JSON" not in read("diff", path, path, "--events", events).output


# ---- commands read what the bridge reads ----------------------------------------------------------------------------


def test_carriage_return_alone_is_no_line_end(tmp_path: Path) -> None:
    """A comment that the bridge calls invalid must not be a rule for `check`."""
    hidden = f'# note\r[[rule]]\rid = "x"\rrole = "arn:aws:iam::{ACCOUNT}:role/evil"\rtenant = "green"\r\n'
    path = tmp_path / "map.toml"
    path.write_bytes((MAP + hidden).encode())
    for command in (("check", str(path)), ("compile", str(path)), ("who", "green", "--map", str(path))):
        assert read(*command).exit_code == 1
    assert not (tmp_path / "map.json").exists()


def test_configuration_without_a_rule_is_no_good_one(tmp_path: Path) -> None:
    path = written(tmp_path / "bridge.toml", '[[backend]]\nfunction = "f"\n[tenants]\nblue = {}\n')
    for command in ("check", "compile"):
        done = read(command, path)
        assert (done.exit_code, "no [[rule]]" in done.output) == (1, True)
    assert not (tmp_path / "bridge.json").exists()


def test_empty_list_of_backends_is_refused(tmp_path: Path) -> None:
    """check and compile say what the bridge says."""
    path = written(tmp_path / "bridge.toml", "backend = []\n" + MAP)
    for command in ("check", "compile"):
        done = read(command, path)
        assert (done.exit_code, "no [[backend]]" in done.output) == (1, True)
    with pytest.raises(InvalidMap, match=r"no \[\[backend\]\]"):
        Settings.from_text(Path(path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lattice", ['service = ["x"]', 'services = [["x"]]', 'services = "x"', "set_cookie = 3"])
def test_invalid_configuration_explains_nothing(tmp_path: Path, lattice: str) -> None:
    path = written(tmp_path / "bridge.toml", f"{MAP}\n[lattice]\n{lattice}\n")
    event = written(tmp_path / "event.json", json.dumps(v2(role("blue-api"))))
    for command in (("explain", event, "--map", path), ("who", "blue", "--map", path), ("diff", path, path)):
        done = read(*command)
        assert (done.exit_code, "lattice" in done.output) == (1, True)


def test_claims_may_be_stated_in_place_of_a_token(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", WHOLE)
    blue = 'corp={"app/tenant": "blue"}'
    alone = explained(path, "--claims", blue)
    assert (alone["tenant"], alone["sources"][0]["rule"]) == ("blue", "users")
    both = explained(path, "--principal", role("api"), "--claims", blue)
    assert (both["tenant"], [source["rule"] for source in both["sources"]]) == ("blue", ["api", "users"])
    apart = explained(path, "--principal", role("api"), "--claims", 'corp={"app/tenant": "green"}')
    assert (apart["allowed"], apart["reason"]) == (False, "conflict")


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ("kiosk={}", "is not an issuer of this map. Fix: write one of corp"),
        ("corp", "--claims corp: not JSON"),
        ("corp=[1]", """not an object. Fix: write one, as in corp='{"sub": "ann"}'"""),
    ],
)
def test_claims_that_are_none_are_told(tmp_path: Path, claims: str, message: str) -> None:
    found = read("explain", "--map", written(tmp_path / "map.toml", WHOLE), "--claims", claims)
    assert (found.exit_code, message in found.stderr) == (2, True), found.stderr


# ---- recorded requests ----------------------------------------------------------------------------------------------


def test_folder_of_recorded_requests_is_replayed(tmp_path: Path) -> None:
    """As `local --record` writes it: the event, and the reply beside it."""
    old = written(tmp_path / "old.toml", MAP)
    new = written(tmp_path / "new.toml", MAP.replace('tenant = "blue"', 'tenant = "green"'))
    (tmp_path / "recorded").mkdir()
    written(tmp_path / "recorded" / "0001-get.json", json.dumps(v2(role("blue-api"))))
    written(tmp_path / "recorded" / "0001-get.expected.json", '{"reply": {"statusCode": 200}}')
    done = read("diff", old, new, "--events", str(tmp_path / "recorded"))
    assert done.output.splitlines() == [
        "changes\tGET /orders (lattice-1)\tblue\tgreen",
        "1 decision differs: gains 0, loses 0, changes 1",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("notes.txt", "", "contains no NAME.json. Fix: "),
        ("a.json", "{", "a.json is not JSON"),
        ("a.json", "[]", "contains no event"),
    ],
)
def test_folder_without_an_event_is_wrong_usage(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = written(tmp_path / "map.toml", MAP)
    (tmp_path / "recorded").mkdir()
    written(tmp_path / "recorded" / name, text)
    done = read("diff", path, path, "--events", str(tmp_path / "recorded"))
    assert done.exit_code == 2
    assert message in done.stderr


# ---- on a terminal and in a pipe ------------------------------------------------------------------------------------


@pytest.fixture
def before_and_after(tmp_path: Path) -> tuple[str, str]:
    """One gains, one loses, one changes."""
    after = MAP.replace('role/leaked"\ndeny = true', 'role/leaked"\ntenant = "blue"')
    after = after.replace('role/blue-api"\ntenant = "blue"', 'role/blue-api"\ntenant = "green"')
    after = after.replace('role/leaver"\ntenant = "old"', 'role/leaver"\ndeny = true')
    return written(tmp_path / "old.toml", MAP), written(tmp_path / "new.toml", after)


def test_differences_kind_is_coloured_on_a_terminal(before_and_after: tuple[str, str]) -> None:
    screen = seen("diff", *before_and_after)
    for colour, kind in ((32, "gains"), (31, "loses"), (33, "changes")):
        assert f"\x1b[{colour}m{kind}" in screen
    assert BOX in screen
    assert "3 changes: gains 1, loses 1, changes 1" in screen


def test_differences_that_are_piped_are_one_a_line(before_and_after: tuple[str, str]) -> None:
    done = read("diff", *before_and_after)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"changes\trole blue-api of {ACCOUNT}\tblue\tgreen",
        f"loses\trole leaver of {ACCOUNT}\told\trefused: denied",
        f"gains\trole leaked of {ACCOUNT}\trefused: denied\tblue",
        "3 changes: gains 1, loses 1, changes 1",
    ]


def test_no_difference_is_said(before_and_after: tuple[str, str]) -> None:
    old, _ = before_and_after
    assert read("diff", old, old).output == "no change\n"


def test_control_characters_of_a_map_are_escaped(tmp_path: Path) -> None:
    template = 'tenant_from = "session"\nsession_set_by = "x"\ntemplate = "[bold]\\u001b]0;x\\u0007{tenant}"'
    old = written(tmp_path / "old.toml", MAP)
    new = written(tmp_path / "new.toml", MAP.replace('tenants = "*"', template))
    for shown in (seen("diff", old, new, NO_COLOR="1", columns=200), read("diff", old, new).output):
        assert_harmless(shown)
        assert "session as [bold]\\x1b]0;x\\x07" in shown


def test_tenant_that_is_suspended_is_a_difference(tmp_path: Path) -> None:
    tenants, text = written(tmp_path / "map.toml", MAP), MAP
    new = written(tmp_path / "new.toml", text.replace("blue = {}", 'blue = { status = "suspended" }', 1))
    assert read("diff", tenants, new).output.splitlines()[:-1] == [
        "loses\trequests for blue\tactive\trefused: suspended"
    ]


def test_removed_service_is_a_difference_of_its_requests(tmp_path: Path) -> None:
    backend = '[[backend]]\nfunction = "f"\n'
    old = written(tmp_path / "old.toml", backend + MAP)
    new = written(tmp_path / "new.toml", f'[lattice]\nservices = ["{SERVICE}x"]\n{backend}{MAP}')
    events = written(tmp_path / "events.jsonl", json.dumps(v2(role("blue-api"))) + "\n")
    assert read("diff", old, new, "--events", events).output.splitlines()[0] == (
        "loses\tGET /orders (lattice-1)\tblue\trefused: service_not_allowed"
    )


def test_pipe_gets_no_colour_and_no_table(before_and_after: tuple[str, str]) -> None:
    """In a process of its own, with variables that ask for colour; tests/cli/test_conventions.py has all commands."""
    environ = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "lattice_bridge", "diff", *before_and_after]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=60, check=False)
    explained = read("explain", "--map", before_and_after[0], "--principal", role("blue-api"), environ=environ)
    for shown in (done.stdout, explained.output):
        assert shown
        assert not {"\x1b", BOX} & set(shown)


# ---- changed rules, and recorded requests ----------------------------------------------------------------------------

ORG = 'org = "o-a1b2c3d4e5"'
VPCS = 'vpc = "vpc-0b8276c84697e7339"'
MORE_VPCS = 'vpc = ["vpc-0b8276c84697e7339", "vpc-1b8276c84697e7339"]'


def differ(folder: Path, old: str, new: str, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    (folder / "old.toml").write_text(HEAD + old)
    (folder / "new.toml").write_text(HEAD + new)
    done = read("diff", str(folder / "old.toml"), str(folder / "new.toml"), "--json", *arguments)
    return done.exit_code, json.loads(done.output)


def test_same_rules_in_another_order_are_no_difference(tmp_path: Path) -> None:
    one, two = rule("one", f'{ROLE}one"\ntenant = "blue"'), rule("two", f'{ROLE}two"\ntenant = "green"')
    assert differ(tmp_path, one + two, two + one) == (0, [])


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("", f'{ROLE}a"\ntenant = "blue"', "gains"),
        (f'{ROLE}a"\ntenant = "blue"', "", "loses"),
        (f'{ROLE}a"\ntenant = "blue"', f'{ROLE}a"\ntenant = "green"', "changes"),
        (f'{ROLE}a"\ntenant = "blue"', f'{ROLE}a"\ntenants = "*"', "gains"),
        (f'{ROLE}a"\ntenants = "*"', f'{ROLE}a"\ntenant = "blue"', "loses"),
        (f'{ROLE}a"\ntenants = ["blue", "green"]', f'{ROLE}a"\ntenant = "blue"', "loses"),
        (f'{ROLE}a"\ntenant = "blue"', f'{ROLE}a"\ntenant = "blue"\n{ORG}', "loses"),
        (f'{ROLE}a"\ntenant = "blue"\n{ORG}', f'{ROLE}a"\ntenant = "blue"', "gains"),
        (f'{ROLE}a"\ntenants = "*"\n{ORG}', f'{ROLE}a"\ntenants = "*"', "gains"),
        (f'{ROLE}a"\ntenant = "blue"\n{ORG}', f'{ROLE}a"\ntenant = "blue"\n{VPCS}', "changes"),
        (f'{ROLE}a"\ntenant = "blue"\n{VPCS}', f'{ROLE}a"\ntenant = "blue"\n{MORE_VPCS}', "gains"),
        (f'{ROLE}a"\ntenant = "blue"\n{MORE_VPCS}', f'{ROLE}a"\ntenant = "blue"\n{VPCS}', "loses"),
        (f'{ROLE}a"\ntenant = "blue"\n{ORG}', f'{ROLE}a"\ntenant = "green"', "changes"),
        (f'{ROLE}a"\ntenant = "blue"\n{ORG}', f'{ROLE}a"\ntenants = ["blue", "green"]', "gains"),
        (f'{ROLE}a"\ntenant = "blue"', f'{ROLE}a"\ndeny = true', "loses"),
        (
            f'{ROLE}a"\ntenant = "blue"',
            f'{ROLE}a"\ntenant_from = "session"\nsession_set_by = "x"\ntemplate = "t-{{tenant}}"',
            "changes",
        ),
    ],
)
def test_changed_rule_is_a_difference(tmp_path: Path, old: str, new: str, kind: str) -> None:
    code, changes = differ(tmp_path, BOTH + (rule("a", old) if old else ""), BOTH + (rule("a", new) if new else ""))
    assert (code, [change["kind"] for change in changes]) == (1, [kind])
    assert changes[0]["subject"] == f"role a of {ACCOUNT}"


def test_recorded_requests_are_replayed(tmp_path: Path) -> None:
    events = [v2(role("a")), v2(role("b")), {"not": "an event"}, v2(role("both"), headers={"x-tenant-id": "blue"})]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n\n")
    old, new = rule("a", f'{ROLE}a"\ntenant = "blue"'), rule("a", f'{ROLE}a"\ntenant = "green"')
    more = rule("acct", f'account = "{ACCOUNT}"\ntenant = "blue"')
    code, changes = differ(tmp_path, BOTH + old, BOTH + new + more, "--events", str(tmp_path / "events.jsonl"))
    assert code == 1
    assert [(change["kind"], change["before"], change["after"]) for change in changes] == [
        ("changes", "blue", "green"),
        ("gains", "refused: no_rule", "blue"),
    ]


def test_one_event_on_several_lines_is_replayed(tmp_path: Path) -> None:
    """`event new` prints it so."""
    (tmp_path / "event.json").write_text(json.dumps(v2(role("a")), indent=2) + "\n")
    old, new = rule("a", f'{ROLE}a"\ntenant = "blue"'), rule("a", f'{ROLE}a"\ntenant = "green"')
    code, changes = differ(tmp_path, BOTH + old, BOTH + new, "--events", str(tmp_path / "event.json"))
    assert (code, [change["after"] for change in changes]) == (1, ["green"])


def test_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("{}\nnot json\n")
    path = written(tmp_path / "map.toml", HEAD + BOTH)
    done = read("diff", path, path, "--events", str(tmp_path / "events.jsonl"))
    assert done.exit_code == 2
    assert "events.jsonl:2: not JSON" in done.output
