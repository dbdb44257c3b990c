"""Entries that are sent again, as they were or edited."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from lattice_bridge.events import kinesis
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.aws.event_bridge.errors import EntryRefused
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams, Wanted
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.message import Attribute
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn, InvokeIn, RecordIn
from lattice_bridge.local.inspector.live import Maps, Parts
from lattice_bridge.local.inspector.replay import Replayer, editable, edited
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused
from lattice_bridge.local.web.incoming import IncomingRequest
from lattice_bridge.local.web.server import HttpServer
from lattice_bridge.local.web.sigv4 import Signed, lattice_signer, signer_of
from lattice_bridge.testing import sqs_record
from tests.support.queue_maps import SHOP
from tests.support.virtual_queues import ACCOUNT, REGION, VirtualQueues

if TYPE_CHECKING:  # for casts
    from lattice_bridge.local.aws.lambda_service import LambdaService
    from lattice_bridge.local.bridge.configuration import BridgeConfiguration
    from lattice_bridge.local.environments.pool import EnvironmentPool
    from lattice_bridge.local.inspector.capture import Capture

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
MASKED = f"•••• {len(TOKEN)} characters"


def identity(name: str) -> Identity:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    return Identity(f"LOCAL{name.upper()}", name, parse_arn(arn), arn, "local")


IDENTITIES = {one.access_key: one for one in (identity("blue"), identity("green"))}


@dataclass
class Front:
    """A front that notes what it gets; as the capture of the stack, it names the entries of its requests."""

    timeline: Timeline
    expected: dict[object, SimpleNamespace] = field(default_factory=dict)
    forgotten: list[object] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)

    async def app(self, request: IncomingRequest) -> None:
        headers = [(name.decode(), value.decode()) for name, value in request.headers]
        body = await request.body(2**20)
        self.requests.append(HttpRequest(request.method, request.address.target, headers, body))
        self.began(request.client)
        await request.respond(200, [], b"ok")

    def began(self, key: object) -> None:
        expected = self.expected[key]
        entry = Entry("lattice", "shop", "/", "id", 1.0, replay_of=expected.of)
        expected.n = self.timeline.add(entry)

    def expect(self, key: object, of: int) -> Any:
        self.expected[key] = SimpleNamespace(n=None, of=of)
        return self.expected[key]

    def forget(self, key: object) -> None:
        self.forgotten.append(key)


class Lambda:
    """A service that begins an entry of each invocation."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.invoked: list[InvokeRequest] = []

    async def invoke(self, request: InvokeRequest) -> None:
        self.invoked.append(request)
        self._front.began(request.request_id)
        await asyncio.Event().wait()  # a function that runs for minutes


class World:
    """What a replay can reach."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.front = Front(self.timeline)
        self.service = Lambda(self.front)
        self.queues = VirtualQueues().queues
        self.streams = KinesisStreams(REGION, ACCOUNT)
        self.put: list[Any] = []
        self.refusal: EntryRefused | None = None
        rules = SimpleNamespace(header="x-tenant-id")
        configuration = SimpleNamespace(settings=SimpleNamespace(tenant_map=SimpleNamespace(rules=rules)))
        self.maps = Maps((cast("BridgeConfiguration", configuration),), 1.0, {})

    def buses(self) -> Any:
        """The buses as far as they are used."""

        def put(entry: Any) -> str:
            if self.refusal is not None:
                raise self.refusal
            self.put.append(entry)
            return "event"

        return SimpleNamespace(put=put)

    def parts(self, port: int) -> Parts:
        return Parts(
            front=f"http://127.0.0.1:{port}",
            aws="",
            region=REGION,
            identities=lambda: IDENTITIES,
            maps=lambda: self.maps,
            service=cast("LambdaService", self.service),
            queues=self.queues,
            streams=self.streams,
            buses=self.buses(),
            environments=cast("EnvironmentPool", None),
            every_stream=list,
            positions=lambda _arn: [],
        )

    def replay(self, entry: Entry, seconds: float = 20.0, /, **changes: Any) -> int:
        """Sends an entry again, and returns the new number."""

        async def run() -> int:
            server = await HttpServer.start(self.front.app)
            self.timeline.add(entry)
            try:
                return await Replayer(self.timeline, cast("Capture", self.front), self.parts(server.port), seconds)(
                    entry, changes
                )
            finally:
                await server.stop()

        return asyncio.run(run())

    def arriving(self, entry: Entry, key: object, **changes: Any) -> int:
        """As `replay`, of a record that a mapping takes with this key."""

        async def run() -> int:
            self.timeline.add(entry)
            replay = asyncio.create_task(
                Replayer(self.timeline, cast("Capture", self.front), self.parts(1), 20)(entry, changes)
            )
            while not self.front.expected and not replay.done():  # noqa: ASYNC110 - the queue is in this loop too
                await asyncio.sleep(0)
            if not replay.done():
                self.front.began(key if key is not None else next(iter(self.front.expected)))
            return await replay

        return asyncio.run(run())


def requested(**fields: Any) -> Entry:
    headers = [("host", "localhost"), ("authorization", f"Bearer {TOKEN}"), ("x-a", "1"), ("x-a", "2")]
    body = json.dumps({"password": "hunter2-hunter2", "list": [{"apiKey": "k3y-k3y-k3y"}], "n": 1}).encode()
    given = {"method": "PUT", "target": f"/a%2F?x=1&token={TOKEN}", "headers": headers, "body": body}
    given |= {name: fields.pop(name) for name in list(fields) if name in given}
    came_in = HttpIn(HttpRequest(**given), access_key=fields.pop("access_key", None))  # type: ignore[arg-type]
    return Entry("lattice", "shop", "/a", "id", 1.0, content=Content(came_in), **fields)


def request_of(entry: Entry) -> HttpRequest:
    assert entry.content is not None
    assert isinstance(entry.content.came_in, HttpIn)
    return entry.content.came_in.request


# ---- requests -------------------------------------------------------------------------------------------------------


def test_request_is_sent_again_as_it_was() -> None:
    """The browser has sent its number only: the token comes from the original."""
    world, entry = World(), requested()
    assert world.replay(entry) == 2
    (sent,) = world.front.requests
    original = request_of(entry)
    assert (sent.method, sent.target, sent.body) == (original.method, original.target, original.body)
    own = [pair for pair in sent.headers if pair[0] not in ("content-length", "connection")]
    assert own == list(original.headers)
    copy = world.timeline.get(2)
    assert copy is not None
    assert copy.replay_of == 1
    assert world.front.forgotten, "a later request from the port is another one"


def test_edited_request_keeps_what_the_browser_never_had() -> None:
    """Trap G2: a header without a value, and a masked value at its place, are the original's."""
    world, entry = World(), requested()
    shown = '{"password": "•••• 15 characters", "list": [{"apiKey": "•••• 11 characters"}], "n": 2, "new": "x"}'
    world.replay(
        entry,
        method="POST",
        target=f"/b?x=2&token={MASKED}",
        headers=[["Host", "localhost"], ["Authorization", None], ["x-a", "new"], ["x-a", None], ["X-B", "é"]],
        body={"text": shown},
        tenant="green",
    )
    (sent,) = world.front.requests
    assert (sent.method, sent.target) == ("POST", f"/b?x=2&token={TOKEN}")
    assert json.loads(sent.body) == {
        "password": "hunter2-hunter2",
        "list": [{"apiKey": "k3y-k3y-k3y"}],
        "n": 2,
        "new": "x",
    }
    own = [pair for pair in sent.headers if pair[0] not in ("content-length", "connection")]
    assert own == [
        *(("host", "localhost"), ("authorization", f"Bearer {TOKEN}"), ("x-a", "new"), ("x-a", "2"), ("x-b", "é")),
        ("x-tenant-id", "green"),
    ]


@pytest.mark.parametrize(
    ("way", "service", "chosen", "signer"),
    [
        ("lattice", "vpc-lattice-svcs", ..., "LOCALBLUE"),
        ("lattice", "vpc-lattice-svcs", "LOCALGREEN", "LOCALGREEN"),
        ("api", "execute-api", "LOCALGREEN", "LOCALGREEN"),
        ("function_url", "lambda", ..., "LOCALBLUE"),
        ("lattice", "vpc-lattice-svcs", None, None),
    ],
)
def test_request_is_signed_by_the_chosen_identity(way: Any, service: str, chosen: Any, signer: str | None) -> None:
    world = World()
    headers = [("host", "localhost"), ("content-type", "a/b"), ("authorization", "AWS4-HMAC-SHA256 Credential=old")]
    headers += [("x-amz-date", "20200101T000000Z"), ("x-amz-security-token", "session=till-7")]
    entry = requested(headers=headers, access_key="LOCALBLUE", target="/a b%2F?z=1&a=%20&a".replace(" ", "%20"))
    entry.way = way
    world.replay(entry, **({} if chosen is ... else {"identity": chosen}))
    (sent,) = world.front.requests
    path, _, query = sent.target.partition("?")
    found = Signed(sent.method, path, query, sent.headers)
    if service == "vpc-lattice-svcs":
        verified = lattice_signer(found, IDENTITIES, region=REGION, now=datetime.now(UTC))
    else:
        digest, now = sha256(sent.body).hexdigest(), datetime.now(UTC)
        verified = signer_of(found, IDENTITIES, service=service, region=REGION, payload=digest, now=now)
    assert (None if verified is None else verified.access_key) == signer
    session = [value for name, value in sent.headers if name == "x-amz-security-token"]
    assert session == (["session=till-7"] if signer == "LOCALBLUE" else []), "another identity has its own session"


def test_original_without_a_known_identity_is_not_sent() -> None:
    world = World()
    with pytest.raises(Refused, match="this stack has no 'LOCALGONE'"):
        world.replay(requested(access_key="LOCALGONE"))
    entry = requested()
    entry.way = "load_balancer"
    with pytest.raises(Refused, match="verifies no signature"):
        world.replay(entry, identity="LOCALBLUE")
    assert world.front.requests == []


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "http://evil.example/"},
        {"target": "//evil.example\r\nhost: evil"},
        {"target": "evil.example:80"},
        {"target": "*"},
        {"target": "/a b"},
        {"target": "/é"},
        {"target": "/?x=•••• 7 characters"},
        {"method": "GET / HTTP/1.1\r\nx: y\r\n\r\n"},
        {"method": ""},
        {"method": 7},
        {"headers": {}},
        {"headers": [["a"]]},
        {"headers": [["a", "b\r\nc: d"], ["host", "localhost"]]},
        {"headers": [["a:b", "c"], ["host", "localhost"]]},
        {"headers": [["x-new", None], ["host", "localhost"]]},
        {"headers": [["x-a", 7], ["host", "localhost"]]},
        {"headers": []},
        {"headers": [["host", "localhost"], ["host", "localhost"]]},
        {"headers": [["host", "localhost"]] * 501},
        {"tenant": "a\r\nb: c"},
        {"tenant": "\ud800"},
        {"headers": [["a", "\udcff"], ["host", "localhost"]]},
        {"body": {"text": "\ud800"}},
        {"tenant": 7},
        {"body": {"text": '{"other": "•••• 15 characters"}'}},
        {"body": {"hex": "zz"}},
        {"body": "text"},
        {"body": {}},
        {"identity": 7},
    ],
)
def test_malformed_change_is_refused(changes: dict[str, Any]) -> None:
    """Trap G2: no change makes two requests of one, and none adds a header that was not written as one."""
    world = World()
    with pytest.raises(Refused, match="Fix: ") as refused:
        world.replay(requested(), **changes)
    assert refused.value.status == 400
    assert world.front.requests == []


def test_replay_goes_to_the_front_and_nowhere_else() -> None:
    """Trap G2: whatever the Host is. The front refuses a foreign one."""
    world = World()
    with pytest.raises(Refused, match="403 Forbidden") as refused:
        world.replay(requested(), headers=[["host", "evil.example"]])
    assert refused.value.status == 409
    assert world.front.requests == []


def test_masked_path_stays_when_the_query_changes() -> None:
    """Trap G2: the browser never had the token in it."""
    request = HttpRequest("GET", f"/reset/{TOKEN}?a=1", [("host", "localhost")])
    assert edited(request, {"target": f"/reset/{MASKED}?a=2"}, None).target == f"/reset/{TOKEN}?a=2"
    assert edited(request, {"target": f"/reset/{MASKED}"}, None).target == f"/reset/{TOKEN}"
    for target in (f"/other/{MASKED}", f"/reset/{MASKED}?b={MASKED}"):
        with pytest.raises(Refused, match="target: a masked value is at another place"):
            edited(request, {"target": target}, None)


def test_large_body_is_replaced_as_a_whole() -> None:
    """Trap G7: to mask it would keep the stack waiting, and the page shows a part of it only."""
    large = HttpRequest("POST", "/", [("host", "localhost")], json.dumps({"a": "b" * mask.SHOWN}).encode())
    assert edited(large, {"body": {"text": "{}"}}, None).body == b"{}"
    with pytest.raises(Refused, match="a masked value is at another place"):
        edited(large, {"body": {"text": f'{{"a": "{mask.MASK}"}}'}}, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [["host", "localhost"], ["authorization", f"{MASKED} "]]},
        {"headers": [["host", "localhost"], ["x-b", MASKED]]},
        {"tenant": MASKED},
        {"method": MASKED},
        {"body": {"text": json.dumps({"other": MASKED})}},
        {"body": {"text": json.dumps({"other": base64.b64encode(f"a={MASKED}".encode()).decode()})}},
        {"body": {"text": '{"other": "\\u2022\\u2022\\u2022\\u2022 7 characters"}'}},
        {"body": {"text": f'{{"password": "{mask.masked("hunter2-hunter2")}", "a": 1, "a": 2}}'}},
    ],
)
def test_mask_is_never_sent(changes: dict[str, Any]) -> None:
    """Trap G16: a function would take it for the token. A person learns that it is not the value."""
    world = World()
    with pytest.raises(Refused, match=r"masked value.*Fix: write the value itself") as refused:
        world.replay(requested(), **changes)
    assert (refused.value.status, world.front.requests) == (400, [])


def test_mask_in_bytes_and_in_base64_is_the_original_at_its_place() -> None:
    """Trap G2: the page shows asterisks in a binary body, and a mask within base64."""
    inner = base64.b64encode(b'{"password": "hunter2-hunter2"}').decode()
    original = json.dumps({"data": inner, "a": 1.50, "b": 2}).encode().replace(b"1.5", b"1.50")
    text = mask.body(original)["text"]
    assert inner not in text
    request = HttpRequest("POST", "/", [("host", "localhost")], original)
    sent = edited(request, {"body": {"text": text.replace('"b": 2', '"b": 3e400')}}, None).body
    assert sent == f'{{"data": "{inner}", "a": 1.50, "b": 3e400}}'.encode()

    binary = replace(request, body=b"\xff\xfepassword=hunter2hunter2&a=1")
    shown = b"\xff\xfepassword=**************&a=2".hex()
    assert edited(binary, {"body": {"hex": shown}}, None).body == b"\xff\xfepassword=hunter2hunter2&a=2"
    assert edited(binary, {"body": {"hex": "00ff"}}, None).body == b"\x00\xff"
    with pytest.raises(Refused, match="masked value"):
        edited(binary, {"body": {"hex": f"{shown}00"}}, None)


def test_two_tokens_of_one_length_keep_their_places() -> None:
    request = HttpRequest("GET", "/a?token=AAAA&token=BBBB&x=1", [("host", "localhost")])
    target = mask.masked_target(request.target).replace("x=1", "x=2")
    assert edited(request, {"target": target}, None).target == "/a?token=AAAA&token=BBBB&x=2"


@pytest.mark.parametrize("host", ["[", "[:::]", "a b", "a@b", ""])
@pytest.mark.parametrize("access_key", [None, "LOCALBLUE"])
def test_malformed_host_is_refused(host: str, access_key: str | None) -> None:
    """Trap G2: also before it is signed."""
    world = World()
    with pytest.raises(Refused, match=r"Host|403 Forbidden"):
        world.replay(requested(access_key=access_key), headers=[["host", host]])
    assert world.front.requests == []


def test_framing_of_the_original_is_not_sent() -> None:
    request = request_of(requested())
    headers = [*request.headers, ("transfer-encoding", "chunked"), ("content-length", "7"), ("upgrade", "h2c")]
    given = [["host", "localhost"], ["Transfer-Encoding", "chunked"], ["content-length", "9"]]
    assert edited(HttpRequest("GET", "/", headers), {}, None).headers == request.headers
    assert edited(request, {"headers": given}, None).headers == [("host", "localhost")]


@pytest.mark.parametrize(("tenant", "header"), [("green", ["green"]), (None, [])])
def test_asked_tenant_is_replaced_or_removed(tenant: str | None, header: list[str]) -> None:
    request = HttpRequest("GET", "/", [("host", "localhost"), ("x-tenant-id", "blue")])
    found = edited(request, {"tenant": tenant}, "x-tenant-id").headers
    assert [value for name, value in found if name == "x-tenant-id"] == header
    with pytest.raises(Refused, match="no map is active"):
        edited(request, {"tenant": tenant}, None)


def test_request_whose_body_was_never_read_is_not_sent() -> None:
    """It would be another request: without its body."""
    world, entry = World(), requested()
    assert entry.content is not None
    entry.content.came_in = HttpIn(request_of(entry), body_read=False)
    with pytest.raises(Refused, match="refused the request before it read the body") as refused:
        world.replay(entry)
    assert (refused.value.status, world.front.requests) == (409, [])


def test_dropped_entry_is_not_sent() -> None:
    entry = requested()
    entry.content = None
    with pytest.raises(Refused, match="no longer kept"):
        World().replay(entry)


# ---- records and invocations ----------------------------------------------------------------------------------------


def recorded(way: Any, record: Mapping[str, Any]) -> Entry:
    return Entry(way, "orders", "id", "id", 1.0, content=Content(RecordIn(json.dumps(record).encode())))


def test_message_is_put_into_its_queue_again() -> None:
    world = World()
    queue = world.queues.create("orders.fifo", {"FifoQueue": "true"})
    options: Any = {"sender": f"{SHOP}:till", "group": "g", "attributes": {"tenant": "blue", "b": b"\xff"}}
    entry = recorded("queue", sqs_record("hello", queue=queue.arn, **options))
    assert world.arriving(entry, None) == 2
    world.front.expected.clear()
    changes = {"body": {"text": "bye"}, "attributes": {"tenant": "green", "b": None, "new": "x"}, "group": "h"}
    assert world.arriving(entry, None, **changes) == 4
    first, second = (one.outgoing for one in queue.peek(limit=9))
    assert (first.body, first.group, first.sender_id) == ("hello", "g", f"{SHOP}:till")
    assert first.attributes == {"tenant": Attribute("String", "blue"), "b": Attribute("Binary", b"\xff")}
    assert (second.body, second.group) == ("bye", "h")
    assert second.attributes == {"tenant": Attribute("String", "green"), "new": Attribute("String", "x")}


def test_mask_in_a_message_is_never_sent() -> None:
    """Trap G16: in an attribute, also one that is masked in part, in a group, and in the tenant of an Invoke."""
    world = World()
    queue = world.queues.create("orders.fifo", {"FifoQueue": "true"})
    record: Any = sqs_record("{}", queue=queue.arn, group=TOKEN)
    record["messageAttributes"] = {"a": {"dataType": "String", "stringValue": "u=1&password=hunter2"}}
    entry = recorded("queue", record)
    edit = editable(entry)
    assert edit is not None
    shown = edit["attributes"]["a"]
    assert (shown, edit["group"]) == (f"u=1&password={mask.masked('hunter2')}", MASKED)
    for changes in ({"attributes": {"a": f"{shown}x"}}, {"attributes": {"b": shown}}, {"group": f"a{MASKED}"}):
        with pytest.raises(Refused, match="a masked value is at another place"):
            world.arriving(entry, None, **changes)
    world.arriving(entry, None, attributes={"a": shown}, group=MASKED)
    (message,) = (one.outgoing for one in queue.peek(limit=9))
    assert (message.attributes["a"].value, message.group) == ("u=1&password=hunter2", TOKEN)
    invoked = Entry("invoke", "", "f", "id", 1.0, content=Content(InvokeIn("f", b"{}", TOKEN)))
    for tenant in (f"{MASKED}x", "\ud800"):
        with pytest.raises(Refused, match="tenant: "):
            world.replay(invoked, tenant=tenant)
    world.replay(invoked, tenant=MASKED)
    assert [one.tenant for one in world.service.invoked] == [TOKEN]


def test_masked_part_of_a_message_is_the_originals() -> None:
    """As long as it stays where it was. A changed attribute keeps its type."""
    world = World()
    queue = world.queues.create("orders")
    record: Any = sqs_record(json.dumps({"password": "hunter2-hunter2", "n": 1}), queue=queue.arn)
    record["messageAttributes"] = {
        "count": {"dataType": "Number", "stringValue": "1"},
        "token": {"dataType": "String", "stringValue": TOKEN},
        "b": {"dataType": "Binary", "binaryValue": "/w=="},
    }
    entry = recorded("queue", record)
    edit = editable(entry)
    assert edit is not None
    assert edit["attributes"] == {"count": "1", "token": MASKED, "b": None}
    text = edit["body"]["text"].replace('"n": 1', '"n": 2')
    assert "hunter2" not in text
    world.arriving(entry, None, body={"text": text}, attributes={"count": "2", "token": MASKED, "b": "text"})
    (message,) = (one.outgoing for one in queue.peek(limit=9))
    assert json.loads(message.body) == {"password": "hunter2-hunter2", "n": 2}
    assert message.attributes == {
        "count": Attribute("Number", "2"),
        "token": Attribute("String", TOKEN),
        "b": Attribute("String", "text"),
    }
    with pytest.raises(Refused, match="body: not UTF-8"):
        world.arriving(entry, None, body={"hex": "ff"})


def test_content_of_a_record_is_decoded_for_its_form() -> None:
    """A person edits what the sender has sent, and not what Lambda makes of it."""
    world = World()
    stream = world.streams.create(Wanted("clicks"))
    click = kinesis.write(
        shard_id="s",
        sequence_number="1",
        partition_key="k",
        data=b'{"n": 1}',
        arrived=1.0,
        arn=stream.arn,
        role_arn="r",
    )
    fifo = sqs_record("hello", sender=f"{SHOP}:till", group="g")
    event = {"id": "1", "source": "shop", "detail-type": "placed", "detail": {"n": 1}, "resources": []}
    ways: list[tuple[Any, Mapping[str, Any]]] = [("queue", fifo), ("stream", click), ("bus", event)]
    found = [editable(recorded(way, record)) for way, record in ways]
    assert [(one["body"]["text"], one["group"], one["group_name"], one["attributes"]) for one in found if one] == [
        ("hello", "g", "group", {}),
        ('{\n  "n": 1\n}', "k", "partition key", None),
        ('{\n  "n": 1\n}', None, None, None),
    ]
    assert editable(recorded("table", {"eventSource": "aws:dynamodb", "dynamodb": {}})) is None
    assert editable(requested()) is None


def test_message_whose_body_looks_like_a_record_is_a_body() -> None:
    world = World()
    queue = world.queues.create("orders")
    text = json.dumps({"eventSource": "aws:sqs", "body": "inner"})
    world.arriving(recorded("queue", sqs_record("a", queue=queue.arn)), None, body={"text": text})
    (message,) = (one.outgoing for one in queue.peek(limit=9))
    assert message.body == text


def test_kinesis_record_is_put_into_its_stream_again() -> None:
    world = World()
    stream = world.streams.create(Wanted("clicks"))
    content = kinesis.write(
        shard_id="s", sequence_number="1", partition_key="k", data=b"\xff", arrived=1.0, arn=stream.arn, role_arn="r"
    )
    entry = recorded("stream", content)
    world.arriving(entry, None)
    world.front.expected.clear()
    world.arriving(entry, None, body={"hex": "00 01"}, group="other")
    (shard,) = stream.shards()
    found = [one.content["kinesis"] for one in shard.after(0, 9)]
    assert [(one["partitionKey"], one["data"]) for one in found] == [("k", "/w=="), ("other", "AAE=")]


def test_event_is_put_into_its_bus_again() -> None:
    world = World()
    event = {"id": "1", "source": "shop", "detail-type": "placed", "detail": {"n": 1}, "resources": ["arn"]}
    world.arriving(recorded("bus", event), "event")
    (put,) = world.put
    assert (put.source, put.detail_type, json.loads(put.detail), put.resources) == (
        "shop",
        "placed",
        {"n": 1},
        ("arn",),
    )
    assert put.bus == "orders"
    world.front.expected.clear()
    world.arriving(recorded("bus", event), "event", body={"text": '{"n": 2}'})
    assert json.loads(world.put[1].detail) == {"n": 2}
    world.refusal = EntryRefused("NotAuthorizedForSourceException", "Not authorized for the source.")
    with pytest.raises(Refused, match="Not authorized"):
        world.arriving(recorded("bus", event), "event")


def test_record_of_a_table_or_of_a_queue_that_is_gone_is_not_sent() -> None:
    with pytest.raises(Refused, match="change the item again"):
        World().replay(recorded("table", {"eventSource": "aws:dynamodb", "eventSourceARN": "arn"}))
    with pytest.raises(Refused, match="has no queue"):
        World().replay(recorded("queue", sqs_record("a")))


def test_record_that_no_mapping_takes_is_said_to_be_there() -> None:
    world = World()
    queue = world.queues.create("orders")
    with pytest.raises(Refused, match="no function received it within") as refused:
        world.replay(recorded("queue", sqs_record("a", queue=queue.arn)), 0.01)
    assert refused.value.status == 504
    assert len(queue.peek(limit=9)) == 1
    assert world.front.forgotten


def test_invocation_is_repeated_and_goes_on_after_the_answer() -> None:
    world = World()
    content = Content(InvokeIn("orders:live", b'{"n": 1}', tenant="blue"))
    entry = Entry("invoke", "", "orders", "id", 1.0, content=content)
    assert world.replay(entry) == 2
    assert world.replay(entry, tenant="green", payload={"text": '{"n": 2}'}) > 2
    first, second = world.service.invoked
    assert (first.function, first.payload, first.tenant) == ("orders:live", b'{"n": 1}', "blue")
    assert (second.payload, second.tenant) == (b'{"n": 2}', "green")
    assert first.request_id != second.request_id
