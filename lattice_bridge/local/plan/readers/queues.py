"""Reads the queues of a resolved template.

Rule: properties mean what the CloudFormation reference of AWS::SQS::Queue says, and have the limits of SQS. A value
that AWS refuses is an error here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.events.sqs import FIFO
from lattice_bridge.local.plan.model import LeftOut
from lattice_bridge.local.plan.queues import Queue

TYPE: Final = "AWS::SQS::Queue"

_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
"""Property → its lowest and highest value, as in the SQS API reference."""
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "ContentBasedDeduplication": ("false", "true"),
    "DeduplicationScope": ("messageGroup", "queue"),
    "FifoQueue": ("false", "true"),
    "FifoThroughputLimit": ("perMessageGroupId", "perQueue"),
}
_OF_FIFO: Final = ("ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")
_ENCRYPTION: Final = ("KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "SqsManagedSseEnabled")
_OTHER: Final = ("QueueName", "RedriveAllowPolicy", "RedrivePolicy", "Tags")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}|(?=.{1,80}$)[A-Za-z0-9_-]+\.fifo")
_PERMISSIONS: Final = ("allowAll", "denyAll", "byQueue")
_MOST_SOURCES: Final = 10
_MOST_RECEIVES: Final = 1000


def read_queues(template: Template, left_out: LeftOut) -> Iterator[Queue]:
    """Reads the queues, each dead-letter queue before the queues that refer to it.

    Args:
        template: resolved.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    found: dict[str, Queue] = {}
    for resource in template.of_type(TYPE):
        if unresolved(resource.arn):
            left_out.add(f"{TYPE}: its name is not known here, so it is not served", resource.id)
            continue
        with malformed(f"queue {resource.id}"):
            queue = _queue(resource, left_out)
        if queue.name in found:
            other = found[queue.name].id
            raise BadTemplate(f"queue {resource.id}: the queue {other} has the name {queue.name} too. Fix: rename one")
        found[queue.name] = queue
    by_arn = {queue.arn: queue for queue in found.values()}
    served = [_with_known_dead_letters(queue, by_arn, left_out) for queue in found.values()]
    yield from sorted(served, key=lambda queue: queue.dead_letters is not None)


def _queue(resource: Resource, left_out: LeftOut) -> Queue:
    properties = known_properties(resource, ("QueueName", "RedriveAllowPolicy", "RedrivePolicy"), left_out)
    attributes = {name: _number(resource.id, name, properties[name]) for name in _LIMITS if name in properties}
    attributes |= {name: _choice(resource.id, name, properties[name]) for name in _CHOICES if name in properties}
    if "RedrivePolicy" in properties:
        attributes["RedrivePolicy"] = _redrive(resource.id, properties["RedrivePolicy"])
    if "RedriveAllowPolicy" in properties:
        attributes["RedriveAllowPolicy"] = _redrive_allow(resource.id, properties["RedriveAllowPolicy"])
    name = resource.arn.rpartition(":")[2]
    if not _NAME.fullmatch(name):
        raise BadTemplate(
            f"{resource.id}.QueueName: {name!r} is not a queue's name. Fix: write up to 80 letters, digits, - and _"
        )
    is_fifo = attributes.get("FifoQueue") == "true"
    if is_fifo != name.endswith(FIFO):
        fix = f"Fix: end QueueName with {FIFO}" if is_fifo else "Fix: write FifoQueue: true"
        raise BadTemplate(f"{resource.id}: a queue is FIFO if FifoQueue is true and its name ends with {FIFO}. {fix}")
    if not is_fifo:
        attributes.pop("FifoQueue", None)  # AWS refuses an explicit false in CreateQueue
        if wrong := [one for one in _OF_FIFO if attributes.pop(one, "false") not in ("false",)]:
            raise BadTemplate(
                f"{resource.id}.{wrong[0]}: the queue is not FIFO. Fix: remove it, or make the queue FIFO"
            )
    by_group = (attributes.get("FifoThroughputLimit"), attributes.get("DeduplicationScope"))
    if by_group[0] == "perMessageGroupId" and by_group[1] != "messageGroup":
        raise BadTemplate(
            f"{resource.id}.FifoThroughputLimit: needs another scope. Fix: DeduplicationScope: messageGroup"
        )
    _name_the_rest(resource, left_out)
    return Queue(resource.id, name, resource.arn, resource.ref, attributes)


def known_properties(resource: Resource, others: Collection[str], left_out: LeftOut) -> dict[str, Any]:
    """The properties of a resource without those whose values only a deployed stack knows, and with the `others`."""
    found = {}
    for name, value in resource.properties.items():
        if name not in others and unresolved(value):
            left_out.add(f"{name} is not known here, and has AWS's default value", resource.id)
        else:
            found[name] = value
    return found


def _name_the_rest(resource: Resource, left_out: LeftOut) -> None:
    properties = resource.properties
    if any(properties.get(name) not in (None, "", False, "false") for name in _ENCRYPTION):
        left_out.add("messages are not encrypted", resource.id)
    for name in sorted(set(properties) - {*_LIMITS, *_CHOICES, *_ENCRYPTION, *_OTHER}):
        left_out.add(f"property {name} has no effect", resource.id)


def _number(place: str, name: str, value: object) -> str:
    low, high = _LIMITS[name]
    text = as_text(value)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise BadTemplate(f"{place}.{name}: {text[:40]!r} is not from {low} to {high}. Fix: write such a whole number")
    return str(int(text))


def _choice(place: str, name: str, value: object) -> str:
    text = as_text(value)
    if text not in _CHOICES[name]:
        raise BadTemplate(f"{place}.{name}: {text[:40]!r} is unknown. Fix: write {' or '.join(_CHOICES[name])}")
    return text


# ---- dead-letter queues ---------------------------------------------------------------------------------------------


def _policy(value: Any) -> Mapping[str, Any]:
    """A policy as a map. A template may have it as a text too."""
    return dict(json.loads(value) if isinstance(value, str) else value)


def _redrive(place: str, value: Any) -> str:
    policy = _policy(value)
    target, count = policy.get("deadLetterTargetArn"), as_text(policy.get("maxReceiveCount"))
    if not isinstance(target, str) or not target:
        raise BadTemplate(f"{place}.RedrivePolicy: no deadLetterTargetArn. Fix: write the ARN of a queue")
    if not re.fullmatch(r"[0-9]{1,4}", count) or not 1 <= int(count) <= _MOST_RECEIVES:
        raise BadTemplate(
            f"{place}.RedrivePolicy.maxReceiveCount: {count!r} is not from 1 to {_MOST_RECEIVES}. "
            "Fix: write such a whole number"
        )
    return json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": int(count)})


def _redrive_allow(place: str, value: Any) -> str:
    policy = _policy(value)
    permission, sources = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission not in _PERMISSIONS:
        raise BadTemplate(
            f"{place}.RedriveAllowPolicy.redrivePermission: {permission!r} is unknown. "
            f"Fix: write {', '.join(_PERMISSIONS)}"
        )
    if (permission == "byQueue") != bool(sources) or len(sources or ()) > _MOST_SOURCES:
        raise BadTemplate(
            f"{place}.RedriveAllowPolicy: sourceQueueArns are for byQueue, from 1 to {_MOST_SOURCES}. "
            "Fix: write the ARNs of the source queues, or another redrivePermission"
        )
    return json.dumps({"redrivePermission": permission, **({"sourceQueueArns": list(sources)} if sources else {})})


def _with_known_dead_letters(queue: Queue, queues: Mapping[str, Queue], left_out: LeftOut) -> Queue:
    if queue.dead_letters is None:
        return queue
    target = queues.get(queue.dead_letters[0])
    if target is None:
        left_out.add("its dead-letter queue is not in the template: failing messages stay in the queue", queue.id)
        kept = {name: value for name, value in queue.attributes.items() if name != "RedrivePolicy"}
        return replace(queue, attributes=kept)
    place = f"{queue.id}.RedrivePolicy.deadLetterTargetArn"
    if target.is_fifo != queue.is_fifo:
        kinds = [("FIFO" if one.is_fifo else "standard") for one in (target, queue)]
        raise BadTemplate(f"{place}: {target.id} is {kinds[0]} and {queue.id} is {kinds[1]}. Fix: make both the same")
    if not _admits(target, queue.arn):
        raise BadTemplate(
            f"{place}: the RedriveAllowPolicy of {target.id} does not allow {queue.id}. Fix: add its ARN there"
        )
    return queue


def _admits(target: Queue, source: str) -> bool:
    policy = json.loads(target.attributes.get("RedriveAllowPolicy", "{}"))
    sources: Sequence[str] = policy.get("sourceQueueArns", ())
    return policy.get("redrivePermission", "allowAll") == "allowAll" or source in sources
