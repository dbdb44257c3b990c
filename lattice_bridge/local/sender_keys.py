"""Access keys for the senders that the rules of a map name, so that a developer can send messages as each of them.

Rule: a message that is signed with such a key has the sender's unique id as its `SenderId`, which AWS writes for the
role or user that sends it. AWS's own keys begin with A, and these with LOCAL, so AWS refuses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY, AccessKey
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.front.exchange.identities import SESSION
from lattice_bridge.local.front.exchange.rule_identities import PREFIX
from lattice_bridge.message import Sender

_ROLE: Final = "AROA"
_NO_LETTER: Final = re.compile("[^A-Za-z0-9]")
_ANCHORS: Final = ("sender", "sender-session")


def sender_keys(configurations: Iterable[BridgeConfiguration]) -> dict[str, AccessKey]:
    """The keys of the senders that the rules of these maps name, by access key, in the order of the rules.

    An access key is LOCAL, the unique id, and the letters and digits of the session if the rule names one, in capitals.
    The secret is the same without LOCAL, in lower case. A role without a session in its rule sends in the session
    `local`.
    """
    found: dict[str, AccessKey] = {}
    for sender in dict.fromkeys(each for configuration in configurations for each in _senders(configuration)):
        name = _NO_LETTER.sub("", f"{sender.id}{sender.session or ''}").upper()
        session = sender.session or (SESSION if sender.id.startswith(_ROLE) else None)
        user_id = sender.id if session is None else f"{sender.id}:{session}"
        key = AccessKey(PREFIX + name, name.lower(), arn=DEVELOPER_KEY.arn, user_id=user_id)
        found.setdefault(key.access_key, key)
    return found


def _senders(configuration: BridgeConfiguration) -> Iterator[Sender]:
    rules = configuration.settings.tenant_map.rules.owners if configuration.settings else {}
    return (Sender(*key[1:]) for key in rules if key[0] in _ANCHORS)
