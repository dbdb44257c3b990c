from __future__ import annotations

from dataclasses import replace

import pytest

from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing, check, md5_of_attributes

MIB = 1024 * 1024


def fault(outgoing: Outgoing, *, is_fifo: bool = False) -> str:
    with pytest.raises(SqsError) as found:
        check(outgoing, is_fifo=is_fifo, limit=MIB)
    return f"{found.value.name}: {found.value}"


@pytest.mark.parametrize("body", ["\x00", "a\x1b[2J", "\x0b", "\ufffe", "\uffff", "\ud800"])
def test_body_with_a_character_outside_of_xml_is_refused(body: str) -> None:
    assert fault(Outgoing(body)).startswith("InvalidMessageContents: Invalid characters found")


@pytest.mark.parametrize("body", ["\t\r\n", "\x7f\x85", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", " "])
def test_every_other_character_is_accepted(body: str) -> None:
    check(Outgoing(body), is_fifo=False, limit=MIB)


def test_empty_body_is_missing() -> None:
    """Recorded on AWS."""
    assert fault(Outgoing("")) == (
        "MissingRequiredParameterException: The request must contain the parameter MessageBody."
    )


def test_size_counts_body_names_types_and_values_in_bytes() -> None:
    attributes = {"né": Attribute("String", "é")}
    with pytest.raises(SqsError):
        check(Outgoing("a", attributes), is_fifo=False, limit=MIB)  # é is no letter of a name
    outgoing = Outgoing("é", {"nn": Attribute("String", "éé"), "b": Attribute("Binary", b"123")})
    assert check(outgoing, is_fifo=False, limit=MIB) == 2 + (2 + 6 + 4) + (1 + 6 + 3)


def test_message_of_a_mebibyte_is_the_longest() -> None:
    check(Outgoing("a" * (MIB - 8), {"n": Attribute("String", "x")}), is_fifo=False, limit=MIB)
    assert "Message must be shorter than 1048576 bytes." in fault(
        Outgoing("a" * (MIB - 7), {"n": Attribute("String", "x")})
    )


@pytest.mark.parametrize("value", ["", "a b", "a" * 129, "gé", "a\n", "\x00"])
@pytest.mark.parametrize("parameter", ["group", "deduplication_id"])
def test_group_and_deduplication_id_have_a_grammar(parameter: str, value: str) -> None:
    """Recorded on AWS: a group has no space, in a standard queue too."""
    outgoing = replace(Outgoing("a", group="g"), **{parameter: value})  # type: ignore[arg-type] # both are strings
    assert "can only include alphanumeric and punctuation characters. 1 to 128 in length." in fault(
        outgoing, is_fifo=True
    )


def test_what_the_other_type_of_queue_has_is_refused() -> None:
    """Recorded on AWS."""
    refused = "The request include parameter that is not valid for this queue type."
    assert fault(Outgoing("a", group="g", delay=2), is_fifo=True).endswith(refused)
    assert fault(Outgoing("a", deduplication_id="1")).endswith(refused)
    assert "must contain the parameter MessageGroupId" in fault(Outgoing("a"), is_fifo=True)


@pytest.mark.parametrize("delay", [-1, 901])
def test_delay_is_fifteen_minutes_at_most(delay: int) -> None:
    assert "DelaySeconds must be >= 0 and <= 900" in fault(Outgoing("a", delay=delay))


@pytest.mark.parametrize(
    ("name", "attribute", "text"),
    [
        ("", Attribute("String", "x"), "has an invalid name"),
        (".a", Attribute("String", "x"), "has an invalid name"),
        ("a..b", Attribute("String", "x"), "has an invalid name"),
        ("a.", Attribute("String", "x"), "has an invalid name"),
        ("a\n", Attribute("String", "x"), "has an invalid name"),
        ("AWS.a", Attribute("String", "x"), "has an invalid name"),
        ("Amazon.a", Attribute("String", "x"), "has an invalid name"),
        ("a" * 257, Attribute("String", "x"), "has an invalid name"),
        ("a", Attribute("Text", "x"), "the set of supported type prefixes is Binary, Number, and String"),
        ("a", Attribute("String." + "x" * 250, "x"), "the set of supported type prefixes"),
        ("a", Attribute("String", ""), "must contain a non-empty value of type 'String'"),  # recorded on AWS
        ("a", Attribute("Binary", b""), "must contain a non-empty value of type 'Binary'"),
        ("a", Attribute("Binary", "x"), "must contain a non-empty value of type 'Binary'"),
        ("a", Attribute("String", b"x"), "must contain a non-empty value of type 'String'"),
        ("a", Attribute("String", "\x00"), "contains a character"),
        ("a", Attribute("Number", "x"), "Can't cast the value"),
        ("a", Attribute("Number", "NaN"), "Can't cast the value"),
        ("a", Attribute("Number.int", "1_000"), "Can't cast the value"),
    ],
)
def test_attribute_that_aws_refuses_is_refused(name: str, attribute: Attribute, text: str) -> None:
    assert text in fault(Outgoing("a", {name: attribute}))


def test_more_than_ten_attributes_are_refused() -> None:
    attributes = {f"a{number}": Attribute("String", "x") for number in range(11)}
    assert "[11] exceeds the allowed maximum [10]" in fault(Outgoing("a", attributes))


@pytest.mark.parametrize("value", ["0", "-1.50", "+3", "1e10", ".5", "9" * 38])
def test_number_is_accepted(value: str) -> None:
    check(Outgoing("a", {"n": Attribute("Number", value)}), is_fifo=False, limit=MIB)


@pytest.mark.parametrize(
    ("attributes", "md5"),
    [
        ({"Hello": "There", "General": "Kenobi"}, "fca026605781cb4126a1e9044df24232"),
        ({"MyAttribute": "foobar"}, "adb59cd4678ea5a855436b949cd07ab6"),
        (
            {"attr1": b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"},
            "8cbe4db156db8a94db8b801b7addb984",
        ),
    ],
)
def test_checksum_is_the_one_recorded_on_aws(attributes: dict[str, str | bytes], md5: str) -> None:
    found = {
        name: Attribute("Binary" if isinstance(value, bytes) else "String", value) for name, value in attributes.items()
    }
    assert md5_of_attributes(found) == md5


def test_error_writes_no_control_character_to_a_terminal() -> None:
    found = [
        fault(Outgoing("a", group="\x1b[2J\u202e")),
        fault(Outgoing("a", {"\x1b[2J": Attribute("String", "x")})),
        fault(Outgoing("a", {"a": Attribute("\x1b[2J", "x")})),
    ]
    assert all(text.isprintable() for text in found)
    assert r"Value \x1b[2J\u202e for parameter MessageGroupId" in found[0]
