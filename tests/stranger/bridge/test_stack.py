import pytest


@pytest.mark.parametrize(("identity", "tenant"), [("LOCALBLUE", "blue"), ("LOCALGREEN", "green")])
def test_signed_request_runs_as_the_signers_tenant(local_stack, identity, tenant):
    answer = local_stack.get("/orders?id=1", identity=identity)
    assert (answer.status, answer.json()) == (200, {"tenant": tenant})
    assert local_stack.printed("asked for /orders?id=1", f"orders/{tenant}")


def test_request_without_a_credential_is_refused(local_stack):
    assert local_stack.get("/orders").status == 401
