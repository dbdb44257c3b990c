"""`lattice-bridge token`: makes a token of an issuer of the map, or of a template's authorizer, for the local stack.

Rule: without --json, standard output contains the token and nothing else. The private key is never printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import (
    GivenMap,
    base_option,
    located_line,
    map_option,
    named_values,
    read_map,
    stack_region,
)
from lattice_bridge.errors import InvalidMap, Unauthenticated
from lattice_bridge.identity.token import Issuer
from lattice_bridge.local.bridge.configuration import issuers_of

if TYPE_CHECKING:  # cryptography takes 100 ms
    from lattice_bridge.local.bridge.signing_key import LocalKey

LONGEST: Final = 86_400
"""Seconds for which a token may be valid."""


_EXAMPLES: Final = """\b
Examples:
  lattice-bridge token --issuer corp --claim tenant=blue
  lattice-bridge token --issuer corp --claim 'groups:=["blue", "green"]'
  lattice-bridge token --template template.yaml --issuer Authorizer --claim scope=read
"""


@click.command(epilog=_EXAMPLES, short_help="Make a token that only the local stack accepts.")
@click.option(
    "--issuer",
    required=True,
    metavar="NAME",
    help="The issuer's name in the map: corp for [jwt.corp]. With --template: the name of a JWT authorizer.",
)
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
@click.option(
    "--template",
    "-t",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make a token of a JWT authorizer of the HTTP APIs in this template, in place of the map.",
)
@click.option(
    "--parameter", "-P", "parameters", multiple=True, metavar="NAME=VALUE", help="A template parameter. Repeatable."
)
@show.JSON
def token(
    *,
    issuer: str,
    claims: tuple[str, ...],
    subject: str,
    expires: int,
    map_name: str,
    base: Path | None,
    template: Path | None,
    parameters: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a token of an issuer of the map, and print it. It has the iss, aud and algorithm of the issuer's table.

    `lattice-bridge local` accepts it beside the issuer's own tokens, also if the issuer cannot be reached. A deployed
    bridge refuses it: the key that signs it is on this machine only, and is in no key set but the local stack's. Exits
    with 0 if a token is printed, 1 if the map does not load."""
    from lattice_bridge.local.bridge.local_token import make_token
    from lattice_bridge.local.bridge.signing_key import KeyFault, algorithm_of, key_folder, local_key

    given, now = _claims(claims), time.time()
    source = _of_map(issuer, map_name, base) if template is None else _of_template(issuer, template, parameters)
    if template is None and parameters:
        raise click.UsageError("--parameter needs --template. Fix: add --template FILE")
    try:
        key = local_key(algorithm_of(source.issuer), key_folder(os.environ), source.folder.resolve())
    except KeyFault as error:
        raise click.UsageError(str(error)) from error
    text = make_token(source.issuer, key, given, now=now, subject=subject, lifetime=expires)
    refused = source.refusal(text, key, now)
    if refused is not None:
        show.say_error(f"note: {source.reader} will refuse this token: {refused}")
    if as_json:
        show.say_json({"token": text, "header": source.header, "refused": refused})
    else:
        show.say(text)


class _Source(NamedTuple):
    """An issuer, and what reads its tokens.

    Attributes:
        issuer: of the tokens.
        folder: that must not contain the key.
        header: that contains the token; empty if a query parameter does.
        reader: for people.
        refusal: the reason why the reader refuses a token at a time; None if it accepts it.
    """

    issuer: Issuer
    folder: Path
    header: str
    reader: str
    refusal: Callable[[str, LocalKey, float], str | None]


def _of_map(name: str, map_name: str, base: Path | None) -> _Source:
    from lattice_bridge.identity.token import verify

    read = read_map(map_name, base)
    found = _issuer(name, read)

    def refusal(text: str, key: LocalKey, now: float) -> str | None:
        try:
            verify(text, found, lambda _: key.verifying, now)
        except Unauthenticated as error:
            return error.detail
        return None

    return _Source(found, read.folder, found.header, "the bridge", refusal)


def _of_template(name: str, template: Path, parameters: tuple[str, ...]) -> _Source:
    from lattice_bridge.deployment.cloudformation.template import read_template
    from lattice_bridge.deployment.cloudformation.text import BadTemplate
    from lattice_bridge.local.front.apigateway.jwt_authorizer import issuer_of, verified_claims
    from lattice_bridge.local.front.exchange.token_keys import TokenKeys, TokenRefused
    from lattice_bridge.local.plan.readers.template import read_plan

    try:
        plan = read_plan(read_template(template, named_values(parameters), stack_region(os.environ)))
    except BadTemplate as error:
        raise click.UsageError(str(error)) from error
    known = plan.jwt_authorizers
    if name not in known:
        fix = f"write one of {', '.join(known)}" if known else "add an authorizer of type JWT to an HTTP API"
        raise click.UsageError(f'--issuer: "{name}" is not a JWT authorizer of {template}. Fix: {fix}')
    authorizer = known[name]

    def refusal(text: str, _key: LocalKey, now: float) -> str | None:
        try:
            asyncio.run(verified_claims(text, authorizer, TokenKeys(), plan.folder, now))
        except TokenRefused as error:
            return str(error)
        return None

    kind, field = authorizer.source
    return _Source(issuer_of(authorizer), plan.folder, field if kind == "header" else "", "the API", refusal)


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
        found = json.loads(value)
        json.dumps(found, allow_nan=False)  # Python reads NaN and 1e999, which no token can contain
        return found
    except (ValueError, RecursionError) as error:
        raise click.UsageError(
            f"""--claim "{text}": not JSON: {error}. Fix: write it as in groups:='["a", "b"]'"""
        ) from error
