"""The router does the same as a naive one, whatever the batch is."""

from __future__ import annotations

from hypothesis import given, settings

from tests.support.examples import examples
from tests.support.router_batches import batches, compare
from tests.support.router_reference import Batch


@settings(max_examples=examples(100))
@given(batches())
def test_router_does_what_the_reference_does(batch: Batch) -> None:
    """Traps E1, E2, E3, E7, E8, E9, E10, E12, E14, E21, E22, E23, E28: whatever is combined with whatever."""
    compare(batch)
