"""bridge.toml compared with the stack: settings of the bridge, tenancy of the backends, principals of the map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.options import Backend
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.deployment.doctor.configuration import read_configuration
from lattice_bridge.deployment.doctor.facts import (
    Alias,
    Configuration,
    Deployment,
    FunctionName,
    ResourcePolicy,
    RolePolicies,
    ServingVersion,
    Unread,
)
from lattice_bridge.deployment.doctor.findings import Finding, unread_finding
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.doctor_stack import (
    ACCOUNT,
    AFTER,
    BEFORE,
    BLUE,
    BRIDGE,
    CONFIGURATION,
    DEPLOYMENT,
    FUNCTION,
    ORDERS,
    RIGHTS,
    SERVICE,
    TOML,
    TRUST,
    WRITTEN,
    only_problem,
    problems,
    with_backend,
    with_bridge,
    with_group,
    with_role,
    with_service,
    with_settings,
)

DENIED = Unread("x:GetY", "arn", "AccessDeniedException")


def test_authorizer_is_not_the_bridge() -> None:
    found = only_problem(with_settings(handler="lattice_bridge.authorizer.handler"))
    assert (found.level, found.subject, found.fix) == ("warning", "handler", "name the bridge with --function")


def test_stack_without_a_fault_has_only_ok_findings_without_a_fix() -> None:
    found = findings_of(DEPLOYMENT, CONFIGURATION)
    assert problems(DEPLOYMENT) == []
    assert len(found) > 12
    assert all(line.fix is None and not line.is_wrong for line in found)


# ---- bridge.toml ----------------------------------------------------------------------------------------------------


def configuration(text: str) -> Configuration:
    document = parse_document(text)
    return read_configuration(Path("bridge.toml"), document, TenantMap.from_document(document))


def test_roles_have_the_spelling_of_the_map_and_prefixes_are_left_out() -> None:
    more = '[[rule]]\nid = "many"\nrole = "arn:aws:iam::123456789012:role/dev-*"\ntenant = "blue"\n'
    deny = '[[rule]]\nid = "not-me"\nrole = "arn:aws:iam::123456789012:role/path/Evil"\ndeny = true\n'
    found = configuration(TOML + more + deny)
    assert [(role.name, role.rules, role.denies) for role in found.principals] == [
        ("Blue-Api", ("blue-api",), False),
        ("Evil", ("not-me",), True),
        ("partner", ("partner",), False),
    ]
    assert (found.knows_callers, found.admits_anonymous, found.table) == (True, False, None)


def test_user_of_the_map_is_read() -> None:
    user = '[[rule]]\nid = "bob"\nuser = "arn:aws:iam::123456789012:user/path/Bob"\ntenant = "blue"\n'
    found = [one for one in configuration(TOML + user).principals if one.kind == "user"]
    assert [(one.name, one.arn, one.rules) for one in found] == [
        ("Bob", "arn:aws:iam::123456789012:user/Bob", ("bob",))
    ]


def test_roles_of_a_compiled_map_are_in_lower_case() -> None:
    compiled = compile_document(parse_document(TOML), Path())
    assert [role.name for role in configuration(compiled).principals] == ["blue-api", "partner"]


def test_map_for_anyone_admits_anonymous_callers() -> None:
    anyone = '[[rule]]\nid = "all"\nanyone = true\ntenant = "blue"\naccept_risk = "a test"\n'
    found = configuration(TOML + anyone)
    assert (found.knows_callers, found.admits_anonymous) == (True, True)


# ---- the bridge's function ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "level", "subject", "fix"),
    [
        ({"log_format": "Text"}, "warning", "log format", "deploy bridge with the log format JSON, publish a version"),
        ({"timeout": 30}, "warning", "timeout", "deploy bridge with a timeout of 31 s, publish a version"),
        ({"runtime": "python3.10"}, "error", "runtime", "then deploy it with Python 3.11 or later"),
        ({"runtime": "nodejs22.x"}, "error", "runtime", "make sure that bridge:live is the bridge; then deploy it"),
        ({"isolated": True}, "error", "function bridge:live", "deploy the bridge as another function"),
        ({"state": "Failed"}, "warning", "function bridge:live", "deploy it again"),
        ({"last_update": "Failed"}, "error", "function bridge:live", "deploy it again"),
        ({"handler": "wrapper.handler"}, "warning", "handler", "make sure that bridge:live is the bridge"),
        ({"variables": {"LATTICE_BRIDGE_FUNCTION": "a b"}}, "error", "LATTICE_BRIDGE_FUNCTION", "remove the environm"),
        ({"variables": {"LATTICE_BRIDGE_CONFIG": "examples/open.toml"}}, "warning", "configuration", "--config"),
    ],
)
def test_wrong_setting_is_found(changes: Any, level: str, subject: str, fix: str) -> None:
    found = only_problem(with_settings(**changes))
    assert (found.level, found.subject) == (level, subject)
    assert fix in str(found.fix)


def test_timeout_beyond_lambdas_limit_is_fixed_in_the_map() -> None:
    slow = (Backend("/", "orders:live", timeout=898),)
    found = only_problem(
        with_settings(timeout=900), replace(CONFIGURATION, options=CONFIGURATION.options._replace(backends=slow))
    )
    assert (found.level, found.expected) == ("warning", "at least 901 s: 898 for the slowest backend, and 3")
    assert found.fix == (
        "in bridge.toml, set the timeout of each [[backend]] to at most 897, since a function has 900 s"
    )


def test_setting_of_the_bare_name_needs_no_new_version() -> None:
    deployment = with_bridge(with_settings(timeout=3), name=FunctionName(BRIDGE.arn))
    (found,) = [one for one in problems(deployment) if one.subject == "timeout"]
    assert found.fix == "deploy bridge with a timeout of 31 s"


def test_image_does_not_show_its_python() -> None:
    found = only_problem(with_settings(runtime=None))
    assert (found.level, found.is_wrong) == ("unknown", False)


def test_version_of_boto3_is_unknown_if_boto3_invokes() -> None:
    found = only_problem(DEPLOYMENT, replace(CONFIGURATION, options=CONFIGURATION.options._replace(invoker="boto3")))
    assert (found.level, found.is_wrong) == ("unknown", False)
    assert "AWS does not show its version: python3.13 contains one, and the package may contain another" in found.actual
    assert found.fix == 'search the log group /aws/lambda/bridge for "boto3_too_old"'


# ---- the place of the map -------------------------------------------------------------------------------------------


def place_finding(place: str, *, missing: bool = False) -> Finding:
    """The finding about a map in some place."""
    deployment = with_settings(variables={"LATTICE_BRIDGE_CONFIG": place})
    deployment = replace(deployment, map_modified=None if missing else WRITTEN)
    return next(one for one in findings_of(deployment, CONFIGURATION) if one.subject == "configuration")


@pytest.mark.parametrize("place", ["s3://maps/live/bridge.toml", "ssm:/bridge.toml"])
def test_content_of_a_map_in_s3_or_ssm_is_unknown(place: str) -> None:
    found = place_finding(place)
    assert (found.level, found.is_wrong) == ("unknown", False)
    assert found.fix == f"download {place}, and compare it with bridge.toml by `lattice-bridge diff`"


@pytest.mark.parametrize("place", ["s3://maps/bridge.toml", "ssm:/x"])
def test_map_that_does_not_exist_is_an_error(place: str) -> None:
    assert place_finding(place, missing=True).level == "error"


def test_map_of_the_package_is_compared_by_its_name() -> None:
    assert "whose content was not read" in place_finding("bridge.toml").actual


# ---- the principals of the map (trap B17) ---------------------------------------------------------------------------


def test_role_that_does_not_exist_is_an_error() -> None:
    found = only_problem(replace(DEPLOYMENT, principals=((BLUE, None),)))
    assert (found.level, found.actual) == (
        "error",
        "no such role: if anyone creates it, rule blue-api gives it a tenant",
    )
    assert found.fix == "in bridge.toml, remove rule blue-api"


def test_denied_role_that_does_not_exist_is_a_warning() -> None:
    found = only_problem(replace(DEPLOYMENT, principals=((replace(BLUE, denies=True), None),)))
    assert (found.level, found.actual) == ("warning", "no such role: rule blue-api denies no caller")


def test_role_younger_than_the_map_is_a_warning() -> None:
    found = only_problem(replace(DEPLOYMENT, principals=((BLUE, AFTER),)))
    assert found.level == "warning"
    assert "created 2026-11-20 10:00:00+00:00, after the map" in found.actual
    assert str(found.fix).startswith("search CloudTrail for the creation of Blue-Api")


def test_user_is_judged_like_a_role() -> None:
    bob = replace(BLUE, name="bob", kind="user", rules=("bob",))
    assert bob.arn == f"arn:aws:iam::{ACCOUNT}:user/bob"
    missing = only_problem(replace(DEPLOYMENT, principals=((bob, None),)))
    assert missing.actual.startswith("no such user: if anyone creates it")
    assert only_problem(replace(DEPLOYMENT, principals=((bob, AFTER),))).subject == "user bob in the map"


def test_age_of_a_role_is_not_judged_without_the_date_of_the_map() -> None:
    assert problems(replace(DEPLOYMENT, map_modified=None, principals=((BLUE, AFTER),))) == []


def test_roles_of_another_account_are_unknown() -> None:
    others = tuple(replace(BLUE, account="444455556666", name=f"role-{number}") for number in range(5))
    found = only_problem(replace(DEPLOYMENT, foreign_principals=others))
    assert (found.level, found.is_wrong) == ("unknown", False)
    assert found.actual == "not read from this account: role-0, role-1, role-2 and 2 more"


def test_roles_beyond_the_limit_are_counted() -> None:
    many = tuple(replace(BLUE, name=f"role-{number}") for number in range(4))
    found = only_problem(DEPLOYMENT, replace(CONFIGURATION, principals=many))
    assert found.actual == "3 more, which were not read"


# ---- facts that could not be read -----------------------------------------------------------------------------------

UNREAD: dict[str, Deployment] = {
    "aliases": with_bridge(aliases=DENIED),
    "policy": with_bridge(policies=(ResourcePolicy(BRIDGE, DENIED),)),
    "urls": with_bridge(urls=DENIED),
    "event sources": replace(DEPLOYMENT, event_sources=DENIED),
    "groups": replace(DEPLOYMENT, groups_unread=DENIED),
    "group": replace(with_bridge(policies=()), groups=(DENIED,)),
    "targets": with_group(targets=DENIED),
    "service": replace(DEPLOYMENT, services=((SERVICE, DENIED),)),
    "auth policy": with_service(auth_policy=DENIED),
    "listeners": with_service(listeners=DENIED),
    "function": replace(with_bridge(configuration=DENIED), role_policies=DENIED),
    "role": replace(DEPLOYMENT, role_policies=DENIED),
    "role's policies": replace(DEPLOYMENT, role_policies=RolePolicies(DENIED, trust=read_policy(TRUST))),
    "boundary": with_role(*RIGHTS["Statement"], boundary=DENIED),
    "trust policy": with_role(*RIGHTS["Statement"], trust=DENIED),
    "versions": with_bridge(versions_left=DENIED),
    "another target": replace(DEPLOYMENT, serving=(ServingVersion(FunctionName(BRIDGE.arn, "8"), DENIED, None),)),
    "backend": with_backend(configuration=DENIED),
    "backend's policy": with_backend(policies=(ResourcePolicy(ORDERS, DENIED),)),
    "backend's aliases": with_backend(aliases=DENIED),
    "backend's versions": with_backend(versions_left=DENIED),
    "backend's urls": with_backend(urls=DENIED),
    "role in the map": replace(DEPLOYMENT, principals=((BLUE, DENIED),)),
    "map's date": replace(DEPLOYMENT, map_modified=DENIED, principals=((BLUE, BEFORE),)),
}


@pytest.mark.parametrize("deployment", UNREAD.values(), ids=list(UNREAD))
def test_denied_call_is_one_finding_with_its_permission(deployment: Deployment) -> None:
    unread: list[Finding] = [found for found in problems(deployment) if found.needs]
    assert [found.needs for found in unread] == ["x:GetY"]
    assert unread[0].level == "unknown"
    assert unread[0].is_wrong
    assert unread[0].fix == "grant x:GetY on arn to the role or user that runs doctor"


@pytest.mark.parametrize(
    ("cause", "fix"),
    [
        ("AccessDenied", "grant x:GetY on arn to the role or user that runs doctor"),
        ("AccessDeniedException", "grant x:GetY on arn to the role or user that runs doctor"),
        ("ThrottlingException", "try again: x:GetY on arn failed with ThrottlingException"),
        ("EndpointConnectionError", "try again: x:GetY on arn failed with EndpointConnectionError"),
        ("ExpiredTokenException", "log in again: the credentials are invalid or have expired"),
        ("InvalidClientTokenId", "log in again: the credentials are invalid or have expired"),
        ("another answer", "try again: x:GetY on arn failed with another answer"),
    ],
)
def test_fix_of_a_failed_call_follows_from_its_cause(cause: str, fix: str) -> None:
    found = unread_finding("subject", Unread("x:GetY", "arn", cause), "expected")
    assert (found.level, found.is_wrong, found.fix) == ("unknown", True, fix)


def test_fact_of_another_account_is_to_be_checked_there() -> None:
    found = unread_finding("subject", Unread("x:GetY", "arn", "of another account", out_of_reach=True), "expected")
    assert (found.is_wrong, found.fix) == (True, "check arn with credentials of its account, in its Region")


# ---- versions with a weight -----------------------------------------------------------------------------------------


def test_settings_of_a_version_with_a_weight_are_judged() -> None:
    other = replace(FUNCTION, timeout=1, variables={"LATTICE_BRIDGE_CONFIG": "other.toml"})
    canary = ServingVersion(FunctionName(BRIDGE.arn, "8"), other, DEPLOYMENT.role_policies)
    assert [(one.level, one.subject) for one in problems(replace(DEPLOYMENT, serving=(canary,)))] == [
        ("warning", "timeout (bridge:8)"),
        ("warning", "configuration (bridge:8)"),
    ]
    assert problems(replace(DEPLOYMENT, serving=(replace(canary, configuration=FUNCTION),))) == []


def test_weights_of_an_alias_are_reported() -> None:
    deployment = with_bridge(aliases=(Alias("live", "7", (("8", 0.1),)),))
    lines = findings_of(deployment, CONFIGURATION)
    (found,) = [one.actual for one in lines if one.subject == "weights of bridge:live"]
    assert found == "10% to version 8, the rest to version 7"


# ---- the tenancy of a backend ---------------------------------------------------------------------------------------


def test_isolated_backend_without_tenancy_is_an_error() -> None:
    found = only_problem(with_backend(configuration=FUNCTION))
    assert (found.level, found.expected) == ("error", "PER_TENANT")
    assert str(found.fix).startswith(f"create another function in place of orders:live, in {ACCOUNT} and eu-west-1")
    assert "TenantIsolationMode=PER_TENANT" in str(found.fix)


def test_isolated_function_that_the_map_calls_standard_is_an_error() -> None:
    found = only_problem(with_backend(Backend("/", "orders:live", isolated=False)))
    assert (found.level, found.fix) == ("error", 'in bridge.toml, [[backend]] path "/": isolated = true')


def test_backend_that_does_not_exist_is_an_error() -> None:
    found = only_problem(with_backend(configuration=None, policies=()))
    assert found.actual.startswith("no such function or qualifier")


def test_backend_that_is_not_active_is_a_warning() -> None:
    assert (
        only_problem(with_backend(configuration=replace(FUNCTION, isolated=True, state="Pending"))).level == "warning"
    )
