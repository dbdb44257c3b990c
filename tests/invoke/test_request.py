"""The heads of Invoke requests: one by a kept form has the bytes of one that is written anew.

test_signing.py compares heads that are written anew with botocore's requests.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.errors import Misconfigured
from lattice_bridge.http.client import Endpoint
from lattice_bridge.invoke.call import Call, Invocation
from lattice_bridge.invoke.request import LONGEST_FORM, MAX_FORMS, InvokeHeads
from lattice_bridge.invoke.signing import Credentials
from tests.support.examples import examples

ENDPOINT = Endpoint(True, "lambda.eu-west-1.amazonaws.com", 443)
WHO = Credentials("AKID", "secret", "t0ken")


@dataclass(frozen=True)
class Asked:
    """Everything that a head is made of, except what its writer has for its whole life."""

    function: str = "orders:live"
    tenant: str | None = "blue"
    invocation: Invocation = "sync"
    payload: bytes = b"{}"
    credentials: Credentials = WHO
    timestamp: str = "20260101T000000Z"
    trace: str | None = "Root=1-1"

    def head(self, heads: InvokeHeads) -> bytes:
        call = Call(self.function, self.tenant, self.payload, self.invocation, timeout=4.0, left=20.0)
        return heads.head(call, sha256(self.payload).hexdigest(), self.credentials, self.timestamp, self.trace)


def fresh(endpoint: Endpoint = ENDPOINT, region: str = "eu-west-1") -> InvokeHeads:
    return InvokeHeads(endpoint, region)


BASE = Asked()
OTHERS = {
    "function": replace(BASE, function="orders:7"),
    "tenant": replace(BASE, tenant="green"),
    "no tenant": replace(BASE, tenant=None),
    "invocation": replace(BASE, invocation="async"),
    "payload of another length": replace(BASE, payload=b"[1]"),
    "payload of the same length": replace(BASE, payload=b"[]"),
    "access key": replace(BASE, credentials=replace(WHO, access_key="AKIE")),
    "secret": replace(BASE, credentials=replace(WHO, secret_key="other")),
    "token": replace(BASE, credentials=replace(WHO, token="t1")),
    "no token": replace(BASE, credentials=replace(WHO, token=None)),
    "second": replace(BASE, timestamp="20260101T000001Z"),
    "day": replace(BASE, timestamp="20260102T000000Z"),
    "trace": replace(BASE, trace="Root=1-2"),
    "no trace": replace(BASE, trace=None),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_head_after_any_other_one_is_the_same_as_anew(other: Asked) -> None:
    """Traps D8, D9: a form does not outlive a change of any of its inputs."""
    heads = fresh()
    assert other.head(fresh()) != BASE.head(fresh())
    for asked in (BASE, other, BASE, other):
        assert asked.head(heads) == asked.head(fresh())


def test_endpoint_and_region_are_in_the_head() -> None:
    assert BASE.head(fresh(Endpoint(False, "h", 80, "/x"))) != BASE.head(fresh(Endpoint(False, "h", 80)))
    assert BASE.head(fresh(region="eu-west-2")) != BASE.head(fresh())


asked = st.builds(
    Asked,
    function=st.sampled_from(["orders", "orders:live", "arn:aws:lambda:eu-west-1:1:function:o", "a/b é\r\n"]),
    tenant=st.sampled_from([None, "blue", "green", "b" * 256]),
    invocation=st.sampled_from(["sync", "async"]),
    payload=st.binary(max_size=20),
    credentials=st.sampled_from([WHO, replace(WHO, token=None), replace(WHO, secret_key="s2"), Credentials("A", "s2")]),
    timestamp=st.sampled_from(["20260101T000000Z", "20260101T000001Z", "20260102T000000Z", "20251231T235959Z"]),
    trace=st.sampled_from([None, "Root=1-1", "Root=1-2;Lineage=1:ab:0"]),
)


@settings(max_examples=examples(125), deadline=None)
@given(st.lists(asked, max_size=20))
def test_heads_in_any_order_are_the_same_as_anew(several: list[Asked]) -> None:
    """Traps D8, D9."""
    heads = fresh()
    assert [one.head(heads) for one in several] == [one.head(fresh()) for one in several]


def test_threads_with_other_credentials_and_days_get_their_own_heads() -> None:
    """Trap D10: they share the forms, the second and the day's key."""
    heads, several = fresh(), [BASE, *OTHERS.values()]
    expected = [one.head(fresh()) for one in several]

    def run(_: int) -> bool:
        return all([one.head(heads) for one in several] == expected for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(8)))


def kept(heads: InvokeHeads) -> tuple[int, int]:
    """The number of forms, and their characters."""
    forms = heads._forms.kept.values()
    return len(forms), sum(form.size for form in forms)


def test_forms_are_bounded_in_number() -> None:
    """Trap D9."""
    heads = fresh()
    for number in range(MAX_FORMS + 10):
        replace(BASE, function=f"f{number}", credentials=Credentials("A", "s")).head(heads)
        assert kept(heads)[0] <= MAX_FORMS
    assert kept(heads)[0] == 10


def test_forms_are_bounded_in_size() -> None:
    """Trap D9."""
    heads = fresh()
    for length, number in ((100, 1), (LONGEST_FORM, 1), (200, 2)):
        one = replace(BASE, function="f" * length)
        assert one.head(heads) == one.head(fresh())
        assert kept(heads)[0] == number
    assert kept(heads)[1] <= 2 * LONGEST_FORM


def test_other_credentials_drop_the_forms_of_the_last() -> None:
    """Trap D8."""
    heads = fresh()
    BASE.head(heads)
    OTHERS["secret"].head(heads)
    assert (kept(heads)[0], heads._forms.credentials.secret_key) == (1, "other")


@pytest.mark.parametrize("trace", ["a\r\nx-amz-tenant-id: green", "a\nb", "a\rb", "é", "\x00"])
def test_trace_that_is_not_one_line_is_refused(trace: str) -> None:
    heads = fresh()
    BASE.head(heads)
    with pytest.raises(Misconfigured, match="nothing was invoked"):
        replace(BASE, trace=trace).head(heads)


@pytest.mark.parametrize("tenant", ["", " blue", "blue\r\nx: y", "blue\n", "b" * 257, "blü"])
def test_malformed_tenant_is_refused_with_a_kept_form(tenant: str) -> None:
    """Traps A10, A13."""
    heads = fresh()
    BASE.head(heads)
    with pytest.raises(Misconfigured, match="not a tenant id"):
        replace(BASE, tenant=tenant).head(heads)
