"""Intrinsic functions of a value that is resolved already.

Rule: each computes what CloudFormation and its language extensions document. A malformed argument is a ValueError,
TypeError or LookupError.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.values import as_text

_MAX_SUBNETS: Final = 256
"""As in CloudFormation."""


def _base64(argument: Any) -> str:
    return base64.b64encode(as_text(argument).encode("utf-8", "surrogatepass")).decode("ascii")


def _cidr(argument: Any) -> list[str]:
    block, count, bits = argument if len(argument) == 3 else (*argument, None)
    network = ipaddress.ip_network(as_text(block))
    if not 1 <= int(count) <= _MAX_SUBNETS:
        raise ValueError(f"{count} subnets, and it makes 1 to {_MAX_SUBNETS}")
    prefix = network.max_prefixlen - int(8 if bits is None else bits)
    found = [str(subnet) for subnet in islice(network.subnets(new_prefix=prefix), int(count))]
    if len(found) < int(count):
        raise ValueError(f"{block} has no {count} subnets of /{prefix}")
    return found


def _length(argument: Any) -> int:
    if not isinstance(argument, list):
        raise TypeError("the argument is not a list")
    return len(argument)


def _to_json_string(argument: Any) -> str:
    if not isinstance(argument, dict | list):
        raise TypeError("the argument is neither a map nor a list")
    return json.dumps(argument, separators=(",", ":"), default=as_text)


COMPUTED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::Length": _length,
    "Fn::ToJsonString": _to_json_string,
}
