"""The tables of a template: keys, indexes, streams, time to live, and what AWS refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.tables import Table
from tests.local.plan.readers.test_queues import planned

HERE = "arn:aws:dynamodb:eu-west-1:123456789012:table"
ID = "AttributeDefinitions: [{AttributeName: id, AttributeType: S}], KeySchema: [{AttributeName: id, KeyType: HASH}]"
ORDERS = """
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: orders
      AttributeDefinitions:
        - {AttributeName: at, AttributeType: N}
        - {AttributeName: tenant, AttributeType: S}
        - {AttributeName: state, AttributeType: S}
      KeySchema:
        - {AttributeName: at, KeyType: RANGE}
        - {AttributeName: tenant, KeyType: HASH}
      GlobalSecondaryIndexes:
        - IndexName: by-state
          KeySchema: [{AttributeName: state, KeyType: HASH}]
          Projection: {ProjectionType: INCLUDE, NonKeyAttributes: [total]}
          ProvisionedThroughput: {ReadCapacityUnits: "5", WriteCapacityUnits: "5"}
      ProvisionedThroughput: {ReadCapacityUnits: "5", WriteCapacityUnits: "5"}
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
      TimeToLiveSpecification: {AttributeName: ends, Enabled: "true"}
"""


def table(properties: str, kind: str = "AWS::DynamoDB::Table") -> str:
    return f"\n  T: {{Type: {kind}, Properties: {{{properties}}}}}\n"


def only(folder: Path, resources: str, ids: dict[str, str] | None = None) -> Table:
    (found,) = planned(folder, resources, ids).tables
    return found


def test_table_has_what_the_template_says(tmp_path: Path) -> None:
    orders = only(tmp_path, ORDERS)
    assert (orders.id, orders.name, orders.arn) == ("Orders", "orders", f"{HERE}/orders")
    assert orders.keys == (("tenant", "S"), ("at", "N"))
    assert (orders.view_type, orders.expires_by) == ("NEW_AND_OLD_IMAGES", "ends")
    assert orders.definition["GlobalSecondaryIndexes"] == [
        {
            "IndexName": "by-state",
            "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]},
        }
    ]


def test_stream_has_the_arn_that_a_mapping_gets(tmp_path: Path) -> None:
    """`!GetAtt X.StreamArn` is the same at each start."""
    variables = "{STREAM: !GetAtt Orders.StreamArn, NAME: !Ref Orders}"
    function = f"Code: {{ZipFile: ''}}, Handler: index.h, Runtime: python3.13, Environment: {{Variables: {variables}}}"
    plan = planned(tmp_path, f"{ORDERS}\n  Fn: {{Type: AWS::Lambda::Function, Properties: {{{function}}}}}\n")
    environment = plan.functions["Fn"].environment
    assert (environment["STREAM"], environment["NAME"]) == (plan.tables[0].stream_arn, "orders")
    assert plan.tables[0].stream_arn.startswith(f"{HERE}/orders/stream/20")


def test_table_with_a_deployed_arn_has_its_account_region_and_name(tmp_path: Path) -> None:
    """bridge.toml then names the same table here and in the deployed stack."""
    arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/prod-orders"
    orders = only(tmp_path, ORDERS, {"Orders": arn})
    assert (orders.name, orders.arn, orders.stream_arn.partition("/stream/")[0]) == ("prod-orders", arn, arn)


@pytest.mark.parametrize("key", ["", "PrimaryKey: {Name: pk, Type: Number}"])
def test_simple_table_of_sam_has_one_key(tmp_path: Path, key: str) -> None:
    found = only(tmp_path, table(key, "AWS::Serverless::SimpleTable"))
    assert (found.name, found.keys) == ("T", (("pk", "N"),) if key else (("id", "S"),))


def test_global_table_is_one_replica_in_the_region_of_the_stack(tmp_path: Path) -> None:
    replicas = "Replicas: [{Region: eu-west-1}, {Region: us-east-1}], BillingMode: PAY_PER_REQUEST"
    plan = planned(tmp_path, table(f"{ID}, {replicas}", "AWS::DynamoDB::GlobalTable"))
    assert plan.tables[0].arn == f"{HERE}/T"
    assert plan.left_out == ("the table has one replica, in the stack's region (T)",)


def test_property_without_effect_is_named(tmp_path: Path) -> None:
    plan = planned(tmp_path, table(f"{ID}, SSESpecification: {{SSEEnabled: true}}, KinesisStreamSpecification: {{}}"))
    assert plan.left_out == (
        "items are not encrypted (T)",
        "property KinesisStreamSpecification has no effect (T)",
    )


def test_table_whose_key_only_a_deployed_stack_knows_is_named(tmp_path: Path) -> None:
    key = "KeySchema: [{AttributeName: !ImportValue key, KeyType: HASH}], AttributeDefinitions: []"
    plan = planned(tmp_path, ORDERS + table(key))
    assert len(plan.tables) == 1
    assert "AWS::DynamoDB::Table: its key is not known here, so it is not served (T)" in plan.left_out


def test_table_that_is_switched_off_expires_nothing(tmp_path: Path) -> None:
    ttl = "TimeToLiveSpecification: {AttributeName: ends, Enabled: false}"
    assert only(tmp_path, table(f"{ID}, {ttl}")).expires_by == ""


KEY = "KeySchema: [{AttributeName: id, KeyType: HASH}]"


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        (f"TableName: ab, {ID}", "T.TableName: 'ab' is not a table's name"),
        ("TableName: orders", "T.KeySchema: not a key"),
        (f"{KEY}, AttributeDefinitions: [{{AttributeName: id, AttributeType: X}}]", "id: 'X' is unknown. Fix: write S"),
        (KEY, "T.KeySchema: 'id' has no type. Fix: add id to AttributeDefinitions"),
        (
            f"{KEY}, AttributeDefinitions: [{{AttributeName: id, AttributeType: S}}, "
            "{AttributeName: total, AttributeType: N}]",
            "T.AttributeDefinitions: no key has 'total'",
        ),
        (
            f"{ID}, StreamSpecification: {{StreamViewType: ALL}}",
            "StreamViewType: 'ALL' is unknown. Fix: write KEYS_ONLY",
        ),
        (f"{ID}, StreamSpecification: {{}}", "StreamViewType: '' is unknown"),
        (f"{ID}, TimeToLiveSpecification: {{Enabled: true}}", "no AttributeName. Fix: name the attribute"),
        (f"{ID}, KeySchema: 3", "malformed"),
        (f"{ID}, GlobalSecondaryIndexes: [{{IndexName: i}}]", "malformed"),
        (
            f"{ID}, GlobalSecondaryIndexes: [{{IndexName: i, KeySchema: [{{AttributeName: id, KeyType: HASH}}], "
            "Projection: {ProjectionType: SOME}}]",
            "T.GlobalSecondaryIndexes.i.Projection.ProjectionType: 'SOME' is unknown",
        ),
    ],
)
def test_table_that_aws_refuses_is_an_error(tmp_path: Path, properties: str, message: str) -> None:
    with pytest.raises(BadTemplate) as found:
        planned(tmp_path, table(properties))
    assert message in str(found.value)


def test_type_of_a_simple_table_s_key_is_checked(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match=r"PrimaryKey\.Type: 'S' is unknown. Fix: write String or Number or Binary"):
        planned(tmp_path, table("PrimaryKey: {Name: id, Type: S}", "AWS::Serverless::SimpleTable"))


def test_name_that_two_tables_have_is_an_error(tmp_path: Path) -> None:
    other = table(f"TableName: orders, {ID}")
    with pytest.raises(BadTemplate, match="table T: the table Orders has the name orders too"):
        planned(tmp_path, ORDERS + other)
