"""The goals of the measurements, and the figures that were reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.table import Table

GOALS: Final = (
    ("warm, IAM principal: CPU over Powertools with boto3", "warm over Powertools", 0.17),
    ("warm, IAM principal: CPU over an unsigned POST", "warm over POST", 1.7),
    ("warm, remembered token: CPU over Powertools with boto3", "remembered over Powertools", 0.20),
    ("start as packaged over Powertools with boto3 as `sam build` packages it", "packaged start", 0.25),
    ("start to first answer over Powertools with boto3", "start over Powertools", 0.25),
    ("start to first answer over import boto3 and a client", "start over boto3", 0.45),
    ("6 MB body: CPU over Powertools with boto3", "6 MB over Powertools", 0.35),
    ("6 MB body: peak memory over idle, in bodies", "6 MB peak", 3.0),
    ("32 threads and as many tenants: CPU over Powertools with boto3", "32 threads over Powertools", 0.25),
    ("warm: 100,000 rules over 10", "100,000 rules over 10", 1.05),
    ("local stack, eight clients: µs of a request by the clock (1,000/s)", "stack, µs a request", 1000),
    ("records of 1 KB, concurrency 1: CPU µs over the invoker alone", "record over invoke", 60),
    ("records of 1 KB, concurrency 16: CPU µs over the invoker alone in threads", "record over invoke, 16", 60),
    ("records of Kinesis, concurrency 1: CPU µs over the invoker alone", "Kinesis record over invoke", 60),
    (
        "records of Kinesis, concurrency 16: CPU µs over the invoker alone in threads",
        "Kinesis record over invoke, 16",
        60,
    ),
    ("records of DynamoDB, concurrency 1: CPU µs over the invoker alone", "DynamoDB record over invoke", 60),
    (
        "records of DynamoDB, concurrency 16: CPU µs over the invoker alone in threads",
        "DynamoDB record over invoke, 16",
        60,
    ),
    ("records of 1 KB: CPU over Powertools' BatchProcessor with boto3", "record over Powertools", 0.30),
    ("100 records of 100 groups, a function of 50 ms: time over Powertools", "100 groups over Powertools", 0.10),
    ("local SQS, one client: µs of a message sent, received, deleted (1,500/s)", "local SQS, µs a message", 666.67),
    ("local SQS: a receive with a backlog of 100,000 over one of 100", "backlog of 100,000 over 100", 1.2),
)
"""In words, by the name of the ratio that a section found, and at most."""


def table(ratios: Mapping[str, float], *, quick: bool = False) -> Table:
    """The goals that were measured. A quick run shows how the table looks, and says so."""
    rows = [
        (words, f"{most:.2f}", f"{ratios[name]:.2f}", "✓" if ratios[name] <= most else "✗")
        for words, name, most in GOALS
        if name in ratios
    ]
    title = "To reach (a quick run: too few requests to tell)" if quick else "To reach"
    return Table(title, ("", "at most", "measured", ""), rows)
