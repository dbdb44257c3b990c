"""The direct invoker, with servers that misbehave."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.http.client import MAX_IDLE
from lattice_bridge.invoke.call import DidNotRun
from lattice_bridge.invoke.direct import ANSWER_LIMIT, DirectInvoker, direct_invoker
from lattice_bridge.invoke.retry import RETRY_PAUSES
from tests.support.fake_lambda import FakeLambda, Heard, Raw, Reset, Says, Silence, unused_port
from tests.support.invokers import ENVIRON, SHORT, Pauses, call, direct_invokers, refused
from tests.support.lifetime import outlives
from tests.support.tls import self_signed

HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"content-length: 2\r\n\r\n{}"
Direct = Callable[..., DirectInvoker]


@pytest.fixture
def at() -> Iterator[Direct]:
    with direct_invokers() as found:
        yield found


# ---- what goes out --------------------------------------------------------------------------------------------------


def test_request_has_these_headers_and_no_others(at: Direct) -> None:
    with FakeLambda() as server:
        at(server.url, {"AWS_SESSION_TOKEN": "t0ken"})(call())
    assert set(server.heard[0].headers) == {
        *("authorization", "content-length", "host", "user-agent"),
        *("x-amz-date", "x-amz-invocation-type", "x-amz-security-token", "x-amz-tenant-id"),
    }


def test_date_is_that_of_the_call_in_utc(at: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda refuses a signature that is five minutes old."""
    now = [1.7e9]
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with FakeLambda() as server:
            invoker = at(server.url, now=lambda: now[0])
            for now[0] in (1.7e9, 1.7e9 + 0.9, 1.7e9 + 86_400):
                invoker(call())
    finally:
        monkeypatch.undo()
        time.tzset()
    dates = [heard.header("x-amz-date") for heard in server.heard]
    assert dates == ["20231114T221320Z", "20231114T221320Z", "20231115T221320Z"]
    signed = [str(heard.header("authorization")).partition("/")[2][:8] for heard in server.heard]
    assert signed == ["20231114", "20231114", "20231115"]


def test_trace_header_is_read_for_each_call() -> None:
    """It is what Lambda's loop detection goes by."""
    with FakeLambda() as server:
        environ = {**ENVIRON, "AWS_LAMBDA_FUNCTION_NAME": "bridge", "AWS_ENDPOINT_URL": server.url}
        with closing(direct_invoker(environ)) as invoker:
            for trace in ("Root=1-1;Lineage=1:ab:0", 'Root=1-2;Lineage=1:ab:1;"é\r\nx-amz-tenant-id: green'):
                environ["_X_AMZN_TRACE_ID"] = trace
                invoker(call())
    sent = [heard.header("x-amzn-trace-id") for heard in server.heard]
    assert sent == ["Root=1-1;Lineage=1:ab:0", 'Root=1-2;Lineage=1:ab:1;"%C3%A9%0D%0Ax-amz-tenant-id:%20green']
    assert [heard.header("x-amz-tenant-id") for heard in server.heard] == ["blue", "blue"]


def test_outside_lambda_no_trace_header_is_sent(at: Direct) -> None:
    with FakeLambda() as server:
        at(server.url, {"_X_AMZN_TRACE_ID": "Root=1-1"})(call())
        at(server.url, {"AWS_LAMBDA_FUNCTION_NAME": "bridge"})(call())
    assert [heard.header("x-amzn-trace-id") for heard in server.heard] == [None, None]


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("value", ["a\r\nx-amz-tenant-id: green", "a\nb", "a\rb", "a\n b", "é"])
def test_line_end_in_header_is_refused_unsent(at: Direct, name: str, value: str) -> None:
    with FakeLambda() as server:
        refusal = refused(at(server.url, {name: value}))
    assert (refusal.reason, server.heard) == ("invoke_rejected", [])
    assert (refusal.__cause__, refusal.__suppress_context__) == (None, True)  # whose text could quote the header


def test_line_end_in_function_name_is_encoded(at: Direct) -> None:
    with FakeLambda() as server:
        at(server.url)(call(function="orders\r\nx: y /../"))
    assert server.heard[0].path == "/2015-03-31/functions/orders%0D%0Ax%3A%20y%20%2F..%2F/invocations"


@pytest.mark.parametrize("size", [0, 1, 6 * 2**20])
def test_payload_of_any_size_arrives_whole(at: Direct, size: int) -> None:
    with FakeLambda() as server:
        at(server.url)(call(payload=b"x" * size))
    assert server.heard[0].body == b"x" * size


def test_missing_credentials_send_nothing(at: Direct) -> None:
    with FakeLambda() as server:
        refusal = refused(at(server.url, {"AWS_SECRET_ACCESS_KEY": ""}))
    assert (refusal.reason, server.connections) == ("access_denied", 0)


# ---- a connection's life --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "connections"), [(MAX_IDLE - 0.1, 1), (MAX_IDLE + 0.1, 2), (-3600.0, 2)])
def test_connection_idle_too_long_is_not_used(at: Direct, seconds: float, connections: int) -> None:
    """An environment is frozen between requests, and does not hear that the server hung up."""
    now = [1.7e9]
    with FakeLambda() as server:
        invoker = at(server.url, now=lambda: now[0])
        invoker(call())
        now[0] += seconds
        invoker(call())
    assert server.connections == connections


def test_call_without_time_makes_an_idle_connection_no_younger(at: Direct) -> None:
    now = [1.7e9]
    with FakeLambda() as server:
        invoker = at(server.url, now=lambda: now[0])
        invoker(call())
        now[0] += MAX_IDLE - 0.1
        assert refused(invoker, call(left=0.1)).reason == "no_time_left"
        now[0] += 0.2
        invoker(call())
    assert server.connections == 2


@pytest.mark.parametrize("stray", [b"x", b"\r\n", OK, b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"])
@pytest.mark.parametrize("pause", [(), (0.05,)], ids=["at once", "later"])
def test_bytes_after_an_answer_are_not_the_next_answer(at: Direct, stray: bytes, pause: tuple[float, ...]) -> None:
    """Trap D15."""
    with FakeLambda(Raw(OK, *pause, stray), Says(b'"green"')) as server:
        invoker = at(server.url)
        assert invoker(call()) == b"{}"
        time.sleep(0.15)
        assert invoker(call(tenant="green")) == b'"green"'
    assert server.connections == 2


def test_server_that_closes_on_a_request_gets_it_once(at: Direct) -> None:
    """Trap D14: it may have been carried out."""
    with FakeLambda(Says(), Raw(hang_up=True)) as server:
        invoker = at(server.url, pause=Pauses())
        invoker(call())
        refusal = refused(invoker)
    assert (refusal.status, refusal.reason) == (502, "connection_lost")
    assert (len(server.heard), server.connections) == (2, 1)


def test_connection_close_header_is_honoured(at: Direct) -> None:
    with FakeLambda(Says(headers={"connection": "close"}), Says()) as server:
        invoker = at(server.url)
        assert [invoker(call()), invoker(call())] == [b'{"ok":true}'] * 2
    assert server.connections == 2


# ---- answers that are none ------------------------------------------------------------------------------------------


def test_answer_in_single_bytes_is_read(at: Direct) -> None:
    with FakeLambda(Raw(*(bytes([byte]) for byte in OK)), Says()) as server:
        invoker = at(server.url)
        assert [invoker(call()), invoker(call())] == [b"{}", b'{"ok":true}']
    assert server.connections == 1


DRIP: list[bytes | float] = [piece for _ in range(40) for piece in (0.05, b"x")]
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nx-trailer: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
    ids=["chunks", "extensions and trailers", "continue"],
)
def test_other_framing_is_read_and_connection_kept(at: Direct, answer: bytes) -> None:
    with FakeLambda(Raw(answer), Says()) as server:
        invoker = at(server.url)
        assert [invoker(call()), invoker(call())] == [b"{}", b'{"ok":true}']
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/9.9 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"content-length: 3\r\n\r\n{}",
        HEAD + b"\r\n{}",
        HEAD + b"content-length: -1\r\n\r\n{}",
        HEAD + b"content-length: 0_2\r\n\r\n{}",
        HEAD + b"content-length: 2\r\ncontent-length: 1\r\n\r\n{}",
        HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"content-length: 2, 2\r\n\r\n{}",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"content-length: 2\r\na line without a colon\r\nx-amz-function-error: Unhandled\r\n\r\n{}",
        HEAD + b"x: y\r\n" * 200 + b"content-length: 2\r\n\r\n{}",
        HEAD + b"x: " + b"y" * 70_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
        CHUNKED + b"2\r\n{}\r\n",
        CHUNKED + b"3\r\n{}",
        CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[-60:]),
)
def test_ambiguous_answer_is_refused_and_not_retried(at: Direct, answer: bytes) -> None:
    """Traps D14, D15."""
    with FakeLambda(Raw(answer, hang_up=True), Says(b'"green"')) as server:
        invoker = at(server.url, pause=Pauses())
        refusal = refused(invoker)
        assert (refusal.status, refusal.reason, len(server.heard)) == (502, "connection_lost", 1)
        assert invoker(call(tenant="green")) == b'"green"'
    assert server.connections == 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answer_without_body_closes_the_connection(at: Direct, status: bytes) -> None:
    """Trap D15: a body that a server sends nevertheless would be read as the next answer."""
    answer = b"HTTP/1.1 " + status + b"\r\n\r\n"
    with FakeLambda(Raw(answer, 0.05, b"late"), Says(b'"green"')) as server:
        invoker = at(server.url)
        if status.startswith(b"2"):
            assert invoker(call()) == b""
        else:
            refused(invoker)
        assert invoker(call(tenant="green")) == b'"green"'
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        [HEAD + b"content-length: %d\r\n\r\n" % (ANSWER_LIMIT + 1)],
        [HEAD + b"content-length: " + b"9" * 30 + b"\r\n\r\n"],
        [CHUNKED, *[b"100000\r\n" + b"x" * 2**20 + b"\r\n"] * 7],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000] * 20,
        [CHUNKED + b"0\r\n", *[b"x: y\r\n" * 100_000] * 30],
    ],
    ids=["announced", "absurd", "chunks", "interim answers", "trailers"],
)
def test_endless_answer_is_cut_off(at: Direct, answer: list[bytes]) -> None:
    with FakeLambda(Raw(*answer, hang_up=True)) as server:
        refusal = refused(at(server.url))
    assert (refusal.status, refusal.reason, len(server.heard)) == (502, "reply_too_large", 1)


def test_largest_lambda_answer_is_read(at: Direct) -> None:
    body = b'"' + b"x" * 6_291_554 + b'"'
    with FakeLambda(Says(body)) as server:
        invoker = at(server.url)
        assert all(invoker(call()) == body for _ in range(4))  # what one had is not counted against the next
    assert server.connections == 1


# ---- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begin",
    [b"", b"HTTP/1.1 200", HEAD + b"x: ", HEAD + b"content-length: 900\r\n\r\n", CHUNKED],
    ids=["nothing", "status", "head", "body", "chunks"],
)
def test_dripping_server_ends_at_the_timeout(at: Direct, begin: bytes) -> None:
    """Trap D14: a time limit for each read would start anew with each byte."""
    drip = b"1\r\nx\r\n" if begin == CHUNKED else b"x" if begin else b"HTTP/1.1 100 Continue\r\n\r\n"
    pieces = [piece for _ in range(60) for piece in (0.05, drip)]
    with FakeLambda(Raw(begin, *pieces)) as server:
        began = time.monotonic()
        refusal = refused(at(server.url, pause=Pauses()), call(timeout=0.4))
        took = time.monotonic() - began
    assert (refusal.status, refusal.reason, len(server.heard)) == (504, "backend_timeout", 1)
    assert 0.3 < took < 1.5


def test_deadline_ends_a_longer_timeout(at: Direct) -> None:
    with FakeLambda(Silence()) as server:
        began = time.monotonic()
        refusal = refused(at(server.url), call(timeout=28.0, left=0.4))
    assert (refusal.reason, time.monotonic() - began < 1.5) == ("backend_timeout", True)


def test_server_that_does_not_read_ends_at_the_timeout(at: Direct) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        began = time.monotonic()
        refusal = refused(at(f"http://127.0.0.1:{deaf.getsockname()[1]}"), call(payload=b"x" * 2**25, timeout=0.4))
    assert (refusal.reason, time.monotonic() - began < 1.5) == ("backend_timeout", True)


def test_connect_timeout_is_retried(at: Direct) -> None:
    """A listener whose queue is full does not answer, like a route that leads nowhere."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        pauses = Pauses()
        began = time.monotonic()
        refusal = refused(at(f"http://127.0.0.1:{full.getsockname()[1]}", pause=pauses), call(left=2.0))
        took = time.monotonic() - began
        for one in waiting:
            one.close()
    assert refusal.reason in ("unreachable", "no_time_left")
    assert (took < 2.5, len(pauses) > 0) == (True, True)


def test_slow_connect_sends_no_request(at: Direct) -> None:
    now = [100.0]

    def clock() -> float:
        now[0] += 0.95  # each look at the clock; the fourth comes after connecting
        return now[0]

    with FakeLambda() as server:
        refusal = refused(at(server.url, clock=clock), call(left=3.0))
    assert (refusal.reason, server.heard) == ("no_time_left", [])


def test_dead_address_leaves_time_for_the_next(at: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's answer has no seam of its own in the standard library."""
    with FakeLambda() as server, closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        here = socket.getaddrinfo("127.0.0.1", int(server.url.rpartition(":")[2]), type=socket.SOCK_STREAM)
        there = socket.getaddrinfo("127.0.0.1", full.getsockname()[1], type=socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*there, *here])
        began = time.monotonic()
        assert at(server.url)(call(left=2.0)) == b'{"ok":true}'
        took = time.monotonic() - began
        for one in waiting:
            one.close()
    assert 0.4 < took < 1.5  # a third of two seconds: two addresses, and the request


@pytest.mark.parametrize("addresses", [1, 2])
def test_call_does_not_outlive_a_dead_address(at: Direct, monkeypatch: pytest.MonkeyPatch, addresses: int) -> None:
    """Trap D9: the error of an address had a frame that referred to the error."""
    with FakeLambda() as server:
        ports = unused_port(), int(server.url.rpartition(":")[2])
        found = [socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)[0] for port in ports[:addresses]]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        invoker = at(server.url, pause=Pauses())

        def use(held: dict[str, object]) -> None:
            try:
                invoker(call(on_request_id=held.get))
            except BridgeError as refusal:
                refusal.without_frames()  # as the bridge and the router do

        assert not outlives(use)
    assert len(server.heard) == addresses - 1


def test_unknown_host_is_unreachable(at: Direct) -> None:
    pauses = Pauses()
    refusal = refused(at("http://lambda.invalid", pause=pauses))
    assert (refusal.status, refusal.reason, len(pauses)) == (503, "unreachable", len(RETRY_PAUSES))


# ---- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls_connection_is_kept_and_close_noticed(at: Direct, tls: ssl.SSLContext, certificate: Path) -> None:
    """TLS 1.3 sends its session tickets when it likes: they are not an answer to anything."""
    with FakeLambda(Says(), Says(), Says(hang_up=True), Says(b'"again"'), context=tls) as server:
        invoker = at(server.url, {"AWS_CA_BUNDLE": str(certificate)})
        for _ in range(3):
            invoker(call())
        assert server.connections == 1
        assert server.hung_up.wait(10)
        assert invoker(call(payload=b"x" * 2**20)) == b'"again"'
    assert server.connections == 2


def test_request_that_comes_alone_resumes_the_session(at: Direct, tls: ssl.SSLContext, certificate: Path) -> None:
    now = [1.7e9]
    with FakeLambda(context=tls) as server:
        invoker = at(server.url, {"AWS_CA_BUNDLE": str(certificate)}, now=lambda: now[0])
        for _ in range(3):
            invoker(call())
            now[0] += MAX_IDLE + 1
    assert (server.connections, tls.session_stats()["hits"]) == (3, 2)


def test_untrusted_certificate_gets_no_request(at: Direct, tls: ssl.SSLContext) -> None:
    with FakeLambda(context=tls) as server:
        refusal = refused(at(server.url, pause=Pauses()))
    assert (refusal.status, refusal.reason, server.heard) == (503, "unreachable", [])
    assert not isinstance(refusal, DidNotRun)


def test_certificate_for_another_name_is_refused(at: Direct, tls: ssl.SSLContext, certificate: Path) -> None:
    with FakeLambda(context=tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        refusal = refused(at(url, {"AWS_CA_BUNDLE": str(certificate)}))
    assert (refusal.reason, server.heard) == ("unreachable", [])


@pytest.mark.parametrize("answer", [Silence(), Raw(b"", *DRIP)], ids=["silence", "drip"])
def test_tls_timeout_is_a_timeout(at: Direct, tls: ssl.SSLContext, certificate: Path, answer: Silence | Raw) -> None:
    with FakeLambda(answer, context=tls) as server:
        refusal = refused(at(server.url, {"AWS_CA_BUNDLE": str(certificate)}), call(timeout=SHORT))
    assert (refusal.reason, len(server.heard)) == ("backend_timeout", 1)


def test_tls_reset_is_a_lost_connection(at: Direct, tls: ssl.SSLContext, certificate: Path) -> None:
    """Trap D14."""
    with FakeLambda(Reset(), context=tls) as server:
        refusal = refused(at(server.url, {"AWS_CA_BUNDLE": str(certificate)}, pause=Pauses()))
    assert (refusal.reason, len(server.heard)) == ("connection_lost", 1)


def test_unanswered_handshake_ends_in_time(at: Direct) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        began = time.monotonic()
        refusal = refused(at(f"https://127.0.0.1:{deaf.getsockname()[1]}", pause=Pauses()), call(left=0.5))
    assert (refusal.reason, time.monotonic() - began < 1.5) == ("unreachable", True)


def test_server_without_tls_is_unreachable(at: Direct) -> None:
    with FakeLambda(Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        refusal = refused(at(server.url.replace("http:", "https:"), pause=Pauses()))
    assert (refusal.reason, server.heard) == ("unreachable", [])


# ---- from the environment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("text", [None, "not a certificate"])
def test_unreadable_ca_bundle_is_a_fault(tmp_path: Path, name: str, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidMap, match=name):
        direct_invoker({**ENVIRON, name: str(path)})


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_configured_proxy_is_a_fault(name: str) -> None:
    with pytest.raises(InvalidMap, match='write invoker = "boto3"'):
        direct_invoker({**ENVIRON, name: "http://proxy.example:3128"})


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "localhost,.amazonaws.com"},
        {"https_proxy": "http://proxy.example", "no_proxy": "*"},
        {"HTTP_PROXY": "http://proxy.example"},  # which is not for https
        {"HTTPS_PROXY": ""},
    ],
)
def test_proxy_for_other_hosts_is_ignored(environ: dict[str, str]) -> None:
    direct_invoker({**ENVIRON, **environ}).close()


# ---- many at once ---------------------------------------------------------------------------------------------------


def test_32_threads_with_failures_get_their_own_answers(at: Direct) -> None:
    """Traps D10, D15: slow, dead and overfull connections must not mix up the others."""
    lock, count = threading.Lock(), [0]

    def echo(heard: Heard) -> Says:
        with lock:
            count[0] += 1
            number = count[0]
        time.sleep((number % 7) / 1000)
        body = f'"{heard.header("x-amz-tenant-id")} {heard.body.decode()}"'.encode()
        return Says(body, hang_up=number % 5 == 0, headers={"connection": "close"} if number % 11 == 0 else {})

    with FakeLambda(echo) as server:
        invoker = at(server.url)
        ready = threading.Barrier(32)

        def run(number: int) -> list[str]:
            tenant, ends = f"tenant-{number}", []
            ready.wait(10)
            for turn in range(12):
                try:
                    answer = invoker(call(tenant=tenant, payload=b"%d-%d" % (number, turn), timeout=3))
                except BridgeError as error:  # a hang-up may meet a request: it then has no answer, not another's
                    ends.append(error.reason)
                else:
                    ends.append("own" if answer == f'"{tenant} {number}-{turn}"'.encode() else "another's")
            return ends

        with ThreadPoolExecutor(32) as pool:
            ends = [end for found in pool.map(run, range(32)) for end in found]
    assert set(ends) <= {"own", "connection_lost"}
    assert ends.count("own") > 0.9 * len(ends)
    assert len(server.heard) <= len(ends)  # nothing twice
