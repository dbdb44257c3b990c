import json

import pytest
from lattice_bridge.testing import assert_valid_reply

from app import handler


def test_repeated_parameter_is_a_list(lattice_event):
    reply = handler(lattice_event(path="/orders?state=open&state=late"), None)
    assert_valid_reply(reply)
    assert json.loads(reply["body"]) == {"states": ["open", "late"]}


def test_order_is_accepted(lattice_event):
    reply = handler(lattice_event(method="POST", path="/orders", json={"id": 1}), None)
    assert (reply["statusCode"], json.loads(reply["body"])) == (200, {"ordered": 1})


@pytest.mark.lattice_events("v2/query-*", "v2/signed-*")
def test_every_route_gives_a_valid_reply(lattice_case):
    reply = handler(lattice_case.event, None)
    assert_valid_reply(reply)
    assert reply["statusCode"] in (200, 404)
