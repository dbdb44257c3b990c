"""The cause of a refusal of the bridge as a sentence for a person, with the change that fixes it.

Rule: one template for each reason code, from the code, the detail and the rule of the bridge's log line. The causes and
fixes are those of docs/troubleshooting.md, shortened to a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lattice_bridge.errors import REASONS

_TEMPLATES: Final[Mapping[str, str]] = {
    "not_lattice": "{detail}. Fix: send the request to the front, or make an event with `lattice-bridge event new`",
    "not_enabled": "{detail}. Fix: list it in bridge.toml, in [apigateway] apis, [alb] target_groups or [function_url]",
    "malformed_event": "The event cannot be read: {detail}",
    "malformed_header": "A header cannot be read: {detail}",
    "header_repeated": "{detail}. Fix: send it once",
    "reserved_spelling": "{detail}, which is reserved. Fix: rename the header",
    "tenant_malformed": "{detail}",
    "claim_missing": "{detail}. Fix: let the sender set it, or remove `claim` where the rules allow one tenant only",
    "claim_unreadable": "The record's claim cannot be read: {detail}",
    "aggregated": "{detail}",
    "aggregate_unreadable": "The aggregate cannot be read: {detail}",
    "images_differ": (
        "{detail}. Fix: give an item to another tenant in two steps, deleted and put again, or use a claim that reads "
        "the key"
    ),
    "window_unsupported": "{detail}. Fix: remove TumblingWindowInSeconds from the event source mapping",
    "source_unsupported": "{detail}. Fix: connect the bridge with queues, streams, tables and event buses only",
    "source_not_configured": "{detail}",
    "no_credential": "{detail}. Fix: sign the request, send a token, or write a rule with anyone = true",
    "token_invalid": "The token is not accepted: {detail}. Fix: compare the token with [jwt] in bridge.toml",
    "identity_invalid": "The caller's identity cannot be used: {detail}",
    "service_not_allowed": "{detail}. Fix: add the service's ARN to this list in bridge.toml",
    "no_rule": "{detail}. Fix: write a [[rule]] for this caller; `lattice-bridge explain` lists the possible keys",
    "denied": "{detail}. Fix: if this caller is not meant, make the rule narrower",
    "condition_failed": "{detail}. Fix: compare the rule's vpc, org, service, network, api and jwt with the request",
    "source_mismatch": "{detail}. Fix: send a value that fits, or correct tenant_from and its keys in the rule",
    "conflict": "{detail}. Fix: use the token of the tenant that the caller works for",
    "ambiguous": "The rule{rule} allows several tenants, and the request chooses none. Fix: send the tenant header",
    "tenant_not_allowed": (
        "The rule{rule} does not allow the tenant that the tenant header asks for. "
        "Fix: send another tenant, or add this one to the rule"
    ),
    "tenant_unknown": (
        "The rule{rule} allows the tenant, but it is not registered. "
        "Fix: add it to [tenants], or to the registry; upper and lower case differ"
    ),
    "tenant_suspended": '{detail}. Fix: set its status to "active"',
    "no_backend": "{detail}. Fix: write a [[backend]] for the path in bridge.toml",
    "request_too_large": "The request is too large: {detail}. Fix: send less, or a presigned URL",
    "config_invalid": "Every request is refused, because bridge.toml does not load: {detail}",
    "config_unreachable": "The configuration cannot be read, so every request is refused: {detail}",
    "boto3_too_old": "{detail}",
    "tenant_id_rejected": "{detail}",
    "function_not_found": (
        "The template has no function {function}, or not this alias. Fix: compare `function` in bridge.toml with it"
    ),
    "access_denied": "The bridge may not invoke {function}: {detail}",
    "tenancy_mismatch": (
        "`isolated` of the backend {function} in bridge.toml and the function's TenancyConfig in the template differ. "
        "Fix: change one of them"
    ),
    "invoke_rejected": "{function} was not invoked: {detail}",
    "internal": "A bug in the bridge: {detail}. Please report it",
    "backend_raised": "{function} failed ({detail}). Its own lines are above",
    "backend_reported": "{function} reported the record as failed: {detail}. Its own lines are above",
    "backend_unreadable": (
        "The answer of {function} is not understood: {detail}. "
        "Fix: return a dict with statusCode; for a record, return nothing"
    ),
    "reply_too_large": "The reply of {function} is too large: {detail}. Fix: return less, or a presigned URL",
    "connection_lost": "The connection to {function} was lost: {detail}",
    "keys_unavailable": "The keys of the token's issuer cannot be fetched: {detail}",
    "registry_unavailable": "The tenant registry cannot be read: {detail}",
    "throttled": "{function} was throttled: {detail}. Fix: start the stack with more --max-environments",
    "unreachable": "{function} was not reached: {detail}",
    "backend_timeout": (
        "{function} did not answer in time: {detail}. "
        "Fix: make it faster, or raise its Timeout, and `timeout` of the backend in bridge.toml"
    ),
    "no_time_left": "{detail}. Fix: raise the Timeout of the bridge in the template",
    "behind_failed": "{detail}. It waits for that one",
    "quarantine_full": "{detail}. Fix: send fewer attributes, or a smaller body",
    "quarantine_failed": "{detail}. Fix: compare `quarantine` in bridge.toml with the queues of the template",
    "wrong_queue": "{detail}. Fix: send it to the queue that `source` in its attribute names",
    "loop": "It passed through the bridge too often. Fix: no backend may call the bridge's own service or queue",
}
"""Reason code → sentence. `{rule}` is empty or a space and the rule's id; `{function}` is the backend's function."""

_OF_RECORDS: Final[Mapping[str, str]] = {
    "malformed_event": "The record cannot be read: {detail}",
    "config_invalid": "Every record is reported as failed, because bridge.toml does not load: {detail}",
    "config_unreachable": "The configuration cannot be read, so every record is reported as failed: {detail}",
    "no_rule": "{detail}. Fix: write a [[rule]] with {sender}the {source} as its `source`",
    "ambiguous": (
        "The rule{rule} allows several tenants, and the record chooses none. "
        "Fix: write `claim` into the [[event_source]] in bridge.toml"
    ),
    "tenant_not_allowed": (
        "The rule{rule} does not allow the tenant that the record's claim asks for. "
        "Fix: send another tenant, or add this one to the rule"
    ),
    "request_too_large": "The record is too large: {detail}. Fix: send less, or the place of an object in S3",
    "backend_timeout": (
        "{function} did not answer in time: {detail}. "
        "Fix: make it faster, or raise its Timeout, and `timeout` of the [[event_source]] in bridge.toml"
    ),
    "source_not_configured": "{detail}. [local.ids] in local.toml gives a {source} the ARN of the deployed one",
    "loop": (
        "{detail}. Fix: fix the cause before you send a copy back from the quarantine. "
        "No function may send its record to its own {source}"
    ),
}
"""Reason code → sentence for a record, if that for a request does not fit. `{source}` is its kind, as in `queue`."""

_OF_SERVICES: Final[Mapping[str, Mapping[str, str]]] = {
    "kinesis": {
        "claim_missing": (
            "{detail}. Fix: let the producer write it, or remove `claim` where the rules allow one tenant only"
        ),
        "request_too_large": "The record is too large: {detail}. Fix: put less, or the place of an object in S3",
        "quarantine_full": "{detail}. Fix: put smaller records, or the place of an object in S3",
    },
    "dynamodb": {
        "claim_missing": (
            "{detail}. Fix: write it into each item, and choose NEW_AND_OLD_IMAGES as the StreamViewType if `claim` "
            "reads the images"
        ),
        "request_too_large": "The record is too large: {detail}. Fix: choose a StreamViewType with one image or none",
        "quarantine_full": "{detail}. Fix: choose a StreamViewType with one image or none",
    },
    "events": {
        "claim_missing": (
            "{detail}. Fix: let the publisher write it, or remove `claim` where the rules allow one tenant only"
        ),
        "no_rule": "{detail}. Fix: write a [[rule]] with its `event_account`, or with the bus as its `source`",
        "request_too_large": "The event is too large: {detail}. Fix: publish less, or the place of an object in S3",
        "quarantine_full": "{detail}. Fix: publish smaller events",
    },
}
"""Service → reason code → sentence for its records, if that for a message of a queue does not fit."""

_SOURCES: Final = {"kinesis": "stream", "dynamodb": "table", "events": "bus"}


def cause(reason: str, detail: str = "", rule: str = "", function: str = "") -> str:
    """Returns the sentence for a request that the bridge refused.

    Args:
        reason: its code. A bridge of another version may have one that is unknown here.
        detail, rule, function: fields of its log line; empty if the line does not have them.

    >>> cause("tenant_suspended", "the tenant is suspended")
    'The tenant is suspended. Fix: set its status to "active"'
    """
    return _sentence(_TEMPLATES.get(reason, "{detail}"), reason, detail, rule, function)


def record_cause(
    reason: str, detail: str = "", rule: str = "", function: str = "", sender: str = "", service: str = "sqs"
) -> str:
    """Returns the sentence for a record that the bridge refused.

    Args:
        reason, detail, rule, function: as for a request.
        sender: the unique id of the role or user that sent the record; empty if the line does not have it.
        service: that the record is from, as in an ARN.

    >>> record_cause("tenant_not_allowed", rule="shop").partition(".")[0]
    "The rule shop does not allow the tenant that the record's claim asks for"
    """
    own = _OF_SERVICES.get(service, {}).get(reason)
    template = own or _OF_RECORDS.get(reason) or _TEMPLATES.get(reason, "{detail}")
    written_sender = f"{_sender_in_words(sender)}, or with " if service == "sqs" else ""
    return _sentence(template, reason, detail, rule, function, written_sender, _SOURCES.get(service, "queue"))


def _sender_in_words(sender: str) -> str:
    key = {"AROA": "role_id", "AIDA": "user_id"}.get(sender[:4])
    return f'sender = {{ {key} = "{sender}" }}' if key else "its `sender`"


def _sentence(
    template: str, reason: str, detail: str, rule: str, function: str, sender: str = "", source: str = ""
) -> str:
    if _FIX in detail:  # the bridge's own fix knows more
        template = template.partition(_FIX)[0]
    fields = {
        "detail": detail or REASONS.get(reason, reason),
        "rule": f" {rule}" if rule else "",
        "function": function or "the function",
        "sender": sender,
        "source": source,
    }
    sentence = template.format_map(fields)
    return sentence if template.startswith("{function}") else capitalised(sentence)


_FIX: Final = ". Fix: "


def capitalised(sentence: str) -> str:
    """The sentence with its first letter in upper case."""
    return f"{sentence[:1].upper()}{sentence[1:]}"
