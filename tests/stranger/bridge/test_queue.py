from lattice_bridge.testing import sqs_record

QUEUE = "arn:aws:sqs:eu-west-1:111122223333:orders"
MAP = f"""
[[event_source]]
arn = "{QUEUE}"
function = "orders-worker"
claim = {{ from = "attribute", name = "tenant" }}
quarantine = "{QUEUE}-quarantine"

[tenants]
blue = {{}}
green = {{}}

[[rule]]
id = "order-service"
sender = {{ role_id = "AROAEXAMPLEEXAMPLE123" }}
tenants = ["blue", "green"]
"""


def message(tenant, message_id):
    return sqs_record('{"order": 7}', attributes={"tenant": tenant}, message_id=message_id)


def test_failed_message_stays_in_the_queue(bridge, fake_lambda, sqs_event):
    fake_lambda.reply({})
    fake_lambda.raises("KeyError", record="m-2")
    answer = bridge(MAP)(sqs_event(message("blue", "m-1"), message("green", "m-2")))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    assert {call.records[0]: call.tenant for call in fake_lambda.calls} == {"m-1": "blue", "m-2": "green"}


def test_message_for_an_unknown_tenant_goes_to_the_quarantine(bridge, fake_lambda, sqs_event):
    handler = bridge(MAP)
    assert handler(sqs_event(message("pink", "m-1"))) == {"batchItemFailures": []}
    assert handler.log[-1]["reason"] == "tenant_not_allowed"
    assert len(handler.quarantined) == 1
    assert fake_lambda.calls == []


def test_message_of_a_real_client_runs_as_the_queues_tenant(bridge, fake_lambda, local_queue):
    orders = local_queue("orders")
    orders.client.send_message(QueueUrl=orders.url, MessageBody='{"order": 7}')
    fake_lambda.reply({}, "orders-worker")
    source = f'[[event_source]]\narn = "{orders.arn}"\nfunction = "orders-worker"\n'
    rule = f'[[rule]]\nid = "blue-queue"\nsource = "{orders.arn}"\ntenant = "blue"\n'
    orders.deliver(bridge(f"{source}[tenants]\nblue = {{}}\n{rule}"))
    assert [call.tenant for call in fake_lambda.calls] == ["blue"]
    assert orders.counts["visible"] == orders.counts["in_flight"] == 0
