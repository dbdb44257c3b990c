"""The identities that may sign requests to the local front: those of identities.toml, and those that the map names.

Rule: these keys open nothing but this machine's stack. Real credentials do not belong in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lattice_bridge.config.document import parse_toml
from lattice_bridge.config.regular_file import MIB, BadFile, read_regular_text
from lattice_bridge.errors import InvalidMap
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.local.front.lattice import Signer
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
    """identities.toml cannot be used. The message names the entry."""


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


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


# V1's identity header can contain visible ASCII and spaces. `;` is excluded: how Lattice escapes it was never captured.
# (pydantic's `$` matches only at the end, unlike Python's.)
_Text = Annotated[str, Field(pattern=r"^[ -:<-~]{1,512}$")]


class _X509(_Table):
    issuer_ou: _Text | None = None
    san_dns: _Text | None = None
    san_name_cn: _Text | None = None
    san_uri: _Text | None = None
    subject_cn: _Text | None = None


class _Identity(_Table):
    access_key: Annotated[str, Field(pattern="^[A-Za-z0-9]{4,128}$")]
    secret_key: Annotated[str, Field(min_length=1)]
    principal: str
    session: Annotated[str, Field(pattern=f"^{SESSION_NAME}$")] = SESSION
    org: Annotated[str, Field(pattern=r"^o-[a-z0-9]{10,32}$")] | None = None
    x509: _X509 | None = None


class _File(_Table):
    identity: list[_Identity] = []


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
        BadIdentities: not readable, not TOML, or an entry that cannot sign.
    """
    try:
        text = DEFAULT_IDENTITIES if path is None else read_regular_text(path, MAX_BYTES)
        tables = _File.model_validate(parse_toml(text)).identity
    except BadFile as error:
        raise BadIdentities(str(error)) from error
    except InvalidMap as error:
        raise BadIdentities(f"{path}: {error.detail}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadIdentities(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    identities: dict[str, Identity] = {}
    for table in tables:
        if table.access_key in identities:
            raise BadIdentities(
                f"{path}: two identities have the access key {table.access_key}. Fix: give each its own"
            )
        identities[table.access_key] = _identity(table)
    return identities


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


def _identity(table: _Identity) -> Identity:
    try:
        principal = parse_arn(table.principal)
    except BadPrincipal as error:
        raise BadIdentities(f"identity {table.access_key}: {table.principal}: {error.detail}") from error
    x509 = X509(**table.x509.model_dump()) if table.x509 else None
    session = principal.session or table.session
    of_session = principal.kind == "assumed-role"
    arn = str(replace(principal, kind="role", session=None)) if of_session else table.principal
    return Identity(table.access_key, table.secret_key, principal, arn, session, table.org, x509)
