"""The identities that may sign requests to the local front: those of identities.toml, and those that the map names.

Rule: these keys are accepted by the local stack only. Real credentials do not belong in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from lattice_bridge.config.document import parse_toml
from lattice_bridge.config.positions import located
from lattice_bridge.config.regular_file import MIB, BadFile, read_regular_text
from lattice_bridge.config.tables.table import SECRET, OwnNames, Reader, Table, label, unknown_key
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault, InvalidMap
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.local.front.exchange.http_message import Signer
from lattice_bridge.message import X509

MAX_BYTES: Final = MIB
"""Bytes of identities.toml."""

SESSION_PREFIX: Final = "session="
"""The beginning of an `x-amz-security-token` that chooses the session's name."""

SESSION: Final = "local"
"""The name of a role's session, unless the identity or the request has another."""

SESSION_NAME: Final = "[A-Za-z0-9_+=,.@-]{2,64}"
"""The session names that IAM allows."""


class BadIdentities(Exception):
    """identities.toml cannot be used. The message has a line for each fault, with its place and its entry."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A signer.

    Attributes:
        access_key: the first part of `--user KEY:SECRET`.
        secret_key: the second part.
        principal: the signer; a role gets a session.
        arn: the value of `aws:PrincipalArn`: with the path; for a session, the role's ARN.
        session: the session's name, unless the request names another.
        org: the organisation, or None.
        x509: the fields that IAM Roles Anywhere reads from a certificate, or None.
    """

    access_key: str
    secret_key: str
    principal: Principal
    arn: str
    session: str
    org: str | None = None
    x509: X509 | None = None

    def signer(self, session: str) -> Signer:
        """Returns the signer: of a role, a session with this name; of a user, the user itself."""
        if self.principal.kind not in ("role", "assumed-role"):
            return Signer(self.principal, None, self.org, self.x509, self.arn)
        in_session = replace(self.principal, kind="assumed-role", session=session)
        return Signer(in_session, session, self.org, self.x509, self.arn)


class _X509Table(Table):
    issuer_ou: str | None = None
    san_dns: str | None = None
    san_name_cn: str | None = None
    san_uri: str | None = None
    subject_cn: str | None = None


class _IdentityTable(Table):
    access_key: str = Field(description="The first part of curl's --user KEY:SECRET.")
    secret_key: str = Field(description="The second part of curl's --user KEY:SECRET.", json_schema_extra=SECRET)
    principal: str = Field(description="The ARN of a role, a session or a user.")
    session: str = Field(default=SESSION, description="The session's name, if the request names none.")
    org: str | None = Field(default=None, description="The organisation.")
    x509: _X509Table | None = Field(default=None, description="What IAM Roles Anywhere reads from a certificate.")


_WORD: Final = re.compile(r"[A-Za-z0-9+/_-]{2,}")
_KEYS: Final = frozenset({"identity", *_IdentityTable.model_fields, *_X509Table.model_fields})
_PREFIX: Final = 6
"""Characters of a word that a message may not contain. It may shorten a long one."""
_NOT_TOML: Final = 'not TOML. Fix: write one key and its value in quotes in each line, as in access_key = "LOCALBLUE"'

_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9]{4,128}")
_ORG: Final = re.compile(r"o-[a-z0-9]{10,32}")
_VISIBLE: Final = re.compile(r"[ -:<-~]{1,512}")
"""V1's identity header can contain visible ASCII and spaces. `;` is excluded: how Lattice escapes it was never
captured."""


DEFAULT_IDENTITIES: Final = """
[[identity]]
access_key = "LOCALBLUE"
secret_key = "blue"
principal = "arn:aws:iam::111122223333:role/blue-api"
org = "o-local00000"

[[identity]]
access_key = "LOCALGREEN"
secret_key = "green"
principal = "arn:aws:iam::111122223333:role/green-api"
org = "o-local00000"
"""
"""Used if there is no identities.toml; in the same format."""


def read_identities(path: Path | None) -> Mapping[str, Identity]:
    """Reads the identities, by access key.

    Args:
        path: of identities.toml; None for the default ones.

    Raises:
        BadIdentities: not readable, not TOML, or entries that cannot sign: with every fault found.
    """
    try:
        text = DEFAULT_IDENTITIES if path is None else read_regular_text(path, MAX_BYTES)
        return _parsed(text, str(path))
    except BadFile as error:
        raise BadIdentities(str(error)) from error
    except InvalidMap as error:
        raise BadIdentities("\n".join(error.messages)) from error


def stack_identities(path: Path | None, named: Mapping[str, Identity]) -> dict[str, Identity]:
    """All identities of a stack, by access key.

    Those of the file come first, and replace others with their access keys. Without a file, the two default ones come
    last, unless the map names callers with these keys.

    Args:
        path: of identities.toml; None if there is none.
        named: those that the map's rules name.

    Raises:
        BadIdentities: as `read_identities`.
    """
    written = read_identities(path)
    first, second = (written, named) if path is not None else (named, written)
    return {**first, **{key: identity for key, identity in second.items() if key not in first}}


def _tables(text: str, name: str) -> Mapping[str, Any]:
    """The tables of the file.

    Raises:
        InvalidMap: not TOML. The message quotes nothing of the file but known keys: with a misspelt key or a missing
            quote, any word may be part of a secret.
    """
    try:
        return parse_toml(text, name)
    except InvalidMap as error:
        words = {word for word in _WORD.findall(text) if word not in _KEYS}
        is_quoted = any(word[:_PREFIX] in fault.text for fault in error.found for word in words)
        if not is_quoted:
            raise
        raise InvalidMap([fault._replace(text=_NOT_TOML) for fault in error.found], name) from None


def _parsed(text: str, name: str) -> Mapping[str, Identity]:
    tables, reader = _tables(text, name), Reader()
    reader.faults += [unknown_key(key, ["identity"]) for key in tables if key != "identity"]
    written = reader.each(_IdentityTable, tables.get("identity", []), "identity")
    seen: set[str] = set()
    for index, table in written.items():
        is_repeated = table.access_key in seen
        where = f"identity {label(tables['identity'][index], index)}"
        reader.add(where, ("identity", index), _faults_of(table, is_repeated=is_repeated))
        seen.add(table.access_key)
    if reader.faults:
        raise InvalidMap(located(reader.faults, text), name)
    return {table.access_key: _identity(table) for table in written.values()}


def _faults_of(table: _IdentityTable, *, is_repeated: bool) -> Iterator[Fault]:
    """Everything wrong with one entry. A message never quotes the secret key."""
    if _ACCESS_KEY.fullmatch(table.access_key) is None:
        fix = "write 4 to 128 letters and digits"
        yield Fault(f"access_key {quoted(table.access_key)} is not an access key. Fix: {fix}", ("access_key",))
    if is_repeated:
        yield Fault("two identities have this access key. Fix: give each its own", ("access_key",))
    if not table.secret_key:
        yield Fault("secret_key is empty. Fix: write any string; it opens nothing but this stack", ("secret_key",))
    try:
        parse_arn(table.principal)
    except BadPrincipal as error:
        example = OwnNames({"rule": [{"role": table.principal}]}).arn("role", table.principal)
        what = f"principal {quoted(table.principal)}: {error.detail}"
        yield Fault(f"{what}. Fix: write it as IAM does, as in {example}", ("principal",))
    if re.fullmatch(SESSION_NAME, table.session) is None:
        fix = "write 2 to 64 of A-Z a-z 0-9 _ + = , . @ -"
        yield Fault(f"session {quoted(table.session)} is not a session name. Fix: {fix}", ("session",))
    if table.org is not None and _ORG.fullmatch(table.org) is None:
        fix = "write o- and 10 to 32 lower-case letters and digits"
        yield Fault(f"org {quoted(table.org)} is not the id of an organisation. Fix: {fix}", ("org",))
    for key, value in (table.x509.model_dump() if table.x509 else {}).items():
        if value is not None and _VISIBLE.fullmatch(value) is None:
            what = f"x509: {key} {quoted(value)} is not a value that Lattice sends"
            yield Fault(f"{what}. Fix: write 1 to 512 visible characters of ASCII without ;", ("x509", key))


def _identity(table: _IdentityTable) -> Identity:
    """The signer of an entry without faults."""
    principal = parse_arn(table.principal)
    x509 = X509(**table.x509.model_dump()) if table.x509 else None
    session = principal.session or table.session
    of_session = principal.kind == "assumed-role"
    arn = str(replace(principal, kind="role", session=None)) if of_session else table.principal
    return Identity(table.access_key, table.secret_key, principal, arn, session, table.org, x509)
