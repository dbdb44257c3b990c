"""Sends an entry again, as it was or edited.

Rules:
* Nothing leaves the stack. A request goes to the front's own port, whatever its target and its Host are; a record goes
  into a queue, a stream or a bus of the stack, and an invocation to its functions.
* The browser never has a credential. A masked value that comes back is replaced by the original here, if it is at the
  same place. At another place it is refused: a mask is never sent. A request is signed here, by an identity of the
  stack.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lattice_bridge.local.aws.event_bridge.buses import Entry as BusEntry
from lattice_bridge.local.aws.event_bridge.errors import EntryRefused
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.kinesis.errors import KinesisError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.exchange.identities import SESSION_PREFIX
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.capture import Capture
from lattice_bridge.local.inspector.copies import OF_CONNECTION, OF_SIGNATURE, Signing
from lattice_bridge.local.inspector.entry import Entry, HttpIn, InvokeIn, RecordIn, Way
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused, address_of, quoted
from lattice_bridge.local.web.server import HOST
from lattice_bridge.local.web.sigv4 import SERVICE, UNSIGNED

if TYPE_CHECKING:  # live.py imports this module
    from lattice_bridge.local.inspector.live import Parts

SERVICES: Final[Mapping[Way, str]] = {"lattice": SERVICE, "api": "execute-api", "function_url": "lambda"}
"""Way in → the service for which its requests are signed."""
ARRIVAL_SECONDS: Final = 10.0
"""Seconds in which what was sent again should be taken. Without a mapping, a record never is."""

_METHOD: Final = re.compile("[A-Za-z!#$%&'*+.^_`|~0-9-]{1,32}")
_TARGET: Final = re.compile("/[!-~]*")
_NAME: Final = re.compile("[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_VALUE: Final = re.compile("[^\0-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
_TEXT: Final = re.compile("[^\ud800-\udfff]*")
_MAX_HEADERS: Final = 500
_STARS: Final = 4
"""So many asterisks are a mask, in bytes where the page shows some."""
_CHUNK: Final = 64 * 1024
_MISSING: Final = object()

Pairs = list[tuple[str, str]]


class Replayer:
    """Sends entries again.

    Args:
        timeline: in which the new entries appear.
        capture: gives the new entry of what is sent the number of its original.
        parts: of the stack.
        seconds: in which what was sent should be taken.
    """

    def __init__(self, timeline: Timeline, capture: Capture, parts: Parts, seconds: float = ARRIVAL_SECONDS) -> None:
        self._timeline = timeline
        self._capture = capture
        self._parts = parts
        self._seconds = seconds
        self._running: set[asyncio.Task[str]] = set()

    async def __call__(self, entry: Entry, changes: Mapping[str, Any]) -> int:
        """Sends an entry, and returns the number of the new one, as soon as it begins.

        Args:
            entry: whose content is kept.
            changes: as the API takes them. Without any, the entry is sent as it was.

        Raises:
            Refused: a change is malformed, or the stack refuses what was sent.
        """
        came_in = entry.content.came_in if entry.content else None
        try:
            if isinstance(came_in, HttpIn):
                return await self._request(entry, came_in, changes)
            if isinstance(came_in, RecordIn):
                return await self._arrived(self._put(entry, came_in, changes), entry.n)
            if isinstance(came_in, InvokeIn):
                return await self._invoke(entry, came_in, changes)
        except (SqsError, KinesisError, EntryRefused, LambdaError) as error:
            raise Refused(409, f"replay: {error}") from error
        raise Refused(409, f"entry {entry.n}: its content is no longer kept. Fix: send it again yourself")

    async def _arrived(self, key: Hashable, of: int, send: Coroutine[Any, Any, str] | None = None) -> int:
        """The number of the new entry.

        Args:
            key: by which it is known.
            of: the number of the original.
            send: sends it, and returns the answer in short; None if it is sent. It goes on after the entry has begun: a
                function may run for minutes.
        """
        expected = self._capture.expect(key, of)
        sending = None if send is None else asyncio.create_task(send)
        try:
            async with asyncio.timeout(self._seconds):
                while expected.n is None:
                    news = asyncio.create_task(self._timeline.wait(self._timeline.change))
                    await asyncio.wait([news] if sending is None else [news, sending], return_when="FIRST_COMPLETED")
                    news.cancel()
                    if sending is not None and sending.done() and expected.n is None:
                        raise Refused(
                            409, f"replay: the stack has refused it: {sending.result()}. Fix: read the terminal"
                        )
        except TimeoutError:
            what = f"it was sent, but no function received it within {self._seconds:g} s"
            fix = "enable an event source mapping or a rule for it" if send is None else "read the terminal"
            raise Refused(504, f"replay: {what}. Fix: {fix}") from None
        finally:
            self._capture.forget(key)
            if sending is not None and not sending.done():
                self._running.add(sending)
                sending.add_done_callback(self._ended)
        return expected.n

    def _ended(self, task: asyncio.Task[str]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the entry shows it

    # ---- HTTP -------------------------------------------------------------------------------------------------------

    async def _request(self, entry: Entry, came_in: HttpIn, changes: Mapping[str, Any]) -> int:
        if not came_in.body_read:
            what = "the front refused the request before it read the body"
            raise Refused(409, f"replay: {what}. Fix: send it again yourself")
        request = edited(came_in.request, changes, self._parts.header)
        signing = self.signing(entry, changes.get("identity", _MISSING))
        headers = unsigned(request.headers) if signing or "identity" in changes else [*request.headers]
        if signing is not None:
            headers = signed(replace(request, headers=headers), signing)
        reader, writer = await asyncio.open_connection(HOST, self._parts.port)

        async def send() -> str:
            try:
                writer.write(_written(request, headers))
                status = await reader.readline()
                while await reader.read(_CHUNK):
                    pass
                return status[:64].decode("latin-1").strip()
            except OSError as error:
                raise Refused(502, "replay: the front has closed the connection. Fix: read the terminal") from error
            finally:
                writer.close()

        return await self._arrived(writer.get_extra_info("sockname"), entry.n, send())

    def signing(self, entry: Entry, key: object = _MISSING) -> Signing | None:
        """How a request is signed: as it was, or by another identity. None if it is not signed.

        Args:
            entry: a request.
            key: the access key; None for no signature; without it, the original's.

        Raises:
            Refused: 400, the stack has no such identity, or the way in verifies no signature.
        """
        came_in = entry.content.came_in if entry.content else None
        if not isinstance(came_in, HttpIn):
            return None
        original = came_in.access_key
        chosen = original if key is _MISSING else key
        if chosen is None:
            return None
        service, known = SERVICES.get(entry.way), self._parts.identities()
        if not isinstance(chosen, str) or chosen not in known:
            names = ", ".join([*known][:20]) or "none"
            raise Refused(400, f"identity: this stack has no {quoted(str(chosen))}. Fix: use one of {names}, or null")
        if service is None:
            raise Refused(400, "identity: a load balancer verifies no signature. Fix: send null")
        session = None
        if chosen == original:
            tokens = [value for name, value in came_in.request.headers if name == "x-amz-security-token"]
            session = next((one.removeprefix(SESSION_PREFIX) for one in tokens if one.startswith(SESSION_PREFIX)), None)
        return Signing(known[chosen], service, self._parts.region, session)

    # ---- records ----------------------------------------------------------------------------------------------------

    def _put(self, entry: Entry, came_in: RecordIn, changes: Mapping[str, Any]) -> str:
        """Puts a record into its queue, stream or bus. Returns its new id."""
        record = json.loads(came_in.body)
        if "detail-type" in record:
            return self._bus_event(entry.source, record, changes)
        source = str(record.get("eventSourceARN", ""))
        if record.get("eventSource") == "aws:sqs":
            return self._message(source, record, changes)
        if record.get("eventSource") == "aws:kinesis":
            return self._stream_record(source, record, changes)
        raise Refused(409, "replay: a record of a table is a change of an item. Fix: change the item again")

    def _message(self, source: str, record: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
        queue = self._parts.queues.by_arn(source)
        if queue is None:
            raise Refused(409, f"replay: the stack has no queue {quoted(source)} any more. Fix: create it")
        attributes = record.get("attributes", {})
        outgoing = Outgoing(
            _new_text(changes, _content_of(record)),
            _attributes(changes, record.get("messageAttributes", {})),
            group=_unmasked(changes, "group", attributes.get("MessageGroupId")),
            deduplication_id=str(uuid.uuid4()) if queue.is_fifo else None,  # with its own, nothing would be stored
            sender_id=str(attributes.get("SenderId", "AIDALOCAL000000000000")),
        )
        return queue.send(outgoing).message_id

    def _stream_record(self, source: str, record: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
        stream, data = self._parts.streams.by_arn(source), record["kinesis"]
        if stream is None:
            raise Refused(409, f"replay: the stack has no stream {quoted(source)} any more. Fix: create it")
        key = _unmasked(changes, "group", data["partitionKey"]) or str(data["partitionKey"])
        content = _new_body(changes, _content_of(record))
        stream.check_size(key, content)
        return str(stream.put(key, content).record.number)

    def _bus_event(self, bus: str, event: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
        """A new event with the source, the type and the resources of an old one."""
        texts = (str(event["source"]), str(event["detail-type"]), _new_text(changes, _content_of(event)))
        return self._parts.buses.put(BusEntry(*texts, bus or None, None, tuple(map(str, event["resources"]))))

    # ---- invocations ------------------------------------------------------------------------------------------------

    async def _invoke(self, entry: Entry, came_in: InvokeIn, changes: Mapping[str, Any]) -> int:
        tenant = _unmasked(changes, "tenant", came_in.tenant)
        payload = _new_body({"body": changes.get("payload", changes.get("body"))}, came_in.payload)
        request = InvokeRequest(came_in.function, payload, type=came_in.type, tenant=tenant)

        async def send() -> str:
            await self._parts.service.invoke(request)
            return "no entry has begun"

        return await self._arrived(request.request_id, entry.n, send())


# ---- records as a person edits them ---------------------------------------------------------------------------------


def editable(entry: Entry) -> dict[str, Any] | None:
    """What a person can change of a record, masked: its `body` (the message's, the data, the detail of an event), its
    `attributes` (None for a binary one; None instead of all if its source has none), and its `group` with the word for
    it (None if the source has none).

    None for a record that cannot be sent again: one of a table.
    """
    came_in = entry.content.came_in if entry.content else None
    record = _loaded(came_in.body) if isinstance(came_in, RecordIn) else None
    if not isinstance(record, dict):
        return None
    found: dict[str, Any] = {"attributes": None, "group": None, "group_name": None}
    if record.get("eventSource") == "aws:sqs":
        given = record.get("messageAttributes", {})
        pairs = [(name, one.get("stringValue")) for name, one in given.items()]
        shown = {name: None if value is None else mask.masked_headers([(name, value)])[0][1] for name, value in pairs}
        found |= {"attributes": shown, "group_name": "group"}
        found["group"] = record.get("attributes", {}).get("MessageGroupId")
    elif record.get("eventSource") == "aws:kinesis":
        found |= {"group": record["kinesis"]["partitionKey"], "group_name": "partition key"}
    elif "detail-type" not in record:
        return None
    if found["group"] is not None:
        found["group"] = mask.masked_text(found["group"]).text
    return {**found, "body": mask.body(_content_of(record))}


def _content_of(record: Mapping[str, Any]) -> bytes:
    """The content that a sender has given: of a message, of a record of Kinesis, or of an event."""
    if "detail-type" in record:
        return json.dumps(record["detail"]).encode()
    if record.get("eventSource") == "aws:kinesis":
        return base64.b64decode(record["kinesis"]["data"])
    return str(record["body"]).encode("utf-8", "replace")


# ---- edits ----------------------------------------------------------------------------------------------------------


def edited(request: HttpRequest, changes: Mapping[str, Any], tenant_header: str | None) -> HttpRequest:
    """A request with the changes of a person.

    Args:
        request: the original.
        changes: as the API takes them.
        tenant_header: that asks for a tenant; None if no map is active.

    Raises:
        Refused: 400, a change is malformed: it could be read as another request, or leave the front.
    """
    method = _checked(_METHOD, "method", changes.get("method", request.method), "a token of HTTP, such as PUT")
    target = request.target
    if "target" in changes:
        target = _restored_target(str(changes["target"]), request.target)
        _checked(_TARGET, "target", target, "a path that begins with /, with its query, in ASCII without spaces")
    headers = _headers(changes["headers"], request.headers) if "headers" in changes else [*request.headers]
    if "tenant" in changes:
        tenant = _text(changes, "tenant", None)
        if tenant_header is None:
            raise Refused(400, "tenant: no map is active, so no header asks for a tenant. Fix: edit the headers")
        headers = [pair for pair in headers if pair[0] != tenant_header]
        headers += [] if tenant is None else [(tenant_header, _checked(_VALUE, "tenant", tenant, "one line"))]
    headers = [pair for pair in headers if pair[0] not in OF_CONNECTION]
    address_of(method, target, headers)
    return replace(request, method=method, target=target, headers=headers, body=_new_body(changes, request.body))


def _headers(given: object, original: Sequence[tuple[str, str]]) -> Pairs:
    """The headers that a person has written. One without a value has the original's: the browser never had it."""
    if not isinstance(given, list) or len(given) > _MAX_HEADERS:
        raise Refused(400, f"headers: not a list of at most {_MAX_HEADERS}. Fix: write [[name, value], …]")
    left = [*original]
    found: Pairs = []
    for pair in given:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Refused(400, f"headers: {quoted(str(pair))} is no pair. Fix: write [name, value]")
        name = _checked(_NAME, "header", pair[0], "a name of HTTP").lower()
        kept = next((one for one in left if one[0] == name), None)
        if kept is not None:
            left.remove(kept)  # of a repeated header, the next one has the next value
        value = pair[1]
        if value is None or (kept is not None and value in (kept[1], _shown(kept))):
            if kept is None:
                raise Refused(400, f"header {quoted(name)}: the original has none. Fix: write its value")
            found.append((name, kept[1]))
        else:
            found.append((name, _checked(_VALUE, f"header {name}", value, "one line of text")))
    return found


def _shown(pair: tuple[str, str]) -> str:
    return mask.masked_headers([pair])[0][1]


def _restored_target(target: str, original: str) -> str:
    """The target with the values that the page has shown as masked."""
    shown = mask.masked_target(original)
    if target == shown:
        return original
    (path, mark, query), (shown_path, _, shown_query) = target.partition("?"), shown.partition("?")
    original_path, _, original_query = original.partition("?")
    known: dict[str, list[str]] = {}
    for part, value in zip(shown_query.split("&"), original_query.split("&"), strict=True):
        known.setdefault(part, []).append(value)  # two tokens of the same length look alike
    path = original_path if path == shown_path else path
    parts = (known[part].pop(0) if known.get(part) else part for part in query.split("&"))
    return f"{path}{mark}{'&'.join(parts)}"


def _new_body(changes: Mapping[str, Any], original: bytes) -> bytes:
    """The body that a person has written, or the original."""
    given = changes.get("body")
    if given is None:
        return original
    if isinstance(given, dict) and isinstance(given.get("hex"), str):
        try:
            return _without_stars(bytes.fromhex(given["hex"]), original)
        except ValueError as error:
            raise Refused(400, "body: not hexadecimal. Fix: write two digits for each byte") from error
    if not isinstance(given, dict) or not isinstance(given.get("text"), str):
        raise Refused(400, 'body: neither text nor hex. Fix: write {"text": "…"}')
    text: str = given["text"]
    # The page shows a part of a larger one only, so what a person writes instead is whole.
    shown = mask.body(original, len(original))["text"] if len(original) <= mask.SHOWN else ""
    if text == shown:
        return original
    if mask.has_mask(text) and shown:
        text = _restored_text(text, shown, original)
    if mask.has_mask(text):
        raise Refused(400, "body: a masked value is at another place. Fix: write the value itself")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refused(400, "body: it contains half of a character. Fix: write it as hex") from error


def _without_stars(data: bytes, original: bytes) -> bytes:
    """Bytes with the originals of those that the page has shown as asterisks, if these are at their places.

    Raises:
        Refused: 400, they are at another place.
    """
    shown, spans = mask.starred(original)
    if not spans or all(b"*" * min(end - begin, _STARS) not in data for begin, end in spans):
        return data
    if len(data) != len(shown) or any(data[begin:end] != shown[begin:end] for begin, end in spans):
        raise Refused(400, "body: a masked value is at another place. Fix: write the bytes themselves")
    found = bytearray(data)
    for begin, end in spans:
        found[begin:end] = original[begin:end]
    return bytes(found)


def _new_text(changes: Mapping[str, Any], original: bytes) -> str:
    """As `_new_body`, of a content that is text."""
    try:
        return _new_body(changes, original).decode()
    except UnicodeDecodeError as error:
        raise Refused(400, "body: not UTF-8. Fix: write text") from error


@dataclass(frozen=True, slots=True)
class _Number:
    """A number with a point or an exponent, as it was written."""

    written: str


def _restored_text(text: str, shown: str, original: bytes) -> str:
    """JSON with the originals of masked values, and with the other values as they are written."""
    mark = uuid.uuid4().hex
    try:
        value = json.loads(text, parse_float=_Number, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        return text
    restored = _restored(value, _loaded(shown.encode()), _loaded(original))
    written = json.dumps(restored, ensure_ascii=False, default=lambda number: f"{mark}{number.written}")
    return re.sub(rf'"{mark}([^"]+)"', r"\1", written)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused(400, "body: a name is repeated beside a masked value. Fix: write the value itself")
    return found


def _restored(value: Any, shown: Any, original: Any) -> Any:
    """JSON with the values that the page has shown as masked, where they still are."""
    if isinstance(value, dict) and isinstance(shown, dict) and isinstance(original, dict):
        return {name: _restored(one, shown.get(name), original.get(name)) for name, one in value.items()}
    if isinstance(value, list) and isinstance(shown, list) and isinstance(original, list):
        rest = [None] * len(value)
        parts = zip(value, [*shown, *rest], [*original, *rest], strict=False)
        return [_restored(*one) for one in parts]
    return original if isinstance(value, str) and value == shown else value


def _loaded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _text(changes: Mapping[str, Any], name: str, original: object) -> str | None:
    value = changes.get(name, original)
    if value is not None and not isinstance(value, str):
        raise Refused(400, f"{name}: {quoted(str(value))} is no text. Fix: write a string, or null")
    return value


def _unmasked(changes: Mapping[str, Any], name: str, original: str | None) -> str | None:
    """A text that a person has written, or the original, also if its mask came back."""
    value = _text(changes, name, original)
    if value is None:
        return None
    if original is not None and value in (original, mask.masked_text(original).text):
        return original
    return _checked(_TEXT, name, value, "text")


def _attributes(changes: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Attribute]:
    """The attributes of a message: those of the record, with the changed and further ones. One that is null is removed.
    A changed one keeps its type, unless it is binary."""
    given = changes.get("attributes", {})
    if not isinstance(given, dict) or not all(isinstance(one, str | None) for one in given.values()):
        raise Refused(400, 'attributes: not an object of strings. Fix: write {"name": "value"}')
    found = {name: _attribute(one) for name, one in original.items()}
    for name, one in given.items():
        if one is None:
            found.pop(name, None)
            continue
        before = found.get(name)
        if before is None or not isinstance(before.value, str):
            found[name] = Attribute("String", _checked(_TEXT, f"attribute {name}", one, "text"))
        elif one not in (before.value, _shown((name, before.value))):
            found[name] = Attribute(before.data_type, _checked(_TEXT, f"attribute {name}", one, "text"))
    return found


def _attribute(one: Mapping[str, Any]) -> Attribute:
    """An attribute as Lambda delivers it."""
    binary = one.get("binaryValue")
    value = one.get("stringValue") if binary is None else base64.b64decode(binary)
    return Attribute(str(one.get("dataType", "String")), "" if value is None else value)


def _checked(pattern: re.Pattern[str], name: str, value: object, what: str) -> str:
    """The value, if it is a string of the pattern, and contains no mask."""
    if isinstance(value, str) and mask.has_mask(value):
        raise Refused(400, f"{name}: a masked value is at another place. Fix: write the value itself")
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise Refused(400, f"{name}: {quoted(str(value))} is not {what}. Fix: write it so")
    return value


# ---- signatures and the wire ----------------------------------------------------------------------------------------


def unsigned(headers: Sequence[tuple[str, str]]) -> Pairs:
    """Headers without a signature of AWS. A token stays."""
    is_signed = any(name == "authorization" and value.startswith("AWS4-") for name, value in headers)
    if not is_signed:
        return [*headers]
    return [pair for pair in headers if pair[0] not in OF_SIGNATURE and pair[0] != "authorization"]


def signed(request: HttpRequest, signing: Signing) -> Pairs:
    """The headers of a request with the signature that botocore computes."""
    from botocore.auth import SigV4Auth  # here: the stack's start does not wait for it
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    left_out = OF_SIGNATURE | {"authorization"}
    kept = [pair for pair in request.headers if pair[0] not in left_out]
    token = None if signing.session is None else f"{SESSION_PREFIX}{signing.session}"
    host = next(value for name, value in kept if name == "host")
    try:
        found = AWSRequest(request.method, f"http://{host}{request.target}", data=request.body)
        urlsplit(found.url)
    except ValueError as error:  # an address of IPv6 that is none
        raise Refused(400, f"Host {quoted(host)} is malformed. Fix: send NAME or NAME:PORT") from error
    for name, value in kept:
        if name in ("host", "content-type") or name.startswith("x-amz-"):
            found.headers.add_header(name, value)
    if signing.service == SERVICE:  # Lattice verifies no body
        found.headers["x-amz-content-sha256"] = UNSIGNED
    credentials = Credentials(signing.identity.access_key, signing.identity.secret_key, token)
    SigV4Auth(credentials, signing.service, signing.region).add_auth(found)
    own = [(name.lower(), value) for name, value in found.headers.items() if name.lower() in left_out]
    return [*kept, *own]


def _written(request: HttpRequest, headers: Sequence[tuple[str, str]]) -> bytes:
    """The request in HTTP/1.1, the last one of its connection."""
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{request.spelled.get(name, name)}: {value}" for name, value in headers]
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(request.body)}")
    head = "\r\n".join([*lines, "connection: close", "", ""])
    return head.encode("utf-8", "surrogateescape") + request.body
