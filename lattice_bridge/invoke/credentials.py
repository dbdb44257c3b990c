"""The AWS credentials that sign an invocation.

Rule: they are read for each request. If the environment variables are renewed, no request is signed with the old ones;
three look-ups cost two microseconds. botocore is imported only if the variables are not set, as with Lambda SnapStart,
which provides credentials over HTTP; botocore renews those before they expire.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from lattice_bridge.errors import Misconfigured
from lattice_bridge.invoke.signing import Credentials
from lattice_bridge.runtime.process import after_fork

CredentialProvider = Callable[[], Credentials]
"""Returns the current credentials. Raises Misconfigured, `access_denied`, if there are none."""


def from_environment(environ: Mapping[str, str], fallback: CredentialProvider) -> CredentialProvider:
    """A provider of `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.

    Args:
        environ: read for each request.
        fallback: used where no access key is set.
    """

    known = Credentials("", "")

    def current() -> Credentials:
        nonlocal known
        access_key = environ.get("AWS_ACCESS_KEY_ID")
        if not access_key:
            return fallback()
        secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
        if not secret_key:
            raise _no_credentials("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not")
        token = environ.get("AWS_SESSION_TOKEN") or None
        last = known
        if last.access_key == access_key and last.secret_key == secret_key and last.token == token:
            return last  # the same object, by which a signer sees at once that nothing has changed
        found = known = Credentials(access_key, secret_key, token)
        return found

    return current


class BotocoreCredentials:
    """Credentials from the other places that botocore reads: containers, profiles, instance metadata. Thread-safe.

    Args:
        find: returns botocore's credentials, or None. It is called until it finds some.
    """

    def __init__(self, find: Callable[[], Any] | None = None) -> None:
        self._find = find or _botocore
        self._found: Any = None
        self._lock = threading.Lock()
        after_fork(self._reset)

    def __call__(self) -> Credentials:
        """The current credentials, renewed if they expire soon.

        Raises:
            Misconfigured: `access_denied`: there are none, or their provider failed.
        """
        try:
            frozen = self._credentials().get_frozen_credentials()  # all three at once: reads could span a renewal
        except Misconfigured:
            raise
        except Exception as error:
            raise _no_credentials(type(error).__name__) from None  # the message may quote the provider's answer
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)

    def forget(self) -> None:
        """Makes the next call find credentials anew: Lambda answered that these have expired, botocore did not know."""
        with self._lock:
            self._found = None

    def _reset(self) -> None:
        self._found, self._lock = None, threading.Lock()  # botocore's credentials have locks of their own

    def _credentials(self) -> Any:
        with self._lock:
            if self._found is None:
                self._found = self._find()
            if self._found is None:
                raise _no_credentials("none found")
            return self._found


def _botocore() -> Any:
    from botocore.session import Session  # here: it takes a tenth of a second, and is only needed without variables

    return Session().get_credentials()


def _no_credentials(why: str) -> Misconfigured:
    return Misconfigured("access_denied", f"no credentials to sign with: {why}")
