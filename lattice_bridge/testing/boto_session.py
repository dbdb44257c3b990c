"""The boto3 sessions of the fakes' own clients.

Rule: they depend on nothing that the person who runs the tests has configured.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def boto_session(access_key: str, secret_key: str, region: str, token: str | None = None) -> Any:
    """One session for all fakes with the same key: each reads the description of a service again, which takes longer
    than most tests."""
    from boto3.session import Session
    from botocore.session import Session as Core

    # Otherwise a profile in AWS_PROFILE that this machine does not have would be a fault of every client.
    core = Core(session_vars={"profile": (None, None, None, None)})
    return Session(access_key, secret_key, token, region_name=region, botocore_session=core)
