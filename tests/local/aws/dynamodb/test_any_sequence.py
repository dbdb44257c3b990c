"""Any sequence of writes, compared with a dict: the records of the stream, replayed, give the same table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError
from lattice_bridge.local.aws.dynamodb.values import image
from tests.support.examples import examples
from tests.support.virtual_tables import ORDERS, VirtualTables

NAMES = st.sampled_from("abc")
VALUES = st.one_of(
    st.integers(-3, 3).map(lambda number: {"N": str(number)}),
    st.sampled_from(["", "x", "é"]).map(lambda text: {"S": text}),
    st.sets(st.sampled_from([b"", b"\0", b"\xff"]), min_size=1).map(lambda values: {"BS": sorted(values)}),
    st.sampled_from("xy").map(lambda text: {"M": {"x": {"S": text}}}),
    st.lists(st.booleans(), max_size=2).map(lambda values: {"L": [{"BOOL": value} for value in values]}),
)
Item = dict[str, Any]
Model = dict[str, Item]


@st.composite
def puts(draw: st.DrawFn) -> tuple[str, Item]:
    name = draw(NAMES)
    return name, {"id": {"S": name}, **draw(st.dictionaries(st.sampled_from("nv"), VALUES))}


ADDED = st.integers(-2, 2).map(str)
WRITES = st.one_of(
    st.tuples(st.just("put"), puts()),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("set"), st.tuples(NAMES, VALUES)),
    st.tuples(st.just("add"), st.tuples(NAMES, ADDED)),
    st.tuples(st.just("copy"), NAMES),
    st.tuples(st.just("inside"), NAMES),
    st.tuples(st.just("batch"), st.lists(puts(), min_size=1, max_size=3, unique_by=lambda pair: pair[0])),
    st.tuples(st.just("transact"), st.tuples(puts(), NAMES, st.booleans())),
)


def written(made: VirtualTables, kind: str, what: Any) -> None:
    """Does a write. One that is refused changes nothing."""
    if kind == "put":
        made.call("PutItem", Item=what[1])
    elif kind == "delete":
        made.delete(what)
    elif kind == "set":
        made.update(what[0], "SET v = :v", v=what[1])
    elif kind == "add":
        made.update(what[0], "ADD n :n SET w = :n", n={"N": what[1]})
    elif kind == "copy":
        made.update(what, "SET w = v")
    elif kind == "inside":
        made.update(what, "SET w.x = :v", v={"S": "changed"})
    elif kind == "batch":
        made.call("BatchWriteItem", RequestItems={ORDERS: [{"PutRequest": {"Item": item}} for _, item in what]})
    else:
        (_, item), checked, exists = what
        condition = f"attribute_{'exists' if exists else 'not_exists'}(id)"
        check = {"TableName": ORDERS, "Key": {"id": {"S": checked}}, "ConditionExpression": condition}
        parts = [{"Put": {"TableName": ORDERS, "Item": item}}, {"ConditionCheck": check}]
        made.call("TransactWriteItems", TransactItems=parts)


def modelled(model: Model, kind: str, what: Any) -> Model | None:
    """The table after a write; None if it is refused."""
    if kind == "put":
        return {**model, what[0]: what[1]}
    if kind == "delete":
        return {name: item for name, item in model.items() if name != what}
    if kind == "set":
        return {**model, what[0]: {"id": {"S": what[0]}, **model.get(what[0], {}), "v": what[1]}}
    if kind == "add":
        item = {"id": {"S": what[0]}, **model.get(what[0], {})}
        if "n" in item and "N" not in item["n"]:
            return None
        total = int(item.get("n", {"N": "0"})["N"]) + int(what[1])
        return {**model, what[0]: {**item, "n": {"N": str(total)}, "w": {"N": what[1]}}}
    if kind in ("copy", "inside"):
        item, name = model.get(what, {}), "v" if kind == "copy" else "w"
        if name not in item:
            return None
        if kind == "inside" and "M" not in item["w"]:
            return model  # DynamoDB refuses it, and moto does nothing
        changed = item["v"] if kind == "copy" else {"M": {**item["w"]["M"], "x": {"S": "changed"}}}
        return {**model, what: {**item, "w": changed}}
    if kind == "batch":
        return {**model, **dict(what)}
    (name, item), checked, exists = what
    return {**model, name: item} if name != checked and (checked in model) == exists else None


def replayed(records: list[Mapping[str, Any]]) -> Model:
    """The table that the records of a stream describe, each after the one before it."""
    found: Model = {}
    for record in records:
        change = record["dynamodb"]
        name = change["Keys"]["id"]["S"]
        assert found.get(name) == change.get("OldImage")
        assert change.get("OldImage") != change.get("NewImage")
        kind = "INSERT" if "OldImage" not in change else "MODIFY" if "NewImage" in change else "REMOVE"
        assert record["eventName"] == kind
        found.pop(name, None)
        if "NewImage" in change:
            found[name] = change["NewImage"]
    return found


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(WRITES, max_size=12))
def test_records_replayed_give_the_table(writes: list[tuple[str, Any]]) -> None:
    made, model = VirtualTables(), Model()
    for kind, what in writes:
        after, count = modelled(model, kind, what), len(made.records())
        try:
            written(made, kind, what)
        except DynamoDbError:
            assert after is None
        else:
            assert after is not None
            model = after
        changed = made.records()[count:]
        assert len({one["dynamodb"]["Keys"]["id"]["S"] for one in changed}) == len(changed)
    images = {name: image(item) for name, item in model.items()}
    assert replayed(made.records()) == images
    assert {item["id"]["S"]: image(item) for item in _plain(made)} == images
    sequence = [record.number for record in made.stream.after(0, 10_000)]
    assert sequence == sorted(set(sequence))


def _plain(made: VirtualTables) -> list[Mapping[str, Any]]:
    """The items as a reader gets them. moto's values are in them, which know their own JSON."""
    return [made.item(name) or {} for name in "abc" if made.item(name) is not None]
