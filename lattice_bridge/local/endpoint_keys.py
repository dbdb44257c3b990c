"""The access keys with which the identities of a stack sign for the AWS endpoint, as for the front.

Rule: SQS writes the unique id of the signer into each message, and a rule of the map can name this id. So each identity
has an id that stays the same, and each `sender` of a rule has a key whose messages carry its id.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.values import ACCOUNT
from lattice_bridge.local.aws.access_keys import AccessKey
from lattice_bridge.local.front.exchange.identities import SESSION, Identity

_ID: Final = re.compile("[A-Z0-9]{12,128}")


def endpoint_keys(identities: Mapping[str, Identity], rules: Iterable[Mapping[str, Any]]) -> dict[str, AccessKey]:
    """The keys by access key.

    Args:
        identities: of the stack, by access key.
        rules: as written in the maps.
    """
    found = {name: _of_identity(identity) for name, identity in identities.items()}
    for rule in rules:
        key = _of_sender(rule.get("sender"))
        if key is not None:
            found.setdefault(key.access_key, key)
    return found


def _of_identity(identity: Identity) -> AccessKey:
    principal = identity.signer(identity.session).principal
    if principal.kind == "root":
        user_id = principal.account
    elif principal.session is None:
        user_id = f"AIDA{_unique(identity.arn)}"
    else:
        user_id = f"AROA{_unique(identity.arn)}:{principal.session}"
    return AccessKey(identity.access_key, identity.secret_key, arn=str(principal), user_id=user_id)


def _unique(arn: str) -> str:
    """The rest of a unique id: 17 letters and digits, as IAM's have."""
    return base64.b32encode(sha256(arn.encode()).digest()).decode("ascii")[:17]


def _of_sender(sender: object) -> AccessKey | None:
    """The key of a rule's sender; None if the rule has none, or one that the map's own check refuses."""
    if not isinstance(sender, Mapping):
        return None
    role_id, user_id, session = (sender.get(name) for name in ("role_id", "user_id", "session"))
    session = session if isinstance(session, str) else SESSION
    if isinstance(role_id, str) and _ID.fullmatch(role_id):
        name = role_id if session == SESSION else role_id + re.sub("[^A-Za-z0-9]", "", session).upper()
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role_id}/{session}"
        return AccessKey(f"LOCAL{name}", name.lower(), arn=arn, user_id=f"{role_id}:{session}")
    if isinstance(user_id, str) and _ID.fullmatch(user_id):
        arn = f"arn:aws:iam::{ACCOUNT}:user/{user_id}"
        return AccessKey(f"LOCAL{user_id}", user_id.lower(), arn=arn, user_id=user_id)
    return None
