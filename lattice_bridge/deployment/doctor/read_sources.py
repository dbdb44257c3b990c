"""Reads from AWS: event source mappings, queues, streams, tables, event buses with their rules, and pipes.

Rule: as for `read`. A source of another Region is not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from lattice_bridge.config.event_source import PipeRole
from lattice_bridge.deployment.doctor.facts import BusFront, Function, FunctionName, Read, StreamFront, Unread
from lattice_bridge.deployment.doctor.read import (
    READS,
    Answer,
    Aws,
    items_of,
    object_of,
    read_destination,
    read_function,
    text_of,
)
from lattice_bridge.deployment.iam.policy import Statement, read_policy
from lattice_bridge.deployment.sources.buses import REWRITES
from lattice_bridge.deployment.sources.facts import (
    DEFAULT_RECORD,
    UNLIMITED,
    Bus,
    BusRule,
    FailurePlace,
    Pipe,
    Queue,
    Redrive,
    SourceMapping,
    Stream,
    name_of_source,
    noun_of,
    source_of,
)
from lattice_bridge.deployment.sources.faults import REPORT
from lattice_bridge.deployment.sources.pipes import BATCHES, ROLES, WAITS
from lattice_bridge.events.record import service_of

_DEFAULT_BUS: Final = "default"


def _place(arn: str, permission: str, bridge: FunctionName) -> Unread | None:
    """Why a source cannot be read; None if it is in the bridge's Region."""
    if arn.split(":")[3] == bridge.region:
        return None
    return Unread(permission, arn, "it is in another Region", out_of_reach=True)


# ---- mappings -------------------------------------------------------------------------------------------------------


def read_event_sources(aws: Aws, names: Iterable[FunctionName]) -> Read[tuple[SourceMapping, ...]]:
    """Each event source mapping, with its UUID as label. Lambda lists them by the name that they invoke."""

    def parse(answer: Answer) -> dict[str, SourceMapping]:
        return {text_of(one, "UUID"): _source_mapping(one) for one in items_of(answer, "EventSourceMappings")}

    sources: dict[str, SourceMapping] = {}
    for arn in dict.fromkeys(name.qualified for name in names):
        found = aws.read(parse, "lambda", "list_event_source_mappings", arn, FunctionName=arn)
        if isinstance(found, Unread):
            return found
        sources.update(found or {})
    return tuple(sources.values())


def _source_mapping(found: Answer) -> SourceMapping:
    state, size = found.get("State"), found.get("BatchSize")
    destination = object_of(object_of(found, "DestinationConfig"), "OnFailure").get("Destination")
    return SourceMapping(
        text_of(found, "UUID"),
        str(found.get("EventSourceArn") or "a self-managed source"),
        None if size is None else int(size),
        float(found.get("MaximumBatchingWindowInSeconds", 0)),
        REPORT in items_of(found, "FunctionResponseTypes"),
        bool(object_of(found, "FilterCriteria").get("Filters")),
        None if state is None else state not in ("Disabled", "Disabling"),
        int(found.get("MaximumRetryAttempts", UNLIMITED)),
        int(found.get("MaximumRecordAgeInSeconds", UNLIMITED)),
        bool(found.get("BisectBatchOnFunctionError")),
        float(found.get("TumblingWindowInSeconds", 0)),
        None if destination is None else str(destination),
    )


def read_rivals(aws: Aws, arn: str, bridge: FunctionName) -> Read[tuple[str, ...]]:
    """The UUIDs of the mappings that send messages of a queue to another function than the bridge."""

    def parse(answer: Answer) -> tuple[str, ...]:
        found = [(text_of(one, "UUID"), str(one.get("FunctionArn"))) for one in items_of(answer, "EventSourceMappings")]
        return tuple(uuid for uuid, function in found if ":".join(function.split(":")[:7]) != bridge.arn)

    return aws.read(parse, "lambda", "list_event_source_mappings", arn, EventSourceArn=arn) or ()


# ---- queues ---------------------------------------------------------------------------------------------------------

_ATTRIBUTES: Final = ("KmsMasterKeyId", "MessageRetentionPeriod", "Policy", "RedrivePolicy", "VisibilityTimeout")
"""SQS refuses the attribute FifoQueue for a standard queue, and the name of a queue tells it."""


def read_queue(aws: Aws, arn: str, bridge: FunctionName) -> Read[Queue | None]:
    """A queue of the bridge's Region; None if it does not exist."""
    if elsewhere := _place(arn, "sqs:GetQueueAttributes", bridge):
        return elsewhere
    owned = {"QueueName": name_of_source(arn), "QueueOwnerAWSAccountId": arn.split(":")[4]}
    url = aws.read(lambda answer: text_of(answer, "QueueUrl"), "sqs", "get_queue_url", arn, **owned)
    if url is None or isinstance(url, Unread):
        return url
    asked = {"QueueUrl": url, "AttributeNames": list(_ATTRIBUTES)}
    return aws.read(lambda answer: _queue(arn, answer), "sqs", "get_queue_attributes", arn, **asked)


def _queue(arn: str, answer: Answer) -> Queue:
    attributes = object_of(answer, "Attributes")
    written, policy = attributes.get("RedrivePolicy"), attributes.get("Policy")
    redrive = json.loads(written) if written else None
    return Queue(
        _label(arn),
        arn,
        float(attributes["VisibilityTimeout"]),
        float(attributes["MessageRetentionPeriod"]),
        None if redrive is None else Redrive(text_of(redrive, "deadLetterTargetArn"), int(redrive["maxReceiveCount"])),
        _key_arn(str(attributes.get("KmsMasterKeyId") or ""), arn),
        read_policy(policy) if policy else (),
    )


def _label(arn: str) -> str:
    return f"{noun_of(arn)} {name_of_source(arn)}"


def _key_arn(key: str, source: str) -> str | None:
    """The ARN of a source's own key, which AWS has as an id, an alias or an ARN. An alias may lead to any key."""
    if ":key/" in key:
        return key
    if not key or "alias/" in key:
        return None
    _, partition, _, region, account, _ = source.split(":", 5)
    return f"arn:{partition}:kms:{region}:{account}:key/{key}"


# ---- streams --------------------------------------------------------------------------------------------------------


def read_stream(aws: Aws, arn: str, bridge: FunctionName) -> StreamFront:
    """A Kinesis stream or a table of the bridge's Region, with its resource policy."""
    service = service_of(arn)
    method = "describe_table" if service == "dynamodb" else "describe_stream_summary"
    if elsewhere := _place(arn, READS[service, method], bridge):
        return StreamFront(arn, elsewhere)
    if service == "dynamodb":
        # A name alone: the API has accepted an ARN since 2024 only, and other implementations do not.
        name = {"TableName": name_of_source(arn)} if arn.split(":")[4] == bridge.account else {"TableName": arn}
        stream = aws.read(lambda answer: _table(arn, answer), service, method, arn, **name)
    else:
        stream = aws.read(lambda answer: _kinesis(arn, answer), service, method, arn, StreamARN=arn)
    asked = {"ResourceArn" if service == "dynamodb" else "ResourceARN": arn}
    return StreamFront(arn, stream, aws.read(_resource_policy, service, "get_resource_policy", arn, **asked) or ())


def _kinesis(arn: str, answer: Answer) -> Stream:
    found = object_of(answer, "StreamDescriptionSummary")
    text_of(found, "StreamARN")
    largest = found.get("MaxRecordSizeInKiB")  # an old botocore leaves it out
    key = _key_arn(str(found.get("KeyId") or ""), arn)
    return Stream(_label(arn), arn, arn, key=key, largest=largest if isinstance(largest, int) else DEFAULT_RECORD)


def _table(arn: str, answer: Answer) -> Stream:
    found = object_of(answer, "Table")
    text_of(found, "TableArn")
    written = object_of(found, "StreamSpecification")
    if not written.get("StreamEnabled"):
        return Stream(_label(arn), arn, None)
    return Stream(_label(arn), arn, text_of(found, "LatestStreamArn"), text_of(written, "StreamViewType"))


def _resource_policy(answer: Answer) -> tuple[Statement, ...]:
    written = answer.get("Policy")
    return read_policy(written) if written and written != "{}" else ()


# ---- event buses ----------------------------------------------------------------------------------------------------


def read_bus(aws: Aws, arn: str, bridge: FunctionName, names: Sequence[FunctionName]) -> BusFront:
    """The event bus of bridge.toml, with the rules that invoke the bridge.

    Rules of the default bus are read as well: a schedule is always one of them.

    Args:
        arn: of a bus.
        bridge: the function.
        names: the names under which the bridge can be invoked.
    """
    if elsewhere := _place(arn, "events:DescribeEventBus", bridge):
        return BusFront(elsewhere, elsewhere)
    bus = aws.read(lambda answer: _bus(arn, answer), "events", "describe_event_bus", arn, Name=arn)
    default = f"{arn.partition(':event-bus/')[0]}:event-bus/{_DEFAULT_BUS}"
    found: list[BusRule] = []
    invoked: dict[FunctionName, None] = {}
    for place in dict.fromkeys((arn, default)):
        for name in dict.fromkeys(names):
            rules = list(_rules(aws, place, name))
            unread = next((one for one in rules if isinstance(one, Unread)), None)
            if unread is not None:
                return BusFront(bus, unread)
            found += [one for one in rules if isinstance(one, BusRule)]
            invoked |= dict.fromkeys([name] if rules else [])
    return BusFront(bus, tuple(found), tuple(_failures(aws, name) for name in invoked))


def _bus(arn: str, answer: Answer) -> Bus:
    policy = answer.get("Policy")
    return Bus(_label(arn), arn, read_policy(policy) if policy else ())


def _rules(aws: Aws, bus: str, name: FunctionName) -> Iterator[Read[BusRule]]:
    """The rules of a bus that invoke a function under one name."""

    def names(answer: Answer) -> tuple[str, ...]:
        return tuple(map(str, items_of(answer, "RuleNames")))

    asked = {"TargetArn": name.qualified, "EventBusName": bus}
    found = aws.read(names, "events", "list_rule_names_by_target", bus, **asked)
    if isinstance(found, Unread):
        yield found
    else:
        for rule in found or ():
            yield from _rule(aws, rule, bus, name)


def _rule(aws: Aws, rule: str, bus: str, name: FunctionName) -> Iterator[Read[BusRule]]:
    def parse(answer: Answer) -> BusRule:
        return BusRule(
            f"rule {rule}",
            bus,
            name.label,
            is_schedule=bool(answer.get("ScheduleExpression")) and not answer.get("EventPattern"),
            enabled=text_of(answer, "State") != "DISABLED",
        )

    def rewrites(answer: Answer) -> list[str | None]:
        own = [one for one in items_of(answer, "Targets") if one.get("Arn") == name.qualified]
        return [next((key for key in REWRITES if target.get(key) is not None), None) for target in own]

    described = aws.read(parse, "events", "describe_rule", bus, Name=rule, EventBusName=bus)
    targets = aws.read(rewrites, "events", "list_targets_by_rule", bus, Rule=rule, EventBusName=bus)
    if isinstance(described, Unread):
        yield described
    elif isinstance(targets, Unread):
        yield targets
    elif described is not None:
        for one in targets or ():
            yield replace(described, rewrites=one)


def _failures(aws: Aws, name: FunctionName) -> Read[FailurePlace]:
    """Where the events are kept on which the bridge failed under one name."""
    function = read_function(aws, name)
    if isinstance(function, Function) and function.keeps_failures:
        return FailurePlace(name.label, None, is_known=False)
    destination = read_destination(aws, name)
    return destination if isinstance(destination, Unread) else FailurePlace(name.label, destination)


# ---- pipes ----------------------------------------------------------------------------------------------------------


def read_pipes(aws: Aws, bridge: FunctionName) -> Read[tuple[Pipe, ...]]:
    """The pipes that invoke a function, under any of its names."""

    def named(answer: Answer) -> tuple[tuple[str, PipeRole], ...]:
        return tuple(
            (text_of(one, "Name"), role)
            for one in items_of(answer, "Pipes")
            for role, (key, _) in ROLES.items()
            if ":".join(str(one.get(key)).split(":")[:7]) == bridge.arn
        )

    found = aws.read(named, "pipes", "list_pipes", "*")
    if isinstance(found, Unread):
        return found
    pipes = [_pipe(aws, name, role, bridge) for name, role in found or ()]
    unread = next((one for one in pipes if isinstance(one, Unread)), None)
    return tuple(one for one in pipes if isinstance(one, Pipe)) if unread is None else unread


def _pipe(aws: Aws, name: str, role: PipeRole, bridge: FunctionName) -> Read[Pipe | None]:
    def parse(answer: Answer) -> Pipe:
        source = source_of(str(answer.get("Source")))
        batches, default = BATCHES.get(service_of(source), ("", 1))
        size = object_of(object_of(answer, "SourceParameters"), batches).get("BatchSize")
        parameters = object_of(answer, ROLES[role][1])
        kind = object_of(parameters, "LambdaFunctionParameters").get("InvocationType", WAITS)
        return Pipe(
            f"pipe {name}",
            source,
            role,
            default if size is None else int(size),
            is_default_batch=size is None,
            rewrites=bool(parameters.get("InputTemplate")),
            waits=role == "enrichment" or kind == WAITS,
            is_enriched=role == "target" and bool(answer.get("Enrichment")),
        )

    arn = f"arn:{bridge.partition}:pipes:{bridge.region}:{bridge.account}:pipe/{name}"
    return aws.read(parse, "pipes", "describe_pipe", arn, Name=name)
