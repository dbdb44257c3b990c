"""A deployed stack without a fault: as doctor's facts, and as recorded answers of AWS.

Rule: a test changes the one thing that it is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from lattice_bridge.config.options import Backend, Options
from lattice_bridge.deployment.doctor.facts import (
    Alias,
    AuthPolicy,
    BackendFunction,
    Configuration,
    DeployedFunction,
    Deployment,
    Function,
    FunctionName,
    Listener,
    MapPrincipal,
    ResourcePolicy,
    RolePolicies,
    Service,
    TargetGroup,
)
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION
from tests.support.recorded_aws import Recording

ACCOUNT: Final = "123456789012"  # moto's
LAMBDA: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
BRIDGE: Final = FunctionName(f"{LAMBDA}:bridge", "live")
ORDERS: Final = FunctionName(f"{LAMBDA}:orders", "live")
GROUP: Final = f"arn:aws:vpc-lattice:{REGION}:{ACCOUNT}:targetgroup/tg-0123456789abcdef0"
OTHER_GROUP: Final = f"arn:aws:vpc-lattice:{REGION}:{ACCOUNT}:targetgroup/tg-0123456789abcdef1"
SERVICE: Final = f"arn:aws:vpc-lattice:{REGION}:{ACCOUNT}:service/svc-0123456789abcdef0"
LISTENER: Final = f"{SERVICE}/listener/listener-0123456789abcdef0"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/bridge-role"
WRITTEN: Final = datetime(2026, 11, 1, 10, tzinfo=UTC)
BEFORE: Final = datetime(2026, 10, 1, 10, tzinfo=UTC)
AFTER: Final = datetime(2026, 11, 20, 10, tzinfo=UTC)

TOML: Final = f"""
[lattice]
services = ["{SERVICE}"]

[[backend]]
function = "orders:live"

[tenants]
blue = {{}}

[[rule]]
id = "blue-api"
role = "arn:aws:iam::{ACCOUNT}:role/Blue-Api"
tenant = "blue"

[[rule]]
id = "partner"
role = "arn:aws:iam::444455556666:role/partner"
tenant = "blue"
"""


def allows(principal: Any, *, sid: str = "lattice", **statement: Any) -> dict[str, Any]:
    """A statement that allows a principal to invoke."""
    found = {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": "lambda:InvokeFunction"}
    return {**found, "Resource": BRIDGE.qualified, **statement}


def from_group(arn: str = GROUP) -> dict[str, Any]:
    """The condition that admits one target group."""
    return {"ArnLike": {"AWS:SourceArn": arn}}


LATTICE: Final = {"Service": "vpc-lattice.amazonaws.com"}


def policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Id": "default", "Statement": list(statements)}


ADMITTED: Final = policy(allows(LATTICE, Condition=from_group()))

TRUST: Final = policy({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
RIGHTS: Final = policy(
    {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": ORDERS.qualified},
    {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"},
)

EVERYONE: Final = {"Effect": "Allow", "Principal": "*", "Action": "vpc-lattice-svcs:Invoke", "Resource": "*"}
SIGNED_ONLY: Final = policy(
    {**EVERYONE, "Condition": {"StringNotEqualsIgnoreCase": {"aws:PrincipalType": "anonymous"}}}
)
"""The auth policy of template.yaml."""

# ---- facts ----------------------------------------------------------------------------------------------------------

FUNCTION: Final = Function(
    runtime="python3.13",
    handler="lattice_bridge.main.handler",
    role=ROLE,
    timeout=35,
    log_format="JSON",
    log_group="/aws/lambda/bridge",
    modified=WRITTEN,
    isolated=False,
    state="Active",
    variables={},
)
BACKEND: Final = Backend("/", "orders:live")
BLUE: Final = MapPrincipal("aws", ACCOUNT, "Blue-Api", ("blue-api",), denies=False)
CONFIGURATION: Final = Configuration("bridge.toml", Options((BACKEND,), services=frozenset({SERVICE})), (BLUE,))
TARGET_GROUP: Final = TargetGroup(GROUP, "bridge", "V2", "ACTIVE", (BRIDGE.qualified,), (SERVICE,))
IN_FRONT: Final = Service(
    SERVICE,
    "bridge",
    "AWS_IAM",
    AuthPolicy("Active", read_policy(SIGNED_ONLY)),
    (Listener("HTTPS", 443),),
)
BEHIND: Final = BackendFunction(
    BACKEND,
    DeployedFunction(
        ORDERS,
        replace(FUNCTION, isolated=True),
        policies=(ResourcePolicy(FunctionName(ORDERS.arn), ()), ResourcePolicy(ORDERS, ())),
    ),
)
DEPLOYMENT: Final = Deployment(
    account=ACCOUNT,
    bridge=DeployedFunction(
        BRIDGE,
        FUNCTION,
        aliases=(Alias("live", "7"),),
        policies=(ResourcePolicy(FunctionName(BRIDGE.arn), ()), ResourcePolicy(BRIDGE, read_policy(ADMITTED))),
    ),
    name_given=False,
    role_policies=RolePolicies(read_policy(RIGHTS), trust=read_policy(TRUST)),
    serving=(),
    event_sources=(),
    groups=(TARGET_GROUP,),
    groups_unread=None,
    services=((SERVICE, IN_FRONT),),
    backends=(BEHIND,),
    map_modified=WRITTEN,
    principals=((BLUE, BEFORE),),
    foreign_principals=(),
)


def with_bridge(deployment: Deployment = DEPLOYMENT, **changes: Any) -> Deployment:
    """The stack with another function as the bridge."""
    return replace(deployment, bridge=replace(deployment.bridge, **changes))


def with_settings(**changes: Any) -> Deployment:
    """The stack with other settings of the bridge's function."""
    return with_bridge(configuration=replace(FUNCTION, **changes))


def with_policy(*statements: Mapping[str, Any], qualifier: str | None = "live") -> Deployment:
    """The stack with another resource policy on one of the bridge's names."""
    name = FunctionName(BRIDGE.arn, qualifier)
    others = tuple(one for one in DEPLOYMENT.bridge.policies if one.name != name)
    return with_bridge(policies=(*others, ResourcePolicy(name, read_policy(policy(*statements)))))


def with_group(**changes: Any) -> Deployment:
    """The stack with another target group."""
    return replace(DEPLOYMENT, groups=(replace(TARGET_GROUP, **changes),))


def with_service(**changes: Any) -> Deployment:
    """The stack with another service in front."""
    return replace(DEPLOYMENT, services=((SERVICE, replace(IN_FRONT, **changes)),))


def with_backend(backend: Backend = BACKEND, **changes: Any) -> Deployment:
    """The stack with another backend."""
    return replace(DEPLOYMENT, backends=(BackendFunction(backend, replace(BEHIND.function, **changes)),))


def with_role(*statements: Mapping[str, Any], **changes: Any) -> Deployment:
    """The stack with other statements in the policies of the bridge's role."""
    policies = RolePolicies(read_policy(policy(*statements)), trust=read_policy(TRUST))
    return replace(DEPLOYMENT, role_policies=replace(policies, **changes))


def problems(deployment: Deployment, configuration: Configuration = CONFIGURATION) -> list[Finding]:
    """The findings that are not `ok`."""
    return [found for found in findings_of(deployment, configuration) if found.level != "ok"]


def only_problem(deployment: Deployment, configuration: Configuration = CONFIGURATION) -> Finding:
    """The one finding that is not `ok`."""
    (found,) = problems(deployment, configuration)
    return found


# ---- recorded answers -----------------------------------------------------------------------------------------------


def configuration(name: FunctionName, **changes: Any) -> dict[str, Any]:
    """Lambda's description of a function, shortened to the members that are read."""
    found = {
        "FunctionName": name.name,
        "FunctionArn": name.qualified,
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "lattice_bridge.main.handler",
        "Timeout": 35,
        "LastModified": "2026-11-01T10:00:00.000+0000",
        "State": "Active",
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": f"/aws/lambda/{name.name}"},
        "Environment": {"Variables": {"LATTICE_BRIDGE_CONFIG": "bridge.toml", "SECRET": "hunter2"}},
    }
    return {**found, **changes}


def get_configuration(name: FunctionName, **changes: Any) -> Recording:
    return Recording("lambda", "get_function_configuration", _asked(name), configuration(name, **changes))


def _asked(name: FunctionName) -> dict[str, str]:
    return {"FunctionName": name.arn, **({"Qualifier": name.qualifier} if name.qualifier else {})}


def get_policy(name: FunctionName, document: Any) -> Recording:
    return Recording("lambda", "get_policy", _asked(name), {"Policy": json.dumps(document), "RevisionId": "1"})


def list_targets(group: str, *targets: str) -> Recording:
    items = [{"id": target, "status": "UNAVAILABLE"} for target in targets]
    return Recording("vpc-lattice", "list_targets", {"targetGroupIdentifier": group}, {"items": items})


def _groups(*arns: str) -> Recording:
    items = [{"arn": arn, "id": arn.rpartition("/")[2], "name": "bridge", "type": "LAMBDA"} for arn in arns]
    return Recording("vpc-lattice", "list_target_groups", {"targetGroupType": "LAMBDA"}, {"items": items})


def _group(arn: str) -> Recording:
    answer: dict[str, Any] = {"arn": arn, "name": "bridge", "type": "LAMBDA", "status": "ACTIVE"}
    answer |= {"config": {"lambdaEventStructureVersion": "V2"}, "serviceArns": [SERVICE]}
    return Recording("vpc-lattice", "get_target_group", {"targetGroupIdentifier": arn}, answer)


def list_aliases(name: FunctionName, *aliases: dict[str, Any]) -> Recording:
    return Recording("lambda", "list_aliases", {"FunctionName": name.arn}, {"Aliases": list(aliases)})


def list_versions(name: FunctionName, *versions: str) -> Recording:
    found = [{"FunctionName": name.name, "Version": version} for version in ("$LATEST", *versions)]
    return Recording("lambda", "list_versions_by_function", {"FunctionName": name.arn}, {"Versions": found})


def list_urls(name: FunctionName, *arns: str) -> Recording:
    url = {"FunctionUrl": "https://abcdefgh.lambda-url.eu-west-1.on.aws/", "AuthType": "NONE"}
    url |= {"CreationTime": "2026-01-01", "LastModifiedTime": "2026-01-01"}
    found = {"FunctionUrlConfigs": [{**url, "FunctionArn": arn} for arn in arns]}
    return Recording("lambda", "list_function_url_configs", {"FunctionName": name.arn}, found)


def list_sources(name: FunctionName, *sources: dict[str, Any]) -> Recording:
    found = {"EventSourceMappings": list(sources)}
    return Recording("lambda", "list_event_source_mappings", {"FunctionName": name.qualified}, found)


RECORDED: Final = (
    list_aliases(BRIDGE, {"Name": "live", "AliasArn": BRIDGE.qualified, "FunctionVersion": "7"}),
    list_aliases(ORDERS, {"Name": "live", "AliasArn": ORDERS.qualified, "FunctionVersion": "3"}),
    list_versions(BRIDGE, "6", "7"),
    list_versions(ORDERS, "3"),
    get_configuration(FunctionName(BRIDGE.arn)),
    get_configuration(BRIDGE),
    get_configuration(ORDERS, TenancyConfig={"TenantIsolationMode": "PER_TENANT"}),
    get_policy(BRIDGE, ADMITTED),
    list_urls(BRIDGE),
    list_urls(ORDERS),
    list_sources(FunctionName(BRIDGE.arn)),
    list_sources(BRIDGE),
    _groups(GROUP, OTHER_GROUP),
    list_targets(GROUP, BRIDGE.qualified),
    list_targets(OTHER_GROUP, f"{LAMBDA}:another"),
    _group(GROUP),
    Recording(
        "vpc-lattice",
        "get_service",
        {"serviceIdentifier": SERVICE},
        {"arn": SERVICE, "name": "bridge", "authType": "AWS_IAM", "status": "ACTIVE"},
    ),
    Recording(
        "vpc-lattice",
        "get_auth_policy",
        {"resourceIdentifier": SERVICE},
        {"policy": json.dumps(SIGNED_ONLY), "state": "Active"},
    ),
    Recording(
        "vpc-lattice",
        "list_listeners",
        {"serviceIdentifier": SERVICE},
        {"items": [{"arn": LISTENER, "protocol": "HTTPS", "port": 443}]},
    ),
)
"""The whole stack, except IAM, which moto has."""
