"""Reads from AWS, compared with moto where moto has the call, and with recorded answers elsewhere."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

from lattice_bridge.deployment.doctor.facts import (
    Function,
    FunctionName,
    FunctionUrl,
    RolePolicies,
    Service,
    TargetGroup,
    Unread,
)
from lattice_bridge.deployment.doctor.read import (
    MOST_PAGES,
    PAGED,
    READS,
    Aws,
    read_aliases,
    read_created,
    read_function,
    read_groups,
    read_map_modified,
    read_policies,
    read_role,
    read_service,
    read_urls,
)
from lattice_bridge.deployment.doctor.read_sources import read_event_sources
from lattice_bridge.deployment.iam.access import granted
from lattice_bridge.deployment.iam.policy import ConditionValue, read_policy
from lattice_bridge.deployment.sources.facts import SourceMapping
from tests.support.aws_server import REGION, AwsServer
from tests.support.doctor_stack import (
    ACCOUNT,
    BLUE,
    BRIDGE,
    FUNCTION,
    GROUP,
    LAMBDA,
    ORDERS,
    RECORDED,
    RIGHTS,
    SERVICE,
    SIGNED_ONLY,
    TRUST,
    WRITTEN,
    configuration,
    list_sources,
    list_urls,
)
from tests.support.recorded_aws import RecordedAws, client, unconnected

# ---- calls ----------------------------------------------------------------------------------------------------------


def test_every_call_only_reads() -> None:
    for (service, method), permission in READS.items():
        operation = unconnected(service).meta.method_to_api_mapping[method]
        assert operation.startswith(("Get", "List", "Describe", "Simulate"))
        assert permission.split(":")[1].startswith(("Get", "GET", "List", "Describe", "Simulate"))


def test_permission_of_a_call_is_its_operation() -> None:
    for (service, method), permission in READS.items():
        operation = unconnected(service).meta.method_to_api_mapping[method]
        other_name = {"s3:ListObjectsV2": "s3:ListBucket"}
        if service.startswith("apigateway"):  # IAM names the methods of HTTP
            assert permission == "apigateway:GET"
            continue
        assert permission == other_name.get(f"{service}:{operation}", f"{service}:{operation}")


def test_paged_calls_are_those_that_botocore_pages() -> None:
    lists = {method for _service, method in READS if method.startswith("list_")} - {"list_objects_v2"}
    assert lists | {"describe_parameters", "get_authorizers", "get_resources"} == PAGED
    assert all(unconnected(service).can_paginate(method) for service, method in READS if method in PAGED)


def test_call_outside_of_the_list_is_refused() -> None:
    services: list[str] = []
    with pytest.raises(KeyError):
        Aws(services.append).call("lambda", "delete_function", "arn")
    assert services == []


# ---- denied, failed, absent -----------------------------------------------------------------------------------------


def stubbed(service: str, method: str, code: str) -> Aws:
    made = client(service, "http://127.0.0.1:9")
    stubber = Stubber(made)
    stubber.add_client_error(method, code, "not for you")
    stubber.activate()
    return Aws(lambda _name: made)


@pytest.mark.parametrize(("service", "method"), READS)
def test_denied_call_names_its_permission(service: str, method: str) -> None:
    arguments = _least(service, method)
    found = stubbed(service, method, "AccessDeniedException").call(service, method, "arn", **arguments)
    assert found == Unread(READS[service, method], "arn", "AccessDeniedException")


def _least(service: str, method: str) -> dict[str, Any]:
    """Arguments that pass botocore's validation."""
    made = unconnected(service)
    shape = made.meta.service_model.operation_model(made.meta.method_to_api_mapping[method]).input_shape
    given = {
        "targetGroupIdentifier": GROUP,
        "serviceIdentifier": SERVICE,
        "resourceIdentifier": SERVICE,
        "Bucket": "maps",
    }
    long = "arn:aws:iam::123456789012:policy/one"
    return {name: given.get(name, long) for name in (shape.required_members if shape else ())}


def test_failed_connection_is_unread() -> None:
    found = Aws(lambda name: client(name, "http://127.0.0.1:9")).call("iam", "get_role", "arn", RoleName="x")
    assert found == Unread("iam:GetRole", "arn", "EndpointConnectionError")


@pytest.mark.parametrize(
    ("service", "method", "code"),
    [("lambda", "get_policy", "ResourceNotFoundException"), ("iam", "get_role", "NoSuchEntity")],
)
def test_thing_that_does_not_exist_is_none(service: str, method: str, code: str) -> None:
    assert stubbed(service, method, code).call(service, method, "arn", **_least(service, method)) is None


UUID = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"


def test_urls_and_event_sources_are_read() -> None:
    source = {"UUID": UUID, "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:q"}
    with RecordedAws((*RECORDED, list_urls(BRIDGE, BRIDGE.qualified), list_sources(BRIDGE, source))) as recorded:
        aws = Aws(recorded.client)
        assert read_urls(aws, BRIDGE) == (FunctionUrl(BRIDGE.qualified, "NONE"),)
        assert read_event_sources(aws, [BRIDGE]) == (SourceMapping(UUID, source["EventSourceArn"], enabled=None),)


def test_all_pages_are_read() -> None:
    asked = {"targetGroupIdentifier": GROUP}
    made = client("vpc-lattice", "http://127.0.0.1:9")
    stubber = Stubber(made)
    first = {"items": [{"id": f"{LAMBDA}:other"}], "nextToken": "2"}
    stubber.add_response("list_target_groups", {"items": [{"arn": GROUP}]}, {"targetGroupType": "LAMBDA"})
    stubber.add_response("list_targets", first, asked)
    stubber.add_response("list_targets", {"items": [{"id": BRIDGE.arn}]}, {**asked, "nextToken": "2"})
    stubber.add_response("get_target_group", {"arn": GROUP, "config": {}}, asked)
    with stubber:
        ((group,), _unseen) = read_groups(Aws(lambda _name: made), BRIDGE, ())
    assert isinstance(group, TargetGroup)
    assert group.targets == (f"{LAMBDA}:other", BRIDGE.arn)


@pytest.mark.parametrize("tokens", [["A"], ["A", "B"], map(str, range(1_000_000))], ids=["one", "two", "ever new"])
def test_endless_pages_are_unread(tokens: Iterable[str]) -> None:
    """botocore only detects the token of the page before."""
    again = itertools.cycle(tokens)
    asked: list[str] = []

    def answer(**request: Any) -> tuple[Any, dict[str, Any]]:
        asked.append(request["params"]["url_path"])
        return SimpleNamespace(status_code=200), {"Versions": [{"Version": "1"}], "NextMarker": next(again)}

    made = client("lambda", "http://127.0.0.1:9")
    made.meta.events.register("before-call.lambda.ListVersionsByFunction", answer)
    found = Aws(lambda _name: made).call("lambda", "list_versions_by_function", "arn", FunctionName=BRIDGE.arn)
    assert isinstance(found, Unread)
    assert found.permission == "lambda:ListVersionsByFunction"
    assert len(asked) <= MOST_PAGES + 1


# ---- answers that AWS does not document -----------------------------------------------------------------------------


class Odd:
    """A client that gives the same answer to every call, even if AWS could not give it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, _method: str) -> Callable[..., Any]:
        return lambda **_arguments: self._answer

    def get_paginator(self, _method: str) -> Odd:
        return self

    def paginate(self, **_arguments: Any) -> list[Any]:
        return [self._answer]


def _listeners(aws: Aws) -> object:
    found = read_service(aws, SERVICE)
    assert isinstance(found, Service)
    return found.listeners


def _rights(aws: Aws) -> object:
    return read_role(aws, FUNCTION.role, ACCOUNT)


def _statements(aws: Aws) -> object:
    found = _rights(aws)
    assert isinstance(found, RolePolicies)
    return found.statements


ROLE_OF = {"CreateDate": datetime(2026, 1, 1, tzinfo=UTC), "AssumeRolePolicyDocument": TRUST}
ATTACHED = {"Role": ROLE_OF, "PolicyNames": [], "AttachedPolicies": [{"PolicyArn": "x"}]}

ODD: list[tuple[Callable[[Aws], object], list[Any]]] = [
    (
        lambda aws: read_function(aws, BRIDGE),
        [
            {key: value for key, value in configuration(BRIDGE).items() if key != "Role"},
            configuration(BRIDGE, Role="bridge-role"),
            configuration(BRIDGE, Role=5),
            configuration(BRIDGE, Timeout="soon"),
            configuration(BRIDGE, Timeout=None),
            configuration(BRIDGE, Runtime=["python3.13"]),
            configuration(BRIDGE, LoggingConfig=["JSON"]),
            configuration(BRIDGE, Environment="x"),
            configuration(BRIDGE, Environment={"Variables": {5: "x"}}),
            [],
            "x",
        ],
    ),
    (
        lambda aws: read_aliases(aws, BRIDGE),
        [
            {"Aliases": {}},
            {"Aliases": None},
            {"Aliases": [{}]},
            {"Aliases": [None]},
            {"Aliases": [{"Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {"8": "x"}}}]},
        ],
    ),
    (lambda aws: read_policies(aws, BRIDGE, ())[1], [{"Versions": [{}]}, {"Versions": [{"Version": 7}]}]),
    (lambda aws: read_urls(aws, BRIDGE), [{}, {"FunctionUrlConfigs": [{}]}]),
    (lambda aws: read_event_sources(aws, [BRIDGE]), [{"EventSourceMappings": [{"UUID": None}]}]),
    (lambda aws: read_groups(aws, BRIDGE, ())[1], [{"items": None}, {"items": [{}]}, {"items": [{"arn": GROUP}]}]),
    (
        lambda aws: read_groups(aws, BRIDGE, ())[0][0],
        [{"items": [{"arn": GROUP, "id": BRIDGE.arn}], "config": ["V2"]}],
    ),
    (lambda aws: read_service(aws, SERVICE), ["x", []]),
    (_listeners, [{}, *({"items": [{"arn": "x", "protocol": "HTTPS", **port}]} for port in ({}, {"port": "https"}))]),
    (_rights, [{}, {"Role": None}, {"Role": {"PermissionsBoundary": {"x": 1}}}]),
    (
        _statements,
        [
            {"Role": ROLE_OF},
            {"Role": ROLE_OF, "PolicyNames": ["x"]},
            {**ATTACHED, "AttachedPolicies": [{}]},
            ATTACHED,
            {**ATTACHED, "Policy": {"DefaultVersionId": "v1"}},
        ],
    ),
    (
        lambda aws: read_created(aws, BLUE),
        [{"Role": {}}, {"Role": {"CreateDate": "2026"}}, {"Role": {"CreateDate": WRITTEN.replace(tzinfo=None)}}],
    ),
    (lambda aws: read_created(aws, replace(BLUE, kind="user")), [{}]),
    (lambda aws: read_map_modified(aws, _reading("s3://maps/x")), [{"Contents": [{"Key": "x"}]}]),
    (lambda aws: read_map_modified(aws, _reading("ssm:/x")), [{"Parameters": [{"Name": "/x"}]}]),
]


@pytest.mark.parametrize(("read_it", "answer"), [(read_it, answer) for read_it, odd in ODD for answer in odd])
def test_unexpected_answer_is_unread(read_it: Callable[[Aws], object], answer: Any) -> None:
    found = read_it(Aws(lambda _service: Odd(answer)))
    assert isinstance(found, Unread)
    assert found.cause == "unexpected answer"


@pytest.mark.parametrize(
    ("tenancy", "isolated"), [({}, False), ({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}, True)]
)
def test_tenancy_is_read(tenancy: dict[str, Any], isolated: bool) -> None:
    made = client("lambda", "http://127.0.0.1:9")
    stubber = Stubber(made)
    asked = {"FunctionName": ORDERS.arn, "Qualifier": "live"}
    stubber.add_response("get_function_configuration", configuration(ORDERS, **tenancy), asked)
    with stubber:
        found = read_function(Aws(lambda _name: made), ORDERS)
    assert isinstance(found, Function)
    assert (found.isolated, found.modified) == (isolated, datetime(2026, 11, 1, 10, tzinfo=UTC))


# ---- moto -----------------------------------------------------------------------------------------------------------


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): ...")
    return data.getvalue()


def test_function_of_moto_is_read(roles: AwsServer) -> None:
    made, role = client("lambda", roles.url), f"arn:aws:iam::{ACCOUNT}:role/bridge-role"
    code = {"FunctionName": "bridge", "Runtime": "python3.13", "Handler": "app.handler", "Code": {"ZipFile": _zip()}}
    made.create_function(**code, Role=role, Publish=True, Timeout=35)
    made.create_alias(FunctionName="bridge", Name="live", FunctionVersion="1")
    lattice = {"Action": "lambda:InvokeFunction", "Principal": "vpc-lattice.amazonaws.com", "SourceArn": GROUP}
    made.add_permission(FunctionName="bridge", StatementId="lattice", **lattice)
    aws = Aws(lambda one: client(one, roles.url))
    found = read_function(aws, FunctionName(BRIDGE.arn))
    assert isinstance(found, Function)
    assert (found.role, found.timeout, found.runtime, found.isolated) == (role, 35, "python3.13", False)
    assert found.modified is not None
    assert read_function(aws, FunctionName(f"{LAMBDA}:nothing")) is None
    assert read_aliases(aws, BRIDGE) == ()  # moto knows them under the function's name, and not under its ARN
    assert read_event_sources(aws, [FunctionName(BRIDGE.arn)]) == ()
    (bare, *_versions), _left = read_policies(aws, FunctionName(BRIDGE.arn), ())
    own = bare.statements
    assert not isinstance(own, Unread)
    assert [(one.principals, one.values("aws:sourcearn")) for one in own] == [
        ((("Service", "vpc-lattice.amazonaws.com"),), (ConditionValue("arnlike", GROUP),))
    ]


def test_service_of_moto_is_read(aws: AwsServer) -> None:
    made = client("vpc-lattice", aws.url)
    service = made.create_service(name="bridge", authType="AWS_IAM")
    group = made.create_target_group(name="bridge", type="LAMBDA", config={"lambdaEventStructureVersion": "V2"})
    forward = {"forward": {"targetGroups": [{"targetGroupIdentifier": group["id"], "weight": 100}]}}
    made.create_listener(
        serviceIdentifier=service["id"], name="https", protocol="HTTPS", port=443, defaultAction=forward
    )
    made.put_auth_policy(resourceIdentifier=service["id"], policy=json.dumps(SIGNED_ONLY))
    found = read_service(Aws(lambda one: client(one, aws.url)), service["id"])
    assert isinstance(found, Service)
    assert (found.auth_type, found.name) == ("AWS_IAM", "bridge")
    assert not isinstance(found.listeners, Unread)
    assert [(one.protocol, one.port) for one in found.listeners] == [("HTTPS", 443)]
    assert read_service(Aws(lambda one: client(one, aws.url)), SERVICE) is None


def test_policies_and_boundary_of_a_role_are_read(roles: AwsServer) -> None:
    iam, trust = client("iam", roles.url), json.dumps(TRUST)
    logs = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
    arn = iam.create_policy(PolicyName="logs", PolicyDocument=json.dumps(logs))["Policy"]["Arn"]
    role = iam.create_role(
        RoleName="wide", Path="/service-role/", AssumeRolePolicyDocument=trust, PermissionsBoundary=arn
    )["Role"]["Arn"]
    iam.attach_role_policy(RoleName="wide", PolicyArn=arn)
    iam.put_role_policy(RoleName="wide", PolicyName="invoke", PolicyDocument=json.dumps(RIGHTS))
    found = read_role(Aws(lambda one: client(one, roles.url)), role, ACCOUNT)
    assert isinstance(found, RolePolicies)
    assert isinstance(found.statements, tuple)
    assert isinstance(found.boundary, tuple)
    assert granted(found.statements, "lambda:InvokeFunction", ORDERS.qualified) == "allowed"
    assert granted(found.boundary, "lambda:InvokeFunction", ORDERS.qualified) == "absent"


def test_role_of_another_account_is_unread(roles: AwsServer) -> None:
    role = "arn:aws:iam::999999999999:role/bridge-role"
    found = read_role(Aws(lambda one: client(one, roles.url)), role, ACCOUNT)
    assert found == Unread("iam:GetRole", role, "of another account", out_of_reach=True)


def test_role_that_does_not_exist_is_none(roles: AwsServer) -> None:
    assert read_role(Aws(lambda one: client(one, roles.url)), f"arn:aws:iam::{ACCOUNT}:role/no", ACCOUNT) is None


def test_trust_policy_of_a_role_is_read(roles: AwsServer) -> None:
    found = read_role(Aws(lambda one: client(one, roles.url)), f"arn:aws:iam::{ACCOUNT}:role/bridge-role", ACCOUNT)
    assert isinstance(found, RolePolicies)
    assert found.trust == read_policy(TRUST)


def test_date_of_a_role_or_user_is_read(roles: AwsServer) -> None:
    client("iam", roles.url).create_user(UserName="bob")
    bob = replace(BLUE, name="bob", kind="user")
    aws = Aws(lambda one: client(one, roles.url))
    for principal in (bob, BLUE):
        assert isinstance(read_created(aws, principal), datetime)
        assert read_created(aws, replace(principal, name="gone")) is None


def test_date_of_the_map_is_that_of_its_place(aws: AwsServer) -> None:
    client("s3", aws.url).create_bucket(Bucket="maps", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3", aws.url).put_object(Bucket="maps", Key="live/bridge.toml", Body=b"x")
    client("ssm", aws.url).put_parameter(Name="/bridge", Value="x", Type="String")
    reader = Aws(lambda one: client(one, aws.url))
    for place in ("s3://maps/live/bridge.toml", "ssm:/bridge"):
        assert isinstance(read_map_modified(reader, _reading(place)), datetime)
    for place in ("s3://maps/live/bridge.tom", "s3://no-such-bucket/bridge.toml", "ssm:/bridg"):
        assert read_map_modified(reader, _reading(place)) is None
    assert read_map_modified(reader, _reading("bridge.toml")) == FUNCTION.modified


def test_bucket_has_the_partition_of_the_function() -> None:
    function = replace(_reading("s3://maps/x"), role=f"arn:aws-cn:iam::{ACCOUNT}:role/bridge-role")
    found = read_map_modified(stubbed("s3", "list_objects_v2", "AccessDenied"), function)
    assert found == Unread("s3:ListBucket", "arn:aws-cn:s3:::maps", "AccessDenied")


def _reading(place: str) -> Function:
    return replace(FUNCTION, variables={"LATTICE_BRIDGE_CONFIG": place})


@pytest.mark.parametrize(
    "method", ["get_role", "list_role_policies", "list_attached_role_policies", "get_role_policy", "get_policy"]
)
def test_policies_of_a_role_are_unread_if_one_call_is_denied(method: str) -> None:
    made = client("iam", "http://127.0.0.1:9")
    stubber = Stubber(made)
    role = {"Path": "/", "RoleName": "r", "RoleId": "AROA0123456789ABCDEF", "Arn": f"arn:aws:iam::{ACCOUNT}:role/r"}
    answers: dict[str, dict[str, Any]] = {
        "get_role": {"Role": {**role, "CreateDate": datetime(2026, 1, 1, tzinfo=UTC)}},
        "list_role_policies": {"PolicyNames": ["own"]},
        "list_attached_role_policies": {
            "AttachedPolicies": [{"PolicyName": "p", "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/p"}]
        },
        "get_role_policy": {"RoleName": "r", "PolicyName": "own", "PolicyDocument": json.dumps(RIGHTS)},
    }
    for name, answer in answers.items():
        if name == method:
            break
        stubber.add_response(name, answer)
    stubber.add_client_error(method, "AccessDenied")
    for name in list(answers)[list(answers).index(method) + 1 :] if method == "list_role_policies" else ():
        stubber.add_response(name, answers[name])
    with stubber:
        found = read_role(Aws(lambda _name: made), f"arn:aws:iam::{ACCOUNT}:role/r", ACCOUNT)
    unread = found.statements if isinstance(found, RolePolicies) else found
    assert isinstance(unread, Unread)
    assert (READS["iam", method], "AccessDenied") == (unread.permission, unread.cause)


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bridge", FunctionName(BRIDGE.arn)),
        ("bridge:live", BRIDGE),
        (BRIDGE.qualified, BRIDGE),
        ("bridge:$LATEST", FunctionName(BRIDGE.arn, "$LATEST")),
        (f"{ACCOUNT}:function:bridge", FunctionName(BRIDGE.arn)),
        ("arn:aws:lambda:us-east-1:1234:function:bridge", None),
        ("bridge live", None),
        ("bridge\n", None),
    ],
)
def test_function_name_is_parsed(text: str, expected: FunctionName | None) -> None:
    assert FunctionName.parse(text, "aws", REGION, ACCOUNT) == expected
