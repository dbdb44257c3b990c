"""An entry as a `[[test]]` table of its map: the evidence that the bridge has read, and what it decided.

Rule: the table is one that `check` accepts and that passes, or there is none: it is run before it is shown. It contains
evidence only: of a token, those claims that a rule reads. If the evidence contains a credential, there is no table: a
mask in it would make another test of it.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.config.document import parse_document
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.map import MapFile, read_map
from lattice_bridge.errors import BadRequest, BridgeError, InvalidMap
from lattice_bridge.formats.recognise import receive
from lattice_bridge.identity.token import token_in
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.credentials import is_credential
from lattice_bridge.local.inspector.entry import Content, Entry, RecordIn
from lattice_bridge.local.web.admission import Refused, quoted
from lattice_bridge.message import Authorizer, Request
from lattice_bridge.review.map_tests import described_outcome, described_subject, every_tenant, failed_tests
from lattice_bridge.review.records import Sources
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.rules import Find, TenantFrom
from lattice_bridge.tenancy.subject import subject_of

_ROLE: Final = "AROA"
_PLACES: Final = ("vpc", "org", "service", "network")
"""What a test contains only if a rule reads it: here they are those of the local stack, and not of AWS."""
_OF_OTHERS: Final = ("authorizer", "claims")
"""What has names that are not those of a test."""


def table_of(entry: Entry, content: Content) -> str:
    """The table in TOML.

    Raises:
        Refused: 409, no bridge has read the entry, or it was refused before a rule was read.
    """
    configuration = entry.configuration
    if configuration is None or configuration.settings is None:
        raise Refused(409, "test: no map has decided about this entry. Fix: copy it as event")
    event = content.came_in.body if isinstance(content.came_in, RecordIn) else content.built_event
    try:
        parsed = json.loads(event or b"")
        find = None if configuration.settings.tenant_map.lookups.registry is None else every_tenant
        described = _of_record if isinstance(content.came_in, RecordIn) else _of_request
        values = described(parsed, configuration.settings, find)
        if entry.outcome == "refused" and entry.tenant is None and not values["expect"].startswith("refused"):
            raise BadRequest(entry.reason or "refused", f"{entry.reason}: its token is not accepted")
    except (ValueError, RecursionError) as error:
        raise Refused(409, "test: the event is not JSON. Fix: copy it as event") from error
    except BridgeError as error:
        raise _refused(f"it was refused before a rule was read: {error.detail}") from error
    if any(_is_secret(value, by_name=name in _OF_OTHERS) for name, value in values.items()):
        raise _refused("its evidence contains a credential")
    text = "".join(["[[test]]\n", *(f"{name} = {toml(value)}\n" for name, value in values.items())])
    _check(text, configuration, find)
    return text


def _check(text: str, configuration: BridgeConfiguration, find: Find | None) -> None:
    """Runs the table as `check` does.

    Raises:
        Refused: 409, it would fail.
    """
    document, settings = configuration.document, configuration.settings
    if document.compiled is not None or settings is None:
        return
    try:
        read = read_map(parse_document(f"{document.text}\n{text}"), configuration.folder)
        alone = MapFile(read.around, read.rules, read.written, read.tests[-1:])
        fault = next(iter(failed_tests(alone, settings.options.event_sources, find)), None)
    except InvalidMap as error:
        raise _refused(error.messages[0]) from error
    if fault is not None:
        raise _refused(fault.text)


def _refused(what: str) -> Refused:
    """The message may quote what a caller has sent."""
    return Refused(409, f"test: {mask.masked_text(what).text}. Fix: copy it as fixture")


def _is_secret(value: object, *, by_name: bool) -> bool:
    """Whether a value is or contains a credential by its looks, or by the name of a member."""
    if isinstance(value, Mapping):
        members = (by_name and is_credential(name) for name in value)
        return any(members) or any(_is_secret(one, by_name=by_name) for one in value.values())
    if isinstance(value, list):
        return any(_is_secret(one, by_name=by_name) for one in value)
    return isinstance(value, str) and bool(mask.masked_text(value).count)


# ---- evidence -------------------------------------------------------------------------------------------------------


def _of_request(event: object, settings: Settings, find: Find | None) -> dict[str, Any]:
    """The keys of a request's test.

    Raises:
        BridgeError: the event is none that the bridge reads, or a header refuses it.
    """
    rules = settings.tenant_map.rules
    request = receive(event, settings.options.enabled)
    subject = subject_of(request, {}, rules.header, rules.token_headers)
    caller = subject.caller
    in_arn = caller.iam is not None and caller.iam.session == caller.session_name
    values: dict[str, Any] = {
        "principal": caller.principal,
        "session": None if in_arn else caller.session_name,
        "header": subject.requested_tenant,
        "vpc": caller.source_vpc_arn,
        "org": caller.org_id,
        "service": subject.service_arn,
        "network": subject.service_network_arn,
        "x509_san_uri": caller.x509.san_uri if caller.x509 else None,
        "api": subject.api_id,
        "authorizer": _answer(subject.authorizer, settings),
        "client_cert": subject.client_cert,
        "claims": _claims(request, settings),
    }
    unread = [name for name in _PLACES if not rules.reading(name)]
    given = {name: value for name, value in values.items() if value not in (None, {}) and name not in unread}
    decision = decide(described_subject(**given), rules, find)
    return {**given, "expect": described_outcome(decision)}


def _answer(authorizer: Authorizer | None, settings: Settings) -> dict[str, Any]:
    """What the rules read of an authorizer's answer."""
    if authorizer is None:
        return {}
    read = [found.claim for found in _read(settings) if found.source == "authorizer"]
    whole = {**authorizer.context, **({"claims": authorizer.claims} if authorizer.claims is not None else {})}
    return _only(whole, read)


def _claims(request: Request, settings: Settings) -> dict[str, Any]:
    """What the rules read of the request's tokens, by the issuer's name.

    The bridge has verified the tokens, or has refused the request before any rule was read.
    """
    found = {}
    for issuer in settings.tenant_map.issuers:
        value = request.header(issuer.header)
        claims = _unverified(value) if value is not None else {}
        if claims.get("iss") == issuer.issuer:
            read = [one.claim for one in _read(settings) if one.source == "claim" and one.issuer == issuer.name]
            found[issuer.name] = _only(claims, [*read, ("sub",)])
    return found


def _unverified(value: str) -> Mapping[str, Any]:
    try:
        content = (token_in(value) or "").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    except (ValueError, IndexError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _read(settings: Settings) -> Iterator[TenantFrom]:
    """Where the rules read names of tenants."""
    for rule in settings.tenant_map.rules.owners.values():
        if isinstance(rule.outcome, TenantFrom):
            yield rule.outcome


def _only(values: Mapping[str, Any], paths: list[tuple[str, ...]]) -> dict[str, Any]:
    """The values at these paths, within the objects that they are in."""
    found: dict[str, Any] = {}
    for path in paths:
        source, target = values, found
        for name in path[:-1]:
            source = source.get(name, {}) if isinstance(source, Mapping) else {}
            target = target.setdefault(name, {})
        if isinstance(source, Mapping) and path[-1] in source:
            target[path[-1]] = source[path[-1]]
    return {name: value for name, value in found.items() if value not in (None, {})}


def _of_record(record: object, settings: Settings, find: Find | None) -> dict[str, Any]:
    """The keys of a record's test.

    Raises:
        BridgeError: it is no record that the bridge reads, or it has no source in the map.
    """
    sources = Sources(settings.options.event_sources)
    is_event = isinstance(record, dict) and "detail-type" in record
    found = sources.explain(
        sources.batch_in(record if is_event else {"Records": [record]}).records[0], settings.tenant_map.rules, find
    )
    if found.explanation is None:
        assert found.fault is not None  # only a fault keeps a rule from being read
        raise found.fault
    subject = found.explanation.subject
    sender, event = subject.sender, subject.bus_event
    values = {
        "source": subject.source,
        "sender": None
        if sender is None
        else {"role_id" if sender.id.startswith(_ROLE) else "user_id": sender.id, "session": sender.session},
        "event_account": event.account if event else None,
        "bus_source": event.source if event else None,
        "detail_type": event.detail_type if event else None,
        "claim": found.claim,
    }
    given = {name: value for name, value in values.items() if value is not None}
    return {**given, "expect": described_outcome(found.explanation.decision)}


# ---- TOML -----------------------------------------------------------------------------------------------------------


def toml(value: Any) -> str:
    r"""A value in TOML. A member that is null is left out.

    Raises:
        Refused: 409, TOML cannot express it.

    >>> print(toml({"tenant": 'a"\n\u202e', "n": [1, True, None]}))
    {tenant = "a\"\n\u202e", n = [1, true]}
    """
    if isinstance(value, str):
        return f'"{"".join(map(_character, value))}"'
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(toml(one) for one in value if one is not None)}]"
    if isinstance(value, Mapping):
        members = (f"{_key(name)} = {toml(one)}" for name, one in value.items() if one is not None)
        return f"{{{', '.join(members)}}}"
    raise Refused(409, f"test: {quoted(str(value))}: TOML cannot express it. Fix: copy it as fixture")


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else toml(name)


def _character(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    if one == "\n":
        return "\\n"
    if one.isprintable():
        return one
    code = ord(one)
    if 0xD800 <= code < 0xE000:
        raise Refused(409, "test: half of a character: TOML cannot express it. Fix: copy it as fixture")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
