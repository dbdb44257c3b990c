"""The handler that Lambda calls: both lines of work, put together from an environment and a file."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.bootstrap import Lines, make_handler
from lattice_bridge.config.reload import Handler, ReloadingHandler
from lattice_bridge.errors import BridgeError
from tests.support.aws_server import REGION, AwsServer
from tests.support.builders import role, v2
from tests.support.fake_lambda import FakeLambda, Says, unused_port
from tests.support.invokers import ENVIRON
from tests.support.records import (
    ARN,
    BY_ATTRIBUTE,
    STORED,
    Context,
    event,
    failed,
    record,
    source,
    text_attribute,
    with_sources,
)
from tests.support.stream_records import ACCOUNT, BUS, published

HTTP = """
[[backend]]
function = "orders:live"

[[rule]]
id = "api"
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "blue"
"""
QUEUES = with_sources(source(BY_ATTRIBUTE, STORED))
ON_BUS = f"""
[tenants]
blue = {{}}

[[event_source]]
arn = "{BUS}"
function = "orders:live"
claim = {{ from = "detail", path = ["tenant"] }}

[[rule]]
id = "shop"
event_account = "{ACCOUNT}"
tenants = ["blue"]
"""
ONLY_HTTP = f"[tenants]\nblue = {{}}\n{HTTP}"


class World:
    """A handler, and what it wrote."""

    def __init__(self, folder: Path, text: str | None, clock: Any = None, **environ: str) -> None:
        self.file = folder / "bridge.toml"
        if text is not None:
            self.file.write_text(text, encoding="utf-8")
        self.written: list[str] = []
        given = {**ENVIRON, "LAMBDA_TASK_ROOT": str(folder), **environ}
        options = {} if clock is None else {"clock": clock}
        self.handler: Handler = make_handler(given, self.written.append, **options)

    def __call__(self, sent: object) -> dict[str, Any]:
        return self.handler(sent, Context())

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in "".join(self.written).splitlines()]

    @property
    def reasons(self) -> list[str]:
        return [line["reason"] for line in self.lines if line.get("message") == "record"]


def test_one_handler_serves_requests_and_records(tmp_path: Path) -> None:
    with FakeLambda(Says(b'{"statusCode":200,"body":"hello"}')) as server:
        world = World(tmp_path, QUEUES + HTTP, AWS_ENDPOINT_URL_LAMBDA=server.url)
        assert world(v2(role("blue-api")))["statusCode"] == 200
        assert world(event(record(1, "green"))) == {"batchItemFailures": []}
    assert [heard.path.split("/")[3] for heard in server.heard] == ["orders%3Alive", "orders-worker%3Alive"]
    assert [heard.header("x-amz-tenant-id") for heard in server.heard] == ["blue", "green"]


def test_event_that_lambda_has_to_try_again_is_an_error_with_one_frame(tmp_path: Path) -> None:
    """Lambda's runtime prints the frames of an error. Those of the bridge would look like a crash of it."""
    world = World(tmp_path, ON_BUS, AWS_ENDPOINT_URL_LAMBDA=f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(BridgeError, match="unreachable") as raised:
        world(published())
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert [frame.name for frame in frames if "/lattice_bridge/" in frame.filename] == ["__call__"]
    assert "no crash" in str(frames[-1].line)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert world.reasons == ["unreachable"]


def test_map_of_queues_alone_is_whole(tmp_path: Path) -> None:
    with FakeLambda(Says(b"null")) as server:
        world = World(tmp_path, QUEUES, AWS_ENDPOINT_URL_LAMBDA=server.url)
        assert failed(world(event(record(1, "blue")))) == []
    assert world(v2(role("blue-api")))["statusCode"] in (401, 403)


def test_map_without_queues_reports_every_record(tmp_path: Path) -> None:
    """Trap E5: a 400 would count as a success, and the queue would delete its messages."""
    world = World(tmp_path, ONLY_HTTP)
    assert failed(world(event(record(1, "blue"), record(2, "blue")))) == [1, 2]
    assert world.reasons == ["source_not_configured"] * 2


@pytest.mark.parametrize("text", [None, "", "not = [toml"])
def test_records_are_reported_while_no_configuration_is_active(tmp_path: Path, text: str | None) -> None:
    """Trap E5: a 503 would count as a success too."""
    world = World(tmp_path, text)
    assert failed(world(event(record(1, "blue"), record(2, "blue")))) == [1, 2]
    assert world(v2(role("blue-api")))["statusCode"] == 503
    assert set(world.reasons) <= {"config_invalid", "config_unreachable"}
    assert len(world.reasons) == 2


@pytest.mark.parametrize(
    "sent",
    [
        *({"Records": records} for records in ([], [{"eventSource": "aws:s3"}], [{**record(), "messageId": None}])),
        [record()],  # of a pipe that is not configured
        {"eventSource": "aws:sqs"},
        {"eventSource": "aws:kafka", "records": {}},
        {"version": "0", "detail-type": "order", "source": "shop", "detail": {}},
    ],
)
@pytest.mark.parametrize("text", [None, ONLY_HTTP, QUEUES])
def test_event_without_ids_raises_whatever_the_configuration_is(tmp_path: Path, text: str | None, sent: object) -> None:
    """Trap E5."""
    with pytest.raises(BridgeError, match=r"source_|malformed_event|config_"):
        World(tmp_path, text)(sent)


def test_reload_changes_the_queues_and_keeps_the_threads_and_the_quarantine(
    tmp_path: Path, aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(text: str) -> None:
        aws.client("ssm").put_parameter(Name="/prod/queues", Value=text, Type="String", Overwrite=True)

    aws.environment(monkeypatch)
    put(QUEUES)
    now = [0.0]
    world = World(tmp_path, None, lambda: now[0], LATTICE_BRIDGE_CONFIG="ssm:/prod/queues", AWS_REGION=REGION)
    before = lines_of(world.handler).router
    put(QUEUES.replace(f'"{ARN}"', f'"{ARN}-new"'))
    now[0] = 1_000.0  # overdue: the reload is in the request
    assert failed(world(event(record(1, "red", arn=ARN)))) == [1]
    assert world.reasons == ["source_not_configured"]
    after = lines_of(world.handler).router
    assert f"{ARN}-new" in after.sources
    assert f"{ARN}-new" not in before.sources
    assert after._lanes is before._lanes  # what a reload must not lose
    assert after._quarantine is before._quarantine


def lines_of(handler: Handler) -> Lines:
    assert isinstance(handler, ReloadingHandler)
    assert handler.active is not None
    assert isinstance(handler.active.handler, Lines)
    return handler.active.handler


def test_copy_is_stored_through_boto3_with_the_credentials_of_the_function(
    tmp_path: Path, aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_ENDPOINT_URL works, as for every SDK. moto's account is the one in the ARN."""
    aws.environment(monkeypatch)
    queue = aws.client("sqs")
    url = queue.create_queue(QueueName="orders-quarantine")["QueueUrl"]
    arn = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    text = with_sources(source(BY_ATTRIBUTE, f'quarantine = "{arn}"'))
    world = World(tmp_path, text, **{name: os.environ[name] for name in ("AWS_ENDPOINT_URL",)}, AWS_REGION=REGION)
    blob = {"dataType": "Binary", "binaryValue": "AP8=", "stringListValues": [], "binaryListValues": []}
    sent = record(1, "red", body='{"order": 1}', attributes={"blob": blob, "kind": text_attribute("é")})
    assert world(event(sent)) == {"batchItemFailures": []}
    [kept] = queue.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert kept["Body"] == '{"order": 1}'
    assert kept["MessageAttributes"]["blob"] == {"BinaryValue": b"\x00\xff", "DataType": "Binary"}
    assert kept["MessageAttributes"]["kind"]["StringValue"] == "é"
    ours = json.loads(kept["MessageAttributes"]["lattice-bridge"]["StringValue"])
    assert (ours["source"], ours["reason"], ours["hops"]) == (ARN, "tenant_not_allowed", 1)
    missing = text.replace("orders-quarantine", "no-such-queue")
    assert failed(World(tmp_path, missing, AWS_ENDPOINT_URL=aws.url)(event(sent))) == [1]


def test_boto3_invoker_serves_records_and_passes_their_trace_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1"
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    with FakeLambda(Says(b"null")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        world = World(tmp_path, 'invoker = "boto3"\n' + QUEUES, AWS_ENDPOINT_URL_LAMBDA=server.url)
        sent = [record(1, "blue", system={"AWSTraceHeader": trace}), record(2, "green")]
        assert failed(world(event(*sent))) == []
    by_tenant = {heard.header("x-amz-tenant-id"): heard.header("x-amzn-trace-id") for heard in server.heard}
    assert by_tenant == {"blue": trace, "green": None}
