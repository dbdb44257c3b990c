"""Reads the tables of a resolved template.

Rule: properties mean what the CloudFormation references of AWS::DynamoDB::Table and GlobalTable, and SAM's of
SimpleTable, say. A value that AWS refuses is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.local.plan.model import LeftOut
from lattice_bridge.local.plan.readers.queues import known_properties
from lattice_bridge.local.plan.tables import Table

SIMPLE: Final = "AWS::Serverless::SimpleTable"
TYPES: Final = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable", SIMPLE)

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_KINDS: Final = ("HASH", "RANGE")
_VIEW_TYPES: Final = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
_PROJECTIONS: Final = ("ALL", "KEYS_ONLY", "INCLUDE")
_ATTRIBUTE_TYPES: Final[Mapping[str, str]] = {"String": "S", "Number": "N", "Binary": "B"}
"""SAM's types of a primary key → DynamoDB's."""
_SERVED: Final = (
    *("AttributeDefinitions", "GlobalSecondaryIndexes", "KeySchema", "LocalSecondaryIndexes", "PrimaryKey"),
    *("StreamSpecification", "TableName", "Tags", "TimeToLiveSpecification"),
)
_WITHOUT_EFFECT: Final = (
    *("BillingMode", "ContributorInsightsSpecification", "DeletionProtectionEnabled", "OnDemandThroughput"),
    *("PointInTimeRecoverySpecification", "ProvisionedThroughput", "TableClass", "WarmThroughput"),
    *("WriteOnDemandThroughputSettings", "WriteProvisionedThroughputSettings"),
)
"""Properties of cost, capacity and safety. They change nothing that a function sees here, so they are not listed."""


def read_tables(template: Template, left_out: LeftOut) -> Iterator[Table]:
    """Reads the tables in the order of the template.

    Args:
        template: resolved.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    found: dict[str, str] = {}
    for resource in (one for one in template.resources.values() if one.type in TYPES):
        what = "name" if unresolved(resource.arn) else "key" if _has_unknown_key(resource.properties) else ""
        if what:
            left_out.add(f"{resource.type}: its {what} is not known here, so it is not served", resource.id)
            continue
        with malformed(f"table {resource.id}"):
            table = _table(resource, left_out)
        if table.name in found:
            raise BadTemplate(
                f"table {resource.id}: the table {found[table.name]} has the name {table.name} too. Fix: rename one"
            )
        found[table.name] = resource.id
        yield table


def _has_unknown_key(properties: Mapping[str, Any]) -> bool:
    return any(unresolved(properties.get(name)) for name in ("AttributeDefinitions", "KeySchema", "PrimaryKey"))


def _table(resource: Resource, left_out: LeftOut) -> Table:
    properties = known_properties(resource, ("TableName",), left_out)
    name = resource.arn.rpartition("/")[2]
    if "TableName" in properties and not _NAME.fullmatch(name):  # AWS makes the name of a table that has none
        what = f"{resource.id}.TableName: {name[:255]!r} is not a table's name"
        raise BadTemplate(f"{what}. Fix: write 3 to 255 letters, digits, _, - and .")
    if properties.get("SSESpecification"):
        left_out.add("items are not encrypted", resource.id)
    if len(properties.get("Replicas", ())) > 1:
        left_out.add("the table has one replica, in the stack's region", resource.id)
    for other in sorted(set(properties) - {*_SERVED, *_WITHOUT_EFFECT, "SSESpecification", "Replicas"}):
        left_out.add(f"property {other} has no effect", resource.id)
    definition = _simple(resource, properties) if resource.type == SIMPLE else _definition(resource, properties)
    return Table(
        resource.id,
        name,
        resource.arn,
        resource.attributes["StreamArn"],
        {"TableName": name, "BillingMode": "PAY_PER_REQUEST", **definition},
        _view_type(resource.id, properties.get("StreamSpecification")),
        _expires_by(resource.id, properties.get("TimeToLiveSpecification")),
    )


def _simple(resource: Resource, properties: Mapping[str, Any]) -> dict[str, Any]:
    key = properties.get("PrimaryKey") or {"Name": "id", "Type": "String"}
    kind = as_text(key["Type"])
    if kind not in _ATTRIBUTE_TYPES:
        place = f"{resource.id}.PrimaryKey.Type"
        raise BadTemplate(f"{place}: {kind[:40]!r} is unknown. Fix: write {' or '.join(_ATTRIBUTE_TYPES)}")
    name = as_text(key.get("Name", "id"))
    return {
        "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": _ATTRIBUTE_TYPES[kind]}],
    }


def _definition(resource: Resource, properties: Mapping[str, Any]) -> dict[str, Any]:
    types: dict[str, str] = {}
    for each in properties.get("AttributeDefinitions", ()):
        name, kind = as_text(each["AttributeName"]), as_text(each["AttributeType"])
        if kind not in _ATTRIBUTE_TYPES.values():
            place = f"{resource.id}.AttributeDefinitions.{name}"
            raise BadTemplate(f"{place}: {kind[:40]!r} is unknown. Fix: write S, N or B")
        types[name] = kind
    found: dict[str, Any] = {"KeySchema": _schema(f"{resource.id}.KeySchema", properties.get("KeySchema"), types)}
    used = {each["AttributeName"] for each in found["KeySchema"]}
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        indexes = [_index(f"{resource.id}.{member}", each, types) for each in properties.get(member) or ()]
        used |= {key["AttributeName"] for each in indexes for key in each["KeySchema"]}
        if indexes:
            found[member] = indexes
    if unused := sorted(set(types) - used):
        what = f"{resource.id}.AttributeDefinitions: no key has {unused[0]!r}"
        raise BadTemplate(f"{what}. Fix: remove it; other attributes are not defined")
    found["AttributeDefinitions"] = [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()]
    return found


def _schema(place: str, value: Any, types: Mapping[str, str]) -> list[dict[str, str]]:
    keys: Sequence[Mapping[str, Any]] = value or ()
    found = [{"AttributeName": as_text(each["AttributeName"]), "KeyType": as_text(each["KeyType"])} for each in keys]
    found.sort(key=lambda each: each["KeyType"])
    if [each["KeyType"] for each in found] not in (["HASH"], ["HASH", "RANGE"]):
        raise BadTemplate(f"{place}: not a key. Fix: write one attribute of KeyType HASH, and RANGE for a second one")
    for each in found:
        if each["AttributeName"] not in types:
            fix = f"add {each['AttributeName']} to AttributeDefinitions"
            raise BadTemplate(f"{place}: {each['AttributeName'][:255]!r} has no type. Fix: {fix}")
    return found


def _index(place: str, value: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    name = as_text(value["IndexName"])
    projection = value["Projection"]
    kind = as_text(projection.get("ProjectionType", ""))
    if kind not in _PROJECTIONS:
        what = f"{place}.{name}.Projection.ProjectionType: {kind[:40]!r} is unknown"
        raise BadTemplate(f"{what}. Fix: write {', '.join(_PROJECTIONS)}")
    others = [as_text(each) for each in projection.get("NonKeyAttributes", ())]
    return {
        "IndexName": name,
        "KeySchema": _schema(f"{place}.{name}.KeySchema", value["KeySchema"], types),
        "Projection": {"ProjectionType": kind, **({"NonKeyAttributes": others} if others else {})},
    }


def _view_type(place: str, value: Any) -> str:
    if value is None:
        return ""
    kind = as_text(value.get("StreamViewType", ""))
    if kind not in _VIEW_TYPES:
        what = f"{place}.StreamSpecification.StreamViewType: {kind[:40]!r} is unknown"
        raise BadTemplate(f"{what}. Fix: write {', '.join(_VIEW_TYPES)}")
    return kind


def _expires_by(place: str, value: Any) -> str:
    if value is None or as_text(value.get("Enabled")) != "true":
        return ""
    name = as_text(value.get("AttributeName") or "")
    if not name:
        raise BadTemplate(f"{place}.TimeToLiveSpecification: no AttributeName. Fix: name the attribute with the time")
    return name
