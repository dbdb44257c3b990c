"""The endpoint of Lambda's API for a region and an environment.

Rule: the result is botocore's, from environment variables alone; profiles and configuration files are not read. A value
that botocore refuses is refused when the bridge starts.
Source: botocore's endpoint rules of Lambda and its partitions.json. The tests compare this module with both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from lattice_bridge.errors import InvalidMap
from lattice_bridge.http.client import Endpoint

_PARTITIONS: Final = (
    (r"cn-\w+-\d+", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    (r"eusc-de-\w+-\d+", "amazonaws.eu", "api.amazonwebservices.eu"),
    (r"us-iso-\w+-\d+", "c2s.ic.gov", "api.aws.ic.gov"),
    (r"us-isob-\w+-\d+", "sc2s.sgov.gov", "api.aws.scloud"),
    (r"eu-isoe-\w+-\d+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    (r"us-isof-\w+-\d+", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("", "amazonaws.com", "api.aws"),  # aws, aws-us-gov and, as in botocore, every unknown region
)
"""The pattern of a partition's regions, its domain, and its dual-stack domain. All partitions have FIPS endpoints."""

_REGION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*|[0-9a-f:.]*:[0-9a-f:.]*")
_PREFIX: Final = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?")


def region_of(environ: Mapping[str, str]) -> str:
    """The region in AWS_REGION, which Lambda sets, or in AWS_DEFAULT_REGION.

    Raises:
        InvalidMap: neither is set, or the value is not a region.
    """
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    if _REGION.fullmatch(region) is None:
        fault = f"{region!r} is not a region" if region else "no region is set"
        raise InvalidMap([f"AWS_REGION: {fault}. Fix: set it to a region, such as eu-west-1"])
    return region


def endpoint_of(region: str, environ: Mapping[str, str]) -> Endpoint:
    """Lambda's endpoint in a region, or the one in AWS_ENDPOINT_URL_LAMBDA or AWS_ENDPOINT_URL.

    Raises:
        InvalidMap: the value is not a URL, or FIPS or dual stack is asked for as well, which a given URL cannot grant.
    """
    fips, dual = (_is_on(environ, f"AWS_USE_{kind}_ENDPOINT") for kind in ("FIPS", "DUALSTACK"))
    for name in ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"):
        if environ.get(name) and not _is_on(environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
            if fips or dual:
                raise InvalidMap(
                    [f"{name}: an own endpoint excludes FIPS and dual stack. Fix: unset it, or the AWS_USE_… variable"]
                )
            return _parsed(name, environ[name])
    domain, dual_domain = next(
        domains for pattern, *domains in _PARTITIONS if not pattern or re.fullmatch(pattern, region)
    )
    return Endpoint(True, f"lambda{'-fips' if fips else ''}.{region}.{dual_domain if dual else domain}", 443)


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() == "true"


def _parsed(name: str, url: str) -> Endpoint:
    """The fault does not quote the URL, which may contain a password."""
    fault = InvalidMap([f"{name}: not a URL. Fix: write https://HOST[:PORT][/PATH], without user, query or fragment"])
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise fault from None
    # urlsplit removes line ends and tabs silently.
    odd = not url.isascii() or not url.isprintable() or {*"@?# "} & {*url}
    if odd or parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise fault
    if _HOST.fullmatch(parts.hostname) is None or _PREFIX.fullmatch(parts.path) is None:
        raise fault
    secure = parts.scheme == "https"
    return Endpoint(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"))
