"""A deployed stack that is as it should be: as AWS tells of it, and as doctor read it.

Rule: a test changes the one thing that it is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from lattice_bridge.config.backend import Backend
from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.configuration import Configured, NamedRole
from lattice_bridge.deployment.doctor.facts import (
    Alias,
    AuthPolicy,
    BackendFunction,
    Deployed,
    Door,
    Function,
    Listener,
    MapRole,
    Name,
    Rights,
    Service,
    TargetGroup,
)
from lattice_bridge.deployment.doctor.findings import Finding, Shell
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.doctor.service import POLICY
from lattice_bridge.deployment.iam.policy import read_policy, read_statements
from tests.support.aws_server import REGION
from tests.support.recorded_aws import Recording

ACCOUNT: Final = "123456789012"  # moto's
LAMBDA: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
BRIDGE: Final = Name(f"{LAMBDA}:bridge", "live")
ORDERS: Final = Name(f"{LAMBDA}:orders", "live")
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
    """A statement that lets somebody invoke."""
    found = {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": "lambda:InvokeFunction"}
    return {**found, "Resource": BRIDGE.qualified, **statement}


def from_group(arn: str = GROUP) -> dict[str, Any]:
    """The condition under which Lambda admits one target group."""
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

# ---- as doctor read it ----------------------------------------------------------------------------------------------

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
BLUE: Final = NamedRole("aws", ACCOUNT, "Blue-Api", ("blue-api",), denies=False)
CONFIGURED: Final = Configured("bridge.toml", Options((BACKEND,), frozenset({SERVICE})), (BLUE,))
TARGET_GROUP: Final = TargetGroup(GROUP, "bridge", "V2", "ACTIVE", (BRIDGE.qualified,), (SERVICE,))
IN_FRONT: Final = Service(
    SERVICE, "bridge", "AWS_IAM", AuthPolicy("Active", read_statements(POLICY)), (Listener(LISTENER, "HTTPS", 443),)
)
BEHIND: Final = BackendFunction(
    BACKEND, ORDERS, replace(FUNCTION, isolated=True), (Door(Name(ORDERS.arn), ()), Door(ORDERS, ()))
)
DEPLOYED: Final = Deployed(
    account=ACCOUNT,
    bridge=BRIDGE,
    asked=False,
    function=FUNCTION,
    running=(),
    aliases=(Alias("live", "7"),),
    doors=(Door(Name(BRIDGE.arn), ()), Door(BRIDGE, read_policy(ADMITTED))),
    left=0,
    urls=(),
    sources=(),
    groups=(TARGET_GROUP,),
    unseen=None,
    services=((SERVICE, IN_FRONT),),
    asked_service=None,
    backends=(BEHIND,),
    rights=Rights(read_policy(RIGHTS), trust=read_policy(TRUST)),
    map_written=WRITTEN,
    map_gone=False,
    roles=(MapRole(BLUE, BEFORE),),
    elsewhere=(),
)


def door(*statements: Mapping[str, Any], qualifier: str | None = "live") -> Deployed:
    """The stack with other statements on one of the bridge's names."""
    name = Name(BRIDGE.arn, qualifier)
    others = tuple(one for one in DEPLOYED.doors if one.name != name)
    return replace(DEPLOYED, doors=(*others, Door(name, read_policy(policy(*statements)))))


def grouped(**changes: Any) -> Deployed:
    """The stack with another target group."""
    return replace(DEPLOYED, groups=(replace(TARGET_GROUP, **changes),))


def served(**changes: Any) -> Deployed:
    """The stack with another service in front."""
    return replace(DEPLOYED, services=((SERVICE, replace(IN_FRONT, **changes)),))


def behind(backend: Backend | None = None, **changes: Any) -> Deployed:
    """The stack with another backend."""
    return replace(DEPLOYED, backends=(replace(BEHIND, backend=backend or BEHIND.backend, **changes),))


def allowed(*statements: Mapping[str, Any], **changes: Any) -> Deployed:
    """The stack with other statements in the policies of the bridge's role."""
    return replace(
        DEPLOYED, rights=Rights(read_policy(policy(*statements)), **{"trust": read_policy(TRUST), **changes})
    )


def said(deployed: Deployed, configured: Configured = CONFIGURED) -> list[Finding]:
    """All that doctor says that is not `ok`."""
    return [found for found in findings_of(deployed, configured, Shell(REGION)) if found.level != "ok"]


def only(deployed: Deployed, configured: Configured = CONFIGURED) -> Finding:
    """The one thing that is wrong."""
    (found,) = said(deployed, configured)
    return found


# ---- as AWS tells ---------------------------------------------------------------------------------------------------


def configuration(name: Name, **changes: Any) -> dict[str, Any]:
    """What Lambda says of a function, shortened to what is read."""
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


def get_configuration(name: Name, **changes: Any) -> Recording:
    return Recording("lambda", "get_function_configuration", _asked(name), configuration(name, **changes))


def _asked(name: Name) -> dict[str, str]:
    return {"FunctionName": name.arn, **({"Qualifier": name.qualifier} if name.qualifier else {})}


def get_policy(name: Name, document: Any) -> Recording:
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


def list_aliases(name: Name, *aliases: dict[str, Any]) -> Recording:
    return Recording("lambda", "list_aliases", {"FunctionName": name.arn}, {"Aliases": list(aliases)})


def list_versions(name: Name, *versions: str) -> Recording:
    found = [{"FunctionName": name.name, "Version": version} for version in ("$LATEST", *versions)]
    return Recording("lambda", "list_versions_by_function", {"FunctionName": name.arn}, {"Versions": found})


def list_urls(name: Name, *arns: str) -> Recording:
    url = {"FunctionUrl": "https://abcdefgh.lambda-url.eu-west-1.on.aws/", "AuthType": "NONE"}
    url |= {"CreationTime": "2026-01-01", "LastModifiedTime": "2026-01-01"}
    found = {"FunctionUrlConfigs": [{**url, "FunctionArn": arn} for arn in arns]}
    return Recording("lambda", "list_function_url_configs", {"FunctionName": name.arn}, found)


def list_sources(name: Name, *sources: dict[str, Any]) -> Recording:
    found = {"EventSourceMappings": list(sources)}
    return Recording("lambda", "list_event_source_mappings", {"FunctionName": name.qualified}, found)


RECORDED: Final = (
    list_aliases(BRIDGE, {"Name": "live", "AliasArn": BRIDGE.qualified, "FunctionVersion": "7"}),
    list_aliases(ORDERS, {"Name": "live", "AliasArn": ORDERS.qualified, "FunctionVersion": "3"}),
    list_versions(BRIDGE, "6", "7"),
    list_versions(ORDERS, "3"),
    get_configuration(Name(BRIDGE.arn)),
    get_configuration(BRIDGE),
    get_configuration(ORDERS, TenancyConfig={"TenantIsolationMode": "PER_TENANT"}),
    get_policy(BRIDGE, ADMITTED),
    list_urls(BRIDGE),
    list_urls(ORDERS),
    list_sources(Name(BRIDGE.arn)),
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
        {"policy": json.dumps(POLICY), "state": "Active"},
    ),
    Recording(
        "vpc-lattice",
        "list_listeners",
        {"serviceIdentifier": SERVICE},
        {"items": [{"arn": LISTENER, "protocol": "HTTPS", "port": 443}]},
    ),
)
"""The whole stack, but for IAM, which moto has."""
