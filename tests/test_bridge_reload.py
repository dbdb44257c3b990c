"""The handler and what changes under it: maps in files, S3 and SSM, tenants in DynamoDB. All of it over real HTTP."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge import Bridge, TenantMap
from lattice_bridge.bootstrap import Lines, make_handler
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.reload import Handler, ReloadingHandler
from lattice_bridge.errors import Unavailable
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.rules import Tenant
from lattice_bridge.tenancy.subject import Subject
from tests.support.aws_server import REGION, AwsServer
from tests.support.builders import MAP, request, role, v2
from tests.support.fake_lambda import FakeLambda

BACKEND = '[[backend]]\nfunction = "orders:live"\n'
BLUE, GREEN = v2(role("blue-api")), v2(role("green-api"))
GREEN_RULE = '[[rule]]\nid = "green-api"\nrole = "arn:aws:iam::111122223333:role/green-api"\ntenant = "green"\n'
ONE, TWO = BACKEND + MAP, BACKEND + MAP + GREEN_RULE
REFRESH = 60.0


class Clock:
    """The wall's, which a test sets forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Context:
    aws_request_id = "lambda-1"


@pytest.fixture
def backend(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLambda]:
    """A Lambda that answers, in an environment in which boto3 finds it, and moto for all other services."""
    aws.environment(monkeypatch)
    with FakeLambda() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        yield server


def start(folder: Path, place: str, written: list[str], clock: Clock) -> Handler:
    environ = {"LAMBDA_TASK_ROOT": str(folder), "AWS_REGION": REGION, "LATTICE_BRIDGE_CONFIG": place}
    return make_handler({**os.environ, **environ}, written.append, clock=clock)


def status(handler: Handler, event: object) -> int:
    found: int = handler(event, Context())["statusCode"]
    return found


def comes_to(handler: Handler, event: object, wanted: int) -> bool:
    """Whether the answer becomes this one, within five seconds: the look is in a thread of its own."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if status(handler, event) == wanted:
            return True
        time.sleep(0.01)
    return False


def in_force(handler: Handler) -> Bridge:
    assert isinstance(handler, ReloadingHandler)
    assert handler.active is not None
    assert isinstance(handler.active.handler, Lines)
    return handler.active.handler.bridge


def logs(written: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for text in written for line in text.splitlines() if "_aws" not in line]


def put_s3(aws: AwsServer, text: str) -> str:
    client = aws.client("s3")
    if not client.list_buckets()["Buckets"]:
        client.create_bucket(Bucket="maps", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_object(Bucket="maps", Key="prod/bridge.toml", Body=text.encode())
    return "s3://maps/prod/bridge.toml"


def put_ssm(aws: AwsServer, text: str) -> str:
    aws.client("ssm").put_parameter(Name="/prod/bridge", Value=text, Type="SecureString", Overwrite=True)
    return "ssm:/prod/bridge"


@pytest.mark.parametrize("put", [put_s3, put_ssm])
def test_map_in_aws_is_replaced_while_the_bridge_serves(
    put: Callable[[AwsServer, str], str], aws: AwsServer, backend: FakeLambda, tmp_path: Path
) -> None:
    written: list[str] = []
    clock = Clock()
    handler = start(tmp_path, put(aws, ONE), written, clock)
    assert (status(handler, BLUE), status(handler, GREEN)) == (200, 403)
    first = in_force(handler)
    put(aws, TWO)
    assert status(handler, GREEN) == 403
    clock.ahead += REFRESH
    assert comes_to(handler, GREEN, 200)
    assert [heard.header("x-amz-tenant-id") for heard in (backend.heard[0], backend.heard[-1])] == ["blue", "green"]
    assert in_force(handler).invoke is first.invoke
    maps = [line["map"] for line in logs(written) if line["message"] == "request"]
    assert (maps[0], maps[-1]) == (first.tenant_map.sha256, in_force(handler).tenant_map.sha256)
    (change,) = [line for line in logs(written) if line["message"] == "map"]
    assert (change["replaces"], change["map"], change["level"]) == (maps[0], maps[-1], "INFO")


@pytest.mark.parametrize("text", ["", BACKEND, ONE[: len(ONE) // 2], ONE.replace('"blue"', '"bleu"'), "{}"])
def test_bad_map_in_s3_leaves_the_last_good_one(text: str, aws: AwsServer, backend: FakeLambda, tmp_path: Path) -> None:
    """Traps D3, D4."""
    written: list[str] = []
    clock = Clock()
    handler = start(tmp_path, put_s3(aws, ONE), written, clock)
    put_s3(aws, text)
    for _ in range(2):
        clock.ahead += REFRESH
        before = len(written)
        assert status(handler, BLUE) == 200
        assert _becomes(lambda before=before: any("MapFailures" in line for line in written[before:]))  # type: ignore[misc] # a default binds
    assert status(handler, BLUE) == 200
    failing = [line for line in logs(written) if line["message"] == "map"]
    assert {line["level"] for line in failing} == {"ERROR"}
    assert all(line["faults"] for line in failing)
    assert {line["map"] for line in logs(written)} == {in_force(handler).tenant_map.sha256}


def _becomes(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.01)
    return False


def test_deleted_map_stays_active(aws: AwsServer, backend: FakeLambda, tmp_path: Path) -> None:
    """Trap D4."""
    clock, path = Clock(), tmp_path / "bridge.toml"
    path.write_text(ONE, encoding="utf-8")
    written: list[str] = []
    handler = start(tmp_path, "bridge.toml", written, clock)
    path.unlink()
    clock.ahead += REFRESH
    assert status(handler, BLUE) == 200
    assert _becomes(lambda: any("config_unreachable" in line for line in written))
    assert status(handler, BLUE) == 200


def test_cold_start_without_a_map_refuses_all(aws: AwsServer, backend: FakeLambda, tmp_path: Path) -> None:
    """Trap D4."""
    clock, written = Clock(), list[str]()
    handler = start(tmp_path, "s3://maps/not-yet.toml", written, clock)
    assert status(handler, BLUE) == 503
    assert backend.heard == []
    put_s3(aws, ONE)
    aws.client("s3").put_object(Bucket="maps", Key="not-yet.toml", Body=ONE.encode())
    clock.ahead += REFRESH
    assert status(handler, BLUE) == 200
    aws.client("s3").delete_object(Bucket="maps", Key="not-yet.toml")
    assert [line["message"] for line in logs(written)] == ["closed", "request", "map", "request"]


def test_malformed_address_refuses_all(tmp_path: Path) -> None:
    written: list[str] = []
    handler = start(tmp_path, "s3:/maps/bridge.toml", written, Clock())
    assert status(handler, BLUE) == 503
    assert "s3://BUCKET/KEY" in logs(written)[0]["faults"][0]


# ---- tenants in a table ---------------------------------------------------------------------------------------------

REGISTERED = MAP.partition("[[rule]]")[2]
WITH_REGISTRY = f'{BACKEND}[registry]\ndynamodb_table = "tenants"\nttl = 30\n[[rule]]{REGISTERED}'


@pytest.fixture
def table(aws: AwsServer) -> Iterator[Any]:
    client = aws.client("dynamodb")
    client.create_table(
        TableName="tenants",
        KeySchema=[{"AttributeName": "tenant", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "tenant", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    put_tenant(client, "blue", "active")
    yield client
    client.delete_table(TableName="tenants")


def put_tenant(client: Any, name: str, state: str) -> None:
    client.put_item(TableName="tenants", Item={"tenant": {"S": name}, "status": {"S": state}, "plan": {"N": "3"}})


def test_tenants_in_a_table_are_found(table: Any, backend: FakeLambda, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(WITH_REGISTRY, encoding="utf-8")
    written: list[str] = []
    handler = start(tmp_path, "bridge.toml", written, Clock())
    assert status(handler, BLUE) == 200
    assert status(handler, v2(role("edge-proxy"), headers={"x-tenant-id": ["blue"]})) == 200
    assert status(handler, v2(role("edge-proxy"), headers={"x-tenant-id": ["green"]})) == 403
    assert status(handler, v2(role("edge-proxy"))) == 403
    put_tenant(table, "green", "suspended")
    assert status(handler, v2(role("support"), headers={"x-tenant-id": ["blue"]})) == 200
    reasons = [line["reason"] for line in logs(written)]
    assert reasons == ["ok", "ok", "tenant_unknown", "ambiguous", "ok"]
    assert {heard.header("x-amz-tenant-id") for heard in backend.heard} == {"blue"}


def test_tenant_outside_the_rules_is_not_fetched(table: Any, backend: FakeLambda, tmp_path: Path) -> None:
    """Trap D12: only what a rule allows is asked for, so that no answer takes longer for a tenant that exists."""
    tenant_map = TenantMap.from_toml(WITH_REGISTRY)
    asked: list[str] = []
    tenant_map.find = asked.append
    refused = tenant_map.decide(request(role("blue-api"), ("x-tenant-id", "green")))
    assert (refused.reason, asked) == ("tenant_not_allowed", [])


def test_registry_outage_is_a_503(backend: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap D7."""
    tenant_map = TenantMap.from_document(parse_document(WITH_REGISTRY), region=REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    decided = tenant_map.decide(request(role("blue-api")))
    assert (decided.allowed, decided.reason, decided.status) == (False, "registry_unavailable", 503)


def test_replacing_map_takes_over_registry_and_key_sets() -> None:
    """Traps C12, D7: an issuer that is out of reach when a map is replaced has its last good keys still."""
    issuer = '[jwt.corp]\nissuer = "https://i"\naudience = ["a"]\njwks_url = "https://i/keys"\n'
    text = issuer + WITH_REGISTRY.replace(BACKEND, "")
    old = TenantMap.from_toml(text)
    new = TenantMap.from_document(parse_document(text + GREEN_RULE), previous=old)
    assert new.lookups.registry == old.lookups.registry
    assert new.lookups.key_sets == old.lookups.key_sets
    other = TenantMap.from_document(
        parse_document(text.replace("ttl = 30", "ttl = 31").replace("i/keys", "i/new")), previous=old
    )
    assert other.lookups.registry != old.lookups.registry
    assert list(other.lookups.key_sets) == ["https://i/new"]


def test_tenant_of_another_name_is_refused() -> None:
    """Trap D8."""
    rules = TenantMap.from_toml(MAP).rules
    decided = decide(Subject(request(role("blue-api")).caller), rules, find=lambda name: Tenant("green"))
    assert (decided.tenant, decided.reason) == (None, "tenant_unknown")


def test_registry_exception_is_a_refusal() -> None:
    def out_of_reach(name: str) -> None:
        raise Unavailable("registry_unavailable", "ConnectTimeoutError", retry_after=1)

    rules = TenantMap.from_toml(MAP).rules
    assert decide(Subject(request(role("blue-api")).caller), rules, find=out_of_reach).status == 503


def test_table_is_read_in_its_own_region(table: Any, backend: FakeLambda) -> None:
    """moto keeps regions apart, as AWS does."""
    arn = f"arn:aws:dynamodb:{REGION}:123456789012:table/tenants"
    document = parse_document(WITH_REGISTRY.replace('"tenants"', f'"{arn}"'))
    for region in ("us-east-1", None):
        assert TenantMap.from_document(document, region=region).decide(request(role("blue-api"))).tenant == "blue"
    elsewhere = TenantMap.from_document(parse_document(WITH_REGISTRY), region="us-east-1")
    assert elsewhere.decide(request(role("blue-api"))).reason == "registry_unavailable"
