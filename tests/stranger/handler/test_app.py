import base64
import json

import pytest
from lattice_bridge.testing import assert_valid_reply

from app import bill, handler


def test_repeated_parameter_is_a_list(lattice_event):
    event = lattice_event(path="/orders?state=open&state=late", headers={"accept": "application/json"})
    reply = handler(event, None)
    assert_valid_reply(reply)
    assert json.loads(reply["body"])["query"] == {"state": ["open", "late"]}


@pytest.mark.lattice_events("v2/*")
def test_every_event_gets_a_valid_reply(lattice_case):
    assert_valid_reply(handler(lattice_case.event, None), lattice_case.event["method"])


@pytest.mark.lattice_events("v2/body-*")
def test_body_is_read_in_full(lattice_case):
    sent = base64.b64decode(lattice_case.expected["request"]["body_base64"])
    assert json.loads(handler(lattice_case.event, None)["body"])["bytes"] == len(sent)


def test_order_is_billed_as_its_tenant(fake_lambda):
    fake_lambda.reply({"total": 12}, "billing")
    assert bill({"id": 1}, "blue", fake_lambda.client()) == 12
    (call,) = fake_lambda.calls
    assert (call.function, call.tenant, call.payload) == ("billing", "blue", {"id": 1})


def test_failed_bill_is_an_error(fake_lambda):
    fake_lambda.raises("KeyError", function="billing")
    with pytest.raises(RuntimeError, match="billing has failed"):
        bill({"id": 1}, "blue", fake_lambda.client())
