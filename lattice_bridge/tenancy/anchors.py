"""Anchors: the kinds of callers that a rule can be for, and the keys under which such rules are found.

Rule: an anchor is one record in `ANCHORS`. A caller and a rule match if they have the same key. Keys are compared
whole: a key contains every part that tells two callers apart, the partition and the account first.

To add an anchor, add one record here, at its place by specificity, and one in `config/tables/rule.py`. An anchor of
callers reads the fields of `Caller` except `x509`: its keys are kept by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from lattice_bridge.http.headers import lower
from lattice_bridge.http.memory import Memory
from lattice_bridge.identity.principal import Kind, Principal
from lattice_bridge.message import BusEvent, Caller, Sender
from lattice_bridge.tenancy.subject import Subject

Key = tuple[str, ...]
"""The name of an anchor, and the parts that its callers have in common."""

Evidence = Literal["caller", "token", "authorizer", "certificate", "sender", "event-account", "source", "none"]

OF_RECORDS: Final[frozenset[Evidence]] = frozenset({"sender", "event-account", "source"})
"""The kinds of evidence that a record has. Of each, one rule decides: the most specific one."""


def any_key(_key: Key) -> bool:
    """Accepts every key."""
    return True


class Anchor(NamedTuple):
    """A kind of callers that a rule can be for.

    Attributes:
        name: the first part of its keys.
        keys: the keys of this kind that a subject has, the most specific first.
        evidence: what vouches for these callers: the platform (`caller`), a token's issuer (`token`), an authorizer of
            an API (`authorizer`), the issuer of the client's certificate (`certificate`), the queue that authenticated
            a record's sender (`sender`), the bus that wrote the account of an event (`event-account`), the policy of
            the queue, stream, table or bus (`source`), or nothing (`none`).
        example: a subject that has a key of this kind; None if a key names neither a principal, nor a session of a
            sender, nor a part of the events of an account or a bus. It gives the broader keys that every subject with
            the key has as well.
        is_exclusive: callers of this kind are allowed by rules of this kind only. Deny rules of broader kinds still
            apply.
        may_allow: whether a rule with this key may allow, and not only deny.
    """

    name: str
    keys: Callable[[Subject], Iterator[Key]]
    evidence: Evidence = "caller"
    example: Callable[[Key], Subject] | None = None
    is_exclusive: bool = False
    may_allow: Callable[[Key], bool] = any_key


# ---- roles ----------------------------------------------------------------------------------------------------------

PREFIX_ENDS: Final = "-_.@=+,"
"""A prefix of a role's name has to end in one of these: `tenant-a*` would also match tenant-admin."""
SSO_ROLE: Final = "awsreservedsso_"
"""The beginning of the names of IAM Identity Center's roles, in lower case."""

_DELIMITER: Final = re.compile(f"[{re.escape(PREFIX_ENDS)}]")
_SSO: Final = re.compile(rf"{SSO_ROLE}(.+)_[0-9a-f]{{16}}")


def role_key(partition: str, account: str, folded_name: str) -> Key:
    """The key of a role, with its name in lower case."""
    return ("role", partition, account, folded_name)


def _role_keys(subject: Subject) -> Iterator[Key]:
    iam = subject.caller.iam
    if iam and iam.role:
        yield role_key(*iam.role)


def _session_keys(subject: Subject) -> Iterator[Key]:
    caller = subject.caller
    if caller.iam and caller.iam.role and caller.session_name is not None:
        yield ("session", *caller.iam.role, caller.session_name)


def _sso_keys(subject: Subject) -> Iterator[Key]:
    """IAM Identity Center creates one role per permission set and account: `AWSReservedSSO_SET_` and 16 hex digits."""
    iam = subject.caller.iam
    if iam and iam.role:
        partition, account, name = iam.role
        if match := _SSO.fullmatch(name):
            yield ("sso", partition, account, match[1])


def _role_prefix_keys(subject: Subject) -> Iterator[Key]:
    """From the longest prefix that ends in a delimiter to the shortest. A role's name has at most 64 characters."""
    iam = subject.caller.iam
    if iam and iam.role:
        partition, account, name = iam.role
        for delimiter in reversed(list(_DELIMITER.finditer(name))):
            yield ("role-prefix", partition, account, name[: delimiter.end()])


def _is_within_one_permission_set(key: Key) -> bool:
    """A prefix of an Identity Center role's name also matches other permission sets. Older versions compiled such
    rules."""
    return not key[3].startswith(SSO_ROLE)


def _principal(kind: Kind, key: Key, name: str) -> Subject:
    return Subject(Caller(authenticated=True, iam=Principal(key[1], key[2], kind, name)))


def _role_session(key: Key) -> Subject:
    return Subject(Caller(authenticated=True, iam=Principal(key[1], key[2], "role", key[3]), session_name=key[4]))


# ---- other principals -----------------------------------------------------------------------------------------------


def _keys_of_kind(kind: Kind) -> Callable[[Subject], Iterator[Key]]:
    """The key of a principal by its name. Users' names are folded, as IAM does; federated users' names are not."""

    def keys(subject: Subject) -> Iterator[Key]:
        iam = subject.caller.iam
        if iam and iam.kind == kind:
            yield principal_key(iam)

    return keys


def principal_key(iam: Principal) -> Key:
    """The key of a user, a federated user, or an account's root."""
    return (iam.kind, iam.partition, iam.account, lower(iam.name) if iam.kind == "user" else iam.name)


def _account_keys(subject: Subject) -> Iterator[Key]:
    iam = subject.caller.iam
    if iam:
        yield ("account", iam.partition, iam.account)


# ---- callers that are not named -------------------------------------------------------------------------------------

ANYONE: Final[Key] = ("anyone",)


def jwt_key(issuer: str) -> Key:
    """The key of rules for callers with a token of an issuer."""
    return ("jwt", issuer)


def _vpc_keys(subject: Subject) -> Iterator[Key]:
    arn = subject.caller.source_vpc_arn
    if arn:
        yield ("vpc", arn.rpartition("/")[2])


def _anyone_keys(subject: Subject) -> Iterator[Key]:
    """For callers without any credential. A token is a credential, and so is what API Gateway verified."""
    if not subject.caller.authenticated and not subject.has_other_evidence:
        yield ANYONE


def _jwt_keys(subject: Subject) -> Iterator[Key]:
    return map(jwt_key, subject.tokens)


def api_key(api_id: str) -> Key:
    """The key of rules for callers that an authorizer of an API verified."""
    return ("api", api_id)


def _api_keys(subject: Subject) -> Iterator[Key]:
    """A rule that allows needs an authorizer's answer, see `owning_keys`. A deny rule is for all callers of the API."""
    if subject.api_id is not None:
        yield api_key(subject.api_id)


def client_cert_key(subject_name: str) -> Key:
    """The key of rules for callers with a certificate of this subject, as API Gateway wrote it."""
    return ("client-cert", subject_name)


def _client_cert_keys(subject: Subject) -> Iterator[Key]:
    if subject.client_cert is not None:
        yield client_cert_key(subject.client_cert)


# ---- records --------------------------------------------------------------------------------------------------------


def sender_key(identifier: str, session: str | None = None) -> Key:
    """The key of rules for records of a sender, by its unique id in IAM, and of one session of it."""
    return ("sender", identifier) if session is None else ("sender-session", identifier, session)


def event_account_key(account: str, bus_source: str = "", detail_type: str = "") -> Key:
    """The key of rules for the events of an account, or for those with this `source` and `detail-type`."""
    if bus_source or detail_type:
        return ("event-account-part", account, bus_source, detail_type)
    return ("event-account", account)


def source_key(arn: str, bus_source: str = "", detail_type: str = "") -> Key:
    """The key of rules for the records of a queue, stream, table or bus; of a bus also for those with this `source` and
    `detail-type`."""
    if bus_source or detail_type:
        return ("source-part", arn, bus_source, detail_type)
    return ("source", arn)


AWS_SOURCES: Final = "aws."
"""The beginning of the `source` of events that AWS wrote. EventBridge refuses it from every other publisher."""


def _parts(event: BusEvent) -> Iterator[tuple[str, str]]:
    """The parts of all events that an event belongs to, by its source and its detail type, the smallest first."""
    if event.source and event.detail_type:
        yield event.source, event.detail_type
    if event.source:
        yield event.source, ""
    if event.detail_type:
        yield "", event.detail_type


def _sender_session_keys(subject: Subject) -> Iterator[Key]:
    if subject.sender is not None and subject.sender.session is not None:
        yield sender_key(*subject.sender)


def _sender_keys(subject: Subject) -> Iterator[Key]:
    if subject.sender is not None:
        yield sender_key(subject.sender.id)


def _event_account_part_keys(subject: Subject) -> Iterator[Key]:
    if subject.bus_event is not None:
        for part in _parts(subject.bus_event):
            yield event_account_key(subject.bus_event.account, *part)


def _event_account_keys(subject: Subject) -> Iterator[Key]:
    if subject.bus_event is not None:
        yield event_account_key(subject.bus_event.account)


def _source_part_keys(subject: Subject) -> Iterator[Key]:
    if subject.source is not None and subject.bus_event is not None:
        for part in _parts(subject.bus_event):
            yield source_key(subject.source, *part)


def _source_keys(subject: Subject) -> Iterator[Key]:
    if subject.source is not None:
        yield source_key(subject.source)


def _names_bus_source(key: Key) -> bool:
    return key[0] in _PARTS and key[2] != ""


# ---- the table ------------------------------------------------------------------------------------------------------

ANCHORS: Final[Mapping[str, Anchor]] = {
    anchor.name: anchor
    for anchor in (
        Anchor("session", _session_keys, example=_role_session),
        Anchor("role", _role_keys, example=lambda key: _principal("role", key, key[3])),
        Anchor("sso", _sso_keys, example=lambda key: _principal("role", key, f"{SSO_ROLE}{key[3]}_{'0' * 16}")),
        Anchor(
            "role-prefix",
            _role_prefix_keys,
            example=lambda key: _principal("role", key, key[3]),
            may_allow=_is_within_one_permission_set,
        ),
        Anchor("user", _keys_of_kind("user"), example=lambda key: _principal("user", key, key[3])),
        Anchor(
            "federated-user",
            _keys_of_kind("federated-user"),
            example=lambda key: _principal("federated-user", key, key[3]),
            is_exclusive=True,
        ),
        Anchor("root", _keys_of_kind("root"), example=lambda key: _principal("root", key, ""), is_exclusive=True),
        Anchor("account", _account_keys, example=lambda key: _principal("user", key, "")),
        Anchor("vpc", _vpc_keys),
        Anchor("anyone", _anyone_keys, evidence="none"),
        Anchor("jwt", _jwt_keys, evidence="token"),
        Anchor("api", _api_keys, evidence="authorizer"),
        Anchor("client-cert", _client_cert_keys, evidence="certificate"),
        Anchor(
            "sender-session",
            _sender_session_keys,
            evidence="sender",
            example=lambda key: Subject(sender=Sender(key[1], key[2])),
        ),
        Anchor("sender", _sender_keys, evidence="sender"),
        Anchor(
            "event-account-part",
            _event_account_part_keys,
            evidence="event-account",
            example=lambda key: Subject(bus_event=BusEvent(*key[1:])),
        ),
        Anchor("event-account", _event_account_keys, evidence="event-account"),
        Anchor(
            "source-part",
            _source_part_keys,
            evidence="source",
            example=lambda key: Subject(source=key[1], bus_event=BusEvent("", *key[2:])),
        ),
        Anchor("source", _source_keys, evidence="source"),
    )
}
"""The anchors by name, the most specific first."""

_OF_CALLERS: Final = tuple(anchor for anchor in ANCHORS.values() if anchor.evidence in ("caller", "none"))
_OF_OTHERS: Final = tuple(anchor for anchor in ANCHORS.values() if anchor.evidence not in ("caller", "none"))
_OF_BUSES: Final = tuple(anchor for anchor in _OF_OTHERS if anchor.evidence in OF_RECORDS)
_PARTS: Final = frozenset({"event-account-part", "source-part"})
_OF_OTHER_RECORDS: Final = tuple(
    anchor for anchor in _OF_BUSES if anchor.evidence != "event-account" and anchor.name not in _PARTS
)
_OF_REQUESTS: Final = tuple(anchor for anchor in _OF_OTHERS if anchor not in _OF_BUSES)
_OF_TOKENS: Final = (ANCHORS["jwt"],)


# ---- the keys of a subject ------------------------------------------------------------------------------------------


class CallerKeys(NamedTuple):
    """The keys that a caller has, the most specific first.

    Attributes:
        every: the keys of deny rules that apply.
        allowing: the keys of rules that may allow: those of an exclusive anchor, if the caller has one.
    """

    every: tuple[Key, ...]
    allowing: tuple[Key, ...]


def caller_keys(subject: Subject) -> CallerKeys:
    """The keys of a subject by its caller alone, without those of its tokens and of what API Gateway verified.

    They are kept by the caller without its certificate, which no anchor reads. If a caller's names are longer than AWS
    allows, its keys are not kept (trap D9).
    """
    caller = subject.caller if subject.caller.x509 is None else replace(subject.caller, x509=None)
    has_other_evidence = subject.has_other_evidence
    found = CALLER_KEYS.get((caller, has_other_evidence))
    if found is None:
        found = _caller_keys(caller, has_other_evidence)
        length = sum(len(name) for name in (caller.session_name, caller.org_id, caller.source_vpc_arn) if name)
        CALLER_KEYS.keep((caller, has_other_evidence), found, length)
    return found


def _caller_keys(caller: Caller, has_other_evidence: bool) -> CallerKeys:
    subject = Subject(caller, _A_TOKEN if has_other_evidence else {})
    every = tuple(key for anchor in _OF_CALLERS for key in anchor.keys(subject))
    return CallerKeys(every, tuple(key for key in every if ANCHORS[key[0]].is_exclusive) or every)


CALLER_KEYS: Final = Memory[tuple[Caller, bool], CallerKeys](entries=1024, characters=512)
"""The characters are those of a session's name, which has at most 64, of an organisation's id and of a VPC's ARN. The
grammar of ARNs bounds a principal."""
_A_TOKEN: Final[Mapping[str, Mapping[str, object]]] = {"": {}}


def other_keys(subject: Subject) -> Iterator[Key]:
    """The key of each of a subject's tokens, of its API and of its certificate; of a record's sender and source, and of
    an event's account."""
    anchors = _OF_OTHERS
    if subject.source is None and subject.sender is None and subject.bus_event is None:
        anchors = _OF_REQUESTS if subject.api_id is not None or subject.client_cert is not None else _OF_TOKENS
    elif not subject.tokens and subject.api_id is None and subject.client_cert is None:
        # An anchor that yields nothing costs a microsecond, for each record and each request.
        anchors = _OF_OTHER_RECORDS if subject.bus_event is None else _OF_BUSES
    return (key for anchor in anchors for key in anchor.keys(subject))


def owning_keys(subject: Subject) -> Iterator[Key]:
    """Those of `other_keys` whose rules may allow the subject.

    An API allows nothing unless its authorizer answered. An event that AWS wrote is allowed only by rules that name its
    `source`: a rule for an account, or for a bus, means what programs publish there.
    """
    keys = other_keys(subject)
    if subject.authorizer is None and subject.api_id is not None:
        keys = (key for key in keys if ANCHORS[key[0]].evidence != "authorizer")
    if subject.bus_event is not None and subject.bus_event.source.startswith(AWS_SOURCES):
        keys = (key for key in keys if ANCHORS[key[0]].evidence not in OF_RECORDS or _names_bus_source(key))
    return keys


def keys_of(subject: Subject) -> Iterator[Key]:
    """Every key under which a rule for the subject could be: its caller's, then the others."""
    yield from caller_keys(subject).every
    yield from other_keys(subject)


def broader_keys(key: Key) -> tuple[Key, ...]:
    """The broader keys that every subject with `key` has as well. None for a key without an example."""
    example = ANCHORS[key[0]].example
    return () if example is None else _after(key, keys_of(example(key)))


def broader_owning_keys(key: Key) -> tuple[Key, ...]:
    """Those of `broader_keys` whose rules may allow every subject with `key`."""
    example = ANCHORS[key[0]].example
    if example is None:
        return ()
    subject = example(key)
    return _after(key, (*caller_keys(subject).allowing, *owning_keys(subject)))


def _after(key: Key, keys: Iterable[Key]) -> tuple[Key, ...]:
    """The keys behind `key`; none if it is not among them."""
    every = tuple(keys)
    return every[every.index(key) + 1 :] if key in every else ()
