"""`lattice-bridge event convert`: an event in another format, as the bridge would tell a backend."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final, get_args

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import COMPACT, EVENT, read_event, refuse
from lattice_bridge.config.backend import Payload
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.event import parse_event
from lattice_bridge.formats.forwarded import Forwarded
from lattice_bridge.formats.payload import dialect_of, encode
from lattice_bridge.message import Request, is_tenant_id

_FORMATS: Final[dict[str, Payload]] = {
    name.removeprefix("lattice-"): name for name in get_args(Payload) if name != "lattice"
}


@click.command(short_help="Say an event in another format.")
@EVENT
@click.option("--to", "form", type=click.Choice(list(_FORMATS)), required=True, help="The format.")
@click.option("--tenant", help="As the bridge passes it on for this tenant, without the client's credentials.")
@COMPACT
def convert(file: Path, form: str, *, tenant: str | None, compact: bool) -> None:
    """Print the event in FILE (- for stdin) as another service would have sent it, or Lattice in its other version. An
    event that is in the format already stays as it is. Exits with 1 if the bridge refuses the event."""
    if tenant is not None and not is_tenant_id(tenant):
        raise click.UsageError(f"--tenant {tenant!r} is not a tenant id: 1 to 256 of A-Z a-z 0-9 . _ : / = + - @")
    event = read_event(file)
    try:
        request = parse_event(event)
        payload = _FORMATS[form]
        found = _bare(request, payload) if tenant is None else _forwarded(request, payload, tenant)
    except BridgeError as refusal:
        refuse(refusal)
    if form == "v2" and request.version == 1:
        show.say_error("note: a V1 event does not name its service, so its three ARNs in V2 are empty, also serviceArn")
    show.say_json(found, compact=compact)


def _bare(request: Request, payload: Payload) -> dict[str, Any]:
    """Of the request alone: the bridge adds nothing and takes nothing out."""
    forwarded = Forwarded(
        request, tenant=None, request_id=request.request_id or "", ours={}, reserved=frozenset(), now=time.time()
    )
    return dialect_of(payload, request.version)(forwarded)


def _forwarded(request: Request, payload: Payload, tenant: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        encode(
            request,
            tenant=tenant,
            tenant_header="x-tenant-id",
            request_id=request.request_id or "",
            payload=payload,
            now=time.time(),
        )
    )
    return found
