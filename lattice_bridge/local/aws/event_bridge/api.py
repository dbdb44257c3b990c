"""EventBridge's API, as a service of the AWS endpoint.

Rule: this module knows the protocol only; `buses` decides. Parameters are checked against AWS's model before.
Source: botocore's service model of EventBridge 2015-10-07.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from lattice_bridge.local.aws.endpoint import AwsService
from lattice_bridge.local.aws.event_bridge.buses import DISABLED, ENABLED, Bus, Entry, EventBuses, Rule, bad_pattern
from lattice_bridge.local.aws.event_bridge.errors import EntryRefused, invalid, refused
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse
from lattice_bridge.local.aws.service_model import parameters, service_model
from lattice_bridge.local.plan.event_pattern import BadPattern, EventPattern, parse_pattern
from lattice_bridge.local.plan.event_target import BadTarget, Target, read_target

SERVICE: Final = "events"

_TARGET: Final = "AWSEvents"
_JSON: Final = ("content-type", "application/x-amz-json-1.1")
_MOST_BYTES: Final = 1024 * 1024
"""Of the entries of PutEvents together, since January 2026."""
_BODY_LIMIT: Final = 8 * _MOST_BYTES
"""Bytes. In JSON, a character of two bytes can have six."""
_TOO_LARGE: Final = "Total size of the entries in the request is over the limit."
_PAGE: Final = 100
_MOST_TAGS: Final = 50
_REQUIRED: Final = ("id", "account", "source", "time", "region", "detail-type")

Result = Mapping[str, Any]
Given = Mapping[str, Any]
_T = TypeVar("_T")


def event_bridge_api(buses: EventBuses) -> AwsService:
    """Makes the API of a stack's buses.

    The stack's identities may not sign for it: with PutTargets, a client of a way in could invoke any function with any
    event, also a bridge.
    """
    return AwsService(_Operations(buses).answer, _BODY_LIMIT)


class _Operations:
    """The operations by their names."""

    def __init__(self, buses: EventBuses) -> None:
        self._buses = buses
        self._operations: Mapping[str, Callable[[Given], Result]] = {
            "CreateEventBus": self._create_bus,
            "DeleteEventBus": self._delete_bus,
            "DeleteRule": self._delete_rule,
            "DescribeEventBus": self._describe_bus,
            "DescribeRule": self._describe_rule,
            "DisableRule": self._disable_rule,
            "EnableRule": self._enable_rule,
            "ListEventBuses": self._list_buses,
            "ListRuleNamesByTarget": self._list_rule_names,
            "ListRules": self._list_rules,
            "ListTagsForResource": self._list_tags,
            "ListTargetsByRule": self._list_targets,
            "PutEvents": self._put_events,
            "PutRule": self._put_rule,
            "PutTargets": self._put_targets,
            "RemoveTargets": self._remove_targets,
            "TagResource": self._tag,
            "TestEventPattern": self._test_pattern,
            "UntagResource": self._untag,
            "UpdateEventBus": self._update_bus,
        }

    async def answer(self, request: AwsRequest) -> AwsResponse:
        """Answers a request."""
        name = self._operation(request)
        if len(request.body) > _BODY_LIMIT:
            raise invalid(_TOO_LARGE)
        given = parameters(SERVICE, name, request)
        if name == "PutEvents" and request.trace_id is not None:
            given = {**given, "Entries": [{"TraceHeader": request.trace_id, **entry} for entry in given["Entries"]]}
        result = self._operations[name](given)
        return AwsResponse(200, [_JSON], json.dumps(result, separators=(",", ":")).encode())

    def _operation(self, request: AwsRequest) -> str:
        target, _, name = (request.header("x-amz-target") or "").partition(".")
        if target == _TARGET and name in self._operations:
            return name
        known = name in service_model(SERVICE).operation_names
        fix = "every key may put events here; remove the call" if name.endswith("Permission") else "call one of them"
        shown = name if known else "this operation"
        here = ", ".join(self._operations)
        raise refused("UnknownOperationException", f"EventBridge {shown}: this local stack has {here}. Fix: {fix}")

    # ---- buses ------------------------------------------------------------------------------------------------------

    def _create_bus(self, given: Given) -> Result:
        if "EventSourceName" in given:
            raise invalid("EventSourceName: this local stack has no partner event sources. Fix: leave it out")
        tags = _tags(given.get("Tags") or [], {})
        bus = self._buses.create(given["Name"], given.get("Description"))
        bus.tags = tags
        return _without_none({"EventBusArn": bus.arn, "Description": bus.description})

    def _delete_bus(self, given: Given) -> Result:
        self._buses.delete(given["Name"])
        return {}

    def _describe_bus(self, given: Given) -> Result:
        return _described(self._buses.get(given.get("Name")))

    def _update_bus(self, given: Given) -> Result:
        bus = self._buses.get(given.get("Name"))
        bus.description = given.get("Description")
        return _without_none({"Arn": bus.arn, "Name": bus.name, "Description": bus.description})

    def _list_buses(self, given: Given) -> Result:
        prefix = given.get("NamePrefix", "")
        found = [bus for bus in self._buses if bus.name.startswith(prefix)]
        return _page("EventBuses", found, given, lambda bus: bus.name, _described)

    # ---- rules ------------------------------------------------------------------------------------------------------

    def _put_rule(self, given: Given) -> Result:
        tags = _tags(given.get("Tags") or [], {})
        rule = self._buses.put_rule(
            given["Name"],
            given.get("EventBusName"),
            pattern=given.get("EventPattern"),
            schedule=given.get("ScheduleExpression"),
            state=given.get("State", ENABLED),
            description=given.get("Description"),
            role=given.get("RoleArn"),
        )
        rule.tags = rule.tags or tags  # as on AWS, tags of a rule that exists are ignored
        return {"RuleArn": rule.arn}

    def _delete_rule(self, given: Given) -> Result:
        self._buses.delete_rule(given["Name"], given.get("EventBusName"))
        return {}

    def _describe_rule(self, given: Given) -> Result:
        return _rule(self._buses.rule(given["Name"], given.get("EventBusName")))

    def _enable_rule(self, given: Given) -> Result:
        self._buses.set_state(self._buses.rule(given["Name"], given.get("EventBusName")), ENABLED)
        return {}

    def _disable_rule(self, given: Given) -> Result:
        self._buses.set_state(self._buses.rule(given["Name"], given.get("EventBusName")), DISABLED)
        return {}

    def _list_rules(self, given: Given) -> Result:
        rules, prefix = self._buses.get(given.get("EventBusName")).rules, given.get("NamePrefix", "")
        found = [rules[name] for name in sorted(rules) if name.startswith(prefix)]
        return _page("Rules", found, given, lambda rule: rule.name, _rule)

    def _list_rule_names(self, given: Given) -> Result:
        rules, arn = self._buses.get(given.get("EventBusName")).rules, given["TargetArn"]
        found = [name for name in sorted(rules) if any(one.arn == arn for one in rules[name].targets.values())]
        return _page("RuleNames", found, given, str, str)

    # ---- targets ----------------------------------------------------------------------------------------------------

    def _put_targets(self, given: Given) -> Result:
        rule = self._buses.rule(given["Rule"], given.get("EventBusName"))
        try:
            targets = [read_target(target) for target in given["Targets"]]
        except BadTarget as error:
            raise invalid(str(error)) from error
        self._buses.put_targets(rule, targets)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _remove_targets(self, given: Given) -> Result:
        rule = self._buses.rule(given["Rule"], given.get("EventBusName"))
        failed = [
            {
                "TargetId": name,
                "ErrorCode": "ResourceNotFoundException",
                "ErrorMessage": f"Rule {rule.name} does not have a target with the Id {name}.",
            }
            for name in given["Ids"]
            if rule.targets.pop(name, None) is None
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    def _list_targets(self, given: Given) -> Result:
        targets = self._buses.rule(given["Rule"], given.get("EventBusName")).targets
        found = [targets[name] for name in sorted(targets)]
        return _page("Targets", found, given, lambda target: target.id, _target)

    # ---- events -----------------------------------------------------------------------------------------------------

    def _put_events(self, given: Given) -> Result:
        entries = [_entry(entry) for entry in given["Entries"]]
        if sum(entry.size for entry in entries) > _MOST_BYTES:
            raise invalid(_TOO_LARGE)
        results: list[Result] = []
        for entry in entries:
            try:
                results.append({"EventId": self._buses.put(entry)})
            except EntryRefused as error:
                results.append({"ErrorCode": error.code, "ErrorMessage": str(error)})
        return {"FailedEntryCount": sum("ErrorCode" in one for one in results), "Entries": results}

    def _test_pattern(self, given: Given) -> Result:
        try:
            pattern = EventPattern(parse_pattern(given["EventPattern"]))
        except BadPattern as error:
            raise bad_pattern(error) from error
        try:
            event = json.loads(given["Event"])
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise invalid("Parameter Event is not valid. Reason: it is not a JSON object.")
        if absent := [name for name in _REQUIRED if name not in event]:
            raise invalid(f"Parameter Event is not valid. Reason: it has no {', '.join(absent)}.")
        return {"Result": pattern.matches(event)}

    # ---- tags -------------------------------------------------------------------------------------------------------

    def _tag(self, given: Given) -> Result:
        owner = self._tagged(given)
        owner.tags = _tags(given["Tags"], owner.tags)
        return {}

    def _untag(self, given: Given) -> Result:
        owner = self._tagged(given)
        for key in given["TagKeys"]:
            owner.tags.pop(key, None)
        return {}

    def _list_tags(self, given: Given) -> Result:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tagged(given).tags.items()]}

    def _tagged(self, given: Given) -> Bus | Rule:
        """The bus or the rule with an ARN: `…:event-bus/BUS`, `…:rule/RULE` or `…:rule/BUS/RULE`."""
        kind, *names = given["ResourceARN"].rpartition(":")[2].split("/")
        if kind == "rule" and 1 <= len(names) <= 2:
            return self._buses.rule(names[-1], names[0] if len(names) == 2 else None)
        if kind == "event-bus" and names:
            return self._buses.get(given["ResourceARN"])
        raise invalid("Parameter ResourceARN is not valid. Reason: it is not the ARN of a bus or a rule.")


# ---- requests -------------------------------------------------------------------------------------------------------


def _entry(given: Given) -> Entry:
    return Entry(
        given.get("Source"),
        given.get("DetailType"),
        given.get("Detail"),
        given.get("EventBusName"),
        _seconds(given.get("Time")),
        tuple(given.get("Resources") or ()),
        given.get("TraceHeader"),
    )


def _seconds(time: float | str | None) -> float | None:
    """A timestamp: seconds since the epoch, as SDKs send it, or ISO 8601."""
    if time is None or not isinstance(time, str):
        return time
    try:
        found = datetime.fromisoformat(time)
    except ValueError:
        raise AwsError(400, "SerializationException", "entries.time has another type than in the API.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _tags(given: Sequence[Given], before: Mapping[str, str]) -> dict[str, str]:
    found = {**before, **{tag["Key"]: tag["Value"] for tag in given}}
    if len(found) > _MOST_TAGS:
        raise invalid(f"Too many tags: {_MOST_TAGS} at most.")
    return found


# ---- responses ------------------------------------------------------------------------------------------------------


def _page(
    member: str, found: Iterable[_T], given: Given, name_of: Callable[[_T], str], written: Callable[[_T], Any]
) -> Result:
    """A page, by name. The token is the last name of the page before."""
    size, after = given.get("Limit", _PAGE), given.get("NextToken", "")
    rest = [one for one in found if name_of(one) > after]
    token = {"NextToken": name_of(rest[size - 1])} if len(rest) > size else {}
    return {member: [written(one) for one in rest[:size]], **token}


def _described(bus: Bus) -> Result:
    found = {
        "Name": bus.name,
        "Arn": bus.arn,
        "Description": bus.description,
        "CreationTime": bus.created,
        "LastModifiedTime": bus.modified,
    }
    return _without_none(found)


def _rule(rule: Rule) -> Result:
    found = {
        "Name": rule.name,
        "Arn": rule.arn,
        "EventPattern": rule.pattern_text,
        "ScheduleExpression": rule.schedule_text,
        "State": rule.state,
        "Description": rule.description,
        "RoleArn": rule.role,
        "EventBusName": rule.bus,
    }
    return _without_none(found)


def _target(target: Target) -> Result:
    return target.given


def _without_none(found: Result) -> Result:
    return {name: value for name, value in found.items() if value is not None}
