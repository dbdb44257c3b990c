"""The whole handler, made as Lambda makes it, with a drawn map, payload format and kind of backend.

Rule: only the invocation is not real. The payload of each invocation and each log line are checked.
"""

from __future__ import annotations

import json
import random
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzz.allowed import Asking, may_be
from fuzz.rounds import Prepared
from lattice_bridge.bootstrap import Lines, make_handler
from lattice_bridge.config.reload import Handler, ReloadingHandler
from lattice_bridge.errors import (
    BackendFailed,
    BridgeError,
    LoopDetected,
    Misconfigured,
    TimedOut,
    TooLarge,
    Unavailable,
)
from lattice_bridge.events.recognise import source_of
from lattice_bridge.formats.event import Payload
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.invoke.call import Call
from lattice_bridge.local.front.exchange.http_message import Signer
from lattice_bridge.local.front.lattice.events import http_response
from lattice_bridge.message import X509
from lattice_bridge.testing import assert_valid_reply
from lattice_bridge.testing import strategies as lattice
from lattice_bridge.testing.strategies import Sent, WrittenMap

FORMATS: Final[tuple[Payload, ...]] = get_args(Payload)
_REFUSALS: Final[tuple[Exception, ...]] = (
    *(BackendFailed("backend_raised", "a test"), TimedOut("backend_timeout"), TooLarge("request_too_large")),
    *(Unavailable("throttled", retry_after=1), Misconfigured("access_denied", "\ud800\n"), LoopDetected("loop")),
    *(ValueError("a bug"), RecursionError(), KeyError("\ud800"), MemoryError()),
)
Answer = bytes | Exception


@dataclass
class Behind:
    """The backend, and the log. Calls and lines of a request are kept until the next one."""

    answer: Answer = b""
    calls: list[Call] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def invoke(self, call: Call) -> bytes:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def clear(self, answer: Answer) -> None:
        self.answer = answer
        self.calls.clear()
        self.written.clear()


@dataclass(frozen=True)
class Setting:
    """A bridge.toml, and the map in it."""

    written: WrittenMap
    isolated: bool
    payload: Payload
    more: str

    @property
    def text(self) -> str:
        backend = (
            f'[[backend]]\nfunction = "orders"\nisolated = {str(self.isolated).lower()}\npayload = "{self.payload}"\n'
        )
        return f"{self.written.text}\n{backend}{self.more}\n[map]\nrefresh = 86400\n"


def setting(number: int) -> Setting:
    """The setting of a seed. Not the simplest map, with which Hypothesis begins, but the tenth."""
    found: list[WrittenMap] = []

    @seed(number)
    @settings(max_examples=10, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(lattice.maps())
    def collect(written: WrittenMap) -> None:
        found.append(written)

    collect()
    dice = random.Random(number)  # noqa: S311 - a round has to come out the same again
    more = dice.choice(["", "", 'keep_headers = ["authorization"]\n', 'invocation = "async"\n'])
    more += dice.choice(["", '[lattice]\nset_cookie = "headers"\n'])
    return Setting(found[-1], dice.random() < 0.7, dice.choice(FORMATS), more)


def handler_for(text: str, behind: Behind) -> Handler:
    """The handler of `lattice_bridge.main`, with `behind` in place of Lambda."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bridge.toml").write_text(text, encoding="utf-8")
        environ = {"LAMBDA_TASK_ROOT": folder, "AWS_REGION": "eu-west-1"}
        handler = make_handler(environ, behind.written.append)
    assert isinstance(handler, ReloadingHandler)
    assert handler.active is not None, behind.written
    lines = handler.active.handler
    assert isinstance(lines, Lines)
    lines.bridge.invoke = behind.invoke
    return handler


answers: Final = st.one_of(lattice.backend_replies(None), st.sampled_from(_REFUSALS), st.binary(max_size=20))


# ---- events as Lattice sends them ------------------------------------------------------------------------------------


def _asking_for(written: WrittenMap) -> st.SearchStrategy[Sent]:
    """Requests, most of them by callers and with tenants that occur in the map."""
    known = written.principals
    names = [*written.tenants, *(f"t-{name}" for name in written.tenants)]
    orgs = st.sampled_from([None, "o-a1b2c3d4e5"])
    theirs = st.builds(_signer, st.sampled_from(known or ["x"]), st.sampled_from(names), orgs, st.booleans())
    wanted = st.none() | st.sampled_from([*written.tenants])
    anybody = st.builds(partial(_asked, written.header), lattice.requests(), st.none(), wanted)
    if not known:
        return lattice.requests() | anybody
    asked = st.builds(partial(_asked, written.header), lattice.requests(), theirs, wanted)
    return st.integers(0, 5).flatmap(lambda side: (lattice.requests(), anybody)[side] if side < 2 else asked)


def _signer(arn: str, session: str, org: str | None, certified: bool) -> Signer:
    principal = parse_arn(arn)
    if principal.role is None:
        return Signer(principal, None, org)
    if principal.session is None:
        principal = replace(principal, kind="assumed-role", session=_as_session(session))
    x509 = X509(san_uri=f"spiffe://example.org/t/{session}") if certified else None
    return Signer(principal, principal.session, org, x509)


def _as_session(name: str) -> str:
    return "".join(letter for letter in name if letter not in ":/")[:64]


def _asked(header: str, sent: Sent, signer: Signer | None, wanted: str | None) -> Sent:
    lines = [(name, value) for name, value in sent.http.headers if name.replace("_", "-") != header]
    chosen = lines if wanted is None else [*lines, (header, wanted)]
    return replace(sent, http=replace(sent.http, headers=chosen), signer=signer)


def valid_events(number: int) -> Prepared:
    """Valid events: the backend receives only a tenant that the map gives the caller."""
    drawn, behind = setting(number), Behind()
    handler = handler_for(drawn.text, behind)

    def check(example: tuple[Sent, Answer]) -> None:
        sent, answer = example
        event = sent.event
        before = json.dumps(event)
        behind.clear(answer)
        reply = handler(event, None)
        assert json.dumps(event) == before, "the event was written to"
        sane(reply, sent.http.method, behind)
        for call in behind.calls:
            sent_tenant = _sent_tenant(call, drawn)
            wanted = [value for name, value in sent.http.headers if name == drawn.written.header]
            assert len(wanted) <= 1
            passed = [value for name, value in sent.http.headers if name == "x-lattice-bridge-hops"]
            assert passed in ([], ["1"]), "a loop, or an unknown count of passes"
            asking = Asking.of(json.loads(before))
            given = may_be(
                sent_tenant, asking, wanted[0] if wanted else None, drawn.written.rules, drawn.written.tenants
            )
            assert given, f"{asking} was given {sent_tenant}"

    return Prepared(st.tuples(_asking_for(drawn.written), answers), check, drawn.text)


# ---- anything --------------------------------------------------------------------------------------------------------


class Context:
    """Lambda's context."""

    aws_request_id = "a-request"

    def get_remaining_time_in_millis(self) -> int:
        return 3000


def any_json(number: int) -> Prepared:
    """Any JSON: there is a reply and a log line, and no tenant that the map does not have."""
    drawn, behind = setting(number), Behind()
    handler = handler_for(drawn.text, behind)
    contexts = st.sampled_from([None, Context(), {"aws_request_id": 1}, object()])

    def check(example: tuple[Any, Answer, object]) -> None:
        event, answer, context = example
        behind.clear(answer)
        if source_of(event) is not None:  # no request; `batches` is for those with records of SQS
            with suppress(BridgeError):
                handler(event, context)
            assert behind.calls == []
            return
        reply = handler(event, context)
        method = event.get("method") if isinstance(event, dict) else ""
        sane(reply, method if isinstance(method, str) else "", behind)
        for call in behind.calls:
            assert drawn.written.tenants[_sent_tenant(call, drawn)] is True

    near = _asking_for(drawn.written).map(lambda sent: sent.event)
    return Prepared(st.tuples(lattice.anything(near), answers, contexts), check, drawn.text)


# ---- both ---------------------------------------------------------------------------------------------


def sane(reply: dict[str, Any], method: str, behind: Behind) -> None:
    """Checks that Lattice accepts the reply, at most one invocation was made, and two lines of JSON were written."""
    assert_valid_reply(reply, method)
    http_response(json.dumps(reply).encode(), method)
    assert len(behind.calls) <= 1
    (written,) = behind.written
    assert written.endswith("\n")
    assert written.isascii()
    lines = written[:-1].split("\n")
    assert len(lines) == 2, lines
    log, metric = (json.loads(line) for line in lines)
    assert log["status"] == reply["statusCode"]
    assert metric["_aws"]["CloudWatchMetrics"]
    if log["reason"] == "internal":  # a bug, so it must be the one that the invocation raised
        assert behind.calls, log
        assert isinstance(behind.answer, Exception), log
        assert not isinstance(behind.answer, BridgeError), log


def _sent_tenant(call: Call, drawn: Setting) -> str:
    """The tenant in the payload, and in the call if the function is isolated."""
    payload = json.loads(call.payload)
    assert (call.tenant is None) != drawn.isolated
    headers = payload.get("headers") or payload["multiValueHeaders"]
    found = [value for name, value in headers.items() if name.lower().replace("_", "-") == drawn.written.header]
    assert len(found) == 1, found
    (tenant,) = found[0] if isinstance(found[0], list) else [found[0]]
    assert call.tenant in (None, tenant)
    return str(tenant)
