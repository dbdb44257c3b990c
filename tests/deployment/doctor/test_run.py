"""A whole stack of recorded answers, read and judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.config.document import parse_document
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.deployment.doctor.configuration import read_configuration
from lattice_bridge.deployment.doctor.facts import (
    Alias,
    Configuration,
    Deployment,
    Function,
    FunctionName,
    FunctionUrl,
    Service,
    TargetGroup,
    Unread,
)
from lattice_bridge.deployment.doctor.read import MOST_VERSIONS, Aws
from lattice_bridge.deployment.doctor.run import NoSuchFunction, findings_of, read_deployment
from lattice_bridge.deployment.sources.facts import SourceMapping
from tests.support.aws_server import AwsServer
from tests.support.doctor_stack import (
    ACCOUNT,
    ADMITTED,
    BRIDGE,
    FUNCTION,
    GROUP,
    LAMBDA,
    LATTICE,
    ORDERS,
    OTHER_GROUP,
    RECORDED,
    SERVICE,
    TOML,
    allows,
    from_group,
    get_configuration,
    get_policy,
    list_aliases,
    list_sources,
    list_targets,
    list_urls,
    list_versions,
    policy,
)
from tests.support.recorded_aws import RecordedAws, Recording, client

UUID = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"


MOTO = ("dynamodb", "events", "iam", "kinesis", "s3", "sqs", "ssm")


def configured(text: str = TOML) -> Configuration:
    document = parse_document(text)
    return read_configuration(Path("bridge.toml"), document, TenantMap.from_document(document))


def read(
    moto: AwsServer,
    *others: Recording,
    name: FunctionName = BRIDGE,
    service: str | None = None,
    configuration_text: str = TOML,
) -> Deployment:
    """The recorded stack, with some answers replaced."""
    with RecordedAws((*RECORDED, *others)) as recorded:
        aws = Aws(lambda one: client(one, moto.url) if one in MOTO else recorded.client(one))
        return read_deployment(aws, name, configured(configuration_text), account=ACCOUNT, service=service)


def test_recorded_stack_is_read(roles: AwsServer) -> None:
    found = read(roles)
    assert found.bridge.configuration == replace(FUNCTION, variables={"LATTICE_BRIDGE_CONFIG": "bridge.toml"})
    assert [one.targets for one in found.groups if isinstance(one, TargetGroup)] == [(BRIDGE.qualified,)]
    assert (found.bridge.aliases, found.bridge.urls) == ((Alias("live", "7"),), ())
    assert (found.groups_unread, found.event_sources) == (None, ())
    (backend,) = found.backends
    assert isinstance(backend.function.configuration, Function)
    assert (backend.function.name, backend.function.configuration.isolated) == (ORDERS, True)
    assert [principal.name for principal, _created in found.principals] == ["Blue-Api"]
    assert [principal.name for principal in found.foreign_principals] == ["partner"]


def test_other_environment_variables_are_not_kept(roles: AwsServer) -> None:
    assert "hunter2" not in repr(read(roles))


@pytest.mark.parametrize("others", [(), (replace(list_targets(GROUP), fails="AccessDeniedException"),)])
def test_name_without_an_alias_means_the_target(roles: AwsServer, others: Any) -> None:
    assert read(roles, *others, name=FunctionName(BRIDGE.arn)).bridge.name == BRIDGE


def test_target_groups_are_those_of_the_policy_if_targets_are_unread(roles: AwsServer) -> None:
    fails = [replace(list_targets(arn), fails="AccessDeniedException") for arn in (GROUP, OTHER_GROUP)]
    found = read(roles, *fails)
    (group,) = found.groups
    assert isinstance(group, TargetGroup)
    assert isinstance(group.targets, Unread)
    assert found.groups_unread == Unread("vpc-lattice:ListTargets", OTHER_GROUP, "AccessDeniedException")


def test_given_service_is_read_once(roles: AwsServer) -> None:
    by_id = SERVICE.rpartition("/")[2]
    assert len(read(roles, service=by_id).services) == 1
    other = SERVICE[:-1] + "9"
    assert dict(read(roles, service=other).services)[other] is None


def test_function_that_does_not_exist_ends_the_run(roles: AwsServer) -> None:
    with pytest.raises(NoSuchFunction, match="no function bridge:blue"):
        read(roles, name=FunctionName(BRIDGE.arn, "blue"))


def test_environment_variable_replaces_a_backend(roles: AwsServer) -> None:
    variables = {"Variables": {"LATTICE_BRIDGE_FUNCTION": "counter"}}
    found = read(roles, get_configuration(BRIDGE, Environment=variables))
    assert [one.function.name for one in found.backends] == [FunctionName(f"{LAMBDA}:counter")]


EVIL = policy(allows({"AWS": "999999999999"}, sid="evil"))


def evil_subjects(found: Deployment) -> list[str]:
    """The subjects of the errors about the statement `evil`."""
    return [one.subject for one in findings_of(found, configured()) if "evil" in one.actual and one.level == "error"]


@pytest.mark.parametrize("function", [BRIDGE, ORDERS])
@pytest.mark.parametrize("qualifier", ["live", "beta", "3", "2", None])
def test_invoker_is_found_on_every_alias_and_version(
    roles: AwsServer, function: FunctionName, qualifier: str | None
) -> None:
    name = FunctionName(function.arn, qualifier)
    aliases = list_aliases(function, {"Name": "live", "FunctionVersion": "3"}, {"Name": "beta", "FunctionVersion": "3"})
    found = read(roles, aliases, list_versions(function, "1", "2", "3"), get_policy(name, EVIL))
    assert evil_subjects(found) == [f"invoke permission {name.label}"]


def test_newest_versions_are_read_and_the_rest_is_counted(roles: AwsServer) -> None:
    versions = [str(number) for number in range(1, MOST_VERSIONS + 9)]
    newest, oldest = FunctionName(BRIDGE.arn, versions[-1]), FunctionName(BRIDGE.arn, "7")
    found = read(roles, list_versions(BRIDGE, *versions), get_policy(newest, EVIL), get_policy(oldest, EVIL))
    assert found.bridge.versions_left == 7  # all but the alias's own and the newest
    assert evil_subjects(found) == ["invoke permission bridge:7", f"invoke permission {newest.label}"]


def test_named_versions_are_read_if_the_list_is_denied(roles: AwsServer) -> None:
    denied = replace(list_versions(BRIDGE), fails="AccessDeniedException")
    found = read(roles, denied, get_policy(FunctionName(BRIDGE.arn, "7"), EVIL))
    assert found.bridge.versions_left == Unread("lambda:ListVersionsByFunction", BRIDGE.arn, "AccessDeniedException")
    assert evil_subjects(found) == ["invoke permission bridge:7"]


@pytest.mark.parametrize(
    ("qualifiers", "others"), [((None, "live"), "1 other name"), ((None, "live", "7", "6"), "3 other names")]
)
def test_denied_policies_are_one_finding(roles: AwsServer, qualifiers: tuple[str | None, ...], others: str) -> None:
    names = [FunctionName(BRIDGE.arn, qualifier) for qualifier in qualifiers]
    found = read(roles, *(replace(get_policy(name, EVIL), fails="AccessDeniedException") for name in names))
    (line,) = [one for one in findings_of(found, configured()) if one.needs == "lambda:GetPolicy"]
    assert line.subject == f"invoke permission bridge and {others} of it"
    assert line.fix == f"grant lambda:GetPolicy on {BRIDGE.arn}* to the role or user that runs doctor"


def test_target_that_is_a_version_is_read_with_its_policy(roles: AwsServer) -> None:
    version = FunctionName(BRIDGE.arn, "5")  # which is not in the list
    found = read(
        roles,
        list_targets(GROUP, version.qualified),
        get_configuration(version),
        get_policy(version, EVIL),
        name=FunctionName(BRIDGE.arn),
    )
    assert (found.bridge.name, evil_subjects(found)) == (version, ["invoke permission bridge:5"])


@pytest.mark.parametrize("qualifier", [None, "$LATEST"])
def test_latest_is_the_bare_name(roles: AwsServer, qualifier: str | None) -> None:
    bare = (list_targets(GROUP, f"{BRIDGE.arn}:$LATEST"), get_policy(FunctionName(BRIDGE.arn), ADMITTED))
    found = read(roles, *bare, name=FunctionName(BRIDGE.arn, qualifier))
    assert found.bridge.name == FunctionName(BRIDGE.arn)
    assert (found.name_given, found.serving) == (qualifier is not None, ())


def test_target_that_does_not_exist_is_found(roles: AwsServer) -> None:
    found = read(roles, list_targets(GROUP, f"{BRIDGE.arn}:gone"), name=FunctionName(BRIDGE.arn))
    assert [(one.name.label, one.configuration) for one in found.serving] == [("bridge:gone", None)]
    lines = [one for one in findings_of(found, configured()) if one.level == "error"]
    assert [one.actual for one in lines] == ["bridge:gone, which does not exist: every request fails"]


def test_version_with_a_weight_is_read_with_its_role(roles: AwsServer) -> None:
    canary = {"Name": "live", "FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {"8": 0.5}}}
    version, role = FunctionName(BRIDGE.arn, "8"), f"arn:aws:iam::{ACCOUNT}:role/missing"
    found = read(roles, list_aliases(BRIDGE, canary), get_configuration(version, Role=role, Timeout=1))
    (version_8,) = found.serving
    assert isinstance(version_8.configuration, Function)
    assert (version_8.name, version_8.configuration.timeout, version_8.role_policies) == (version, 1, None)
    assert found.bridge.aliases == (Alias("live", "7", (("8", 0.5),)),)


@pytest.mark.parametrize("qualifier", [None, "beta", "5"])
def test_event_sources_of_aliases_and_targets_are_read(roles: AwsServer, qualifier: str | None) -> None:
    name = FunctionName(BRIDGE.arn, qualifier)
    aliases = list_aliases(BRIDGE, {"Name": "live", "FunctionVersion": "7"}, {"Name": "beta", "FunctionVersion": "7"})
    source = {"UUID": UUID, "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:q"}
    targets = list_targets(GROUP, BRIDGE.qualified, f"{BRIDGE.arn}:5")
    assert read(roles, aliases, targets, list_sources(name, source)).event_sources == (
        SourceMapping(UUID, source["EventSourceArn"], enabled=None),
    )


QUEUES = f"""
[[event_source]]
arn = "arn:aws:sqs:eu-west-1:{ACCOUNT}:run-orders"
function = "orders:live"
quarantine = "arn:aws:sqs:eu-west-1:{ACCOUNT}:run-quarantine"
timeout = 20

[[rule]]
id = "orders-queue"
source = "arn:aws:sqs:eu-west-1:{ACCOUNT}:run-orders"
tenant = "blue"
"""


def test_queues_of_the_configuration_are_read_and_judged(roles: AwsServer) -> None:
    """Trap E13: the mapping of the recorded stack reports nothing, and its quarantine does not exist."""
    sqs, text = client("sqs", roles.url), TOML + QUEUES
    sqs.create_queue(QueueName="run-dead")
    dead = json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:run-dead", "maxReceiveCount": "5"})
    sqs.create_queue(QueueName="run-orders", Attributes={"VisibilityTimeout": "210", "RedrivePolicy": dead})
    mapping = {"UUID": UUID, "EventSourceArn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:run-orders", "State": "Enabled"}
    found = read(roles, list_sources(BRIDGE, mapping), configuration_text=text)
    assert [arn.rpartition(":")[2] for arn, _ in found.queues] == ["run-orders", "run-quarantine", "run-dead"]
    told = [
        (one.level, one.subject, one.actual)
        for one in findings_of(found, configured(text))
        if one.level != "ok" and ("queue" in one.subject or "mapping" in one.subject)
    ]
    assert told == [
        ("error", "queue run-quarantine", "no such queue"),
        (
            "error",
            f"event source mapping {UUID}",
            "its FunctionResponseTypes do not contain ReportBatchItemFailures",
        ),
    ]


STREAMS = f"""
[[event_source]]
arn = "arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/run-clicks"
function = "orders:live"
on_poison = "block"

[[event_source]]
arn = "arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/run-orders"
function = "orders:live"
claim = {{ from = "image", name = "owner" }}
on_poison = "block"

[[event_source]]
arn = "arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/run-shop"
function = "orders:live"
claim = {{ from = "detail", path = ["tenant"] }}

[[rule]]
id = "clicks"
source = "arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/run-clicks"
tenant = "blue"

[[rule]]
id = "shop"
source = "arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/run-shop"
detail_type = "order"
tenant = "blue"
accept_risk = "only our shop writes this detail type"
"""


def test_streams_and_buses_of_the_configuration_are_read_and_judged(roles: AwsServer) -> None:
    """Trap E2: a rule for a part of the bus's events trusts every publisher of the bus."""
    kinesis, events = client("kinesis", roles.url), client("events", roles.url)
    kinesis.create_stream(StreamName="run-clicks", ShardCount=1)
    events.create_event_bus(Name="run-shop")
    open_bus = policy({"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": "*"})
    events.put_permission(EventBusName="run-shop", Policy=json.dumps(open_bus))
    events.put_rule(Name="sales", EventBusName="run-shop", EventPattern='{"source": ["shop"]}')
    target = {"Id": "a", "Arn": BRIDGE.qualified, "InputPath": "$.detail"}
    events.put_targets(Rule="sales", EventBusName="run-shop", Targets=[target])
    clicks = f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/run-clicks"
    mapping = {
        "UUID": UUID,
        "EventSourceArn": clicks,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 1,
    }
    text = TOML + STREAMS
    found = read(roles, list_sources(BRIDGE, mapping), configuration_text=text)
    subjects = ("stream ", "table ", "event bus ", "rule ", "event source mapping", "bridge:live")
    told = [
        (one.level, one.subject, one.actual)
        for one in findings_of(found, configured(text))
        if one.level != "ok" and one.subject.startswith(subjects)
    ]
    assert told == [
        ("error", "table run-orders", "no such table"),
        (
            "warning",
            f"event source mapping {UUID}",
            "it has neither MaximumRetryAttempts nor MaximumRecordAgeInSeconds",
        ),
        ("error", "table run-orders", "no event source mapping sends the table run-orders to the bridge"),
        ("error", "rule sales", "InputPath rewrites the event before the bridge"),
        ("error", "bridge:live", "it has no OnFailure destination, and receives events of run-shop as bridge:live"),
        (
            "warning",
            "event bus run-shop",
            "everyone may send events to it, and the rule shop of bridge.toml names no account",
        ),
    ]


def test_permission_of_an_unread_target_group_is_not_removed(roles: AwsServer) -> None:
    denied = Recording("vpc-lattice", "get_target_group", {"targetGroupIdentifier": GROUP}, fails="ThrottlingException")
    found = read(roles, denied, name=FunctionName(BRIDGE.arn))
    assert found.bridge.name == BRIDGE
    fixes = [str(one.fix) for one in findings_of(found, configured())]
    assert not [fix for fix in fixes if "remove-permission" in fix or fix.startswith("grant")]


def test_target_group_of_another_account_is_not_read(roles: AwsServer) -> None:
    foreign = GROUP.replace(ACCOUNT, "999999999999")
    wide = policy(*ADMITTED["Statement"], allows(LATTICE, sid="evil", Condition=from_group(foreign)))
    group = Recording(
        "vpc-lattice", "get_target_group", {"targetGroupIdentifier": foreign}, fails="AccessDeniedException"
    )
    denied = (replace(list_targets(foreign), fails="AccessDeniedException"), group)
    found = read(roles, get_policy(BRIDGE, wide), *denied)
    assert [group.arn for group in found.groups if isinstance(group, TargetGroup)] == [GROUP]
    assert len(found.groups) == 1
    assert evil_subjects(found) == ["invoke permission bridge:live"]


def test_function_url_of_a_backend_is_read(roles: AwsServer) -> None:
    (backend,) = read(roles, list_urls(ORDERS, ORDERS.qualified)).backends
    assert backend.function.urls == (FunctionUrl(ORDERS.qualified, "NONE"),)


def test_backend_of_another_region_is_unread(roles: AwsServer) -> None:
    there = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:orders:live"
    found = read(roles, configuration_text=TOML.replace('"orders:live"', f'"{there}"'))
    (backend,) = found.backends
    cause = "it is in another Region"
    unread = Unread("lambda:GetFunctionConfiguration", there, cause, out_of_reach=True)
    assert backend.function.configuration == unread


def test_no_call_is_made_twice(roles: AwsServer) -> None:
    twice = TOML.replace("[tenants]", '[[backend]]\npath = "/x"\nfunction = "orders:live"\n\n[tenants]', 1)
    with RecordedAws(RECORDED) as recorded:
        aws = Aws(lambda one: client(one, roles.url) if one == "iam" else recorded.client(one))
        assert len(read_deployment(aws, BRIDGE, configured(twice), account=ACCOUNT).backends) == 2
        assert len(set(recorded.asked)) == len(recorded.asked)


def test_malformed_policy_is_unread(roles: AwsServer) -> None:
    broken = Recording("lambda", "get_policy", {"FunctionName": BRIDGE.arn, "Qualifier": "live"}, {"Policy": "{"})
    odd = Recording(
        "vpc-lattice", "get_auth_policy", {"resourceIdentifier": SERVICE}, {"policy": "[", "state": "Active"}
    )
    found = read(roles, broken, odd)
    assert Unread("lambda:GetPolicy", BRIDGE.qualified, "not JSON") in [one.statements for one in found.bridge.policies]
    service = dict(found.services)[SERVICE]
    assert isinstance(service, Service)
    assert service.auth_policy == Unread("vpc-lattice:GetAuthPolicy", SERVICE, "not JSON")


def test_stack_with_every_call_denied_is_judged(roles: AwsServer) -> None:
    found = read(roles, *(replace(one, fails="AccessDeniedException") for one in RECORDED))
    unread: list[object] = [found.bridge.configuration, found.bridge.aliases, found.bridge.urls, found.event_sources]
    unread += [found.groups_unread, found.role_policies]
    assert all(isinstance(one, Unread) for one in unread)
    assert [one.level for one in findings_of(found, configured()) if one.level == "ok"] == [
        "ok"
    ]  # the map's role, which moto has
