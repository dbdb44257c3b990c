"""Trust in the local signing key: only the copies of a running stack contain it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge import TenantMap, parse_event
from lattice_bridge.bootstrap import make_handler
from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.errors import Unavailable
from lattice_bridge.identity.token import Issuer
from lattice_bridge.local.bridge.issuer_keys import REFRESH, RETRY, IssuerKeys
from lattice_bridge.local.bridge.local_token import make_token
from lattice_bridge.local.bridge.signing_key import LocalKey, key_folder, local_key
from lattice_bridge.local.bridge.trust import LocalTrust
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function, Plan
from lattice_bridge.testing import lattice_event
from tests.support.token_builder import jwk, key_set, payload, sign

ISSUER: Final = "https://issuer.example"
CORP: Final = Issuer("corp", ISSUER, frozenset({"orders"}), frozenset({"ES256"}))
URL: Final = "https://issuer.example/keys"
MAP: Final = """
[[backend]]
function = "orders"
[tenants]
blue = {}
green = { status = "suspended" }
[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
algorithms = ["ES256"]
jwks_url = "https://issuer.example/keys"
[[rule]]
id = "staff"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]
"""
AWS: Final = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


class Fetcher:
    """Answers with `keys`, or is out of reach."""

    def __init__(self, keys: bytes | None = None) -> None:
        self.keys = keys
        self.urls: list[str] = []

    def __call__(self, url: str, **_: object) -> bytes:
        self.urls.append(url)
        if self.keys is None:
            raise Unavailable("keys_unavailable", "out of reach")
        return self.keys


class Lines(list[str]):
    """A log."""

    def warning(self, text: str) -> None:
        self.append(text)


class Project:
    """A project with a bridge, and the trust of one stack in it."""

    def __init__(self, folder: Path, text: str = MAP) -> None:
        self.folder, self.map = folder / "project", folder / "project" / "bridge.toml"
        self.folder.mkdir()
        (folder / "stack").mkdir()
        self.map.write_text(text)
        self.environ = {"XDG_CACHE_HOME": str(folder / "cache")}
        self.fetcher, self.log, self.now = Fetcher(), Lines(), 1000.0
        keys = IssuerKeys(self.log.warning, fetch=self.fetcher, clock=lambda: self.now)
        self.trust = LocalTrust(folder / "stack", self.log, self.environ, keys)
        bridge = Function("Bridge", "arn", BRIDGE_HANDLER, self.folder, {})
        self.plan = Plan(self.folder, "us-east-1", {"Bridge": bridge}, (), ())

    def apply(self) -> tuple[Mapping[str, str], frozenset[str]]:
        """Applies the trust, and returns the bridge's variables and the names of the changed bridges."""
        plan, changed = asyncio.run(self.trust.applied(self.plan))
        return plan.functions["Bridge"].environment, changed

    def key(self, algorithm: str = "ES256") -> LocalKey:
        return local_key(algorithm, key_folder(self.environ), self.folder)

    def token(self, algorithm: str = "ES256", **claims: Any) -> str:
        return make_token(CORP, self.key(algorithm), {"tenant": "blue", **claims}, now=time.time())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def decided(variables: Mapping[str, str], token: str) -> str:
    """The tenant that a local bridge decides, or the reason of the refusal."""
    event = lattice_event(headers={"authorization": f"Bearer {token}"})
    decision = TenantMap.from_file(variables[CONFIG_VARIABLE]).decide(parse_event(event))
    return decision.tenant or decision.reason


def own_token() -> str:
    """A token of the issuer itself."""
    now = int(time.time())
    return sign(payload(iat=now, exp=now + 60))


# ---- the local stack, and every other bridge ------------------------------------------------------------------------


def test_local_token_is_accepted_by_the_local_stack_alone(project: Project) -> None:
    """Trap G7: the same token at a bridge that the stack did not start, on the same machine with the same variables."""
    (project.folder / "keys.json").write_bytes(key_set(jwk("k1")))
    project.map.write_text(MAP.replace(f'jwks_url = "{URL}"', 'jwks_file = "keys.json"'))
    before = {path: path.read_bytes() for path in project.folder.rglob("*")}
    variables, _ = project.apply()
    token = project.token()
    assert decided(variables, token) == "blue"
    assert decided(variables, own_token()) == "blue"
    assert {path: path.read_bytes() for path in project.folder.rglob("*")} == before
    lines: list[str] = []
    handler = make_handler({**AWS, **project.environ, "LAMBDA_TASK_ROOT": str(project.folder)}, lines.append)
    reply = handler(lattice_event(headers={"authorization": f"Bearer {token}"}), None)
    assert reply["statusCode"] == 401
    assert "the issuer has no key of this kid" in "".join(lines)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "other"}, "token_invalid"),
        ({"iss": "https://other.example"}, "token_invalid"),
        ({"exp": 1}, "token_invalid"),
        ({"exp": "soon"}, "token_invalid"),
        ({"tenant": "green"}, "tenant_suspended"),
        ({"tenant": "red"}, "tenant_unknown"),
        ({"tenant": ["blue"]}, "source_mismatch"),
    ],
)
def test_map_holds_for_local_tokens_too(claims: dict[str, Any], reason: str, project: Project) -> None:
    """Trap G7."""
    assert decided(project.apply()[0], project.token(**claims)) == reason


@pytest.mark.parametrize("algorithm", ["ES384", "EdDSA", "none"])
def test_local_token_by_another_algorithm_is_refused(algorithm: str, project: Project) -> None:
    """Trap G7: the algorithms are those of the issuer's table."""
    variables, _ = project.apply()
    if algorithm == "none":
        token = f"eyJhbGciOiJub25lIn0.{project.token().split('.')[1]}.AA"
    else:
        token = project.token(algorithm)
    assert decided(variables, token) == "token_invalid"


def test_copy_changes_the_places_of_the_keys_alone(project: Project) -> None:
    path = project.apply()[0][CONFIG_VARIABLE]
    copy, written = TenantMap.from_file(path).rules, TenantMap.from_file(project.map).rules
    assert (copy.owners, copy.tenants, copy.token_headers) == (written.owners, written.tenants, written.token_headers)


def test_bridge_serves_with_the_copy(project: Project) -> None:
    variables, _ = project.apply()
    lines: list[str] = []
    handler = make_handler({**AWS, **variables, "LAMBDA_TASK_ROOT": str(project.folder)}, lines.append)
    reply = handler(lattice_event(headers={"authorization": f"Bearer {project.token(tenant='red')}"}), None)
    assert (reply["statusCode"], "tenant_unknown" in "".join(lines)) == (403, True)


# ---- the issuer's own keys ------------------------------------------------------------------------------------------


def test_issuer_out_of_reach_leaves_the_local_key(project: Project) -> None:
    variables, _ = project.apply()
    assert (decided(variables, project.token()), decided(variables, own_token())) == ("blue", "token_invalid")
    assert project.log == [
        "corp: the issuer's own keys are not available, so only tokens of `lattice-bridge token` are accepted: out of "
        "reach"
    ]
    project.now += RETRY
    assert project.trust.is_due
    assert project.apply()[1] == frozenset()
    assert len(project.log) == 1
    project.fetcher.keys, project.now = key_set(jwk("k1")), project.now + RETRY
    variables, changed = project.apply()
    assert changed == {"Bridge"}
    assert (decided(variables, project.token()), decided(variables, own_token())) == ("blue", "blue")
    project.fetcher.keys, project.now = None, project.now + REFRESH
    assert decided(project.apply()[0], own_token()) == "blue"
    assert project.log[1:] == [
        "corp: the issuer's own keys are not available, so the last good ones are used: out of reach"
    ]


def test_keys_are_fetched_when_they_are_due(project: Project) -> None:
    project.fetcher.keys = key_set(jwk("k1"))
    for _ in range(3):
        project.apply()
    assert (project.fetcher.urls, project.trust.is_due) == ([URL], False)
    project.now += REFRESH
    assert project.trust.is_due
    project.apply()
    assert project.fetcher.urls == [URL, URL]
    project.map.write_text(MAP.replace("[jwt.corp]", "[jwt.corp]\n").replace(URL, "https://issuer.example/new"))
    project.now += REFRESH
    project.apply()
    assert (project.fetcher.urls[2:], project.trust.is_due) == (["https://issuer.example/new"], False)


def test_secret_in_a_fetched_key_set_is_left_out(project: Project) -> None:
    """Trap C1: a file with a secret would keep the whole map from loading; a fetched set loses only the secret."""
    secret = {"kty": "oct", "kid": "s", "k": "c2VjcmV0"}
    project.fetcher.keys = key_set(secret, {**jwk("d"), "d": "AA"}, jwk("k1"))
    variables, _ = project.apply()
    kept = json.loads((Path(variables[CONFIG_VARIABLE]).parent / "keys-of-corp.json").read_bytes())["keys"]
    assert [entry["kid"] for entry in kept] == ["k1", project.key().kid]
    assert decided(variables, own_token()) == "blue"


def test_key_set_without_a_place_for_another_key_stays_as_it_is(project: Project) -> None:
    project.fetcher.keys = key_set(*(jwk(f"k{number}") for number in range(64)))
    variables, _ = project.apply()
    assert (decided(variables, own_token()), decided(variables, project.token())) == ("blue", "token_invalid")
    assert project.log == [
        "corp: tokens of `lattice-bridge token --issuer corp` are not accepted: the key set has over 64 keys"
    ]


# ---- changes and faults ---------------------------------------------------------------------------------------------


def test_map_that_stops_loading_leaves_the_last_good_copy(project: Project) -> None:
    """Trap D4."""
    variables, changed = project.apply()
    assert changed == {"Bridge"}
    project.map.write_text("[")
    for _ in range(2):
        assert project.apply() == (variables, frozenset())
    assert [line[:62] for line in project.log[1:]] == ["Bridge: bridge.toml does not load, so the last good one stays "]
    project.map.write_text(MAP.replace("blue = {}", "blue = {}\nred = {}"))
    assert project.apply() == (variables, frozenset({"Bridge"}))
    assert decided(variables, project.token(tenant="red")) == "red"


def test_running_bridge_never_finds_the_map_of_another_one_in_its_copy(project: Project, tmp_path: Path) -> None:
    """Trap D3: it reads its copy again at any time, also while a changed template is made ready."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "bridge.toml").write_text(MAP.replace('tenant_from = "claim"\nclaim = ["tenant"]', 'tenant = "blue"'))
    variables, _ = project.apply()
    added = Function("Added", "arn", BRIDGE_HANDLER, other, {})
    project.plan = replace(project.plan, functions={"Added": added, **project.plan.functions})
    assert project.apply() == (variables, frozenset({"Added"}))
    assert decided(variables, project.token(tenant="green")) == "tenant_suspended"
    project.plan = replace(project.plan, functions={"Added": added})
    asyncio.run(project.trust.applied(project.plan))
    assert decided(variables, project.token(tenant="green")) == "tenant_suspended"


@pytest.mark.parametrize("text", ["[", MAP.partition("[jwt")[0], ""], ids=["not TOML", "no issuer", "empty"])
def test_bridge_without_issuers_reads_its_own_configuration(text: str, tmp_path: Path) -> None:
    project = Project(tmp_path, text)
    assert project.apply() == ({}, frozenset())
    assert not list((tmp_path / "stack").iterdir())


@pytest.mark.parametrize("address", ["s3://bucket/bridge.toml", "ssm:/bridge/map", "https://map.example"])
def test_map_that_is_not_a_file_is_not_read(address: str, project: Project) -> None:
    bridge = Function("Bridge", "arn", BRIDGE_HANDLER, project.folder, {CONFIG_VARIABLE: address})
    project.plan = Plan(project.folder, "us-east-1", {"Bridge": bridge}, (), ())
    assert project.apply() == ({CONFIG_VARIABLE: address}, frozenset())


def test_issuer_that_is_removed_ends_the_copy(project: Project) -> None:
    project.apply()
    project.map.write_text(
        MAP.partition("[jwt")[0] + '[[rule]]\nid = "a"\nuser = "arn:aws:iam::111122223333:user/a"\ntenant = "blue"\n'
    )
    assert project.apply() == ({}, frozenset({"Bridge"}))


def test_keys_within_the_project_are_not_trusted(project: Project) -> None:
    """Trap G6."""
    project.environ["XDG_CACHE_HOME"] = str(project.folder / "cache")
    assert project.apply() == ({}, frozenset())
    assert "would be in the project" in project.log[-1]
    assert [path.name for path in project.folder.iterdir()] == ["bridge.toml"]


def test_compiled_map_gets_a_copy_too(project: Project) -> None:
    from lattice_bridge.config.compiled import compile_document
    from lattice_bridge.config.document import parse_document

    text = compile_document(parse_document(MAP), project.folder)
    (project.folder / "map.json").write_text(text)
    bridge = Function("Bridge", "arn", BRIDGE_HANDLER, project.folder, {CONFIG_VARIABLE: "map.json"})
    project.plan = Plan(project.folder, "us-east-1", {"Bridge": bridge}, (), ())
    assert decided(project.apply()[0], project.token()) == "blue"
