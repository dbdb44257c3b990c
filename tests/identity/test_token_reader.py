"""Tokens in the map: issuers, rules for them, and what happens when they and IAM disagree."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge import Bridge, Decision, TenantMap, parse_event
from lattice_bridge.config.options import Backend
from lattice_bridge.errors import InvalidMap, Unauthenticated
from lattice_bridge.invoke.call import Call
from lattice_bridge.review.check import findings_of
from tests.support.builders import ACCOUNT, role, v1, v2
from tests.support.lifetime import outlives
from tests.support.token_builder import jwk, key_set, payload, sign

HEAD = "[tenants]\nblue = {}\ngreen = {}\n"
CORP = """
[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
algorithms = ["ES256"]
jwks_file = "keys.json"
header = "x-id-token"
"""
USERS = '[[rule]]\nid = "users"\njwt = "corp"\ntenant_from = "claim"\nclaim = ["tenant"]\n'
API = f'[[rule]]\nid = "api"\nrole = "arn:aws:iam::{ACCOUNT}:role/api"\ntenants = ["blue", "green"]\n'
OPEN = '[[rule]]\nid = "open"\nanyone = true\ntenants = "*"\naccept_risk = "a test"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_bytes(key_set(jwk("k1")))
    return tmp_path


def token(**claims: Any) -> str:
    now = int(time.time())
    return sign(payload(**{"iat": now - 60, "exp": now + 600, **claims}))


def decide(folder: Path, event: dict[str, Any], *parts: str) -> Decision:
    return TenantMap.from_toml("".join((HEAD, *parts)), folder).decide(parse_event(event))


def with_token(text: str, principal: str | None = None, **headers: str) -> dict[str, Any]:
    return v2(principal, headers={"x-id-token": text, **headers})


def test_token_gives_the_tenant_in_its_claim(folder: Path) -> None:
    for event in (with_token(token()), with_token(f"Bearer {token()}"), v1(headers={"x-id-token": token()})):
        decided = decide(folder, event, CORP, USERS)
        assert (decided.tenant, decided.rule) == ("blue", "users")


def test_request_whose_token_one_issuer_refuses_does_not_outlive_its_decision(folder: Path) -> None:
    """Trap D9: two issuers use one header, and the first one refuses each token of the second."""
    first = CORP.replace("jwt.corp", "jwt.lab").replace("issuer.example", "lab.example")
    tenant_map = TenantMap.from_toml("".join((HEAD, first, CORP, USERS)), folder)
    assert tenant_map.decide(parse_event(with_token(token()))).tenant == "blue"
    assert not outlives(lambda event: tenant_map.decide(parse_event(event)), with_token(token()))


def test_token_of_a_past_request_is_verified_at_its_time(folder: Path) -> None:
    found, now = TenantMap.from_toml(HEAD + CORP + USERS, folder), time.time()
    request = parse_event(with_token(token(iat=int(now) - 900, exp=int(now) - 300)))
    assert found.tokens_of(request, now - 600)["corp"]["tenant"] == "blue"
    with pytest.raises(Unauthenticated, match="expired"):
        found.tokens_of(request)


def test_invalid_token_is_refused(folder: Path) -> None:
    """Traps C5, C6: with `anyone` in the map, an invalid token is worse than none."""
    for bad in (token()[:-4] + "AAAA", token(aud="other"), token(exp=1), "not-a-token", "", "Basic eDp5"):
        decided = decide(folder, with_token(bad), CORP, USERS, OPEN)
        assert (decided.status, decided.reason) == (401, "token_invalid"), bad


def test_anyone_is_not_for_a_request_with_a_token(folder: Path) -> None:
    condition = '[[rule]]\nid = "x"\naccount = "111122223333"\njwt = "corp"\ntenant = "blue"\n'
    assert decide(folder, with_token(token()), CORP, condition, OPEN).reason == "no_rule"
    assert decide(folder, v2(headers={"x-tenant-id": "green"}), CORP, USERS, OPEN).tenant == "green"


def test_no_credential_at_all_is_a_401(folder: Path) -> None:
    assert decide(folder, v2(), CORP, USERS).reason == "no_credential"


def test_iam_and_token_have_to_agree(folder: Path) -> None:
    """Traps A2, D5."""
    one = API.replace('tenants = ["blue", "green"]', 'tenant = "green"')
    assert decide(folder, with_token(token(tenant="green"), role("api")), CORP, USERS, one).tenant == "green"
    assert decide(folder, with_token(token(tenant="blue"), role("api")), CORP, USERS, one).reason == "conflict"
    assert decide(folder, with_token(token(tenant="blue"), role("api")), CORP, USERS, API).tenant == "blue"


def test_good_token_does_not_help_a_principal_that_no_rule_is_for(folder: Path) -> None:
    assert decide(folder, with_token(token(), role("stranger")), CORP, USERS, API).reason == "no_rule"


def test_map_without_rules_for_principals_does_not_ask_for_one(folder: Path) -> None:
    assert decide(folder, with_token(token(), role("stranger")), CORP, USERS).tenant == "blue"
    assert decide(folder, v2(role("stranger")), CORP, USERS).reason == "no_rule"


def test_absent_token_is_ignored_unless_a_rule_needs_it(folder: Path) -> None:
    asking = API.replace('id = "api"', 'id = "api"\njwt = "corp"').replace('["blue", "green"]', '["blue"]')
    assert decide(folder, v2(role("api"), headers={"x-tenant-id": "blue"}), CORP, USERS, API).tenant == "blue"
    assert decide(folder, v2(role("api")), CORP, asking).reason == "condition_failed"
    assert decide(folder, with_token(token(), role("api")), CORP, asking).tenant == "blue"


def test_deny_by_issuer_wins(folder: Path) -> None:
    deny = '[[rule]]\nid = "no"\njwt = "corp"\ndeny = true\n'
    assert decide(folder, with_token(token(), role("api")), CORP, USERS, API, deny).reason == "denied"


def test_header_chooses_only_what_the_token_allows(folder: Path) -> None:
    assert decide(folder, with_token(token(), **{"x-tenant-id": "green"}), CORP, USERS).reason == "tenant_not_allowed"
    some = USERS.replace('tenant_from = "claim"\nclaim = ["tenant"]', 'tenants = ["blue", "green"]')
    assert decide(folder, with_token(token(), **{"x-tenant-id": "green"}), CORP, some).tenant == "green"


@pytest.mark.parametrize(
    "value", [None, "", 1, 1.0, True, {"a": 1}, ["blue"], [], "blue ", "Blue\n", "blue,green", "unknown", "x" * 300]
)
def test_claim_that_is_not_one_registered_tenant_is_refused(folder: Path, value: Any) -> None:
    """Trap C7."""
    assert decide(folder, with_token(token(tenant=value)), CORP, USERS).status == 403
    decision = decide(folder, with_token(token(tenant=...)), CORP, USERS)
    assert decision.reason == "source_mismatch"
    assert decision.refusal is not None
    assert "takes the tenant from claim tenant, which is missing" in str(decision.refusal)


def test_claim_is_found_by_a_path_one_element_a_level(folder: Path) -> None:
    nested = USERS.replace('["tenant"]', '["app.meta", "custom:tenant"]').replace(
        "claim =", 'template = "t-{tenant}"\nclaim ='
    )
    good = token(**{"app.meta": {"custom:tenant": "t-green"}})
    assert decide(folder, with_token(good), CORP, nested).tenant == "green"
    assert decide(folder, with_token(token(app={"meta": {"custom:tenant": "t-green"}})), CORP, nested).tenant is None


def test_two_tokens_are_refused(folder: Path) -> None:
    """Traps C11, A4."""
    assert decide(folder, v2(headers={"x-id-token": [token(), token()]}), CORP, USERS).reason == "header_repeated"
    joined = v1(headers={"x-id-token": f"{token()},{token()}"})
    assert decide(folder, joined, CORP, USERS).reason == "token_invalid"


@pytest.mark.parametrize("name", ["x_id_token", "X-Id_Token", "x.id.token"])
def test_token_header_in_another_spelling_is_refused(folder: Path, name: str) -> None:
    """Trap A6."""
    assert decide(folder, v2(headers={name: token()}), CORP, USERS, OPEN).reason == "reserved_spelling"


def test_signed_callers_authorization_is_no_bearer(folder: Path) -> None:
    """Trap C11."""
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=x"}
    plain = CORP.replace('header = "x-id-token"\n', "")
    assert (
        decide(folder, v2(role("api"), headers={**signed, "x-tenant-id": "blue"}), plain, USERS, API).tenant == "blue"
    )
    assert decide(folder, v2(headers={"authorization": f"Bearer {token()}"}), plain, USERS).tenant == "blue"


def test_two_issuers_may_share_a_header(folder: Path) -> None:
    (folder / "other.json").write_bytes(key_set(jwk("k1", number=1)))
    other = CORP.replace("corp", "other").replace("issuer.example", "other.example").replace("keys.json", "other.json")
    theirs = USERS.replace("users", "theirs").replace('"corp"', '"other"')
    assert decide(folder, with_token(token()), other, CORP, USERS, theirs).rule == "users"
    # Signed by the one issuer in the name of the other.
    forged = token(iss="https://other.example")
    assert decide(folder, with_token(forged), other, CORP, USERS, theirs).reason == "token_invalid"


def test_backend_does_not_get_the_token(folder: Path) -> None:
    """Trap A15."""
    calls: list[Call] = []

    def invoke(call: Call) -> bytes:
        calls.append(call)
        return b"{}"

    found = TenantMap.from_toml(HEAD + CORP + USERS, folder)
    bridge = Bridge(found, invoke, backends=[Backend("/", "f")], write=lambda _text: None)
    assert bridge(with_token(token()), None)["statusCode"] == 200
    assert "x-id-token" not in json.loads(calls[0].payload)["headers"]
    assert calls[0].tenant == "blue"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["orders"]', "[]", "audience is empty"),
        ('["ES256"]', '["HS256"]', 'algorithm "HS256" is not accepted'),
        ('["ES256"]', '["none"]', 'algorithm "none" is not accepted'),
        ('["ES256"]', "[]", "algorithms is empty"),
        ('jwks_file = "keys.json"', 'jwks_url = "http://issuer.example/keys"', "is not an https URL"),
        ('jwks_file = "keys.json"', "", "exactly one of jwks_url, jwks_file"),
        ('jwks_file = "keys.json"', 'jwks_file = "nothing.json"', "No such file"),
        ('"x-id-token"', '"x_id_token"', "cannot contain a token"),
        ('"x-id-token"', '"x-amzn-lattice-identity"', "cannot contain a token"),
        ('"x-id-token"', '"x-amz-tenant-id"', "cannot contain a token"),
        ('"x-id-token"', '"X-Tenant-Id"', "is the tenant header"),
        ('"https://issuer.example"', '""', "issuer is empty"),
        ("header =", "haeder =", "did you mean header?"),
    ],
)
def test_unsafe_issuer_does_not_load(folder: Path, old: str, new: str, message: str) -> None:
    """Traps C1, C4, C6."""
    assert old in CORP
    with pytest.raises(InvalidMap) as caught:
        TenantMap.from_toml(HEAD + CORP.replace(old, new) + USERS, folder)
    assert message in "\n".join(caught.value.faults)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (USERS.replace('"corp"', '"crop"'), 'jwt "crop" is not an issuer of this map; did you mean "corp"?'),
        (USERS.replace('claim = ["tenant"]', ""), "needs the path to the claim"),
        (USERS.replace('claim = ["tenant"]', 'claim = ["email"]'), "claim_is_admin_set"),
        (USERS.replace('claim = ["tenant"]', 'claim = ["user_metadata", "tenant"]'), "claim_is_admin_set"),
        (USERS.replace('claim = ["tenant"]', 'claim = ["https://x/Email"]'), "claim_is_admin_set"),
        (USERS.replace('claim = ["tenant"]', 'claim = ["cognito:username"]'), "claim_is_admin_set"),
        ('[[rule]]\nid = "all"\njwt = "corp"\ntenants = "*"\n', "accept_risk"),
        ('[[rule]]\nid = "x"\nanyone = true\njwt = "corp"\ntenant = "blue"\naccept_risk = "x"\n', "never holds"),
        (f'[[rule]]\nid = "x"\naccount = "{ACCOUNT}"\njwt = "corp"\ndeny = true\n', "who leaves the token out"),
        (USERS.replace('jwt = "corp"', f'account = "{ACCOUNT}"'), "needs the issuer of the token"),
        (USERS.replace('tenant_from = "claim"', 'tenant = "blue"'), "claim is only used with tenant_from"),
        (USERS + USERS.replace("users", "again"), "is for the same callers"),
    ],
)
def test_incomplete_rule_for_tokens_does_not_load(folder: Path, rule: str, message: str) -> None:
    """Trap C9."""
    with pytest.raises(InvalidMap) as caught:
        TenantMap.from_toml(HEAD + CORP + rule, folder)
    assert message in "\n".join(caught.value.faults)


def test_cognitos_custom_attributes_need_their_acknowledgement(folder: Path) -> None:
    """Trap C9."""
    cognito = CORP + 'profile = "cognito"\n'
    rule = USERS.replace('["tenant"]', '["custom:tenant"]')
    by_issuer = CORP.replace("https://issuer.example", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x")
    for issuer in (cognito, by_issuer):
        with pytest.raises(InvalidMap, match="claim_is_admin_set"):
            TenantMap.from_toml(HEAD + issuer + rule, folder)
    assert TenantMap.from_toml(
        HEAD + cognito + rule + 'claim_is_admin_set = "the app client may not write it"\n', folder
    )


def test_maps_own_tests_may_name_claims(folder: Path) -> None:
    test = '[[test]]\nclaims = { corp = { tenant = "green" } }\nexpect = "green"\n'
    findings = findings_of(HEAD + CORP + USERS + test, folder)
    assert [finding for finding in findings if finding.level == "error"] == []
    wrong = findings_of(HEAD + CORP + USERS + test.replace('"green"\n', '"blue"\n'), folder)
    assert "expects blue, gets green" in wrong[0].text


def test_signature_in_a_tokens_own_header_is_no_absent_token(folder: Path) -> None:
    assert decide(folder, with_token("AWS4-garbage"), CORP, USERS, OPEN).reason == "token_invalid"


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"authorization": "aws4-hmac-sha256 x", "x-tenant-id": "blue"}},
        {"headers": {"authorization": "Bearer x,AWS4-HMAC-SHA256 x", "x-tenant-id": "blue"}},
        *(
            {"path": f"/?id=7&{name}=00", "headers": {"x-tenant-id": "blue"}}
            for name in ("X-Amz-Signature", "X-AMZ-SIGNATURE", "%58%2d%41%6D%5a-Signature", "x-%61mz-signature")
        ),
    ],
)
def test_unverified_signature_is_not_absent(folder: Path, fields: dict[str, Any]) -> None:
    assert decide(folder, v2(**fields), OPEN).reason == "no_credential"


def test_test_of_an_impossible_request_is_an_error(folder: Path) -> None:
    for body in ("claims = { nosuch = {} }", 'org = "o-a1b2c3d4e5"', f'principal = "{role("api")}"\nsession = "other"'):
        found = findings_of(f'{HEAD}{CORP}{USERS}{API}[[test]]\n{body}\nexpect = "refused"\n', folder)
        assert [finding.level for finding in found] == ["error"], body


def test_presigned_url_in_a_parameter_is_no_signature(folder: Path) -> None:
    path = "/?file=https%3A%2F%2Fbucket%2Fkey%3FX-Amz-Signature%3D00"
    assert decide(folder, v2(path=path, headers={"x-tenant-id": "blue"}), OPEN).tenant == "blue"


LIST = USERS.replace('claim = ["tenant"]', 'claim = ["tenants"]\nclaim_is_list = true')


@pytest.mark.parametrize(
    ("held", "header", "outcome"),
    [
        (["blue"], None, "blue"),
        (["blue", "green"], "green", "green"),
        (["blue", "green"], "blue", "blue"),
        (["blue", "blue"], None, "blue"),
        (["blue", "green"], None, "ambiguous"),
        (["blue"], "green", "tenant_not_allowed"),
        (["blue", "purple"], "purple", "tenant_unknown"),
        ([], None, "source_mismatch"),
        (["blue", 7], "blue", "source_mismatch"),
        (["blue", None], "blue", "source_mismatch"),
        (["blue", ["green"]], "blue", "source_mismatch"),
        (["blue", ""], "blue", "source_mismatch"),
        (["blue", "a b"], "blue", "source_mismatch"),
        (["blue,green"], "blue", "source_mismatch"),
        ("blue", None, "source_mismatch"),
        ({"blue": True}, None, "source_mismatch"),
        (None, None, "source_mismatch"),
        (True, None, "source_mismatch"),
    ],
)
def test_list_in_a_claim_is_a_set_to_choose_from(folder: Path, held: object, header: str | None, outcome: str) -> None:
    """Trap C7."""
    headers = {} if header is None else {"x-tenant-id": header}
    decided = decide(folder, with_token(token(tenants=held), **headers), CORP, LIST)
    assert outcome in (decided.tenant, decided.reason)


def test_list_of_a_claim_is_intersected_with_what_the_principal_allows(folder: Path) -> None:
    """Trap A2."""
    one = API.replace('tenants = ["blue", "green"]', 'tenant = "green"')
    both = token(tenants=["blue", "green"])
    assert decide(folder, with_token(both, role("api")), CORP, LIST, one).tenant == "green"
    assert decide(folder, with_token(token(tenants=["blue"]), role("api")), CORP, LIST, one).reason == "conflict"


def test_each_text_of_a_list_is_read_by_the_template(folder: Path) -> None:
    rule = LIST + 'template = "t-{tenant}"\n'
    assert decide(folder, with_token(token(tenants=["t-blue"])), CORP, rule).tenant == "blue"
    assert decide(folder, with_token(token(tenants=["t-blue", "green"])), CORP, rule).reason == "source_mismatch"


def test_claim_is_list_goes_with_a_claim() -> None:
    with pytest.raises(InvalidMap, match="claim_is_list is only used with tenant_from"):
        TenantMap.from_toml(HEAD + API.replace("tenants", "claim_is_list = true\ntenants"))


def test_key_file_is_a_file_and_of_a_key_sets_size(tmp_path: Path) -> None:
    """Trap D9: a pipe would be waited for, and a device read, without end."""
    os.mkfifo(tmp_path / "keys.json")
    with pytest.raises(InvalidMap, match=r'jwks_file "keys.json": not a regular file but a pipe'):
        TenantMap.from_toml(HEAD + CORP + USERS, tmp_path)
    (tmp_path / "keys.json").unlink()
    (tmp_path / "keys.json").symlink_to("/dev/zero")
    with pytest.raises(InvalidMap, match="not a regular file but a device"):
        TenantMap.from_toml(HEAD + CORP + USERS, tmp_path)
    (tmp_path / "keys.json").unlink()
    (tmp_path / "keys.json").write_bytes(b" " * 200_000)
    with pytest.raises(InvalidMap, match="over 128 KiB"):
        TenantMap.from_toml(HEAD + CORP + USERS, tmp_path)


def test_map_whose_key_file_has_a_private_key_does_not_load(folder: Path) -> None:
    """Trap G6: the file is deployed with the map."""
    (folder / "keys.json").write_bytes(key_set(jwk("k1"), jwk("k2", number=1, d="c2VjcmV0")))
    with pytest.raises(InvalidMap, match=r'jwks_file "keys.json": contains private keys or secrets: key "k2" has d\.'):
        TenantMap.from_toml(HEAD + CORP + USERS, folder)
