from lattice_bridge.testing import assert_valid_reply

BLUE = "arn:aws:iam::111122223333:role/blue-api"
STRANGER = "arn:aws:iam::111122223333:role/someone"


def test_role_of_blue_runs_as_blue(bridge, fake_lambda, lattice_event):
    fake_lambda.reply({"statusCode": 201, "body": "done"}, "orders")
    reply = bridge()(lattice_event(path="/orders", principal=BLUE))
    assert_valid_reply(reply)
    assert reply["statusCode"] == 201
    (call,) = fake_lambda.calls
    assert (call.function, call.tenant) == ("orders", "blue")


def test_caller_without_a_rule_reaches_no_function(bridge, fake_lambda, lattice_event):
    handler = bridge()
    assert handler(lattice_event(principal=STRANGER))["statusCode"] == 403
    assert handler.log[-1]["reason"] == "no_rule"
    assert fake_lambda.calls == []


def test_failing_function_is_a_bad_gateway(bridge, fake_lambda, lattice_event):
    fake_lambda.raises("KeyError", "'id'", "orders")
    assert bridge()(lattice_event(principal=BLUE))["statusCode"] == 502
