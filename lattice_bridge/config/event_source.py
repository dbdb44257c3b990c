"""The settings of one source of records: what invokes the function, and where a record names its tenant.

Rule: only values that passed the configuration's checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lattice_bridge.config.options import DEFAULT_TIMEOUT
from lattice_bridge.events.record import Claim
from lattice_bridge.invoke.call import Invocation

PipeRole = Literal["target", "enrichment"]

DEFAULT_CONCURRENCY: Final = 16


@dataclass(frozen=True, slots=True)
class EventSource:
    """One `[[event_source]]`: a queue, stream, table or event bus whose records the bridge routes.

    Attributes:
        arn: of the queue, of the Kinesis stream, of the table whose streams are routed, or of the event bus.
        function, isolated, invocation, timeout: as for a backend. `async` returns when Lambda has accepted the event.
        claim: the place in a record that names its tenant; None if the evidence allows one tenant.
        concurrency: records that are invoked at the same time, at most.
        quarantine: ARN of the queue that gets the records with a permanent fault; None if they are reported as failed.
        deaggregate: whether the records within an aggregate of the Kinesis Producer Library are decided one by one. If
            not, an aggregate is a permanent fault.
        pipe: how EventBridge Pipes calls the bridge: as the pipe's `target` or as its `enrichment`; None if the records
            come from an event source mapping, or from a rule of a bus.
    """

    arn: str
    function: str
    isolated: bool = True
    claim: Claim | None = None
    invocation: Invocation = "sync"
    concurrency: int = DEFAULT_CONCURRENCY
    quarantine: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    deaggregate: bool = False
    pipe: PipeRole | None = None

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> EventSource:
        """The source that `Options.to_json` wrote. Raises a built-in exception for other values."""
        claim = found["claim"]
        read = None if claim is None else Claim(**{**claim, "path": tuple(claim["path"])})
        return cls(**{**found, "claim": read})
