"""How doctor asks AWS, and what it makes of the answers: of moto where it has the call, else of recorded ones."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.deployment.doctor.aws import MOST_PAGES, PAGED, READS, Aws
from lattice_bridge.deployment.doctor.config import Configured
from lattice_bridge.deployment.doctor.facts import Alias, Deployed, Function, Name, Rights, Service, TargetGroup
from lattice_bridge.deployment.doctor.finding import Shell, Unread
from lattice_bridge.deployment.doctor.granted import granted
from lattice_bridge.deployment.doctor.read_iam import read_map_roles, read_map_written, read_rights
from lattice_bridge.deployment.doctor.read_lambda import (
    MOST_VERSIONS,
    name_of,
    read_aliases,
    read_doors,
    read_function,
    read_sources,
    read_urls,
)
from lattice_bridge.deployment.doctor.read_lattice import read_groups, read_service
from lattice_bridge.deployment.doctor.run import NoSuchFunction, findings_of, read_deployed
from lattice_bridge.deployment.doctor.service import POLICY
from lattice_bridge.deployment.iam.condition import Asked
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION, AwsServer
from tests.support.doctor_stack import (
    ACCOUNT,
    ADMITTED,
    BLUE,
    BRIDGE,
    FUNCTION,
    GROUP,
    LAMBDA,
    LATTICE,
    ORDERS,
    OTHER_GROUP,
    RECORDED,
    RIGHTS,
    SERVICE,
    TOML,
    TRUST,
    WRITTEN,
    allows,
    configuration,
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
from tests.support.recorded_aws import RecordedAws, Recording, client, unconnected


def configured(text: str = TOML) -> Configured:
    document = parse_document(text)
    return Configured.of(Path("bridge.toml"), document, TenantMap.from_document(document))


# ---- read-only ------------------------------------------------------------------------------------------------------


def test_every_call_that_doctor_can_make_reads() -> None:
    for (service, method), permission in READS.items():
        operation = unconnected(service).meta.method_to_api_mapping[method]
        assert operation.startswith(("Get", "List", "Describe", "Simulate"))
        assert permission.split(":")[1].startswith(("Get", "List", "Describe", "Simulate"))


def test_the_permission_that_is_named_is_the_calls_own() -> None:
    for (service, method), permission in READS.items():
        operation = unconnected(service).meta.method_to_api_mapping[method]
        other_name = {"s3:ListObjectsV2": "s3:ListBucket"}
        assert permission == other_name.get(f"{service}:{operation}", f"{service}:{operation}")


def test_what_is_paged_is_what_botocore_can_page() -> None:
    lists = {method for _service, method in READS if method.startswith("list_")} - {"list_objects_v2"}
    assert lists | {"describe_parameters"} == PAGED
    assert all(unconnected(service).can_paginate(method) for service, method in READS if method in PAGED)


def test_another_call_is_not_made() -> None:
    asked: list[str] = []
    with pytest.raises(KeyError):
        Aws(asked.append).read("lambda", "delete_function", "arn")
    assert asked == []


# ---- denied, failed, absent -----------------------------------------------------------------------------------------


def stubbed(service: str, method: str, code: str) -> Aws:
    made = client(service, "http://127.0.0.1:9")
    stubber = Stubber(made)
    stubber.add_client_error(method, code, "not for you")
    stubber.activate()
    return Aws(lambda _name: made)


@pytest.mark.parametrize(("service", "method"), READS)
def test_a_call_that_is_denied_says_what_it_needed(service: str, method: str) -> None:
    arguments = _least(service, method)
    found = stubbed(service, method, "AccessDeniedException").read(service, method, "arn", **arguments)
    assert found == Unread(READS[service, method], "arn", "AccessDeniedException")


def _least(service: str, method: str) -> dict[str, Any]:
    """Arguments that pass botocore's own check."""
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


def test_what_nobody_answers_is_unread_and_no_traceback() -> None:
    found = Aws(lambda name: client(name, "http://127.0.0.1:9")).read("iam", "get_role", "arn", RoleName="x")
    assert found == Unread("iam:GetRole", "arn", "EndpointConnectionError")


@pytest.mark.parametrize(
    ("service", "method", "code"),
    [("lambda", "get_policy", "ResourceNotFoundException"), ("iam", "get_role", "NoSuchEntity")],
)
def test_what_is_not_there_is_none(service: str, method: str, code: str) -> None:
    assert stubbed(service, method, code).read(service, method, "arn", **_least(service, method)) is None


# ---- recorded: the whole stack --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Iterator[AwsServer]:
    with AwsServer() as server:
        yield server


@pytest.fixture(scope="module")
def roles(moto: AwsServer) -> AwsServer:
    iam = client("iam", moto.url)
    trust = json.dumps(TRUST)
    for name in ("bridge-role", "Blue-Api"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName="bridge-role", PolicyName="invoke", PolicyDocument=json.dumps(RIGHTS))
    return moto


def read(
    moto: AwsServer,
    *others: Recording,
    name: Name = BRIDGE,
    service: str | None = None,
    configuration_text: str = TOML,
) -> Deployed:
    """The recorded stack, with some answers replaced."""
    with RecordedAws((*RECORDED, *others)) as recorded:
        aws = Aws(lambda one: client(one, moto.url) if one in ("iam", "s3", "ssm") else recorded.client(one))
        return read_deployed(aws, name, configured(configuration_text), account=ACCOUNT, service=service)


def test_the_recorded_stack_is_read_as_it_is(roles: AwsServer) -> None:
    found = read(roles)
    assert found.function == replace(FUNCTION, variables={"LATTICE_BRIDGE_CONFIG": "bridge.toml"})
    assert [one.targets for one in found.groups if isinstance(one, TargetGroup)] == [(BRIDGE.qualified,)]
    assert (found.aliases, found.unseen, found.urls, found.sources) == ((Alias("live", "7"),), None, (), ())
    assert [(one.name, isinstance(one.function, Function) and one.function.isolated) for one in found.backends] == [
        (ORDERS, True)
    ]
    assert [role.named.name for role in found.roles] == ["Blue-Api"]
    assert [role.name for role in found.elsewhere] == ["partner"]


def test_no_variable_but_the_bridges_own_is_kept(roles: AwsServer) -> None:
    assert "hunter2" not in repr(read(roles))


@pytest.mark.parametrize("others", [(), (replace(list_targets(GROUP), fails="AccessDeniedException"),)])
def test_without_an_alias_the_one_that_lattice_uses_is_looked_at(roles: AwsServer, others: Any) -> None:
    assert read(roles, *others, name=Name(BRIDGE.arn)).bridge == BRIDGE


def test_where_targets_cannot_be_read_the_policy_says_which_groups_are_meant(roles: AwsServer) -> None:
    fails = [replace(list_targets(arn), fails="AccessDeniedException") for arn in (GROUP, OTHER_GROUP)]
    found = read(roles, *fails)
    (group,) = found.groups
    assert isinstance(group, TargetGroup)
    assert isinstance(group.targets, Unread)
    assert found.unseen == Unread("vpc-lattice:ListTargets", OTHER_GROUP, "AccessDeniedException")


def test_a_service_that_was_asked_for_is_looked_at_once(roles: AwsServer) -> None:
    by_id = SERVICE.rpartition("/")[2]
    assert len(read(roles, service=by_id).services) == 1
    other = SERVICE[:-1] + "9"
    assert dict(read(roles, service=other).services)[other] is None


def test_a_function_that_is_not_there_ends_it(roles: AwsServer) -> None:
    with pytest.raises(NoSuchFunction, match="no function bridge:blue"):
        read(roles, name=Name(BRIDGE.arn, "blue"))


def test_the_variable_that_names_a_backend_counts(roles: AwsServer) -> None:
    variables = {"Variables": {"LATTICE_BRIDGE_FUNCTION": "counter"}}
    found = read(roles, get_configuration(BRIDGE, Environment=variables))
    assert [one.name for one in found.backends] == [Name(f"{LAMBDA}:counter")]


EVIL = policy(allows({"AWS": "999999999999"}, sid="evil"))


def strangers(found: Deployed) -> list[str]:
    """What is wrong with who may invoke, and where."""
    return [
        one.subject
        for one in findings_of(found, configured(), Shell(REGION))
        if "evil" in one.found and one.level == "error"
    ]


@pytest.mark.parametrize("function", [BRIDGE, ORDERS])
@pytest.mark.parametrize("qualifier", ["live", "beta", "3", "2", None])
def test_a_stranger_is_found_on_every_alias_and_version_of_the_bridge_and_of_a_backend(
    roles: AwsServer, function: Name, qualifier: str | None
) -> None:
    name = Name(function.arn, qualifier)
    aliases = list_aliases(function, {"Name": "live", "FunctionVersion": "3"}, {"Name": "beta", "FunctionVersion": "3"})
    found = read(roles, aliases, list_versions(function, "1", "2", "3"), get_policy(name, EVIL))
    assert strangers(found) == [f"invoke permission {name.short}"]


def test_of_very_many_versions_the_newest_are_read_and_the_rest_is_counted(roles: AwsServer) -> None:
    versions = [str(number) for number in range(1, MOST_VERSIONS + 9)]
    newest, oldest = Name(BRIDGE.arn, versions[-1]), Name(BRIDGE.arn, "7")
    found = read(roles, list_versions(BRIDGE, *versions), get_policy(newest, EVIL), get_policy(oldest, EVIL))
    assert found.left == 7  # all but the alias's own and the newest
    assert strangers(found) == ["invoke permission bridge:7", f"invoke permission {newest.short}"]


def test_without_the_list_of_versions_those_that_are_named_are_read(roles: AwsServer) -> None:
    denied = replace(list_versions(BRIDGE), fails="AccessDeniedException")
    found = read(roles, denied, get_policy(Name(BRIDGE.arn, "7"), EVIL))
    assert found.left == Unread("lambda:ListVersionsByFunction", BRIDGE.arn, "AccessDeniedException")
    assert strangers(found) == ["invoke permission bridge:7"]


def test_policies_that_are_all_denied_are_one_line(roles: AwsServer) -> None:
    names = [Name(BRIDGE.arn, qualifier) for qualifier in (None, "live", "7", "6")]
    found = read(roles, *(replace(get_policy(name, EVIL), fails="AccessDeniedException") for name in names))
    (line,) = [one for one in findings_of(found, configured(), Shell(REGION)) if one.needs == "lambda:GetPolicy"]
    assert line.subject == "invoke permission bridge and 3 other names of it"
    assert line.mend == f"grant lambda:GetPolicy on {BRIDGE.arn}* to whoever runs doctor"


def test_a_target_that_is_a_version_is_what_is_looked_at_and_its_policy_is_read(roles: AwsServer) -> None:
    version = Name(BRIDGE.arn, "5")  # which is not in the list
    found = read(
        roles,
        list_targets(GROUP, version.qualified),
        get_configuration(version),
        get_policy(version, EVIL),
        name=Name(BRIDGE.arn),
    )
    assert (found.bridge, strangers(found)) == (version, ["invoke permission bridge:5"])


@pytest.mark.parametrize("asked", [None, "$LATEST"])
def test_latest_is_the_bare_name(roles: AwsServer, asked: str | None) -> None:
    bare = (list_targets(GROUP, f"{BRIDGE.arn}:$LATEST"), get_policy(Name(BRIDGE.arn), ADMITTED))
    found = read(roles, *bare, name=Name(BRIDGE.arn, asked))
    assert found.bridge == Name(BRIDGE.arn)
    assert (found.asked, found.running) == (asked is not None, ())


def test_a_target_that_is_gone_is_known_to_be(roles: AwsServer) -> None:
    found = read(roles, list_targets(GROUP, f"{BRIDGE.arn}:gone"), name=Name(BRIDGE.arn))
    assert [(one.name.short, one.function) for one in found.running] == [("bridge:gone", None)]
    lines = [one for one in findings_of(found, configured(), Shell(REGION)) if one.level == "error"]
    assert [one.found for one in lines] == ["bridge:gone, which is not there: every request fails"]


def test_a_version_that_an_alias_gives_a_share_is_read_with_its_role(roles: AwsServer) -> None:
    canary = {"Name": "live", "FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {"8": 0.5}}}
    version, role = Name(BRIDGE.arn, "8"), f"arn:aws:iam::{ACCOUNT}:role/nobody"
    found = read(roles, list_aliases(BRIDGE, canary), get_configuration(version, Role=role, Timeout=1))
    (running,) = found.running
    assert isinstance(running.function, Function)
    assert (running.name, running.function.timeout, running.rights) == (version, 1, None)
    assert found.aliases == (Alias("live", "7", (("8", 0.5),)),)


@pytest.mark.parametrize("qualifier", [None, "beta", "5"])
def test_event_sources_of_every_alias_and_target_are_read(roles: AwsServer, qualifier: str | None) -> None:
    name = Name(BRIDGE.arn, qualifier)
    aliases = list_aliases(BRIDGE, {"Name": "live", "FunctionVersion": "7"}, {"Name": "beta", "FunctionVersion": "7"})
    source = {"UUID": UUID, "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:q"}
    targets = list_targets(GROUP, BRIDGE.qualified, f"{BRIDGE.arn}:5")
    assert read(roles, aliases, targets, list_sources(name, source)).sources == ((UUID, source["EventSourceArn"]),)


def test_a_target_group_that_cannot_be_read_keeps_its_permission(roles: AwsServer) -> None:
    denied = Recording("vpc-lattice", "get_target_group", {"targetGroupIdentifier": GROUP}, fails="ThrottlingException")
    found = read(roles, denied, name=Name(BRIDGE.arn))
    assert found.bridge == BRIDGE
    mends = [str(one.mend) for one in findings_of(found, configured(), Shell(REGION))]
    assert not [mend for mend in mends if "remove-permission" in mend or mend.startswith("grant")]


def test_another_accounts_target_group_is_not_asked_for(roles: AwsServer) -> None:
    foreign = GROUP.replace(ACCOUNT, "999999999999")
    wide = policy(*ADMITTED["Statement"], allows(LATTICE, sid="evil", Condition=from_group(foreign)))
    group = Recording(
        "vpc-lattice", "get_target_group", {"targetGroupIdentifier": foreign}, fails="AccessDeniedException"
    )
    denied = (replace(list_targets(foreign), fails="AccessDeniedException"), group)
    found = read(roles, get_policy(BRIDGE, wide), *denied)
    assert [group.arn for group in found.groups if isinstance(group, TargetGroup)] == [GROUP]
    assert len(found.groups) == 1
    assert strangers(found) == ["invoke permission bridge:live"]


def test_a_function_url_of_a_backend_is_read(roles: AwsServer) -> None:
    (backend,) = read(roles, list_urls(ORDERS, ORDERS.qualified)).backends
    assert backend.urls == (ORDERS.qualified,)


def test_a_backend_of_another_region_is_not_taken_for_absent(roles: AwsServer) -> None:
    there = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:orders:live"
    found = read(roles, configuration_text=TOML.replace('"orders:live"', f'"{there}"'))
    (backend,) = found.backends
    assert backend.function == Unread(
        "lambda:GetFunctionConfiguration", there, "it is in another region", elsewhere=True
    )


def test_what_was_asked_once_is_not_asked_again(roles: AwsServer) -> None:
    twice = TOML.replace("[tenants]", '[[backend]]\npath = "/x"\nfunction = "orders:live"\n\n[tenants]', 1)
    with RecordedAws(RECORDED) as recorded:
        aws = Aws(lambda one: client(one, roles.url) if one == "iam" else recorded.client(one))
        assert len(read_deployed(aws, BRIDGE, configured(twice), account=ACCOUNT).backends) == 2
        assert len(set(recorded.asked)) == len(recorded.asked)


UUID = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"


def test_urls_and_sources_are_read() -> None:
    source = {"UUID": UUID, "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:q"}
    with RecordedAws((*RECORDED, list_urls(BRIDGE, BRIDGE.qualified), list_sources(BRIDGE, source))) as recorded:
        aws = Aws(recorded.client)
        assert read_urls(aws, BRIDGE) == (BRIDGE.qualified,)
        assert read_sources(aws, [BRIDGE]) == ((UUID, "arn:aws:sqs:eu-west-1:123456789012:q"),)


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
def test_pages_that_never_end_are_unread(tokens: Iterable[str]) -> None:
    """The loop of botocore itself, which knows a token that it had just before, and no other."""
    again = itertools.cycle(tokens)
    asked: list[str] = []

    def answer(**request: Any) -> tuple[Any, dict[str, Any]]:
        asked.append(request["params"]["url_path"])
        return SimpleNamespace(status_code=200), {"Versions": [{"Version": "1"}], "NextMarker": next(again)}

    made = client("lambda", "http://127.0.0.1:9")
    made.meta.events.register("before-call.lambda.ListVersionsByFunction", answer)
    found = Aws(lambda _name: made).read("lambda", "list_versions_by_function", "arn", FunctionName=BRIDGE.arn)
    assert isinstance(found, Unread)
    assert found.permission == "lambda:ListVersionsByFunction"
    assert len(asked) <= MOST_PAGES + 1


# ---- answers that AWS does not document -----------------------------------------------------------------------------


class Odd:
    """A client that gives one answer to whatever it is asked, and does not look whether AWS could give it."""

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
    return read_rights(aws, FUNCTION.role, ACCOUNT)


def _statements(aws: Aws) -> object:
    found = _rights(aws)
    assert isinstance(found, Rights)
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
    (lambda aws: read_doors(aws, BRIDGE, ())[1], [{"Versions": [{}]}, {"Versions": [{"Version": 7}]}]),
    (lambda aws: read_urls(aws, BRIDGE), [{}, {"FunctionUrlConfigs": [{}]}]),
    (lambda aws: read_sources(aws, [BRIDGE]), [{"EventSourceMappings": [{"UUID": None}]}]),
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
        lambda aws: read_map_roles(aws, [BLUE])[0].created,
        [{"Role": {}}, {"Role": {"CreateDate": "2026"}}, {"Role": {"CreateDate": WRITTEN.replace(tzinfo=None)}}],
    ),
    (lambda aws: read_map_roles(aws, [replace(BLUE, kind="user")])[0].created, [{}]),
    (lambda aws: read_map_written(aws, _reading("s3://maps/x"))[0], [{"Contents": [{"Key": "x"}]}]),
    (lambda aws: read_map_written(aws, _reading("ssm:/x"))[0], [{"Parameters": [{"Name": "/x"}]}]),
]


@pytest.mark.parametrize(("read_it", "answer"), [(read_it, answer) for read_it, odd in ODD for answer in odd])
def test_an_answer_that_is_none_is_unread_and_no_traceback(read_it: Callable[[Aws], object], answer: Any) -> None:
    found = read_it(Aws(lambda _service: Odd(answer)))
    assert isinstance(found, Unread)
    assert found.cause == "unexpected answer"


@pytest.mark.parametrize(
    ("tenancy", "isolated"), [({}, False), ({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}, True)]
)
def test_tenancy_is_read_from_a_recorded_configuration(tenancy: dict[str, Any], isolated: bool) -> None:
    made = client("lambda", "http://127.0.0.1:9")
    stubber = Stubber(made)
    asked = {"FunctionName": ORDERS.arn, "Qualifier": "live"}
    stubber.add_response("get_function_configuration", configuration(ORDERS, **tenancy), asked)
    with stubber:
        found = read_function(Aws(lambda _name: made), ORDERS)
    assert isinstance(found, Function)
    assert (found.isolated, found.modified) == (isolated, datetime(2026, 11, 1, 10, tzinfo=UTC))


# ---- moto: what it has of Lambda, Lattice, IAM, S3 and SSM ----------------------------------------------------------


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): ...")
    return data.getvalue()


def test_a_function_of_moto_is_read(roles: AwsServer) -> None:
    made, role = client("lambda", roles.url), f"arn:aws:iam::{ACCOUNT}:role/bridge-role"
    code = {"FunctionName": "bridge", "Runtime": "python3.13", "Handler": "app.handler", "Code": {"ZipFile": _zip()}}
    made.create_function(**code, Role=role, Publish=True, Timeout=35)
    made.create_alias(FunctionName="bridge", Name="live", FunctionVersion="1")
    lattice = {"Action": "lambda:InvokeFunction", "Principal": "vpc-lattice.amazonaws.com", "SourceArn": GROUP}
    made.add_permission(FunctionName="bridge", StatementId="lattice", **lattice)
    aws = Aws(lambda one: client(one, roles.url))
    found = read_function(aws, Name(BRIDGE.arn))
    assert isinstance(found, Function)
    assert (found.role, found.timeout, found.runtime, found.isolated) == (role, 35, "python3.13", False)
    assert found.modified is not None
    assert read_function(aws, Name(f"{LAMBDA}:nothing")) is None
    assert read_aliases(aws, BRIDGE) == ()  # moto knows them under the function's name, and not under its ARN
    assert read_sources(aws, [Name(BRIDGE.arn)]) == ()
    (bare, *_versions), _left = read_doors(aws, Name(BRIDGE.arn), ())
    own = bare.statements
    assert not isinstance(own, Unread)
    assert [(one.principals, one.values("aws:sourcearn")) for one in own] == [
        ((("Service", "vpc-lattice.amazonaws.com"),), (Asked("arnlike", GROUP),))
    ]


def test_a_service_of_moto_is_read(moto: AwsServer) -> None:
    made = client("vpc-lattice", moto.url)
    service = made.create_service(name="bridge", authType="AWS_IAM")
    group = made.create_target_group(name="bridge", type="LAMBDA", config={"lambdaEventStructureVersion": "V2"})
    forward = {"forward": {"targetGroups": [{"targetGroupIdentifier": group["id"], "weight": 100}]}}
    made.create_listener(
        serviceIdentifier=service["id"], name="https", protocol="HTTPS", port=443, defaultAction=forward
    )
    made.put_auth_policy(resourceIdentifier=service["id"], policy=json.dumps(POLICY))
    found = read_service(Aws(lambda one: client(one, moto.url)), service["id"])
    assert isinstance(found, Service)
    assert (found.auth_type, found.name) == ("AWS_IAM", "bridge")
    assert not isinstance(found.listeners, Unread)
    assert [(one.protocol, one.port) for one in found.listeners] == [("HTTPS", 443)]
    assert read_service(Aws(lambda one: client(one, moto.url)), SERVICE) is None


def test_a_roles_inline_and_attached_policies_and_boundary_are_read(roles: AwsServer) -> None:
    iam, trust = client("iam", roles.url), json.dumps(TRUST)
    logs = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
    arn = iam.create_policy(PolicyName="logs", PolicyDocument=json.dumps(logs))["Policy"]["Arn"]
    role = iam.create_role(
        RoleName="wide", Path="/service-role/", AssumeRolePolicyDocument=trust, PermissionsBoundary=arn
    )["Role"]["Arn"]
    iam.attach_role_policy(RoleName="wide", PolicyArn=arn)
    iam.put_role_policy(RoleName="wide", PolicyName="invoke", PolicyDocument=json.dumps(RIGHTS))
    found = read_rights(Aws(lambda one: client(one, roles.url)), role, ACCOUNT)
    assert isinstance(found, Rights)
    assert isinstance(found.statements, tuple)
    assert isinstance(found.boundary, tuple)
    assert granted(found.statements, "lambda:InvokeFunction", ORDERS.qualified) == "allowed"
    assert granted(found.boundary, "lambda:InvokeFunction", ORDERS.qualified) == "absent"


def test_a_role_of_another_account_is_not_read_as_this_accounts_role_of_that_name(roles: AwsServer) -> None:
    role = "arn:aws:iam::999999999999:role/bridge-role"
    found = read_rights(Aws(lambda one: client(one, roles.url)), role, ACCOUNT)
    assert found == Unread("iam:GetRole", role, "of another account", elsewhere=True)


def test_a_role_that_is_not_there_is_none(roles: AwsServer) -> None:
    assert read_rights(Aws(lambda one: client(one, roles.url)), f"arn:aws:iam::{ACCOUNT}:role/no", ACCOUNT) is None


def test_who_may_assume_a_role_and_its_policies_names_are_read(roles: AwsServer) -> None:
    found = read_rights(Aws(lambda one: client(one, roles.url)), f"arn:aws:iam::{ACCOUNT}:role/bridge-role", ACCOUNT)
    assert isinstance(found, Rights)
    assert (found.trust, found.inline) == (read_policy(TRUST), ("invoke",))


def test_a_role_of_the_map_is_there_or_is_not(roles: AwsServer) -> None:
    client("iam", roles.url).create_user(UserName="bob")
    bob = replace(BLUE, name="bob", kind="user")
    user, nobody = read_map_roles(Aws(lambda one: client(one, roles.url)), (bob, replace(bob, name="gone")))
    assert (isinstance(user.created, datetime), nobody.created) == (True, None)
    there, gone = read_map_roles(Aws(lambda one: client(one, roles.url)), (BLUE, replace(BLUE, name="gone")))
    assert isinstance(there.created, datetime)
    assert gone.created is None


def test_the_maps_date_is_that_of_what_it_is_in(moto: AwsServer) -> None:
    client("s3", moto.url).create_bucket(Bucket="maps", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3", moto.url).put_object(Bucket="maps", Key="live/bridge.toml", Body=b"x")
    client("ssm", moto.url).put_parameter(Name="/bridge", Value="x", Type="String")
    for place in ("s3://maps/live/bridge.toml", "ssm:/bridge"):
        found = read_map_written(Aws(lambda one: client(one, moto.url)), _reading(place))
        assert (isinstance(found[0], datetime), found[1]) == (True, False)
    aws = Aws(lambda one: client(one, moto.url))
    for place in ("s3://maps/live/bridge.tom", "s3://no-such-bucket/bridge.toml", "ssm:/bridg"):
        assert read_map_written(aws, _reading(place)) == (None, True)
    assert read_map_written(aws, _reading("bridge.toml")) == (FUNCTION.modified, False)


def test_a_bucket_is_named_in_its_partition() -> None:
    function = replace(_reading("s3://maps/x"), role=f"arn:aws-cn:iam::{ACCOUNT}:role/bridge-role")
    found, gone = read_map_written(stubbed("s3", "list_objects_v2", "AccessDenied"), function)
    assert (found, gone) == (Unread("s3:ListBucket", "arn:aws-cn:s3:::maps", "AccessDenied"), False)


def _reading(place: str) -> Function:
    return replace(FUNCTION, variables={"LATTICE_BRIDGE_CONFIG": place})


# ---- names and configuration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bridge", Name(BRIDGE.arn)),
        ("bridge:live", BRIDGE),
        (BRIDGE.qualified, BRIDGE),
        ("bridge:$LATEST", Name(BRIDGE.arn, "$LATEST")),
        (f"{ACCOUNT}:function:bridge", Name(BRIDGE.arn)),
        ("arn:aws:lambda:us-east-1:1234:function:bridge", None),
        ("bridge live", None),
        ("bridge\n", None),
    ],
)
def test_a_function_is_named_as_people_name_one(text: str, expected: Name | None) -> None:
    assert name_of(text, "aws", REGION, ACCOUNT) == expected


def test_a_map_names_roles_in_its_own_spelling_and_prefixes_are_none() -> None:
    more = '[[rule]]\nid = "many"\nrole = "arn:aws:iam::123456789012:role/dev-*"\ntenant = "blue"\n'
    deny = '[[rule]]\nid = "not-me"\nrole = "arn:aws:iam::123456789012:role/path/Evil"\ndeny = true\n'
    found = configured(TOML + more + deny)
    assert [(role.name, role.rules, role.denies) for role in found.roles] == [
        ("Blue-Api", ("blue-api",), False),
        ("Evil", ("not-me",), True),
        ("partner", ("partner",), False),
    ]
    assert (found.knows_callers, found.admits_anonymous, found.table) == (True, False, None)


def test_a_map_names_users_too() -> None:
    user = '[[rule]]\nid = "bob"\nuser = "arn:aws:iam::123456789012:user/path/Bob"\ntenant = "blue"\n'
    found = [role for role in configured(TOML + user).roles if role.kind == "user"]
    assert [(role.name, role.arn, role.rules) for role in found] == [
        ("Bob", "arn:aws:iam::123456789012:user/Bob", ("bob",))
    ]


def test_a_compiled_map_names_its_roles_in_lower_case() -> None:
    compiled = compile_document(parse_document(TOML), Path())
    assert [role.name for role in configured(compiled).roles] == ["blue-api", "partner"]


def test_a_map_for_tokens_or_for_anyone_admits_whom_lattice_calls_anonymous() -> None:
    anyone = '[[rule]]\nid = "all"\nanyone = true\ntenant = "blue"\naccept_risk = "a test"\n'
    found = configured(TOML + anyone)
    assert (found.knows_callers, found.admits_anonymous) == (True, True)


@pytest.mark.parametrize(
    "method", ["get_role", "list_role_policies", "list_attached_role_policies", "get_role_policy", "get_policy"]
)
def test_rights_that_are_denied_in_part_are_not_taken_for_none(method: str) -> None:
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
        found = read_rights(Aws(lambda _name: made), f"arn:aws:iam::{ACCOUNT}:role/r", ACCOUNT)
    unread = found.statements if isinstance(found, Rights) else found
    assert isinstance(unread, Unread)
    assert (READS["iam", method], "AccessDenied") == (unread.permission, unread.cause)


def test_a_policy_that_is_none_is_unread(roles: AwsServer) -> None:
    broken = Recording("lambda", "get_policy", {"FunctionName": BRIDGE.arn, "Qualifier": "live"}, {"Policy": "{"})
    odd = Recording(
        "vpc-lattice", "get_auth_policy", {"resourceIdentifier": SERVICE}, {"policy": "[", "state": "Active"}
    )
    found = read(roles, broken, odd)
    assert Unread("lambda:GetPolicy", BRIDGE.qualified, "not JSON") in [door.statements for door in found.doors]
    service = dict(found.services)[SERVICE]
    assert isinstance(service, Service)
    assert service.auth_policy == Unread("vpc-lattice:GetAuthPolicy", SERVICE, "not JSON")


def test_everything_may_be_denied_at_once(roles: AwsServer) -> None:
    found = read(roles, *(replace(one, fails="AccessDeniedException") for one in RECORDED))
    unread = [found.function, found.aliases, found.urls, found.sources, found.unseen, found.rights]
    assert all(isinstance(one, Unread) for one in unread)
    assert [one.level for one in findings_of(found, configured(), Shell(REGION)) if one.level == "ok"] == [
        "ok"
    ]  # the map's role, which moto has
