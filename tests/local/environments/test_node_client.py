"""The runtime client for Node.js, with a Runtime API whose invocations are scripted."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from threading import Thread
from typing import Any

import pytest

from lattice_bridge.local.environments.runtimes import NODE_CLIENT

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="this machine has no Node.js")

Files = Mapping[str, str]


@dataclass
class Run:
    """What a process of the client did.

    Attributes:
        posts: for each request that is no `next`: the end of its path, its headers, and its body, decoded.
        output: of the process, without the time before each line.
        exit_code: of the process.
    """

    posts: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    output: str = ""
    exit_code: int = 0

    @property
    def results(self) -> list[Any]:
        return [body for path, _, body in self.posts if path == "response"]

    @property
    def error(self) -> dict[str, Any]:
        """The only error that was reported."""
        (found,) = [body for path, _, body in self.posts if path == "error"]
        assert isinstance(found, dict)
        return found


def run(
    folder: Path,
    files: Files,
    *events: Any,
    handler: str = "app.handler",
    headers: Mapping[str, str] | None = None,
    release: int = 22,
    environ: Mapping[str, str] | None = None,
    resets: int = 0,
) -> Run:
    """Runs a function for each event. Then the environment ends. The first `resets` results meet a reset."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = Run()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _api(found, list(events), headers or {}, resets))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        done = subprocess.run(
            ["node", str(NODE_CLIENT), handler],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
                "AWS_EXECUTION_ENV": f"AWS_Lambda_nodejs{release}.x",
                "AWS_LAMBDA_FUNCTION_NAME": "orders",
                **(environ or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
    finally:
        server.shutdown()
        server.server_close()
    found.output, found.exit_code = done.stdout.replace("\r", "\n"), done.returncode
    return found


def _api(found: Run, events: list[Any], headers: Mapping[str, str], resets: int) -> type[BaseHTTPRequestHandler]:
    left = [None] * resets

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # in two pieces, a response would wait 40 ms for a delayed acknowledgement

        def do_GET(self) -> None:
            assert self.path == "/2018-06-01/runtime/invocation/next"
            if not events:
                self._answer(410, b"")
                return
            fields = {
                "Lambda-Runtime-Aws-Request-Id": f"id-{len(events)}",
                "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 3000),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
            }
            self._answer(200, json.dumps(events.pop(0)).encode(), {**fields, **headers})

        def do_POST(self) -> None:
            if left:
                left.pop()
                self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                decoded = json.loads(body)
            except ValueError:
                decoded = body
            found.posts.append((self.path.rpartition("/")[2], dict(self.headers.items()), decoded))
            self._answer(202, b"{}")

        def _answer(self, status: int, body: bytes, fields: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(fields or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    return Api


# ---- handlers --------------------------------------------------------------------------------------------------------


def chosen(handlers: Iterable[str]) -> str:
    """A module whose handler is one of these, as the event says."""
    return f"const handlers = [{', '.join(handlers)}]; exports.handler = (e, c, cb) => handlers[e](e, c, cb);"


HANDLED = (
    "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, "
    "and stack"
)
MODULE = '{"type": "module"}'
ESM = "export const handler = async (event) => ({ got: event });"
COMMON = "exports.handler = async (event) => ({ got: event });"


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"app.mjs": ESM}, "app.handler"),
        ({"app.js": ESM, "package.json": MODULE}, "app.handler"),
        ({"app.js": COMMON}, "app.handler"),
        ({"app.cjs": COMMON, "package.json": MODULE}, "app.handler"),
        ({"app.js": f"const it = {{}}; {COMMON.replace('exports', 'it')} module.exports = it;"}, "app.handler"),
        ({"src/handlers/orders.mjs": ESM}, "src/handlers/orders.handler"),
        ({"app.js": f"exports.api = {{}}; {COMMON.replace('exports', 'exports.api')}"}, "app.api.handler"),
        (
            {"app.mjs": f"export default {{ {ESM.partition('const ')[2].replace(' =', ':', 1).rstrip(';')} }};"},
            "app.handler",
        ),
        ({"node_modules/orders/index.js": COMMON}, "orders.handler"),
        ({"app.mjs": "await new Promise((done) => setTimeout(done, 1));" + ESM}, "app.handler"),
    ],
)
def test_handler_of_each_kind_of_module_is_found(tmp_path: Path, files: Files, handler: str) -> None:
    found = run(tmp_path, files, {"n": 1}, handler=handler)
    assert found.results == [{"got": {"n": 1}}], found.output


def test_result_is_taken_from_promise_or_callback(tmp_path: Path) -> None:
    """A value that is returned without a promise is no result; with no event left to wait for, the result is null."""
    cases = {
        "(event, context, callback) => { callback(null, 1); callback(null, 2); }": 1,
        "(event, context, callback) => { setTimeout(callback, 5, null, 1); }": 1,
        "(event, context) => { context.succeed(1); context.fail(new Error()); }": 1,
        "(event, context) => { context.done(null, 1); return 2; }": 1,
        "() => 1": None,
        "async () => {}": None,
        "() => new Promise(() => {})": None,
    }
    found = run(tmp_path, {"app.js": chosen(cases)}, *range(len(cases)))
    assert found.results == list(cases.values()), found.output


@pytest.mark.parametrize(("waits", "seen"), [("true", [["later"], ["later"]]), ("false", [[], ["later"]])])
def test_callback_waits_for_the_event_loop_unless_told_not_to(tmp_path: Path, waits: str, seen: list[Any]) -> None:
    """Trap D10: what is left of an invocation continues during the next one, as on Lambda."""
    code = """
    let seen = [];
    exports.handler = (event, context, callback) => {
      context.callbackWaitsForEmptyEventLoop = %s;
      const mine = (seen = event === 1 ? [] : seen);
      if (event === 1) { setTimeout(() => mine.push("later"), 50); callback(null, mine); }
      else setTimeout(() => callback(null, mine), 100);
    };"""
    assert run(tmp_path, {"app.js": code % waits}, 1, 2).results == seen


def test_late_callback_does_not_disturb_the_next_invocation(tmp_path: Path) -> None:
    """Trap D10."""
    code = """
    exports.handler = (event, context, callback) => {
      if (event === 1) { context.succeed("first"); setTimeout(callback, 200, null, "late"); }
      else setTimeout(callback, 50, null, "second");
    };"""
    assert run(tmp_path, {"app.js": code}, 1, 2).results == ["first", "second"]


def test_context_has_the_names_of_the_developer_guide(tmp_path: Path) -> None:
    code = """export const handler = async (event, context) => ({
      ...context, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID });"""
    headers = {
        "Lambda-Runtime-Aws-Tenant-Id": "blue",
        "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793",
        "Lambda-Runtime-Client-Context": '{"custom": {"a": 1}}',
    }
    (found,) = run(tmp_path, {"app.mjs": code}, {}, headers=headers).results
    assert 2000 < found.pop("left") <= 3000
    assert found == {
        "functionName": "orders",
        "clientContext": {"custom": {"a": 1}},
        "invokedFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        "awsRequestId": "id-1",
        "tenantId": "blue",
        "callbackWaitsForEmptyEventLoop": True,
        "trace": "Root=1-5759e988-bd862e3fe1be46a994272793",
    }


def test_result_is_sent_again_if_the_idle_connection_was_closed(tmp_path: Path) -> None:
    """The server closes a connection after a minute, in which a handler may run."""
    assert run(tmp_path, {"app.mjs": ESM}, 1, 2, resets=1).results == [{"got": 1}, {"got": 2}]


def test_streaming_handler_answers_with_the_whole_stream(tmp_path: Path) -> None:
    code = """
    import { pipeline } from "node:stream/promises";
    import { Readable } from "node:stream";
    export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
      stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
      stream.write("one ");
      await pipeline(Readable.from(["two ", "three"]), stream);
    });
    export const unended = awslambda.streamifyResponse(async (event, stream) => { stream.write("one"); });"""
    assert run(tmp_path, {"app.mjs": code}, {}).results == [b'{"statusCode":201}' + bytes(8) + b"one two three"]
    assert run(tmp_path, {}, {}, handler="app.unended").error["errorMessage"] == "Response stream is not finished."


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_error_of_a_handler_is_reported_and_the_process_serves_on(tmp_path: Path) -> None:
    cases = {
        "async () => { throw new TypeError('no') }": ("TypeError", "no"),
        "(event, context, callback) => callback(new TypeError('no'))": ("TypeError", "no"),
        "() => { throw new TypeError('no') }": ("TypeError", "no"),
        "async () => { throw 'no' }": ("string", "no"),
        "async () => { throw Object.freeze(new RangeError('no')) }": ("RangeError", "no"),
        "async () => { throw { name: 'x', get message() { throw 1 } } }": ("handled", HANDLED),
        "() => Promise.reject()": ("string", "handled"),
        "async () => 1n": ("Runtime.JSONStringifyError", "Unable to stringify response body"),
    }
    found = run(tmp_path, {"app.js": chosen(cases)}, *range(len(cases)))
    assert [(body["errorType"], body["errorMessage"]) for _, _, body in found.posts] == list(cases.values())
    assert all(isinstance(body["trace"], list) for _, _, body in found.posts)
    assert found.output.count("ERROR\tInvoke Error TypeError: no") == 3


def test_stack_trace_names_the_function_and_not_the_client(tmp_path: Path) -> None:
    code = "export const handler = async () => {\n  throw Object.assign(new Error('no'), { name: 'Späte' });\n};"
    found = run(tmp_path, {"app.mjs": code}, {})
    assert f"at handler (file://{tmp_path}/app.mjs:2:" in found.output
    assert "node_client" not in found.output + str(found.error)
    ((_, headers, _),) = found.posts
    assert headers["Lambda-Runtime-Function-Error-Type"] == "Sp?te"


@pytest.mark.parametrize(
    ("handler", "kind", "code"),
    [
        ("async () => { setTimeout(() => { throw new TypeError('no') }); await later }", "TypeError", 129),
        ("async () => { Promise.reject(new Error('no')); await later }", "Runtime.UnhandledPromiseRejection", 128),
        ("async () => process.exit(3)", None, 3),
    ],
)
def test_uncaught_error_ends_the_process(tmp_path: Path, handler: str, kind: str | None, code: int) -> None:
    source = f"const later = new Promise((done) => setTimeout(done, 9000)); exports.handler = {handler};"
    found = run(tmp_path, {"app.js": source}, {}, {})
    assert [body["errorType"] for _, _, body in found.posts] == ([] if kind is None else [kind])
    assert found.exit_code == code


@pytest.mark.parametrize(
    ("files", "handler", "error"),
    [
        (
            {"app.js": "require('nope')"},
            "app.handler",
            ("Runtime.ImportModuleError", "Error: Cannot find module 'nope'"),
        ),
        ({}, "app.handler", ("Runtime.ImportModuleError", "Error: Cannot find module 'app'")),
        ({"app.mjs": "import 'nope';"}, "app.handler", ("Error", "Cannot find package 'nope' imported from ")),
        ({"app.mjs": "export const handler = ;"}, "app.handler", ("Runtime.UserCodeSyntaxError", "SyntaxError: Unex")),
        ({"app.js": "exports.handler = ;"}, "app.handler", ("Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected")),
        ({"app.js": "throw new RangeError('at init')"}, "app.handler", ("RangeError", "at init")),
        ({"app.js": ""}, "app.handler", ("Runtime.HandlerNotFound", "app.handler is undefined or not exported")),
        ({"app.js": "exports.x = 1"}, "app.x", ("Runtime.HandlerNotFound", "app.x is not a function")),
        ({}, "app", ("Runtime.MalformedHandlerName", "Bad handler")),
        ({}, "../app.handler", ("Runtime.MalformedHandlerName", "'../app.handler' is not a valid handler name.")),
    ],
)
def test_error_of_the_init_phase_has_lambdas_type(
    tmp_path: Path, files: Files, handler: str, error: tuple[str, str]
) -> None:
    found = run(tmp_path, files, {}, handler=handler)
    ((_, headers, body),) = found.posts
    assert body["errorType"] == headers["Lambda-Runtime-Function-Error-Type"] == error[0]
    assert body["errorMessage"].startswith(error[1])
    assert found.exit_code != 0
    assert error[1].removeprefix("Error: ").removeprefix("SyntaxError: ") in found.output


def test_syntax_error_of_an_imported_module_is_printed_with_its_line(tmp_path: Path) -> None:
    """No property of the error has it, so Node.js itself prints it, after the error was reported."""
    found = run(tmp_path, {"app.mjs": "import './other.mjs';", "other.mjs": "\nconst a = ;\n"}, {})
    assert f"{tmp_path}/other.mjs:2\nconst a = ;" in found.output


def test_callback_is_refused_from_node_24_on(tmp_path: Path) -> None:
    found = run(tmp_path, {"app.js": "exports.handler = (event, context, callback) => callback()"}, {}, release=24)
    assert found.error["errorType"] == "Runtime.CallbackHandlerDeprecated"
    assert run(tmp_path, {"app.js": "exports.handler = (event) => 7"}, {}, release=24).results == [7]


# ---- the log ---------------------------------------------------------------------------------------------------------

PRINTS = (
    "exports.handler = async () => { console.debug('d'); console.log('a %s', 'b\\nc'); console.error(new Error('e')); }"
)


def test_log_line_has_time_request_and_level(tmp_path: Path) -> None:
    lines = run(tmp_path, {"app.js": PRINTS}, {}).output.split("\n")
    assert [line.partition("Z\t")[2] for line in lines[:2]] == ["id-1\tDEBUG\td", "id-1\tINFO\ta b"]
    assert lines[2] == "c"
    assert lines[3].endswith("\tid-1\tERROR\tError: e")


def test_json_log_has_the_tenant_and_the_error(tmp_path: Path) -> None:
    environ = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    headers = {"Lambda-Runtime-Aws-Tenant-Id": "blue"}
    output = run(tmp_path, {"app.js": PRINTS}, {}, headers=headers, environ=environ).output
    first, second = map(json.loads, output.splitlines())
    assert {**first, "timestamp": ""} == {
        "timestamp": "",
        "level": "INFO",
        "requestId": "id-1",
        "tenantId": "blue",
        "message": "a b\nc",
    }
    assert (second["level"], second["message"]["errorType"]) == ("ERROR", "Error")
