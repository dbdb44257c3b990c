"""Departures in what an event says of who is calling.

Rule: both versions are one question under two spellings; docs/wire.md §1, "Who is calling", has the answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from lattice_bridge.errors import Forbidden
from lattice_bridge.http import headers as names
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import Pairs
from lattice_bridge.testing.departures_found import ABSENT, CALLER, CALLER_KEYS, Fields, Found, Said


def _key(name: str) -> str:
    """One spelling: V1 writes `X509SAN/URI` where V2 writes `x509SanUri`."""
    return names.lower(name).replace("/", "")


_V2: Final = {
    names.lower(key): key
    for key in (
        *("sourceVpcArn", "type", "principal", "principalOrgID", "sessionName"),
        *("x509IssuerOu", "x509SanDns", "x509SanNameCn", "x509SanUri", "x509SubjectCn"),
    )
}
_V1: Final = {
    _key(key): key
    for key in (
        *("SourceVpcArn", "Type", "Principal", "PrincipalOrgID", "PrincipalOrgPaths", "SessionName"),
        *("X509Issuer/OU", "X509SAN/DNS", "X509SAN/NameCN", "X509SAN/URI", "X509Subject/CN"),
    )
}
_NETWORK: Final = {"sourcevpcarn": "SourceVpcArn"}
_VPC: Final = re.compile(r"arn:aws[a-z-]*:ec2:[^:]+:[0-9]{12}:vpc/.+")


def of_context(context: Fields, found: Found) -> None:
    """V2: `requestContext.identity`."""
    identity = context.get("identity")
    if not isinstance(identity, Mapping):
        found.key(context, "identity", "an object with sourceVpcArn", CALLER, refused=identity is not None)
        return
    inside, fields = found.inside("identity"), dict[str, str]()
    for name, value in identity.items():
        key = _key(str(name))
        known = _V2.get(key)
        if not isinstance(name, str) or not (value is None or isinstance(value, str)):
            inside.key(identity, name, "a string", CALLER_KEYS, refused=True)
        elif key in fields:
            inside.key(identity, name, f"{known or name} once", CALLER_KEYS, refused=True)
        elif known is None:
            inside.key(identity, name, "no such key", CALLER_KEYS)
        elif name != known:
            inside.inside(name).add(Said(name), f"the name {known}", CALLER_KEYS)
        elif not value:
            inside.key(identity, name, "no such key when there is nothing to say", CALLER)
        fields.setdefault(key, value if isinstance(value, str) else "")
    caller = _Identity(2, fields, inside)
    _vpc(caller)
    _caller(caller)


def of_headers(pairs: Pairs, found: Found) -> None:
    """V1: the two headers that Lattice adds. Not every capture has the one with the network."""
    fields: dict[str, str] = {}
    for header, known in ((names.NETWORK, _NETWORK), (names.IDENTITY, _V1)):
        values, inside = [value for name, value in pairs if name == header], found.inside("headers", header)
        if len(values) > 1:
            inside.add(values, "the header once", CALLER, refused=True)
        _fields_of_header(";".join(values[:1]), known, fields, inside)
    _vpc(_Identity(1, fields, found.inside("headers", names.NETWORK)))
    if any(name == names.IDENTITY for name, _ in pairs):
        _caller(_Identity(1, fields, found.inside("headers", names.IDENTITY)))


def _fields_of_header(text: str, known: Mapping[str, str], into: dict[str, str], found: Found) -> None:
    """The fields of one of V1's two headers. From the first certificate field on, the bridge reads none."""
    own: set[str] = set()
    behind_certificate = False
    for part in text.split(";"):
        name, mark, value = part.strip(" \t").partition("=")
        key = _key(name)
        of_certificate = key.startswith("x509")
        behind_certificate = behind_certificate or of_certificate
        if not mark:
            continue
        if key not in known:
            found.add(Said(name), "no such field", CALLER_KEYS)
        elif key in own or (key in into and not behind_certificate):
            found.add(Said(name), f"the field {known[key]} once", CALLER, refused=not of_certificate)
        elif behind_certificate and not of_certificate:
            found.add(Said(name), "no such field behind a certificate's, where the bridge reads none", CALLER)
        elif name != known[key]:
            found.add(Said(name), f"the field {known[key]}", CALLER_KEYS)
        own.add(key)
        if key in known and not behind_certificate:
            into.setdefault(key, value)


class _Identity:
    """What an event says of its caller.

    Attributes:
        version: of the event.
        fields: by their names in lower case; empty is absent.
    """

    def __init__(self, version: Literal[1, 2], fields: Mapping[str, str], found: Found) -> None:
        self.version, self.fields = version, fields
        self._found = found

    def departs(self, key: str, sends: str, *, refused: bool = False) -> None:
        """A field that Lattice sends otherwise. V1 has them all in one header."""
        value = self.fields.get(key)
        if self.version == 1:
            self._found.add(Said(f"{_V1[key]}={value or ''}"), sends, CALLER, refused=refused)
        else:
            self._found.inside(_V2[key]).add(ABSENT if value is None else value, sends, CALLER, refused=refused)


def _caller(identity: _Identity) -> None:
    fields = identity.fields
    if fields.get("type") != "AWS_IAM":
        _unsigned(identity)
        return
    try:
        principal = parse_arn(fields.get("principal", ""))
    except Forbidden:
        example = "arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION"
        identity.departs("principal", f"the principal that signed, as in {example}", refused=True)
        return
    if principal.kind == "role" or (principal.kind == "assumed-role" and ":iam::" in fields["principal"]):
        role = f"arn:{principal.partition}:sts::{principal.account}:assumed-role/{principal.name}"
        identity.departs("principal", f"{role}/{principal.session or 'SESSION'}")
    session = fields.get("sessionname")
    if principal.session and session and session != principal.session:
        sends = f"the session in the principal's ARN: {principal.session}"
        if identity.version == 2:
            sends += ". AWS's documented example of V2 has two that differ; no capture has, and the bridge refuses it"
        identity.departs("sessionname", sends, refused=True)
    elif principal.session and not session and identity.version == 2:  # captures of V1 leave it empty
        identity.departs("sessionname", f"the session a second time: {principal.session}")


def _unsigned(identity: _Identity) -> None:
    """All but the VPC is a caller's that signed."""
    if identity.version == 1:
        identity.departs("type", "no such header, unless the caller signed: then Type=AWS_IAM")
        return
    for key in _V2:
        if key != "sourcevpcarn" and identity.fields.get(key):
            identity.departs(key, "no such key, unless the caller signed: then type is AWS_IAM")


def _vpc(identity: _Identity) -> None:
    vpc = identity.fields.get("sourcevpcarn")
    if (vpc or identity.version == 2) and _VPC.fullmatch(vpc or "") is None:
        identity.departs("sourcevpcarn", "an ARN, as in arn:aws:ec2:REGION:ACCOUNT:vpc/vpc-...")
