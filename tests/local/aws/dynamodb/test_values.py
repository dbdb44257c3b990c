"""Attribute values: what DynamoDB accepts, the one form of a value, and its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.session import Session

from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError
from lattice_bridge.local.aws.dynamodb.values import image, parse, size_of, written

if TYPE_CHECKING:
    from botocore.model import Shape

VALUE: Final[Shape] = Session().get_service_model("dynamodb").shape_for("AttributeValue")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("-0", "0"),
        ("+7", "7"),
        ("007.250", "7.25"),
        (".5", "0.5"),
        ("1E2", "100"),
        ("-12e-1", "-1.2"),
        ("9" * 38, "9" * 38),
        ("9" * 38 + "000", "9" * 38 + "000"),
        ("1E-130", "0." + "0" * 129 + "1"),
    ],
)
def test_number_has_the_digits_that_dynamodb_gives_back(text: str, stored: str) -> None:
    assert parse({"N": text}, VALUE) == {"N": stored}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "Supplied AttributeValue is empty"),
        ({"S": "a", "N": "1"}, "has more than one datatypes set"),
        ({"X": "a"}, "type X has another content"),
        ({"S": 1}, "type S has another content"),
        ({"S": ["a"]}, "type S has another content"),
        ({"M": []}, "type M has another content"),
        ({"L": "a"}, "type L has another content"),
        ({"BOOL": "true"}, "type BOOL has another content"),
        ({"NULL": False}, "must have the value of true"),
        ({"N": "one"}, "cannot be converted to a numeric value: one"),
        ({"N": "NaN"}, "cannot be converted"),
        ({"N": "Infinity"}, "cannot be converted"),
        ({"N": " 1"}, "cannot be converted"),
        ({"N": "1_000"}, "cannot be converted"),
        ({"N": "\uff11"}, "cannot be converted"),
        ({"N": "9" * 5000}, "cannot be converted"),
        ({"N": "9" * 39}, "more than 38 significant digits"),
        ({"N": "1E126"}, "Number overflow"),
        ({"N": "1E-131"}, "Number underflow"),
        ({"B": "AA=A"}, "not base64"),
        ({"B": "é"}, "not base64"),
        ({"SS": []}, "may not be empty"),
        ({"NS": ["1", "1.0"]}, "contains duplicates"),
        ({"M": {"a": {"L": [{"N": "x"}]}}}, "cannot be converted"),
        ("a", "Unexpected value type"),
    ],
)
def test_value_that_dynamodb_refuses_is_refused_with_its_reason(value: Any, message: str) -> None:
    with pytest.raises(DynamoDbError, match=message):
        parse(value, VALUE)


def test_value_may_have_32_levels() -> None:
    value: dict[str, Any] = {"S": "a"}
    for _ in range(31):
        value = {"L": [value]}
    assert parse(value, VALUE) == value
    with pytest.raises(DynamoDbError, match="Nesting Levels"):
        parse({"M": {"a": value}}, VALUE)


def test_binary_values_are_bytes_inside_and_base64_outside() -> None:
    value = {"M": {"a": {"B": "AAEC"}, "b": {"BS": ["AA==", "AQ=="]}, "c": {"L": [{"B": ""}]}}}
    inside = parse(value, VALUE)
    assert inside == {"M": {"a": {"B": b"\0\1\2"}, "b": {"BS": [b"\0", b"\1"]}, "c": {"L": [{"B": b""}]}}}
    assert written(inside, VALUE) == value


def test_number_of_an_update_is_written_as_dynamodb_does() -> None:
    """1.5 + 0.5 is 2.0 in moto."""
    assert written({"L": [{"N": "2.0"}, {"NS": ["1E+1"]}]}, VALUE) == {"L": [{"N": "2"}, {"NS": ["10"]}]}


def test_images_of_equal_items_are_equal() -> None:
    """The values of a set have no order, and numbers are compared by their value."""
    one = {
        "a": {"NS": ["10", "9"]},
        "b": {"SS": ["x", "y"]},
        "c": {"M": {"d": {"BS": [b"1", b"0"]}}},
        "n": {"N": "1.50"},
    }
    two = {
        "n": {"N": "1.5"},
        "a": {"NS": ["9", "10.0"]},
        "c": {"M": {"d": {"BS": [b"0", b"1"]}}},
        "b": {"SS": ["y", "x"]},
    }
    assert image(one) == image(two)
    assert image(one)["a"] == {"NS": ["9", "10"]}


@pytest.mark.parametrize(
    ("images", "size"),
    [
        ([{"Id": {"N": "101"}}, {"Message": {"S": "New item!"}, "Id": {"N": "101"}}], 26),
        (
            [
                {"Id": {"N": "101"}},
                {"Message": {"S": "This item has changed"}, "Id": {"N": "101"}},
                {"Message": {"S": "New item!"}, "Id": {"N": "101"}},
            ],
            59,
        ),
        ([{"Id": {"N": "101"}}, {"Message": {"S": "This item has changed"}, "Id": {"N": "101"}}], 38),
    ],
    ids=["INSERT", "MODIFY", "REMOVE"],
)
def test_size_is_that_of_the_records_in_aws_s_documents(images: list[dict[str, Any]], size: int) -> None:
    """The example event of "Using AWS Lambda with Amazon DynamoDB"."""
    assert sum(map(size_of, images)) == size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "é"}, 2),
        ({"N": "0"}, 2),
        ({"N": "-12"}, 3),
        ({"N": "1200"}, 2),
        ({"N": "0.012"}, 2),
        ({"B": "AAEC"}, 3),
        ({"B": "AA=="}, 1),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["ab", "c"]}, 3),
        ({"BS": ["AA==", "AAE="]}, 3),
        ({"NS": ["1", "123"]}, 5),
        ({"L": [{"S": "a"}, {"BOOL": True}]}, 7),
        ({"M": {"ab": {"S": "c"}}}, 7),
    ],
)
def test_size_of_each_type(value: dict[str, Any], size: int) -> None:
    assert size_of({"x": value}) == 1 + size
