"""The whole handler, made as Lambda makes it, with a drawn map, format of the payload and kind of backend.

Rule: only the invocation is not real. What the backend was told, and what went to the log, is looked at each time.
"""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzz.allowed import Asking, may_be
from fuzz.rounds import Prepared
from lattice_bridge import Bridge
from lattice_bridge.bootstrap import make_handler
from lattice_bridge.config.reload import Following, Handler
from lattice_bridge.errors import (
    BackendFailed,
    BridgeError,
    LoopDetected,
    Misconfigured,
    TimedOut,
    TooLarge,
    Unavailable,
)
from lattice_bridge.formats.event import Payload
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.invoke.call import Call
from lattice_bridge.local.front.lattice import Signer, http_response
from lattice_bridge.message import X509
from lattice_bridge.testing import assert_valid_reply
from lattice_bridge.testing import strategies as lattice
from lattice_bridge.testing.strategies import Sent, WrittenMap

FORMATS: Final[tuple[Payload, ...]] = ("lattice", "lattice-v1", "lattice-v2", "apigateway-v2", "apigateway-v1", "alb")
_REFUSALS: Final[tuple[Exception, ...]] = (
    *(BackendFailed("backend_raised", "a test"), TimedOut("backend_timeout"), TooLarge("request_too_large")),
    *(Unavailable("throttled", retry_after=1), Misconfigured("access_denied", "\ud800\n"), LoopDetected("loop")),
    *(ValueError("a bug"), RecursionError(), KeyError("\ud800"), MemoryError()),
)
Answer = bytes | Exception


@dataclass
class Behind:
    """The backend, and the log. What a request brought is there until the next one."""

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
    """The one of a seed. Not the simplest map, which is what Hypothesis begins with, but the tenth."""
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
    """As `lattice_bridge.main` has it, with `behind` in place of Lambda."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bridge.toml").write_text(text, encoding="utf-8")
        environ = {"LAMBDA_TASK_ROOT": folder, "AWS_REGION": "eu-west-1"}
        handler = make_handler(environ, behind.written.append)
    assert isinstance(handler, Following)
    assert handler.in_force is not None, behind.written
    bridge = handler.in_force.handler
    assert isinstance(bridge, Bridge)
    bridge.invoke = behind.invoke
    return handler


answers: Final = st.one_of(lattice.backend_replies(None), st.sampled_from(_REFUSALS), st.binary(max_size=20))


# ---- events by the book ----------------------------------------------------------------------------------------------


def _asking_for(written: WrittenMap) -> st.SearchStrategy[Sent]:
    """Requests, most of them by somebody whom the map knows, and with a tenant that it knows."""
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


def by_the_book(number: int) -> Prepared:
    """Real requests: a tenant that is told is one that the map gives the caller."""
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
            told = _told(call, drawn)
            wanted = [value for name, value in sent.http.headers if name == drawn.written.header]
            assert len(wanted) <= 1
            passed = [value for name, value in sent.http.headers if name == "x-lattice-bridge-hops"]
            assert passed in ([], ["1"]), "a request that went round, or that nobody knows"
            asking = Asking.of(json.loads(before))
            given = may_be(told, asking, wanted[0] if wanted else None, drawn.written.rules, drawn.written.tenants)
            assert given, f"{asking} was let in as {told}"

    return Prepared(st.tuples(_asking_for(drawn.written), answers), check, drawn.text)


# ---- anything --------------------------------------------------------------------------------------------------------


class Context:
    """Lambda's."""

    aws_request_id = "a-request"

    def get_remaining_time_in_millis(self) -> int:
        return 3000


def whatever_comes(number: int) -> Prepared:
    """Any JSON: a reply, a log, and no tenant that the map does not have."""
    drawn, behind = setting(number), Behind()
    handler = handler_for(drawn.text, behind)
    contexts = st.sampled_from([None, Context(), {"aws_request_id": 1}, object()])

    def check(example: tuple[Any, Answer, object]) -> None:
        event, answer, context = example
        behind.clear(answer)
        reply = handler(event, context)
        method = event.get("method") if isinstance(event, dict) else ""
        sane(reply, method if isinstance(method, str) else "", behind)
        for call in behind.calls:
            assert drawn.written.tenants[_told(call, drawn)] is True

    near = _asking_for(drawn.written).map(lambda sent: sent.event)
    return Prepared(st.tuples(lattice.anything(near), answers, contexts), check, drawn.text)


# ---- what holds for both ---------------------------------------------------------------------------------------------


def sane(reply: dict[str, Any], method: str, behind: Behind) -> None:
    """Lattice takes the reply, with one invocation at most, and two lines are written that are JSON."""
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
    if log["reason"] == "internal":  # a bug, and so it has to be the one that the invocation raised
        assert behind.calls, log
        assert isinstance(behind.answer, Exception), log
        assert not isinstance(behind.answer, BridgeError), log


def _told(call: Call, drawn: Setting) -> str:
    """The tenant in the payload, and in the call if the function is isolated."""
    payload = json.loads(call.payload)
    assert (call.tenant is None) != drawn.isolated
    headers = payload.get("headers") or payload["multiValueHeaders"]
    found = [value for name, value in headers.items() if name.lower().replace("_", "-") == drawn.written.header]
    assert len(found) == 1, found
    (told,) = found[0] if isinstance(found[0], list) else [found[0]]
    assert call.tenant in (None, told)
    return str(told)
