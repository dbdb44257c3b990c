"""`lattice-bridge token`: makes a token of one of the map's issuers, for the local stack.

Rule: without --json, standard output contains the token and nothing else. The private key is never printed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import GivenMap, base_option, located_line, map_option, read_map
from lattice_bridge.errors import InvalidMap, Unauthenticated
from lattice_bridge.identity.token import Issuer
from lattice_bridge.local.bridge.configuration import issuers_of

LONGEST: Final = 86_400
"""Seconds for which a token may be valid."""


_EXAMPLES: Final = """\b
Examples:
  lattice-bridge token --issuer corp --claim tenant=blue
  lattice-bridge token --issuer corp --claim 'groups:=["blue", "green"]'
"""


@click.command(epilog=_EXAMPLES, short_help="Make a token that only the local stack accepts.")
@click.option("--issuer", required=True, metavar="NAME", help="The issuer's name in the map: corp for [jwt.corp].")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=VALUE",
    help="A claim with a string; NAME:=JSON for another value. Repeatable.",
)
@click.option("--subject", metavar="NAME", default="local", show_default=True, help="The value of sub.")
@click.option(
    "--expires",
    metavar="SECONDS",
    type=click.IntRange(1, LONGEST),
    default=3600,
    show_default=True,
    help="Seconds for which the token is valid.",
)
@map_option()
@base_option
@show.JSON
def token(
    *, issuer: str, claims: tuple[str, ...], subject: str, expires: int, map_name: str, base: Path | None, as_json: bool
) -> None:
    """Make a token of an issuer of the map, and print it. It has the iss, aud and algorithm of the issuer's table.

    `lattice-bridge local` accepts it beside the issuer's own tokens, also if the issuer cannot be reached. A deployed
    bridge refuses it: the key that signs it is on this machine only, and is in no key set but the local stack's. Exits
    with 0 if a token is printed, 1 if the map does not load."""
    from lattice_bridge.identity.token import verify
    from lattice_bridge.local.bridge.local_token import make_token
    from lattice_bridge.local.bridge.signing_key import KeyFault, algorithm_of, key_folder, local_key

    read, given, now = read_map(map_name, base), _claims(claims), time.time()
    found = _issuer(issuer, read)
    try:
        key = local_key(algorithm_of(found), key_folder(os.environ), read.folder.resolve())
    except KeyFault as error:
        raise click.UsageError(str(error)) from error
    text = make_token(found, key, given, now=now, subject=subject, lifetime=expires)
    refused = None
    try:
        verify(text, found, lambda _: key.verifying, now)
    except Unauthenticated as error:
        refused = error.detail
        show.say_error(f"note: the bridge will refuse this token: {refused}")
    if as_json:
        show.say_json({"token": text, "header": found.header, "refused": refused})
    else:
        show.say(text)


def _issuer(name: str, read: GivenMap) -> Issuer:
    try:
        issuers = {entry.issuer.name: entry.issuer for entry in issuers_of(read.document, read.folder)}
    except InvalidMap as error:
        for fault in error.found:
            show.say_error(located_line(read.name, fault.line or 1, fault.column or 1, "error", fault.text))
        sys.exit(1)
    if name not in issuers:
        fix = f"write one of {', '.join(issuers)}" if issuers else "add a table, as in [jwt.corp]"
        raise click.UsageError(f'--issuer: "{name}" is not an issuer of {read.name}. Fix: {fix}')
    return issuers[name]


def _claims(given: tuple[str, ...]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for text in given:
        name, mark, value = text.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not mark or not name:
            raise click.UsageError(f'--claim "{text}": no name and value. Fix: write NAME=VALUE, as in tenant=blue')
        if name in claims:
            raise click.UsageError(f'--claim "{text}": the claim {name} is given twice. Fix: remove one of the two')
        claims[name] = _json(text, value) if is_json else value
    return claims


def _json(text: str, value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(
            f"""--claim "{text}": not JSON: {error}. Fix: write it as in groups:='["a", "b"]'"""
        ) from error
