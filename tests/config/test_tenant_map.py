"""The map's file format: what loads, and every way in which one does not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import TenantMap
from lattice_bridge.errors import InvalidMap
from tests.support.builders import MAP, OPEN, request, role, tenant_map
from tests.support.examples import examples

TENANTS = "[tenants]\nblue = {}\ngreen = {}\n"
ROLE = "arn:aws:iam::111122223333:role/api"


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidMap) as error:
        TenantMap.from_toml(text)
    assert (error.value.status, error.value.reason) == (500, "config_invalid")
    return error.value.faults


def rule(body: str, name: str = "r") -> str:
    return f'[[rule]]\nid = "{name}"\n{body}\n'


def rule_faults(body: str) -> str:
    return "\n".join(faults(TENANTS + rule(body)))


def test_map_loads() -> None:
    assert sorted(tenant_map().rules.tenants) == ["blue", "green", "old"]


def test_map_knows_the_hash_of_its_text() -> None:
    assert tenant_map().sha256 == hashlib.sha256(MAP.encode()).hexdigest()


def test_map_loads_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(MAP, encoding="utf-8")
    assert TenantMap.from_file(path).sha256 == tenant_map().sha256


def test_tables_of_the_settings_are_passed_over() -> None:
    assert TenantMap.from_toml(MAP + '[[backend]]\nfunction = "x"\n[lattice]\nservices = []\n').rules.tenants


@pytest.mark.parametrize(
    "body",
    [
        f'role = "{ROLE}"\ntenant = "blue"',
        f'role = "{ROLE}"\ntenants = ["blue", "green"]',
        f'role = "{ROLE}"\ntenants = "*"',
        f'role = "{ROLE}"\ndeny = true',
        'anyone = true\naccept_risk = "a closed network"\ntenant = "blue"',
        "anyone = true\ndeny = true",
        'role = "arn:aws-cn:iam::111122223333:role/teams/a/api"\ntenant = "blue"',
    ],
)
def test_rule_loads(body: str) -> None:
    assert TenantMap.from_toml(TENANTS + rule(body)).rules


# ---- the file -------------------------------------------------------------------------------------------------------


def test_file_that_is_not_there_is_an_invalid_map(tmp_path: Path) -> None:
    """Trap D4."""
    with pytest.raises(InvalidMap, match="No such file"):
        TenantMap.from_file(tmp_path / "none.toml")


def test_file_that_is_not_utf_8_is_an_invalid_map(tmp_path: Path) -> None:
    """Trap D4."""
    (tmp_path / "bridge.toml").write_bytes(MAP.encode() + b"# \xff")
    with pytest.raises(InvalidMap, match="not UTF-8"):
        TenantMap.from_file(tmp_path / "bridge.toml")


def test_directory_is_an_invalid_map(tmp_path: Path) -> None:
    with pytest.raises(InvalidMap):
        TenantMap.from_file(tmp_path)


@pytest.mark.parametrize("cut", range(1, 10))
def test_file_that_ends_inside_a_rule_does_not_load(cut: int) -> None:
    """Trap D4: half written."""
    text = TENANTS + rule(f'role = "{ROLE}"\ntenant = "blue"')
    assert faults(text[: len(text) - 1 - cut])


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n"])
def test_emptied_file_does_not_load(text: str) -> None:
    """Trap D4: an empty map would refuse every caller, and look intended."""
    assert faults(text)


def test_value_that_is_written_twice_does_not_load() -> None:
    assert "not TOML" in faults(TENANTS + "blue = {}\n")[0]


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 5000, "a = 2025-13-45", "a = '\x00'"])
def test_toml_that_its_own_parser_chokes_on_is_an_invalid_map(text: str) -> None:
    """Trap D3: the code that reloads a map catches InvalidMap, and nothing else."""
    assert faults(text)


# ---- the shape ------------------------------------------------------------------------------------------------------


def test_unknown_key_names_the_one_that_was_meant() -> None:
    assert 'rule "r": tennant: unknown key; did you mean tenant?' in rule_faults(f'role = "{ROLE}"\ntennant = "blue"')


@pytest.mark.parametrize("key", ["ip", "vpcs", "organisation", "claims", "roles", "allow"])
def test_condition_that_is_not_understood_is_never_ignored(key: str) -> None:
    """Trap D3: an ignored condition could allow a caller."""
    assert "unknown key" in rule_faults(f'role = "{ROLE}"\ntenant = "blue"\n{key} = "x"')


@pytest.mark.parametrize("key", ["vpc", "org", "service", "network", "session", "sso", "tenant_from", "template"])
def test_condition_that_cannot_be_one_is_never_ignored(key: str) -> None:
    """Trap D3."""
    assert key in rule_faults(f'role = "{ROLE}"\ntenant = "blue"\n{key} = "x"')


@pytest.mark.parametrize("table", ["[rules]", "[[rules]]", "[tenant]", "[registries]", "[defaults]"])
def test_unknown_table_is_never_ignored(table: str) -> None:
    assert "unknown key" in faults(MAP + table + "\nx = 1\n")[0]


@pytest.mark.parametrize(
    "body",
    [
        "role = 5",
        f'role = ["{ROLE}"]',
        f'role = "{ROLE}"\ntenant = 5',
        f'role = "{ROLE}"\ntenant = ["blue"]',
        f'role = "{ROLE}"\ntenants = [5]',
        f'role = "{ROLE}"\ntenants = true',
        f'role = "{ROLE}"\ndeny = "true"',
        f'role = "{ROLE}"\ndeny = 1',
        'anyone = "true"\ntenant = "blue"\naccept_risk = "x"',
        'anyone = true\ntenant = "blue"\naccept_risk = true',
    ],
)
def test_value_of_another_type_is_not_converted(body: str) -> None:
    assert rule_faults(body)


@pytest.mark.parametrize("entry", ['"active"', "true", '{ status = "Active" }', "{ status = 1 }", "{ x = 1 }", "[]"])
def test_tenants_entry_of_another_shape_does_not_load(entry: str) -> None:
    assert faults(f"[tenants]\nblue = {entry}\n")


@pytest.mark.parametrize("body", ['id = ""', "id = 5", ""])
def test_rule_without_an_id_does_not_load(body: str) -> None:
    assert faults(TENANTS + f'[[rule]]\n{body}\nrole = "{ROLE}"\ntenant = "blue"\n')


# ---- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('tenant = "blue"', "has none as its anchor. Fix: write exactly one of role,"),
        (f'role = "{ROLE}"\nanyone = true\naccept_risk = "x"\ntenant = "blue"', "has role and anyone"),
        (f'role = "{ROLE}"', "has none as its outcome. Fix: write exactly one of tenant,"),
        (f'role = "{ROLE}"\ndeny = false', "has none"),
        (f'role = "{ROLE}"\ntenant = "blue"\ndeny = true', "has tenant and deny"),
        (f'role = "{ROLE}"\ntenant = "blue"\ntenants = ["green"]', "has tenant and tenants"),
        (f'role = "{ROLE}"\ntenants = "*"\ndeny = true', "has tenants and deny"),
        (f'role = "{ROLE}"\ntenants = []', "tenants is empty"),
        (f'role = "{ROLE}"\ntenants = ["blue", "blue"]', "one tenant twice"),
        (f'role = "{ROLE}"\ntenants = "blue"', 'write tenant = "blue"'),
        (f'role = "{ROLE}"\ntenants = ["*"]', '"*" is not in [tenants]'),
        (f'role = "{ROLE}"\ntenant = "*"', '"*" is not in [tenants]'),
        (f'role = "{ROLE}"\ntenant = "blu"', 'did you mean "blue"?'),
        (f'role = "{ROLE}"\ntenant = "Blue"', '"Blue" is not in [tenants]; did you mean "blue"?'),
        (f'role = "{ROLE}"\ntenant = ""', '"" is not in [tenants]'),
        (f'role = "{ROLE}"\ntenant = "blue"\naccept_risk = "x"', "accept_risk acknowledges nothing"),
        ('anyone = true\ntenant = "blue"', "accept_risk"),
        ('anyone = true\ntenants = "*"\naccept_risk = ""', "accept_risk"),
        ('anyone = true\ntenants = "*"\naccept_risk = "  "', "accept_risk"),
    ],
)
def test_rule_that_could_mean_two_things_or_nothing_does_not_load(body: str, said: str) -> None:
    found = rule_faults(body)
    assert 'rule "r": ' in found
    assert said in found


@pytest.mark.parametrize(
    "written",
    [
        "*",
        "arn:aws:iam::*:role/api",
        "arn:aws:iam::111122223333:role/*",
        "arn:aws:sts::111122223333:assumed-role/*-acme",
        "arn:aws:sts::111122223333:assumed-role/api/*",
    ],
)
def test_role_with_a_wildcard_does_not_load(written: str) -> None:
    """Trap B7."""
    assert "*" in rule_faults(f'role = "{written}"\ntenant = "blue"')


@pytest.mark.parametrize(
    "written",
    [
        "",
        "api",
        "role/api",
        "arn:aws:iam::111122223333:user/api",
        "arn:aws:iam::111122223333:root",
        "arn:aws:sts::111122223333:assumed-role/api/s1",
        "arn:aws:iam::111122223333:assumed-role/api/s1",
        "arn:aws:iam:::role/api",
        "arn:aws:iam::11112222333:role/api",
        "arn:aws:iam::111122223333:role/api ",
        "arn:aws:iam::111122223333:role/api\\n",
        "arn:aws:iam::111122223333:role/\\u212aey",
    ],
)
def test_role_that_is_not_written_as_iam_does_does_not_load(written: str) -> None:
    """Trap B12."""
    assert "as IAM does, as in arn:aws:iam::" in rule_faults(f'role = "{written}"\ntenant = "blue"')


@pytest.mark.parametrize("other", [ROLE, ROLE.replace("api", "API"), ROLE.replace("role/api", "role/team/api")])
def test_two_rules_for_the_same_callers_do_not_load(other: str) -> None:
    """Trap D2: also when case or path hide it."""
    text = TENANTS + rule(f'role = "{ROLE}"\ntenant = "blue"', "a") + rule(f'role = "{other}"\ntenant = "green"', "b")
    assert faults(text) == ('rule "b": rule "a" is for the same callers. Fix: make one rule of the two',)


def test_two_rules_for_anyone_do_not_load() -> None:
    """Trap D2."""
    assert "same callers" in faults(TENANTS + OPEN + OPEN.replace('"open"', '"also"'))[0]


def test_two_deny_rules_for_the_same_callers_do_not_load() -> None:
    """Trap D2."""
    text = TENANTS + rule(f'role = "{ROLE}"\ndeny = true', "a") + rule(f'role = "{ROLE}"\ndeny = true', "b")
    assert "same callers" in faults(text)[0]


def test_roles_of_one_name_in_two_accounts_and_two_partitions_are_three_rules() -> None:
    """Traps B3, B4."""
    roles = [ROLE, ROLE.replace("111122223333", "444455556666"), ROLE.replace("aws", "aws-cn")]
    text = TENANTS + "".join(rule(f'role = "{one}"\ntenant = "blue"', f"r{n}") for n, one in enumerate(roles))
    assert len(TenantMap.from_toml(text).rules.owners) == 3


def test_two_rules_of_one_id_do_not_load() -> None:
    text = TENANTS + rule(f'role = "{ROLE}"\ntenant = "blue"') + rule(f'role = "{ROLE}2"\ntenant = "blue"')
    assert "another rule has this id" in faults(text)[0]


def test_one_bad_rule_refuses_the_whole_map() -> None:
    """Trap D3."""
    assert len(faults(MAP + rule("role = 'x'\ntenant = 'blue'"))) == 1


def test_all_faults_are_listed_at_once() -> None:
    found = faults(
        '[header]\nname = "cookie"\n[tenants]\n"a b" = {}\n'
        + rule('role = "x"\ntenant = "none"', "a")
        + rule("anyone = true", "b")
        + rule(f'role = "{ROLE}*"\ndeny = true', "a")
    )
    assert [fault.split(":")[0] for fault in found] == [
        "header",
        "tenants",
        'rule "a"',
        'rule "a"',
        'rule "b"',
        'rule "b"',
        'rule "a"',
        'rule "a"',
    ]


# ---- tenants and header ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " ", "a b", " a", "a\\n", "é", "*", "-a", "a,b", "a" * 257])
def test_tenant_that_lambda_would_not_take_does_not_load(name: str) -> None:
    """Trap A10."""
    assert "is not a tenant id" in faults(f'[tenants]\n"{name}" = {{}}\n')[0]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x tenant",
        "x:tenant",
        "x_tenant_id",
        "é",
        "Authorization",
        "x-amz-security-token",
        "cookie",
        "Host",
        "connection",
        "transfer-encoding",
        "x-request-id",
        "x-lattice-bridge-hops",
        "x-amzn-lattice-identity",
        "X-Amzn-Lattice-Tenant",
    ],
)
def test_tenant_header_with_another_meaning_does_not_load(name: str) -> None:
    """Trap A6."""
    assert faults(f'{MAP}[header]\nname = "{name}"\n')[0].startswith("header: name")


def test_tenant_headers_name_is_folded() -> None:
    assert tenant_map('[header]\nname = "X-Org"\n').rules.header == "x-org"


# ---- properties -----------------------------------------------------------------------------------------------------

toml_text = st.lists(
    st.sampled_from(["[tenants]\n", "blue = {}\n", "[[rule]]\n", 'id = "r"\n', "anyone = true\n", 'tenants = "*"\n'])
    | st.sampled_from(['accept_risk = "x"\n', f'role = "{ROLE}"\n', 'tenant = "blue"\n', "deny = true\n", "[header]\n"])
    | st.text(max_size=10),
    max_size=12,
).map("".join)


@settings(deadline=None, max_examples=examples(100))
@given(toml_text)
def test_any_text_is_a_map_or_an_invalid_map(text: str) -> None:
    try:
        loaded = TenantMap.from_toml(text)
    except InvalidMap as invalid:
        assert invalid.faults  # noqa: PT017 - both ways are right, a third is not
    else:
        assert not loaded.decide(request(role("stranger"), ("x-tenant-id", "blue"))).allowed


def test_table_that_does_not_fit_does_not_hide_the_faults_of_the_others() -> None:
    text = """
    lattise = 1
    tenants = { blue = { stat = 1 }, green = {} }
    [[rule]]
    id = "one"
    roles = "x"
    tenant = "blue"
    [[rule]]
    id = "two"
    anyone = true
    tenant = "gren"
    """
    with pytest.raises(InvalidMap) as caught:
        TenantMap.from_toml(text)
    assert caught.value.faults == (
        "lattise: unknown key; did you mean lattice?",
        'tenants "blue": stat: unknown key; did you mean status?',
        'rule "one": roles: unknown key; did you mean role?',
        'rule "two": anyone = true admits unauthenticated callers. '
        'Fix: if this is intended, set accept_risk = "reason"',
        'rule "two": tenant "gren" is not in [tenants]; did you mean "green"?',
    )
