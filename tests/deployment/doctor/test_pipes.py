"""Doctor on pipes: what it reads of them, and the faults in the words of `check --template`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.facts import Deployment, Unread
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.deployment.doctor.read import Aws
from lattice_bridge.deployment.doctor.read_sources import read_pipes
from lattice_bridge.deployment.sources.facts import Pipe, SourceMapping
from tests.deployment.doctor.test_streams import CLICKS, FRONTS, OF_CLICKS, QUARANTINE, TABLE, stack
from tests.support.doctor_stack import BRIDGE, CONFIGURATION, LAMBDA, problems
from tests.support.recorded_aws import RecordedAws, Recording

OF_TABLE: Final = f"{TABLE}/stream/2026-01-01T00:00:00.000"
SOURCES: Final = (
    EventSource(CLICKS, "orders:live", quarantine=QUARANTINE, timeout=20, pipe="target"),
    EventSource(TABLE, "orders:live", quarantine=QUARANTINE, timeout=20, pipe="enrichment"),
)
CLICK_PIPE: Final = Pipe("pipe clicks", CLICKS, "target", 100, is_default_batch=True)
ORDER_PIPE: Final = Pipe("pipe orders", TABLE, "enrichment")


def piped(*pipes: Pipe, mappings: tuple[SourceMapping, ...] = ()) -> Deployment:
    """The stack without a fault, with a pipe for a stream and one for a table."""
    return replace(stack(fronts=FRONTS), event_sources=mappings, pipes=pipes or (CLICK_PIPE, ORDER_PIPE))


def found_in(deployment: Deployment) -> list[Finding]:
    options = Options(CONFIGURATION.options.backends, SOURCES, CONFIGURATION.options.services)
    return problems(deployment, replace(CONFIGURATION, options=options))


def test_right_stack_with_pipes_has_no_fault() -> None:
    assert found_in(piped()) == []


CASES: Final[dict[str, tuple[Deployment, str, str, str]]] = {
    "no pipe": (
        piped(CLICK_PIPE),
        "error",
        "table orders",
        'bridge.toml has pipe = "enrichment" for orders, and no pipe sends it to the bridge',
    ),
    "an enrichment of many records": (
        piped(CLICK_PIPE, replace(ORDER_PIPE, batch_size=100, is_default_batch=True)),
        "error",
        "pipe orders",
        "the bridge is its enrichment, and BatchSize is not set, which means 100",
    ),
    "a pipe that does not wait": (
        piped(replace(CLICK_PIPE, waits=False), ORDER_PIPE),
        "error",
        "pipe clicks",
        "InvocationType is FIRE_AND_FORGET",
    ),
    "records that are rewritten": (
        piped(replace(CLICK_PIPE, rewrites=True), ORDER_PIPE),
        "error",
        "pipe clicks",
        "TargetParameters.InputTemplate rewrites the records before the bridge",
    ),
    "another enrichment before the bridge": (
        piped(replace(CLICK_PIPE, is_enriched=True), ORDER_PIPE),
        "warning",
        "pipe clicks",
        "its enrichment writes the records that the bridge receives as its target",
    ),
    "another role than in bridge.toml": (
        piped(replace(CLICK_PIPE, role="enrichment", batch_size=1), ORDER_PIPE),
        "error",
        "pipe clicks",
        'the bridge is its enrichment, and the [[event_source]] of clicks has pipe = "target"',
    ),
    "a source without an event source": (
        piped(
            CLICK_PIPE, ORDER_PIPE, replace(CLICK_PIPE, label="pipe views", source=CLICKS.replace("clicks", "views"))
        ),
        "error",
        "pipe views",
        "it sends views to the bridge, and bridge.toml has no [[event_source]] for it",
    ),
    "a mapping beside the pipe": (
        piped(mappings=(OF_CLICKS,)),
        "error",
        f"event source mapping {OF_CLICKS.label}",
        'it sends clicks to the bridge, and bridge.toml has pipe = "target" for it',
    ),
    "unread pipes": (
        replace(piped(), pipes=Unread("pipes:ListPipes", "*", "AccessDeniedException")),
        "unknown",
        "pipes",
        "could not be read: AccessDeniedException",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_fault_is_found_on_its_part(name: str) -> None:
    deployment, level, subject, actual = CASES[name]
    (found,) = found_in(deployment)
    assert (found.level, found.subject, found.actual) == (level, subject, actual)


def listed(name: str, **ends: str) -> dict[str, Any]:
    return {"Name": name, "Source": CLICKS, **ends}


def describes(name: str, source: str, **answer: Any) -> Recording:
    return Recording("pipes", "describe_pipe", {"Name": name}, {"Name": name, "Source": source, **answer})


def test_pipes_of_the_bridge_are_read_under_each_of_its_names() -> None:
    template = {"InputTemplate": '{"a": <$.data>}'}
    recordings = [
        Recording(
            "pipes",
            "list_pipes",
            {},
            {
                "Pipes": [
                    listed("target", Target=BRIDGE.qualified),
                    listed("enriches", Target=f"{LAMBDA}:other", Enrichment=BRIDGE.arn),
                    listed("another", Target=f"{LAMBDA}:bridge2"),
                ]
            },
        ),
        describes(
            "target",
            CLICKS,
            Enrichment=f"{LAMBDA}:other",
            TargetParameters={"LambdaFunctionParameters": {"InvocationType": "FIRE_AND_FORGET"}, **template},
        ),
        describes(
            "enriches",
            OF_TABLE,
            SourceParameters={"DynamoDBStreamParameters": {"BatchSize": 1, "StartingPosition": "LATEST"}},
        ),
    ]
    with RecordedAws(recordings) as recorded:
        assert read_pipes(Aws(recorded.client), BRIDGE) == (
            Pipe("pipe target", CLICKS, "target", 100, True, rewrites=True, waits=False, is_enriched=True),
            Pipe("pipe enriches", TABLE, "enrichment", 1),
        )
    with RecordedAws([recordings[0], replace(recordings[1], fails="AccessDeniedException")]) as recorded:
        assert isinstance(read_pipes(Aws(recorded.client), BRIDGE), Unread)
