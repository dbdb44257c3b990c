"""The Lambda entry point, put together from an environment and a file."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge import TenantMap
from lattice_bridge.bootstrap import Lines, make_handler
from lattice_bridge.config.reload import Handler, ReloadingHandler
from lattice_bridge.config.tenant_map import WARM_TIMEOUT, Lookups
from lattice_bridge.identity.key_set import KeySet
from lattice_bridge.invoke.boto3 import Boto3Invoker
from lattice_bridge.invoke.call import Invoke
from lattice_bridge.invoke.direct import DirectInvoker
from tests.support.builders import MAP, role, v2
from tests.support.fake_lambda import FakeLambda, Says, failure, unused_port
from tests.support.invokers import ENVIRON
from tests.support.paths import ROOT
from tests.support.token_builder import key_set
from tests.support.valid import assert_valid

BACKEND = '[[backend]]\nfunction = "orders:live"\ntimeout = 4\n'
GOOD = v2(role("blue-api"))


class Context:
    aws_request_id = "lambda-1"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task root."""
    return tmp_path


def start(task: Path, text: str | None, written: list[str], **environ: str) -> Handler:
    if text is not None:
        (task / "bridge.toml").write_text(text, encoding="utf-8")
    return make_handler({**ENVIRON, "LAMBDA_TASK_ROOT": str(task), **environ}, written.append)


def invoker_of(handler: Handler) -> Invoke:
    assert isinstance(handler, ReloadingHandler)
    assert handler.active is not None
    assert isinstance(handler.active.handler, Lines)
    return handler.active.handler.bridge.invoke


def close(handler: Handler) -> None:
    invoker = invoker_of(handler)
    assert isinstance(invoker, DirectInvoker)
    invoker.close()


def test_good_file_serves(task: Path) -> None:
    written: list[str] = []
    with FakeLambda(Says(b'{"statusCode":200,"body":"hello"}')) as server:
        handler = start(task, MAP + BACKEND, written, AWS_ENDPOINT_URL_LAMBDA=server.url)
        reply = handler(GOOD, Context())
        close(handler)
    assert (reply["statusCode"], reply["body"]) == (200, "hello")
    [heard] = server.heard
    assert (heard.header("x-amz-tenant-id"), "orders%3Alive" in heard.path) == ("blue", True)
    assert len(written) == 1


def test_region_is_the_variable_of_lambda(task: Path) -> None:
    """boto3 alone reads AWS_DEFAULT_REGION, which Lambda does not promise."""
    with FakeLambda() as server:
        handler = start(task, MAP + BACKEND, [], AWS_REGION="ap-southeast-2", AWS_ENDPOINT_URL_LAMBDA=server.url)
        handler(GOOD, Context())
        close(handler)
    assert "/ap-southeast-2/lambda/aws4_request" in str(server.heard[0].header("authorization"))


def test_lambda_refusal_returns_only_a_status(task: Path) -> None:
    """Trap D13."""
    with FakeLambda(failure(404, "ResourceNotFoundException", "Function not found: arn:orders")) as server:
        handler = start(task, MAP + BACKEND, [], AWS_ENDPOINT_URL_LAMBDA=server.url)
        reply = handler(GOOD, Context())
        close(handler)
    assert reply["statusCode"] == 500
    assert "orders" not in json.dumps(reply)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        MAP,
        MAP + BACKEND + "[[rule]]\n",
        MAP + BACKEND + "[[rule",
        BACKEND,
        (MAP + BACKEND).replace('tenant = "blue"', 'tenant = "purple"'),
        "a = " + "[" * 5000,
    ],
    ids=["missing", "empty", "no backend", "bad rule", "half written", "no rule", "unknown tenant", "too deep"],
)
@pytest.mark.parametrize("event", [GOOD, v2(), None], ids=["good", "anonymous", "none"])
def test_bad_configuration_answers_503(task: Path, text: str | None, event: object) -> None:
    """Traps D3, D4."""
    reply = start(task, text, [])(event, Context())
    assert_valid(reply)
    assert (reply["statusCode"], reply["headers"]["retry-after"]) == (503, "30")


def test_emptied_file_answers_503_despite_the_environment(task: Path) -> None:
    """Trap D4."""
    assert start(task, "", [], LATTICE_BRIDGE_FUNCTION="orders")(GOOD, Context())["statusCode"] == 503


def test_malformed_namespace_closes_the_bridge(task: Path) -> None:
    written: list[str] = []
    handler = start(task, MAP + BACKEND, written, LATTICE_BRIDGE_METRICS_NAMESPACE="AWS/Lambda")
    assert handler(GOOD, Context())["statusCode"] == 503
    metrics = [line for line in map(json.loads, "".join(written).splitlines()) if "_aws" in line]
    assert {line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in metrics} == {"LatticeBridge"}


def test_every_metric_goes_to_the_namespace_of_the_environment(task: Path) -> None:
    written: list[str] = []
    for text in (MAP + BACKEND, "["):
        start(task, text, written, LATTICE_BRIDGE_METRICS_NAMESPACE="Staging")(GOOD, Context())
    metrics = [line for line in map(json.loads, "".join(written).splitlines()) if "_aws" in line]
    assert len(metrics) == 3  # a request; a configuration that does not load, and a request to it
    assert {line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in metrics} == {"Staging"}


@pytest.mark.parametrize(
    ("more", "key"), [("", "111122223333/stranger"), ('[log]\ncaller = "full"\n', role("stranger"))]
)
def test_refused_caller_is_logged_as_the_configuration_says(task: Path, more: str, key: str) -> None:
    written: list[str] = []
    start(task, BACKEND + MAP + more, written)(v2(role("stranger")), Context())
    assert json.loads(written[-1].splitlines()[0])["callerKey"] == key


def test_fault_is_logged_at_start_and_with_each_request(task: Path) -> None:
    """Trap D3."""
    written: list[str] = []
    handler = start(task, MAP + BACKEND + '[[rule]]\nid = "bad"\n', written)
    handler(GOOD, Context())
    handler({}, None)
    opening, *logs = [line for line in map(json.loads, "".join(written).splitlines()) if "_aws" not in line]
    assert 'rule "bad"' in opening["faults"][0]
    assert [line["requestId"] for line in logs] == ["lattice-1", "unknown"]
    assert all(line["level"] == "ERROR" and 'rule "bad"' in line["detail"] for line in logs)


def test_closed_bridge_is_counted_like_any_other_error(task: Path) -> None:
    """Trap D3: the alarm that sees errors has to see this one."""
    written: list[str] = []
    start(task, None, written)(GOOD, Context())
    at_start, metric = [line for line in map(json.loads, "".join(written).splitlines()) if "_aws" in line]
    assert at_start["MapFailures"] == 1
    assert (metric["Requests"], metric["Errors"], metric["Reason"]) == (1, 1, "config_unreachable")


def test_fault_is_not_returned_to_the_caller(task: Path) -> None:
    """Trap D13."""
    reply = start(task, MAP + BACKEND + '[[rule]]\nid = "secret"\n', [])(GOOD, Context())
    assert json.loads(reply["body"]) == {"title": "Service Unavailable", "status": 503, "requestId": "lattice-1"}


def test_closed_bridge_answers_head_without_body(task: Path) -> None:
    assert_valid(start(task, None, [])({**GOOD, "method": "HEAD"}, Context()), "HEAD")


@pytest.mark.parametrize("error", [OSError("no space left on device"), ValueError("I/O operation on closed file")])
def test_failed_log_does_not_stop_a_closed_bridge(task: Path, error: Exception) -> None:
    full = False

    def write(_text: str) -> None:
        if full:
            raise error

    handler = make_handler({"LAMBDA_TASK_ROOT": str(task)}, write)
    full = True
    assert handler(GOOD, Context())["statusCode"] == 503


def test_boto3_invokes_if_configured(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeLambda() as server:
        for name, value in {**ENVIRON, "AWS_ENDPOINT_URL_LAMBDA": server.url}.items():  # boto3 reads the process's own
            monkeypatch.setenv(name, value)
        handler = start(task, 'invoker = "boto3"\n' + MAP + BACKEND, [])
        assert handler(GOOD, Context())["statusCode"] == 200
        invoker = invoker_of(handler)
        assert isinstance(invoker, Boto3Invoker)
        client: Any = invoker.client_for(4.0)
        client.close()
    assert "Boto3" in str(server.heard[0].header("user-agent"))


@pytest.mark.parametrize("invoker", ["direct", "boto3"])
def test_malformed_endpoint_is_found_at_start(task: Path, monkeypatch: pytest.MonkeyPatch, invoker: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "not a url")
    handler = start(task, f'invoker = "{invoker}"\n' + MAP + BACKEND, [], AWS_ENDPOINT_URL_LAMBDA="not a url")
    assert handler(GOOD, Context())["statusCode"] == 503


def test_start_with_the_direct_invoker_works_without_boto3() -> None:
    """It would cost more than all the rest together."""
    code = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from lattice_bridge.bootstrap import make_handler\n"
        f"assert make_handler({ENVIRON}, lambda _line: None).active"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_missing_region_closes_the_bridge(task: Path) -> None:
    (task / "bridge.toml").write_text(MAP + BACKEND, encoding="utf-8")
    written: list[str] = []
    assert make_handler({"LAMBDA_TASK_ROOT": str(task)}, written.append)(GOOD, Context())["statusCode"] == 503
    assert "region" in written[0]


# ---- what is done at init, where Lambda gives a whole processor ------------------------------------------------------

TYPE = "AWS_LAMBDA_INITIALIZATION_TYPE"


@pytest.mark.parametrize("kind", ["on-demand", "provisioned-concurrency"])
def test_first_request_finds_a_connection(task: Path, kind: str) -> None:
    with FakeLambda() as server:
        handler = start(task, MAP + BACKEND, [], AWS_ENDPOINT_URL_LAMBDA=server.url, **{TYPE: kind})
        for _ in range(200):
            if server.connections:
                break
            time.sleep(0.01)
        assert (server.connections, server.heard) == (1, [])
        assert handler(GOOD, Context())["statusCode"] == 200
        close(handler)
    assert server.connections == 1


@pytest.mark.parametrize("environ", [{TYPE: "snap-start"}, {}])
def test_snapstart_opens_no_connection(task: Path, environ: dict[str, str]) -> None:
    """Trap D15: each copy would find the same connection."""
    with FakeLambda() as server:
        handler = start(task, MAP + BACKEND, [], AWS_ENDPOINT_URL_LAMBDA=server.url, **environ)
        time.sleep(0.1)
        assert server.connections == 0
        close(handler)


def test_missing_endpoint_does_not_stop_the_start(task: Path) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    handler = start(task, MAP + BACKEND, [], AWS_ENDPOINT_URL_LAMBDA=url, **{TYPE: "on-demand"})
    assert handler(GOOD, Context())["statusCode"] == 503


def test_keys_are_fetched_at_start() -> None:
    fetched: list[str] = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return key_set()

    keys = {url: KeySet(lambda url=url: fetch(url)) for url in ("https://a", "https://b")}  # type: ignore[misc] # a default binds
    found = TenantMap(TenantMap.from_toml(MAP).rules, lookups=Lookups(keys))
    found.warm()
    assert sorted(fetched) == ["https://a", "https://b"]
    found.warm()
    assert len(fetched) == 2


def test_failed_key_fetch_does_not_stop_the_start() -> None:
    def fetch() -> bytes:
        raise OSError

    TenantMap(TenantMap.from_toml(MAP).rules, lookups=Lookups({"https://a": KeySet(fetch)})).warm()


def test_start_waits_once_for_all_issuers() -> None:
    """Lambda gives it ten seconds."""
    hanging = threading.Event()

    def fetch() -> bytes:
        hanging.wait(10)
        return b""

    keys = {f"https://{number}": KeySet(fetch, wait=0.2) for number in range(40)}
    began = time.monotonic()
    TenantMap(TenantMap.from_toml(MAP).rules, lookups=Lookups(keys)).warm()
    hanging.set()
    assert time.monotonic() - began < 2 * WARM_TIMEOUT
