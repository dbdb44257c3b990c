"""Assumptions about Lattice that no capture and no document has confirmed.

Rule: every guess about the wire is a name in this file, with the reason for the guess, and a row marked `?` in
docs/wire.md. Code elsewhere uses the name; nothing else in the project guesses.
"""

from __future__ import annotations

from typing import Final, Literal

QUERY_MAP_IS_DECODED: Final = True
"""The values of an event's query map are percent-decoded.

The map is read only if the path has no `?`, which occurs in no captured event. Hand-made events have it, and contain
`a b` rather than `a%20b`. The local front writes decoded values for the same reason.
"""

SET_COOKIE: Final[Literal["cookies", "headers"]] = "cookies"
"""How a reply contains several `Set-Cookie` lines, unless `[lattice] set_cookie` is set.

`cookies` (a list beside `headers`) is in every reply of Powertools, and Lattice tolerates it; `headers` (a list inside
`headers`) is in replies of Hono. Values must never be joined with `,`: the date of a cookie contains a comma.
"""

DEFAULT_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
"""The content type for a backend's text that has none. Lattice requires one; `text/plain` is never run as a script."""

BINARY_CONTENT_TYPE: Final = "application/octet-stream"
"""The content type for a backend's bytes that have none."""

FORWARDED_SCHEME: Final[Literal["https", "http"]] = "https"
"""The scheme between clients and Lattice, for formats that contain it, unless `[lattice] scheme` is set.

AWS's page of headers for HTTP targets has `x-forwarded-proto` (in older copies `x-forwarded-for-proto`); no capture has
either. The header may be a client's, so it is not read. Links to `https` are the safer mistake.
"""

FRONT_FUNCTION_FAILED: Final = 502
"""Local front: the function raised, died, or its answer is no reply. An ALB returns 502; Lattice is not known to."""

FRONT_FUNCTION_TIMED_OUT: Final = 504
"""Local front: the function hit its own timeout. Unknown for Lattice; RFC 9110 defines 504 for it."""

FRONT_FUNCTION_THROTTLED: Final = 503
"""Local front: Lambda throttled the invocation. Unknown for Lattice."""

FRONT_TYPE_PARAMETERS_COUNT: Final = False
"""Local front: with parameters, as in `application/json; charset=utf-8`, a type counts as another one, so as base64.

AWS's page lists the types without parameters only.
"""

FRONT_DROPPED_HEADERS: Final = frozenset(
    {"transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "te", "trailer"}
)
"""Local front: request headers that describe one connection, beside those that `Connection` names.

No captured event has one: in an event the body is complete."""

ALB_DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"
"""Local front: the content type of a load balancer's response, if the reply of the function has none.

Reported by people whose browser saved a page as a file. The user guide has only replies with a content type.
"""

ALB_TOO_LARGE: Final = "Request Entity Too Large"
"""Local front: the title of a load balancer's page for a body that is too large. The user guide has the status only.

Its other pages have the titles of nginx, whose title this is.
"""

ALB_IDLE_TIMEOUT: Final = 504
"""Local front: the load balancer's idle timeout ended before the function answered. Documented for other targets."""

FRONT_POLICY_PATH_IS_DECODED: Final = False
"""Local front: an auth policy's Resource and vpc-lattice-svcs:RequestPath are compared with the decoded path.

Captured refusals have plain paths only. Listener rules and events have the path as sent.
"""

FRONT_POLICY_QUERY_NAMES_HAVE_CASE: Final = False
"""Local front: vpc-lattice-svcs:RequestQueryString/Q does not apply to the parameter `q`.

In IAM's guide, names of condition keys are not case-sensitive; on Lattice's page they are.
"""

HTTP_API_TIMED_OUT: Final = 503
"""Local front: an HTTP API's integration did not answer in time. AWS's pages have 503 and 504; reports have 503."""

HTTP_API_THROTTLED: Final = 503
"""Local front: Lambda throttled the invocation of an HTTP API. Not documented."""

HTTP_API_TOO_LARGE_FOR_LAMBDA: Final = 413
"""Local front: a request that an HTTP API takes (10 MB), but Lambda does not (6 MB). Not documented."""

FUNCTION_URL_FAILED: Final = 502
"""Local front: the function behind a function URL raised, died, timed out, or its answer is no reply."""

FRONT_MAPPED_VALUE: Final = -1
"""Local REST API: of a repeated header or query parameter, a mapping reads the last value.

The last one is in `headers` and `queryStringParameters` of recorded events. For mappings it is not documented. A
mapping with `multivalueheader` joins all of them with a comma.
"""

FRONT_REST_ASYNC_STATUS: Final = 202
"""Local REST API: the answer of a proxy integration that maps X-Amz-Invocation-Type to Event, with an empty body.

AWS documents it for integrations without a proxy only. 202 is what Lambda answers.
"""

FRONT_REST_PATH_PARAMETERS_ARE_DECODED: Final = False
"""Local REST API: path parameters are as sent, percent-encoded.

So it is with a greedy parameter in LocalStack's recordings of AWS. For others, and for mappings, it is not documented.
"""
