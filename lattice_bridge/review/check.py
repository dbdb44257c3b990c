"""Everything there is to say about a configuration before it is deployed.

Rule: what keeps it from loading is found by what loads it.
"""

from __future__ import annotations

from pathlib import Path

from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.config.settings import NO_RULE
from lattice_bridge.config.tables.map import ELSEWHERE, read_map
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.config.tables.test import every_tenant, run
from lattice_bridge.config.tenant_map import HERE, TenantMap
from lattice_bridge.errors import InvalidMap
from lattice_bridge.review.lint import Finding, warnings_of


def findings_of(text: str, folder: Path = HERE) -> list[Finding]:
    """What is wrong with a configuration, what is probably not meant, and which of its own tests do not hold.

    Errors keep it from loading, but for those of `[[test]]` tables. An empty list is a clean one. Nothing outside is
    asked: with a registry, a test takes every tenant for registered. Of a compiled one there is nothing more to say
    than whether it loads. A map may stand alone: a file without any of the other tables is not asked for a backend.
    """
    try:
        document = parse_document(text)
    except InvalidMap as error:
        return _errors(error.faults)
    if document.compiled is not None:
        return _compiled(document, folder)
    return [*_errors(_other_faults(document)), *_of_map(document, folder)]


def _other_faults(document: Document) -> list[str]:
    faults: list[str] = []
    options = read_options(document.tables, faults)
    if ELSEWHERE & set(document.tables):
        if not options.backends and not faults:
            faults.append('no [[backend]]; write one with function = "…"')
        if not document.tables.get("rule"):
            faults.append(NO_RULE)
    return faults


def _of_map(document: Document, folder: Path) -> list[Finding]:
    try:
        read = read_map(document.tables, folder)
    except InvalidMap as error:
        return _errors(error.faults)
    find = every_tenant if read.around.registry else None
    issuers = [source.issuer.name for source in read.around.issuers]
    return [*run(read.tests, read.rules, issuers, find), *warnings_of(read.written, read.rules)]


def _compiled(document: Document, folder: Path) -> list[Finding]:
    try:
        TenantMap.from_document(document, folder)
    except InvalidMap as error:
        return _errors(error.faults)
    return []


def _errors(faults: list[str] | tuple[str, ...]) -> list[Finding]:
    return [Finding("error", _subject(fault), fault) for fault in faults]


def _subject(fault: str) -> str | None:
    """The rule's id that a fault begins with."""
    return fault.split('"')[1] if fault.startswith('rule "') else None
