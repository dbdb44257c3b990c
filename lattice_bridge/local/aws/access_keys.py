"""The access keys of the AWS endpoint, and the variables by which a function's SDK finds the endpoint and signs for it.

Rule: a function gets a person's own credentials only with `--passthrough`. The stack's own keys are public, and open
nothing but this machine's stack: AWS refuses them, so a request that misses the endpoint reaches no account.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.values import ACCOUNT


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key that the AWS endpoint accepts.

    Attributes:
        access_key: as in AWS_ACCESS_KEY_ID.
        secret_key: as in AWS_SECRET_ACCESS_KEY.
        arn: of the user or the role's session that the key belongs to.
        user_id: its unique id, as SQS writes it into a message: `AIDA…` of a user, `AROA…:SESSION` of a role's session.
        token: the required AWS_SESSION_TOKEN; None for a key that needs none. A token that comes with such a key is
            ignored: it may be left over in a person's shell.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    arn: str = f"arn:aws:iam::{ACCOUNT}:user/local"
    user_id: str = "AIDALOCAL000000000000"


DEVELOPER_KEY: Final = AccessKey("local", "local")
"""The key for people and their tools."""

EXECUTION_ROLE_KEY: Final = AccessKey(
    *("LOCALEXECUTIONROLE", "local", "local"),
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/local-execution-role/local",
    user_id="AROALOCAL000000000000:local",
)
"""The key that execution environments have."""


_NO_FILES: Final = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
"""Lambda has neither file. A person's own contain profiles with credentials, and may contain endpoints."""


class NoCredentials(ValueError):
    """A person's AWS credentials cannot be found or renewed. The message has the form `where: what. Fix: …`."""


class AccessKeys:
    """The keys that the endpoint accepts.

    Args:
        own: returns a person's own credentials, for functions; None if no function gets them.

    Attributes:
        known: of developers and functions, by access key.
        identities: of the stack's identities, by access key. They open no function: a client of Lattice could choose
            any tenant otherwise.
    """

    def __init__(self, own: Callable[[], AccessKey] | None = None) -> None:
        self._own = own
        self.identities: dict[str, AccessKey] = {}
        self.known = {key.access_key: key for key in (DEVELOPER_KEY, EXECUTION_ROLE_KEY)}

    def set_identities(self, keys: Mapping[str, AccessKey]) -> None:
        """Replaces the keys of the stack's identities.

        Args:
            keys: by access key.
        """
        self.identities.clear()
        self.identities.update(keys)

    def variables(self, endpoint: str, services: Iterable[str] = ()) -> Mapping[str, str]:
        """Returns the variables of a new execution environment.

        Lambda has a variable of its own: a template that sets AWS_ENDPOINT_URL for another service still invokes the
        stack's functions. So has each service of which the stack has resources. With a person's credentials, these are
        the only ones, and the endpoint accepts them.

        Args:
            endpoint: the URL of the AWS endpoint.
            services: of which the stack has resources, as in `SQS`.

        Raises:
            NoCredentials: the person's credentials cannot be renewed.
        """
        key = EXECUTION_ROLE_KEY if self._own is None else self._own()
        self.known.setdefault(key.access_key, key)
        return {
            "AWS_ACCESS_KEY_ID": key.access_key,
            "AWS_SECRET_ACCESS_KEY": key.secret_key,
            **({} if key.token is None else {"AWS_SESSION_TOKEN": key.token}),
            **({"AWS_ENDPOINT_URL": endpoint} if self._own is None else {}),
            "AWS_ENDPOINT_URL_LAMBDA": endpoint,
            **{f"AWS_ENDPOINT_URL_{service}": endpoint for service in services},
            **_NO_FILES,
        }


class OwnCredentials:
    """A person's AWS credentials, from where botocore finds them: variables, a profile, SSO, a process.

    They are read for each new environment, so that those that expire are renewed.

    Args:
        find: returns botocore's credentials, or None; None for botocore's own search.
    """

    def __init__(self, find: Callable[[], Any] | None = None) -> None:
        self._find = find or _botocore
        self._found: Any = None

    def __call__(self) -> AccessKey:
        """The current credentials.

        Raises:
            NoCredentials: there are none, they cannot be renewed, or they are the stack's own.
        """
        try:
            self._found = self._found or self._find()
            frozen = None if self._found is None else self._found.get_frozen_credentials()
        except Exception as error:  # botocore's, of many kinds; its message may quote a command with a secret
            raise _no_credentials(f"your AWS credentials cannot be read: {type(error).__name__}") from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise _no_credentials("you have no AWS credentials")
        if frozen.access_key in (DEVELOPER_KEY.access_key, EXECUTION_ROLE_KEY.access_key):
            raise _no_credentials(f"AWS_ACCESS_KEY_ID is {frozen.access_key}, which is the local stack's key")
        return AccessKey(frozen.access_key, frozen.secret_key, frozen.token)


def _no_credentials(fault: str) -> NoCredentials:
    return NoCredentials(f"--passthrough: {fault}. Fix: sign in, as with `aws sso login`, or set AWS_PROFILE")


def _botocore() -> Any:
    from botocore.session import Session

    return Session().get_credentials()
