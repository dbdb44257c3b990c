"""The head of an Invoke request, as Lambda's API defines it.

Rule: everything in a head is printable ASCII, so that no value becomes a second header. What the requests of a function
have in common is a form, which is written and checked once. A form belongs to one function, one invocation type, one
endpoint and one set of credentials, and is not used with another (traps D8, D9).
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote

from lattice_bridge.errors import Misconfigured
from lattice_bridge.http.client import Endpoint
from lattice_bridge.http.memory import Memory
from lattice_bridge.invoke.call import INVOCATION_TYPES, Call, Invocation, checked_tenant
from lattice_bridge.invoke.signing import Credentials, Signer, SigningForm
from lattice_bridge.version import __version__

MAX_FORMS: Final = 256
"""Forms that are kept: a map may name any number of functions."""
LONGEST_FORM: Final = 8192
"""Characters of a form that is kept. With a usual token of a role, it has about 3,000."""

_TENANT: Final = "x-amz-tenant-id"


class InvokeHeads:
    """Writes the heads of Invoke requests to one endpoint. Thread-safe.

    Args:
        endpoint: of Lambda.
        region: for the signature.
    """

    def __init__(self, endpoint: Endpoint, region: str) -> None:
        self._endpoint = endpoint
        self._signer = Signer(region, "lambda")
        self._forms = _Forms(Credentials("", ""), _no_forms())  # replaced as a whole: threads share it

    def head(self, call: Call, digest: str, credentials: Credentials, timestamp: str, trace: str | None) -> bytes:
        """The signed head of a call's request.

        Args:
            call: the invocation.
            digest: sha256 of its payload, as hex.
            credentials: sign the request.
            timestamp: now, in UTC, as `YYYYMMDDTHHMMSSZ`.
            trace: the trace header, printable ASCII; None for no header.

        Raises:
            Misconfigured: `tenant_id_rejected` or `invoke_rejected`: the call must not be sent.
        """
        tenant = checked_tenant(call)
        forms = self._forms
        if forms.credentials is not credentials and forms.credentials != credentials:
            forms = self._forms = _Forms(credentials, _no_forms())
        key = (call.function, call.invocation, tenant is not None)
        form = forms.kept.get(key)
        if form is None:
            form = self._form(*key, credentials)
            forms.kept.keep(key, form, form.size)
        value = tenant or ""
        traced = "" if trace is None else f"x-amzn-trace-id: {_printable(trace)}\r\n"
        return (
            f"{form.constant}{timestamp}{form.before_tenant}{value}\r\n"
            f"authorization: {form.signing.authorization(timestamp, value, digest)}\r\n"
            f"{traced}content-length: {len(call.payload)}\r\n\r\n"
        ).encode("ascii")

    def _form(self, function: str, invocation: Invocation, isolated: bool, credentials: Credentials) -> _Form:
        path = f"{self._endpoint.path}{path_of(function)}"
        headers = {"host": self._endpoint.authority, "x-amz-invocation-type": INVOCATION_TYPES[invocation]}
        sent = {**headers, "user-agent": f"lattice-bridge/{__version__}"}
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        _printable("".join([path, credentials.access_key, *sent.values()]))
        lines = "".join([f"{name}: {value}\r\n" for name, value in sent.items()])
        return _Form(
            f"POST {path} HTTP/1.1\r\n{lines}x-amz-date: ",
            f"\r\n{_TENANT}: " if isolated else "",
            self._signer.form(path, headers, credentials, _TENANT if isolated else None),
        )


class _Form(NamedTuple):
    """What the heads of a function have in common.

    Attributes:
        constant: the head up to the time.
        before_tenant: from there to the tenant, or empty without one.
        signing: signs them.
    """

    constant: str
    before_tenant: str
    signing: SigningForm

    @property
    def size(self) -> int:
        """Characters that it keeps."""
        return len(self.constant) + self.signing.size


_Key = tuple[str, Invocation, bool]


class _Forms(NamedTuple):
    """The forms of one set of credentials, by function, invocation type, and whether a tenant is sent."""

    credentials: Credentials
    kept: Memory[_Key, _Form]


def _no_forms() -> Memory[_Key, _Form]:
    return Memory(entries=MAX_FORMS, characters=LONGEST_FORM)


def _printable(text: str) -> str:
    """The text, if it is printable ASCII. The error does not quote it: it may be a token.

    Raises:
        Misconfigured: `invoke_rejected`.
    """
    if text.isascii() and text.isprintable():
        return text
    raise Misconfigured("invoke_rejected", "a header or path with a line end; nothing was invoked") from None


def path_of(function: str) -> str:
    """The path of a function's Invoke. The name or ARN is one segment, whatever characters it has.

    Raises:
        Misconfigured: `invoke_rejected`: a path cannot contain the name.
    """
    if function in ("", ".", ".."):
        raise Misconfigured("invoke_rejected", "the backend's function has no name; nothing was invoked")
    return f"/2015-03-31/functions/{quote(function, safe='-._~')}/invocations"
