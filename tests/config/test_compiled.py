"""Maps that were compiled: the same decisions, in a form that cannot be cut off or edited."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

import lattice_bridge
from lattice_bridge import TenantMap
from lattice_bridge.cli.root import root
from lattice_bridge.config.code_hash import FILE, NOT_DEPLOYED, code_hash, hash_of
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import FORMAT, parse_document, sealed, sha256_of
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tenant_map import HERE
from lattice_bridge.errors import InvalidMap
from tests.support.token_builder import jwk, key_set

EVERYTHING = """
[[backend]]
function = "orders:live"

[lattice]
set_cookie = "headers"

[reply]
drop_headers = ["set-cookie", "etag"]

[log]
caller = "full"

[header]
name = "x-customer"

[tenants]
blue = {}
green = {}
old = { status = "suspended" }

[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
jwks_url = "https://issuer.example/keys"
header = "x-id-token"

[[rule]]
id = "role"
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "blue"

[[rule]]
id = "session"
role = "arn:aws:iam::111122223333:role/blue-api"
session = "i-1"
session_set_by = "EC2"
tenant = "green"

[[rule]]
id = "prefix"
role = "arn:aws-cn:iam::111122223333:role/team-*"
vpc = ["vpc-0b8276c84697e7339", "vpc-0b8276c84697e7330"]
tenants = ["blue", "green"]

[[rule]]
id = "sso"
sso = { account = "111122223333", permission_set = "Support" }
org = "o-a1b2c3d4e5"
tenants = "*"

[[rule]]
id = "broker"
role = "arn:aws:iam::111122223333:role/broker"
tenant_from = "session"
template = "t-{tenant}"
session_set_by = "the broker"

[[rule]]
id = "edge"
role = "arn:aws:iam::111122223333:role/edge"
tenant_from = "x509_san_uri"
template = "spiffe://example.org/t/{tenant}/api"
x509_set_by = "Roles Anywhere"

[[rule]]
id = "users"
jwt = "corp"
tenant_from = "claim"
claim = ["app", "tenants"]
claim_is_list = true

[[rule]]
id = "leaked"
role = "arn:aws:iam::111122223333:role/blue-api"
session = "i-2"
deny = true

[[rule]]
id = "leaked elsewhere"
role = "arn:aws:iam::111122223333:role/blue-api"
vpc = "vpc-0b8276c84697e7339"
deny = true

[[rule]]
id = "leaked there"
role = "arn:aws:iam::111122223333:role/blue-api"
vpc = "vpc-0b8276c84697e7338"
deny = true

[[rule]]
id = "root"
root = "arn:aws:iam::111122223333:root"
tenant = "blue"

[[rule]]
id = "anyone"
anyone = true
accept_risk = "a test"
tenant = "old"

[[test]]
principal = "arn:aws:sts::111122223333:assumed-role/blue-api/i-7"
vpc = "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-00000000000000000"
expect = "blue"
"""


def compiled(text: str = EVERYTHING) -> str:
    document = parse_document(text)
    return compile_document(document, Path())


def loaded(text: str) -> TenantMap:
    return TenantMap.from_document(parse_document(text))


def refusal(text: str) -> str:
    with pytest.raises(InvalidMap) as caught:
        loaded(text)
    return caught.value.detail


def test_compiled_map_has_the_rules_that_were_written() -> None:
    assert loaded(compiled()).rules == TenantMap.from_toml(EVERYTHING).rules


def test_settings_of_a_compiled_configuration_are_the_same() -> None:
    written, made = Settings.from_text(EVERYTHING), Settings.from_text(compiled())
    assert made.options == written.options
    assert made.options.set_cookie == "headers"
    assert made.options.drop_headers == {"set-cookie", "etag"}
    assert made.options.log_caller == "full"


def test_compiled_prefix_for_several_permission_sets_does_not_load() -> None:
    """Trap B9: older versions compiled `AWSReservedSSO_Support_*`, which is for Support_ReadOnly too."""
    role = "arn:aws:iam::111122223333:role"
    rule = f'[[rule]]\nid = "ops"\nrole = "{role}/ops-*"\n'
    for outcome, loads in (('tenant = "blue"', False), ("deny = true", True)):
        members = json.loads(compile_document(parse_document(f"{EVERYTHING}\n{rule}{outcome}\n"), HERE))
        keys = members["owners" if loads is False else "denials"]["role-prefix"]["aws"]["111122223333"]
        keys["awsreservedsso_support_"] = keys.pop("ops-")
        del members["sha256"]
        if loads:
            assert Settings.from_text(sealed(members))
        else:
            with pytest.raises(InvalidMap, match="has another format"):
                Settings.from_text(sealed(members))


def test_map_that_was_compiled_before_the_log_table_logs_keys_only() -> None:
    members = json.loads(compiled())
    del members["options"]["log_caller"], members["sha256"]
    assert Settings.from_text(sealed(members)).options.log_caller == "key"


def test_map_that_was_compiled_before_drop_headers_drops_none() -> None:
    members = json.loads(compiled())
    del members["options"]["drop_headers"], members["sha256"]
    assert Settings.from_text(sealed(members)).options.drop_headers == frozenset()


def test_one_map_compiles_to_one_text() -> None:
    rules = EVERYTHING.split("[[rule]]")
    shuffled = "[[rule]]".join([rules[0], *reversed([rule + "\n" for rule in rules[1:-1]]), rules[-1]])
    assert compiled() == compiled()
    assert json.loads(compiled(shuffled))["owners"] == json.loads(compiled())["owners"]


@pytest.mark.parametrize("end", [1, 2, 10, 75, 76, 77, 200, 1000])
def test_compiled_map_that_was_cut_off_does_not_load(end: int) -> None:
    """Trap D4."""
    text = compiled().rstrip("\n")
    assert "changed after `lattice-bridge compile`" in refusal(text[:-end])


def test_newline_at_the_end_may_be_missing() -> None:
    assert loaded(compiled().rstrip("\n")).rules


@pytest.mark.parametrize(
    ("old", "new"),
    [('"blue-api":["role"', '"blue-app":["role"'), ('["blue"]', '["green"]'), ("}", "} "), ('"old"', '"new"')],
)
def test_compiled_map_that_was_edited_does_not_load(old: str, new: str) -> None:
    assert old in compiled()
    assert "compile it again" in refusal(compiled().replace(old, new, 1))


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"format": FORMAT},
        {"format": FORMAT, "tables": {}},
        {"format": FORMAT + 1, "tables": {}},
        {"format": FORMAT, "tables": []},
        {"format": FORMAT, "tables": {"jwt": 1}, "owners": {}},
        {
            "format": FORMAT,
            "tables": {},
            "tenants": [],
            "suspended": [],
            "outcomes": [],
            "conditions": [],
            "owners": {"anyone": ["r"]},  # as a deny would be
            "denials": {},
        },
    ],
)
def test_sealed_text_of_another_make_does_not_load(members: dict[str, Any]) -> None:
    assert refusal(sealed(members))


@pytest.mark.parametrize("text", ["{", "{}", '{"a":1}', "{" * 10_000, '{,"sha256":"' + "0" * 64 + '"}'])
def test_json_that_nobody_compiled_does_not_load(text: str) -> None:
    assert "compile it again" in refusal(text)


def test_hash_of_a_compiled_map_is_that_of_its_text() -> None:
    assert loaded(compiled()).sha256 == parse_document(compiled()).sha256


def test_compile_writes_what_the_handler_loads(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(EVERYTHING, encoding="utf-8")
    result = CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")])
    assert result.exit_code == 0, result.output
    assert TenantMap.from_file(tmp_path / "bridge.json").rules == TenantMap.from_toml(EVERYTHING).rules
    assert Settings.load({"LAMBDA_TASK_ROOT": str(tmp_path), "LATTICE_BRIDGE_CONFIG": "bridge.json"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bridge.json", "bridge.toml"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('tenant = "blue"', 'tenant = "bleu"', 'did you mean "blue"?'),
        ('expect = "blue"', 'expect = "green"', "expects green, gets blue"),
        ('function = "orders:live"', 'function = "orders live"', "is not a Lambda function"),
    ],
)
def test_map_with_an_error_or_a_failing_test_is_not_compiled(old: str, new: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(EVERYTHING.replace(old, new, 1), encoding="utf-8")
    result = CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")])
    assert result.exit_code == 1
    assert said in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["bridge.toml"]


def test_map_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(EVERYTHING, encoding="utf-8")
    (tmp_path / "bridge.json").mkdir()
    result = CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")])
    assert result.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bridge.json", "bridge.toml"]


def test_compiled_map_is_not_compiled_again(tmp_path: Path) -> None:
    (tmp_path / "bridge.json").write_text(compiled(), encoding="utf-8")
    result = CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.json")])
    assert result.exit_code == 2
    assert "compiled already" in result.output


def test_check_and_who_read_compiled_maps(tmp_path: Path) -> None:
    (tmp_path / "bridge.json").write_text(compiled(), encoding="utf-8")
    assert CliRunner().invoke(root, ["check", str(tmp_path / "bridge.json")]).exit_code == 0
    assert "edge" in CliRunner().invoke(root, ["who", "blue", "--map", str(tmp_path / "bridge.json")]).output
    (tmp_path / "bridge.json").write_text(compiled()[:-9], encoding="utf-8")
    assert CliRunner().invoke(root, ["check", str(tmp_path / "bridge.json")]).exit_code == 1


def test_what_is_written_may_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    """The list of tenants is the list of customers."""
    (tmp_path / "bridge.toml").write_text(EVERYTHING, encoding="utf-8")
    before = os.umask(0o077)
    try:
        CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "bridge.json").stat().st_mode) == 0o600
    (tmp_path / "bridge.json").chmod(0o640)
    CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")])
    assert stat.S_IMODE((tmp_path / "bridge.json").stat().st_mode) == 0o640


def test_link_is_followed_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(EVERYTHING, encoding="utf-8")
    (tmp_path / "real.json").write_text("{}", encoding="utf-8")
    (tmp_path / "bridge.json").symlink_to("real.json")
    assert CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")]).exit_code == 0
    assert (tmp_path / "bridge.json").is_symlink()
    assert TenantMap.from_file(tmp_path / "real.json").rules


def test_nothing_but_a_file_is_replaced_and_never_the_source(tmp_path: Path) -> None:
    pipe, source = tmp_path / "pipe", tmp_path / "map.json"
    os.mkfifo(pipe)
    source.write_text(EVERYTHING, encoding="utf-8")
    assert CliRunner().invoke(root, ["compile", str(source), "-o", str(pipe)]).exit_code == 2
    assert CliRunner().invoke(root, ["compile", str(source)]).exit_code == 2
    assert pipe.is_fifo()
    assert source.read_text(encoding="utf-8") == EVERYTHING


def test_compiled_map_that_would_not_find_its_keys_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "keys.json").write_bytes(key_set(jwk("k1")))
    text = EVERYTHING.replace('jwks_url = "https://issuer.example/keys"', 'jwks_file = "keys.json"')
    (tmp_path / "bridge.toml").write_text(text, encoding="utf-8")
    target = tmp_path / "out" / "bridge.json"
    result = CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml"), "-o", str(target)])
    assert (result.exit_code, target.exists()) == (2, False)
    assert "keys.json" in result.output
    assert CliRunner().invoke(root, ["compile", str(tmp_path / "bridge.toml")]).exit_code == 0


def test_compiled_map_that_is_deep_is_refused_like_any_other_of_another_make() -> None:
    """Trap D9."""
    members = {**json.loads(compiled()), "owners": json.loads('{"role":' * 900 + "[]" + "}" * 900)}
    del members["sha256"]
    assert refusal(sealed(members))
    body = sealed(members).partition('"owners"')[0] + '"owners":' + '{"role":' * 3000 + "{}" + "}" * 3000
    assert refusal(f'{body},"sha256":"{sha256_of(body)}"}}\n')


# ---- a twin beside bridge.toml --------------------------------------------------------------------------------------


def load_beside(folder: Path, toml: str, twin: str | None) -> Settings:
    (folder / "bridge.toml").write_text(toml, encoding="utf-8")
    if twin is not None:
        (folder / "bridge.json").write_text(twin, encoding="utf-8")
    return Settings.load({"LAMBDA_TASK_ROOT": str(folder)})


def test_what_was_compiled_of_this_very_text_is_read_in_its_place(tmp_path: Path) -> None:
    found = load_beside(tmp_path, EVERYTHING, compiled())
    assert parse_document(EVERYTHING, compiled()).compiled is not None
    assert found.tenant_map.rules == TenantMap.from_toml(EVERYTHING).rules
    assert found.tenant_map.sha256 == sha256_of(EVERYTHING)


@pytest.mark.parametrize("twin", [None, "", "{}", "x", compiled()[:-9], compiled(EVERYTHING + "\n"), "\ud800"[:0]])
def test_any_other_twin_is_passed_over(tmp_path: Path, twin: str | None) -> None:
    """Trap D4: the map that people read is the active one."""
    narrowed = EVERYTHING.replace("green = {}", 'green = { status = "suspended" }')
    found = load_beside(tmp_path, narrowed, compiled() if twin is None else twin)
    assert not found.tenant_map.rules.tenants["green"].active


def test_twin_of_other_code_is_passed_over() -> None:
    """It may have checked less, or meant something else."""
    members = json.loads(compiled())
    del members["sha256"]
    other = sealed({**members, "code": "0" * 64})
    assert parse_document(EVERYTHING, other).compiled is None
    assert parse_document(other).compiled is not None


COMPILE: Final = """
import sys
from pathlib import Path
from lattice_bridge.config.code_hash import FILE, NOT_DEPLOYED, code_hash, hash_of
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document, read_text
print(compile_document(parse_document(read_text(sys.argv[1])), Path(sys.argv[1]).parent), end="")
"""
READ: Final = """
import sys
from lattice_bridge.config.document import parse_document, read_text
print(parse_document(read_text(sys.argv[1]), read_text(sys.argv[2])).compiled is not None, end="")
"""


def test_twin_is_read_by_the_code_that_compiled_it_and_by_no_other(tmp_path: Path) -> None:
    """Both are one version: two builds during development."""
    copies = [copy_of_the_package(tmp_path / name) for name in ("one", "same", "other", "tools")]
    one, _, other, tools = copies
    with (other / "lattice_bridge" / "rules.py").open("a", encoding="utf-8") as file:
        file.write("\n")
    (tools / "lattice_bridge" / "cli").mkdir()
    (tools / "lattice_bridge" / "cli" / "new.py").write_text("", encoding="utf-8")
    toml, twin = tmp_path / "bridge.toml", tmp_path / "bridge.json"
    toml.write_text(EVERYTHING, encoding="utf-8")
    twin.write_text(printed(one, COMPILE, toml), encoding="utf-8")
    assert [printed(copy, READ, toml, twin) for copy in copies] == ["True", "True", "False", "True"]


def test_installed_package_reads_its_hash_and_computes_none(tmp_path: Path) -> None:
    """A cold start waits for it."""
    copy = copy_of_the_package(tmp_path)
    (copy / "lattice_bridge" / FILE).write_text("ab" * 32, encoding="ascii")
    program = "from lattice_bridge.config.code_hash import code_hash; print(code_hash(), end='')"
    assert printed(copy, program) == "ab" * 32


def test_hash_of_code_is_of_names_and_bytes_wherever_the_code_lies(tmp_path: Path) -> None:
    one, two = copy_of_the_package(tmp_path / "one"), copy_of_the_package(tmp_path / "two")
    (two / "lattice_bridge" / "__pycache__").mkdir()
    (two / "lattice_bridge" / "__pycache__" / "x.py").touch()
    assert hash_of(one / "lattice_bridge") == hash_of(two / "lattice_bridge") == code_hash()
    (two / "lattice_bridge" / "formats" / "alb.py").rename(two / "lattice_bridge" / "formats" / "elb.py")
    assert hash_of(two / "lattice_bridge") != code_hash()


def copy_of_the_package(folder: Path) -> Path:
    """The deployed part of the package, in this folder."""
    ignored = shutil.ignore_patterns("__pycache__", *NOT_DEPLOYED)
    shutil.copytree(Path(lattice_bridge.__file__).parent, folder / "lattice_bridge", ignore=ignored)
    return folder


def printed(copy: Path, program: str, *arguments: Path) -> str:
    """What a Python prints that imports this copy of the package."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
