"""Whose credentials sign an invocation.

Rule: asked for each request, kept nowhere. A process whose variables are renewed never signs with the old ones; three
look-ups cost two microseconds. botocore is imported only where the variables are not set, as with Lambda SnapStart,
which hands credentials out by HTTP; it renews them before they expire.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from lattice_bridge.errors import Misconfigured
from lattice_bridge.invoke.signing import Credentials
from lattice_bridge.runtime.process import after_fork

Source = Callable[[], Credentials]
"""The credentials of the moment; raises Misconfigured, `access_denied`, if there are none."""


def from_environment(environ: Mapping[str, str], otherwise: Source) -> Source:
    """Credentials from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.

    Args:
        environ: looked at for each request.
        otherwise: asked where no access key is set.
    """

    def current() -> Credentials:
        access_key = environ.get("AWS_ACCESS_KEY_ID")
        if not access_key:
            return otherwise()
        secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
        if not secret_key:
            raise _none("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not")
        return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)

    return current


class Chain:
    """Credentials wherever else botocore looks: containers, profiles, instance metadata. Safe to share by threads.

    Args:
        find: botocore's credentials, or None; called until it finds some.
    """

    def __init__(self, find: Callable[[], Any] | None = None) -> None:
        self._find = find or _botocore
        self._found: Any = None
        self._lock = threading.Lock()
        after_fork(self._forget_lock)

    def __call__(self) -> Credentials:
        """The credentials of the moment, renewed if they expire soon.

        Raises:
            Misconfigured: `access_denied`: there are none, or they cannot be had.
        """
        try:
            frozen = self._credentials().get_frozen_credentials()  # one moment's: three reads could span a renewal
        except Misconfigured:
            raise
        except Exception as error:
            raise _none(type(error).__name__) from None  # whose message may quote what a provider answered
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)

    def _forget_lock(self) -> None:
        self._found, self._lock = None, threading.Lock()  # botocore's credentials have locks of their own

    def forget(self) -> None:
        """What was found is looked for anew: Lambda said that it has expired, though it did not say so itself."""
        with self._lock:
            self._found = None

    def _credentials(self) -> Any:
        with self._lock:
            if self._found is None:
                self._found = self._find()
            if self._found is None:
                raise _none("none found")
            return self._found


def _botocore() -> Any:
    from botocore.session import Session  # a tenth of a second, which nobody pays who has variables

    return Session().get_credentials()


def _none(why: str) -> Misconfigured:
    return Misconfigured("access_denied", f"no credentials to sign with: {why}")
