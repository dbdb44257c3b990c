"""The same request over TLS: on a connection that is there, on a new one, and on a new one with a resumed session."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from benchmarks import configuration
from benchmarks.certificates import Certificates
from benchmarks.contenders import DIRECT, INVOKE, LARGE, LARGE_POWERTOOLS, OURS, POST, POWERTOOLS
from benchmarks.environment import like_lambda
from benchmarks.responder import Manner, responding
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import Contender, Measured, spread, take_turns
from benchmarks.table import Table

NAMES = (OURS, DIRECT, INVOKE, POWERTOOLS, POST)
WARM: Final = "warm"
WHOLE: Final = "a handshake each"
RESUMED: Final = "resumed, if it can"
KINDS: Final = {WARM: (True, True), WHOLE: (False, False), RESUMED: (False, True)}
"""Whether the responder keeps connections, and whether it gives tickets."""


def run(bench: Bench) -> Section:
    certificates = Certificates.made_in(bench.folder / "tls")
    shipped = configuration.shipped(bench.folder / "tls-shipped")
    with ExitStack() as responders:
        environs = {}
        for kind, (keeps, resumes) in KINDS.items():
            manner = Manner(certificate=str(certificates.server), keeps=keeps, resumes=resumes)
            url = responders.enter_context(responding(manner))
            environs[kind] = like_lambda(url, shipped, certificates.root)
        small = {_label(name, kind): Contender(name, environs[kind]) for kind in KINDS for name in NAMES}
        large = {name: Contender(name, environs[WARM]) for name in (LARGE, LARGE_POWERTOOLS)}
        rounds, requests = bench.few(15), 5 if bench.quick else 50
        table = _small(take_turns(small, rounds, requests), f"{rounds} rounds of {requests}")
        rounds = bench.few(11)
        bodies = take_turns(large, rounds, 5)
    return Section([table, _large(bodies, f"{rounds} rounds of 5")])


def _label(name: str, kind: str) -> str:
    return f"{name}: {kind}"


def _small(found: Measured, rounds: str) -> Table:
    rows = [
        (
            _label(name, kind),
            *spread(found.cpu(_label(name, kind))),
            *(f"{found.ratio(_label(name, kind), _label(peer, kind)):.2f}" for peer in (POWERTOOLS, POST)),
            f"{found.ratio(_label(name, kind), _label(name, WARM)):.2f}",
            f"{found.ratio(_label(name, kind), _label(name, WHOLE)):.2f}",
        )
        for name in NAMES
        for kind in KINDS
    ]
    columns = ("", "CPU µs, median", "range", "over Powertools", "over POST", "over its warm", "over its handshake")
    note = (
        "TLS 1.3, certificates of RSA with 2,048 bits and one intermediate, as Lambda's. Ratios over Powertools and "
        "POST compare requests of the same kind. http.client and boto3 never resume a session."
    )
    return Table(f"A request of 1 KB over TLS, {rounds}", columns, rows, note)


def _large(found: Measured, rounds: str) -> Table:
    rows = [
        (name, *spread([value / 1000 for value in found.cpu(name)], 1), f"{found.ratio(name, LARGE_POWERTOOLS):.2f}")
        for name in (LARGE, LARGE_POWERTOOLS)
    ]
    columns = ("", "CPU ms, median", "range", "over Powertools")
    return Table(f"A base64 body of 6,000,000 characters over TLS, {rounds}", columns, rows)
