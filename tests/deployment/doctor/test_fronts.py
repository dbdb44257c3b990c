"""Fronts besides Lattice: each may invoke the bridge only if bridge.toml enables it, and only from what is listed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.facts import Configuration, Deployment, FunctionUrl
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    ACCOUNT,
    BACKEND,
    BLUE,
    BRIDGE,
    DEPLOYMENT,
    allows,
    only_problem,
    problems,
    with_bridge,
    with_policy,
)

API: Final = "a1b2c3d4e5"
WEB: Final = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef"
GATEWAY: Final = {"Service": "apigateway.amazonaws.com"}
BALANCER: Final = {"Service": "elasticloadbalancing.amazonaws.com"}
CONFIGURATION: Final = Configuration(
    "bridge.toml",
    Options((BACKEND,), apis=frozenset({API}), target_groups=frozenset({WEB}), function_url=True),
    (BLUE,),
)


def from_api(api: str = API, *, account: str = ACCOUNT, region: str = REGION) -> dict[str, Any]:
    return {"ArnLike": {"AWS:SourceArn": f"arn:aws:execute-api:{region}:{account}:{api}/*"}}


def without_lattice(deployment: Deployment = DEPLOYMENT) -> Deployment:
    """The stack of a bridge that nothing of Lattice sends to."""
    return replace(deployment, groups=(), services=())


def by(principal: Any, **statement: Any) -> Deployment:
    """The stack of a bridge with one statement in its policy, and nothing of Lattice."""
    return without_lattice(with_policy(allows(principal, sid="front", **statement)))


@pytest.mark.parametrize(
    ("principal", "condition"),
    [(GATEWAY, from_api()), (BALANCER, {"ArnLike": {"AWS:SourceArn": WEB}})],
)
def test_listed_source_is_right_and_lattice_is_not_needed(principal: Any, condition: dict[str, Any]) -> None:
    assert problems(by(principal, Condition=condition), CONFIGURATION) == []


@pytest.mark.parametrize(
    ("principal", "condition", "actual"),
    [
        (GATEWAY, {}, "apigateway.amazonaws.com may invoke it from any API of any account: no aws:SourceArn"),
        (
            BALANCER,
            {},
            "elasticloadbalancing.amazonaws.com may invoke it from any load balancer of any account: no aws:SourceArn",
        ),
        (GATEWAY, from_api("z9y8x7w6v5"), "which bridge.toml does not list"),
        (GATEWAY, from_api("*"), "which bridge.toml does not list"),
        (GATEWAY, from_api(account="999999999999"), "which bridge.toml does not list"),
        (GATEWAY, from_api(region="us-west-2"), "which bridge.toml does not list"),
        (GATEWAY, {"ArnLike": {"AWS:SourceArn": WEB}}, "which bridge.toml does not list"),
        (BALANCER, {"ArnLike": {"AWS:SourceArn": f"{WEB[:-1]}*"}}, "which bridge.toml does not list"),
        (BALANCER, from_api(), "which bridge.toml does not list"),
        (GATEWAY, {"StringEquals": {"AWS:SourceAccount": ACCOUNT}}, "from any API of any account"),
    ],
)
def test_source_that_is_not_listed_is_an_error(principal: Any, condition: dict[str, Any], actual: str) -> None:
    """Trap F5: the owner of the API writes the caller's identity into the event."""
    found = only_problem(by(principal, Condition=condition), CONFIGURATION)
    assert (found.level, found.subject) == ("error", "invoke permission bridge:live")
    assert actual in found.actual
    assert found.actual.endswith(", by statement front")


@pytest.mark.parametrize("principal", [GATEWAY, BALANCER])
def test_front_that_bridge_toml_does_not_enable_is_an_error(principal: Any) -> None:
    """Trap F1."""
    plain = replace(CONFIGURATION, options=Options((BACKEND,), function_url=True))
    for statement in ({"Condition": from_api()}, {}):
        found = only_problem(by(principal, **statement), plain)
        assert (found.level, "may invoke it" in found.actual) == ("error", True)


# ---- function URLs --------------------------------------------------------------------------------------------------

SIGNED: Final = {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}


def test_function_url_for_signed_callers_is_right_if_it_is_enabled() -> None:
    statement = allows({"AWS": "arn:aws:iam::444455556666:root"}, Action="lambda:InvokeFunctionUrl", Condition=SIGNED)
    deployment = with_bridge(without_lattice(with_policy(statement)), urls=(FunctionUrl(BRIDGE.qualified),))
    assert problems(deployment, CONFIGURATION) == []


def test_function_url_without_authentication_is_an_error() -> None:
    """Trap F8."""
    deployment = with_bridge(without_lattice(with_policy()), urls=(FunctionUrl(BRIDGE.qualified, "NONE"),))
    found = only_problem(deployment, CONFIGURATION)
    assert (found.level, found.actual) == (
        "error",
        "bridge:live has one, with AuthType NONE: anyone on the internet may call it",
    )
    assert found.fix == "set the AuthType of the function URL of bridge:live to AWS_IAM"


def test_permission_for_invokes_through_the_function_url_only_is_right() -> None:
    """Since 2025, Lambda requires it beside the one for InvokeFunctionUrl."""
    through = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    assert problems(by({"AWS": "arn:aws:iam::444455556666:root"}, Condition=through), CONFIGURATION) == []


def test_every_aws_principal_at_the_function_url_is_a_warning() -> None:
    found = only_problem(by("*", Action="lambda:InvokeFunctionUrl", Condition=SIGNED), CONFIGURATION)
    assert (found.level, found.actual.startswith("every AWS principal may call the function URL")) == ("warning", True)


def test_permission_for_unsigned_callers_of_the_function_url_is_an_error() -> None:
    """Trap F8."""
    condition = {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}
    found = only_problem(by("*", Action="lambda:InvokeFunctionUrl", Condition=condition), CONFIGURATION)
    assert (found.level, found.actual) == ("error", "* may invoke it, by statement front")


def test_permission_beside_the_function_url_is_still_an_error() -> None:
    """Trap A8: with InvokeFunction alone, its holder writes the whole event."""
    found = only_problem(by({"AWS": "arn:aws:iam::444455556666:root"}), CONFIGURATION)
    assert (found.level, "may invoke it" in found.actual) == ("error", True)
