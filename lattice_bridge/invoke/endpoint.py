"""Region and environment -> where Lambda's API is.

Rule: as botocore resolves it, from the variables alone: profiles and configuration files are not read. What botocore
refuses is refused, at start.
Source: botocore's endpoint rules of Lambda and its partitions.json, which the tests hold this against.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lattice_bridge.errors import InvalidMap

_PARTITIONS: Final = (
    (r"cn-\w+-\d+", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    (r"eusc-de-\w+-\d+", "amazonaws.eu", "api.amazonwebservices.eu"),
    (r"us-iso-\w+-\d+", "c2s.ic.gov", "api.aws.ic.gov"),
    (r"us-isob-\w+-\d+", "sc2s.sgov.gov", "api.aws.scloud"),
    (r"eu-isoe-\w+-\d+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    (r"us-isof-\w+-\d+", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("", "amazonaws.com", "api.aws"),  # aws and aws-us-gov, and, as in botocore, whatever nobody has heard of
)
"""A region's form → the partition's domain, and the one with IPv6. All have FIPS endpoints."""

_REGION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*|[0-9a-f:.]*:[0-9a-f:.]*")
_PREFIX: Final = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP server.

    Attributes:
        secure: TLS.
        host: a name or an address, without brackets.
        port: TCP.
        path: what comes before the operation's own path; no `/` at its end.
    """

    secure: bool
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """The `Host` header: no port if it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def region_of(environ: Mapping[str, str]) -> str:
    """Lambda's own variable, or the one that other SDKs' users set.

    Raises:
        InvalidMap: there is none, or it is not one.
    """
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    if _REGION.fullmatch(region) is None:
        raise InvalidMap([f"AWS_REGION: {region!r} is not a region" if region else "AWS_REGION: no region is set"])
    return region


def endpoint_of(region: str, environ: Mapping[str, str]) -> Endpoint:
    """Where Lambda of a region is, unless the environment says where else to go.

    Raises:
        InvalidMap: not a URL, or one beside a wish for FIPS or dual stack, which no given URL can grant.
    """
    fips, dual = (_is_on(environ, f"AWS_USE_{kind}_ENDPOINT") for kind in ("FIPS", "DUALSTACK"))
    for name in ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"):
        if environ.get(name) and not _is_on(environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
            if fips or dual:
                raise InvalidMap([f"{name}: an endpoint of your own goes with neither FIPS nor dual stack"])
            return _parsed(name, environ[name])
    plain, both = next(domains for form, *domains in _PARTITIONS if not form or re.fullmatch(form, region))
    return Endpoint(True, f"lambda{'-fips' if fips else ''}.{region}.{both if dual else plain}", 443)


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() == "true"


def _parsed(name: str, url: str) -> Endpoint:
    """The URL is not quoted in the fault: somebody may have written a password into it."""
    fault = InvalidMap([f"{name}: not a URL as in https://HOST[:PORT][/PATH], without user, query or fragment"])
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise fault from None
    # urlsplit takes out line ends and tabs without a word.
    odd = not url.isascii() or not url.isprintable() or {*"@?# "} & {*url}
    if odd or parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise fault
    if _HOST.fullmatch(parts.hostname) is None or _PREFIX.fullmatch(parts.path) is None:
        raise fault
    secure = parts.scheme == "https"
    return Endpoint(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"))
