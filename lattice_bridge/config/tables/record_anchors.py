"""The anchors of records as a rule writes them: a sender, a source, and an account of events with its parts.

Rule: only what AWS writes into a record is evidence. A rule that allows by a word of the record's writer, or lets the
writer choose, has to acknowledge it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from lattice_bridge.config.tables.rule_table import SESSION_NAME, Acknowledgement, RuleTable, SenderTable, WrittenAnchor
from lattice_bridge.config.tables.source_arns import service_in
from lattice_bridge.config.tables.table import OwnNames
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault
from lattice_bridge.tenancy.anchors import AWS_SOURCES, Key, event_account_key, sender_key, source_key

# ---- senders --------------------------------------------------------------------------------------------------------

_UNIQUE_IDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "role_id": ("AROA", "role", "aws iam get-role --role-name NAME --query Role.RoleId"),
    "user_id": ("AIDA", "user", "aws iam get-user --user-name NAME --query User.UserId"),
}
"""Key of `sender` → how its values begin, what they identify, and the command that prints one. Source: the IAM guide's
"IAM identifiers"."""
_REST_OF_ID: Final = re.compile(r"[A-Z0-9]{16,124}")
_NAME_IN_IAM: Final = re.compile(
    r"(?:arn:aws[a-z-]*:iam::[0-9]{12}:(?:role|user)/(?:[^:]*/)?)?(?!AROA|AIDA)([A-Za-z0-9][A-Za-z0-9_+=,.@-]{0,63})"
)
"""A role's or a user's name, alone or in its ARN. It is safe in a suggested command (trap G5)."""


def _sender_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    """Trap E4: a role that is deleted and made again has another unique id, and no other account has the same one."""
    if own.event_sources and not any(service_in(arn) == "sqs" for arn in own.event_sources):
        what = "sender is for messages of a queue, and no [[event_source]] of this file is one"
        fix = "write source instead: no other record contains who sent it"
        yield Fault(f"{what}. Fix: {fix}", ("sender",), at_key=True, given=("[event_source]",))
    sender = table.sender or SenderTable()
    given = [key for key in _UNIQUE_IDS if getattr(sender, key) is not None]
    if len(given) != 1:
        what = f"sender has {' and '.join(given) or 'neither role_id nor user_id'}"
        yield Fault(f'{what}. Fix: write one of the two, as in sender = {{ role_id = "AROA…" }}', ("sender",))
    for key in given:
        yield from unique_id_faults(key, getattr(sender, key))
    if sender.session is not None and given == ["user_id"]:
        yield Fault("sender: only a role has sessions. Fix: remove session", ("sender", "session"), at_key=True)
    elif sender.session is not None and SESSION_NAME.fullmatch(sender.session) is None:
        fix = "write 2 to 64 of A-Z a-z 0-9 _ + = , . @ -"
        what = f"sender: session {quoted(sender.session)} is not a session name"
        yield Fault(f"{what}. Fix: {fix}", ("sender", "session"))


def unique_id_faults(key: str, text: str) -> Iterator[Fault]:
    """The faults of a value that has to be the unique id of a role (`role_id`) or of a user (`user_id`)."""
    start, kind, command = _UNIQUE_IDS[key]
    if text.startswith(start) and _REST_OF_ID.fullmatch(text[len(start) :]):
        return
    what = f"sender: {key} {quoted(text)} is not the unique id of a {kind}"
    others = [other for other, (begins, *_) in _UNIQUE_IDS.items() if text.startswith(begins) and other != key]
    bare, _, session = text.partition(":")
    if others:
        fix = f"write {others[0]} = {quoted(text)}"
    elif session and not list(unique_id_faults(key, bare)):
        fix = f"write {key} = {quoted(bare)}, and session = {quoted(session)} if only this session is meant"
    else:
        name = _NAME_IN_IAM.fullmatch(text)
        command = command.replace("NAME", name[1] if name else "NAME")
        fix = f"write what `{command}` prints: {start} and 16 or more of A-Z 0-9, not a name or an ARN"
    yield Fault(f"{what}. Fix: {fix}", ("sender", key))


def _sender_key(table: RuleTable) -> Key:
    assert table.sender is not None  # it is the anchor
    return sender_key(table.sender.role_id or table.sender.user_id or "", table.sender.session)


def _sender_warnings(table: RuleTable) -> Iterator[str]:
    if table.tenants == "*":
        yield "the sender may name any registered tenant"


# ---- sources --------------------------------------------------------------------------------------------------------

_WRITERS: Final[Mapping[str | None, str]] = {
    "sqs": "every sender that the queue admits",
    "kinesis": "every producer that the stream admits",
    "dynamodb": "every program that may write to the table",
    "events": "every publisher that the bus admits",
}
"""The service of a source → those who can write any claim into its records."""


def _source_risks(table: RuleTable) -> Iterator[Acknowledgement]:
    """Trap E2."""
    if table.tenants is not None and (table.tenants == "*" or len(table.tenants) > 1):
        yield "accept_risk", f"{_writers(table)} may name any of these tenants"
    yield from _part_risks(table)


def _source_warnings(table: RuleTable) -> Iterator[str]:
    if table.tenants == "*":
        yield f"{_writers(table)} may name any registered tenant"


def _writers(table: RuleTable) -> str:
    return _WRITERS.get(service_in("".join(table.values("source")[:1])), "every sender that the source admits")


# ---- events of a bus ------------------------------------------------------------------------------------------------

_TWELVE_DIGITS: Final = re.compile("[0-9]{12}")
PARTS: Final = ("bus_source", "detail_type")
"""The keys that narrow `event_account`, and `source` if that is an event bus."""
_LONGEST_PART: Final = 256


def _event_account_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    text = table.event_account or ""
    if _TWELVE_DIGITS.fullmatch(text) is None:
        digits = re.sub("[^0-9]", "", text)
        example = digits if len(digits) == 12 else own.partition_and_account[1]
        what = f"event_account {quoted(text)} is not twelve digits"
        yield Fault(f'{what}. Fix: write event_account = "{example}"', ("event_account",))


def _event_account_key(table: RuleTable) -> Key:
    return event_account_key(table.event_account or "", table.bus_source or "", table.detail_type or "")


def _event_account_warnings(table: RuleTable) -> Iterator[str]:
    if table.tenants == "*":
        yield "every publisher in the account may name any registered tenant"


def _source_key(table: RuleTable) -> Key:
    return source_key(table.values("source")[0], table.bus_source or "", table.detail_type or "")


def _part_risks(table: RuleTable) -> Iterator[Acknowledgement]:
    """Trap E2: only a `source` that begins with `aws.` is not the publisher's own word."""
    found = [key for key in PARTS if getattr(table, key) is not None]
    if found and not (table.bus_source or "").startswith(AWS_SOURCES):
        yield "accept_risk", f"every publisher that the bus admits may write any {' and any '.join(found)}"


def part_faults(key: str, text: str) -> Iterator[Fault]:
    """The value is compared in full, so what seems to be a pattern would never match, also in a rule that denies."""
    if "*" in text:
        fix = "write the whole value, and a rule for each, or leave it out"
        yield Fault(f"{key} {quoted(text)} contains *, and it is compared in full. Fix: {fix}", (key,))
    elif not 1 <= len(text) <= _LONGEST_PART or not text.isprintable() or text != text.strip():
        fix = f"write 1 to {_LONGEST_PART} characters, as in the event"
        yield Fault(f"{key} {quoted(text)} is not a value that an event has. Fix: {fix}", (key,))


# ---- the anchors ----------------------------------------------------------------------------------------------------

SENDER: Final = WrittenAnchor("sender", _sender_key, _sender_faults, warnings=_sender_warnings)
EVENT_ACCOUNT: Final = WrittenAnchor(
    "event_account", _event_account_key, _event_account_faults, _part_risks, _event_account_warnings
)
SOURCE: Final = WrittenAnchor("source", _source_key, risks=_source_risks, warnings=_source_warnings, is_condition=True)
RECORD_KEYS: Final = (SENDER.name, EVENT_ACCOUNT.name, SOURCE.name)
"""The anchors and conditions of records. All others are for HTTP requests."""
