"""The attempts of one invocation.

Rule: a request that may have run is never sent again. After `DidNotRun`, it is sent again up to two times, and after
`CredentialsExpired` once, if enough time is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from lattice_bridge.invoke.call import CredentialsExpired, DidNotRun

RETRY_PAUSES: Final = (0.1, 0.3)
"""Seconds before the second and the third attempt, at most. The pause is random, between half of this and this."""

SHORTEST: Final = 0.25
"""Seconds below which no invocation begins."""


def retried(
    refusal: DidNotRun | CredentialsExpired,
    attempt: Callable[[], bytes],
    deadline: float,
    *,
    connecting: float,
    renew: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> bytes:
    """Returns the result of the next attempt that succeeds, after a first one that was refused.

    Args:
        refusal: of the first attempt. An invoker makes that one itself: most need no other.
        attempt: makes another.
        deadline: seconds of `clock`.
        connecting: seconds that an attempt may need to connect. Without that time left, no other attempt begins.
        renew: forgets the cached credentials, before the attempt after `CredentialsExpired`.
        clock: monotonic seconds.
        pause: waits for a number of seconds.

    Raises:
        BridgeError: of the last attempt.
    """
    pauses, renewals = iter(RETRY_PAUSES), iter([renew])
    while True:
        if isinstance(refusal, DidNotRun):
            wait = next(pauses, None)
            if wait is None or (refusal.asked or 0) > wait or clock() + wait + SHORTEST + connecting >= deadline:
                raise refusal
            _pause(wait, pause)
        else:
            renewal = next(renewals, None)
            if renewal is None or clock() + SHORTEST + connecting >= deadline:
                raise refusal
            renewal()
        try:
            return attempt()
        except (DidNotRun, CredentialsExpired) as next_refusal:
            refusal = next_refusal.without_frames()  # they have this one, so the call would wait for a collection


def _pause(wait: float, pause: Callable[[float], None]) -> None:
    import random  # here: a start does not need it

    pause(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
