from lattice_bridge.testing import dynamodb_record, kinesis_record

PREFIX = "arn:aws:{}:eu-west-1:111122223333:"
STREAM = PREFIX.format("kinesis") + "stream/clicks"
TABLE = PREFIX.format("dynamodb") + "table/carts"
BUS = PREFIX.format("events") + "event-bus/shop"
MAP = f"""
[[event_source]]
arn = "{STREAM}"
function = "clicks-worker"
claim = {{ from = "partition_key" }}
quarantine = "{PREFIX.format("sqs")}set-aside"
deaggregate = true

[[event_source]]
arn = "{TABLE}"
function = "carts-worker"
claim = {{ from = "image", name = "owner" }}
quarantine = "{PREFIX.format("sqs")}set-aside"

[[event_source]]
arn = "{BUS}"
function = "shop-worker"
claim = {{ from = "detail", path = ["tenant"] }}

[tenants]
blue = {{}}
green = {{}}

[[rule]]
id = "clicks"
source = "{STREAM}"
tenants = ["blue", "green"]
accept_risk = "only our own producers can write to the stream"

[[rule]]
id = "carts"
source = "{TABLE}"
tenants = ["blue", "green"]
accept_risk = "only our own functions can write to the table"

[[rule]]
id = "shop"
event_account = "111122223333"
tenants = ["blue", "green"]
"""


def click(tenant, number):
    return kinesis_record('{"page": "/"}', partition_key=tenant, sequence_number=number)


def test_failed_record_blocks_its_own_key(bridge, fake_lambda, kinesis_event):
    fake_lambda.reply({})
    fake_lambda.raises("KeyError", record="9")
    answer = bridge(MAP)(
        kinesis_event(click("blue", "8"), click("blue", "9"), click("blue", "10"), click("green", "11"))
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": "9"}]}
    assert sorted(call.records[0] for call in fake_lambda.calls) == ["11", "8", "9"]


def test_each_record_of_an_aggregate_runs_as_its_own_tenant(bridge, fake_lambda, kinesis_event):
    fake_lambda.reply({})
    both = kinesis_record(aggregated=[("blue", '{"page": "/"}'), ("green", '{"page": "/"}')])
    assert bridge(MAP)(kinesis_event(both)) == {"batchItemFailures": []}
    assert {call.tenant for call in fake_lambda.calls} == {"blue", "green"}


def test_item_that_changes_its_tenant_goes_to_the_quarantine(bridge, fake_lambda, dynamodb_event):
    handler = bridge(MAP)
    change = dynamodb_record({"id": 7}, new={"owner": "green"}, old={"owner": "blue"}, table="carts")
    assert handler(dynamodb_event(change)) == {"batchItemFailures": []}
    assert handler.log[-1]["reason"] == "images_differ"
    assert fake_lambda.calls == []


def test_event_of_the_bus_runs_as_its_tenant(bridge, fake_lambda, eventbridge_event):
    fake_lambda.reply({}, "shop-worker")
    assert bridge(MAP)(eventbridge_event({"tenant": "blue"}, source="shop.orders")) is None
    assert [call.tenant for call in fake_lambda.calls] == ["blue"]
