"""What nobody has shown about Lattice, and what this project does until somebody does.

Rule: every guess about the wire is a name in this file, with the reason for the guess, and a row marked `?` in
docs/wire.md. Code elsewhere uses the name; nothing else in the project guesses.
"""

from __future__ import annotations

from typing import Final, Literal

QUERY_MAP_IS_DECODED: Final = True
"""The values of an event's query map are percent-decoded.

Only read when the path carries no `?`, which no captured event shows; hand-written events do it, and write `a b`
rather than `a%20b`. The local front produces decoded values for the same reason.
"""

SET_COOKIE: Final[Literal["cookies", "headers"]] = "cookies"
"""How a reply carries several `Set-Cookie` lines, unless `[lattice] set_cookie` says otherwise.

`cookies` (a list beside `headers`) is what Powertools sends on every reply and Lattice tolerates; `headers` (a list
inside `headers`) is what Hono sends. Joining with `,` is what nobody may do: a cookie's date holds a comma.
"""

DEFAULT_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
"""The content type of a backend's text that names none. Lattice asks for one; `text/plain` is never run as a script."""

BINARY_CONTENT_TYPE: Final = "application/octet-stream"
"""The content type of a backend's bytes that name none."""

FORWARDED_SCHEME: Final[Literal["https", "http"]] = "https"
"""What clients speak with Lattice, for formats that say it, unless `[lattice] scheme` says otherwise.

AWS's page of headers for HTTP targets has `x-forwarded-proto` (in older copies `x-forwarded-for-proto`); no capture has
either. Who believes it may believe a client: it is not read. Links to `https` are the safe mistake.
"""

FRONT_FUNCTION_FAILED: Final = 502
"""Local front: the function raised, died, or answered nonsense. An ALB says 502; what Lattice says is unknown."""

FRONT_FUNCTION_TIMED_OUT: Final = 504
"""Local front: the function hit its own timeout. Unknown for Lattice; RFC 9110 calls it 504."""

FRONT_FUNCTION_THROTTLED: Final = 503
"""Local front: Lambda throttled the invocation. Unknown for Lattice."""

FRONT_TYPE_PARAMETERS_COUNT: Final = False
"""Local front: parameters make `application/json; charset=utf-8` another type than `application/json`, and so base64.

AWS's page names the bare types only, and does not say.
"""

FRONT_DROPPED_HEADERS: Final = frozenset(
    {"transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "te", "trailer"}
)
"""Local front: request headers that describe one connection, beside those that `Connection` names.

No captured event has one; a body is whole by then."""

FRONT_POLICY_PATH_IS_DECODED: Final = False
"""Local front: an auth policy's Resource and vpc-lattice-svcs:RequestPath are compared with the decoded path.

Captured refusals have plain paths only. As sent is how listener rules and events have the path.
"""

FRONT_POLICY_QUERY_NAMES_HAVE_CASE: Final = False
"""Local front: vpc-lattice-svcs:RequestQueryString/Q is not for the parameter `q`.

IAM's guide says that names of condition keys have no case, Lattice's page that condition keys are case-sensitive.
"""

ASYNC_RETRY_SECONDS: Final = (1.0, 2.0)
"""Local Lambda API: pauses before the second and third try of an `Event` invocation.

Lambda waits one minute, then two; nobody wants to wait for that on a desk.
"""
