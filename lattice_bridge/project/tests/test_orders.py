"""Tests of the map, and of the whole stack on this machine. `pytest --fixtures` describes the fixtures."""

import pytest


@pytest.mark.parametrize(("identity", "tenant"), [("LOCALBLUE", "blue"), ("LOCALGREEN", "green")])
def test_signed_request_runs_as_the_tenant_of_its_role(local_stack, identity, tenant):
    answer = local_stack.get("/orders", identity=identity)
    assert (answer.status, answer.json()["tenant"]) == (200, tenant)


def test_caller_that_names_another_tenant_is_refused(local_stack):
    assert local_stack.get("/orders", {"x-tenant-id": "green"}, identity="LOCALBLUE").status == 403


def test_unsigned_request_is_refused(local_stack):
    assert local_stack.get("/orders").status == 403


def test_role_without_a_rule_reaches_no_function(bridge, fake_lambda, lattice_event):
    event = lattice_event(version=2, path="/orders", principal="arn:aws:iam::111122223333:role/other")
    assert bridge()(event)["statusCode"] == 403
    assert fake_lambda.calls == []
