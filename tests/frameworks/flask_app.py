"""Flask under apig-wsgi and serverless-wsgi: what a request looks like to the app, and every kind of answer.

Rule: what a Flask user would write; nothing is corrected here that the framework gets wrong.
"""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime
from typing import Any

import serverless_wsgi
from apig_wsgi import make_lambda_handler
from flask import Blueprint, Flask, Response, abort, redirect, request

routes = Blueprint("routes", __name__, url_prefix="/<backend>")
SERVED: set[str] = set()  # by this process
EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@routes.url_value_preprocessor
def without_backend(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    if values:
        values.pop("backend")


@routes.route("/echo", methods=["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@routes.route("/echo/<path:rest>")
def echo(rest: str = "") -> dict[str, Any]:
    environ = request.environ
    event = environ.get("apig_wsgi.full_event") or environ["serverless.event"]
    context = environ.get("apig_wsgi.context") or environ["serverless.context"]
    SERVED.add(context.tenant_id)
    return {
        "method": request.method,
        "path": request.path,
        "query": list(request.args.items(multi=True)),
        "headers": [(name.lower(), value) for name, value in request.headers.items()],
        "cookies": request.cookies,
        "client": request.remote_addr,
        "scheme": request.scheme,
        "host": request.host,
        "tenant": context.tenant_id,
        "served": sorted(SERVED),
        "authorizer": event["requestContext"].get("authorizer"),
    }


@routes.get("/item/<item>")
def item(item: str) -> dict[str, str]:
    return {"item": item}


@routes.route("/body", methods=["POST", "PATCH"])
def body() -> dict[str, str]:
    return {"body": base64.b64encode(request.get_data()).decode()}


@routes.post("/json")
def parsed() -> dict[str, Any]:
    return {"parsed": request.get_json()}


@routes.post("/form")
def form() -> dict[str, Any]:
    return {"name": request.form["name"], "tags": request.form.getlist("tag")}


@routes.post("/upload")
def upload() -> dict[str, Any]:
    file = request.files["file"]
    content = base64.b64encode(file.read()).decode()
    return {"name": request.form["name"], "filename": file.filename, "content": content}


@routes.get("/png")
def png() -> Response:
    return Response(bytes(range(256)), mimetype="image/png")


@routes.get("/text")
def text() -> Response:
    return Response("naïve ✓ 😀", mimetype="text/plain")


@routes.get("/gzip")
def compressed() -> Response:
    packed = gzip.compress(b"unpacked", mtime=0)
    return Response(packed, mimetype="text/plain", headers={"content-encoding": "gzip"})


@routes.get("/cookies")
def cookies() -> Response:
    response = Response("ok", mimetype="text/plain")
    response.set_cookie("one", "1", expires=EXPIRES)
    response.set_cookie("two", "2")
    return response


@routes.get("/list")
def repeated() -> Response:
    response = Response("ok", mimetype="text/plain")
    response.headers.add("x-list", "a")
    response.headers.add("x-list", "b")
    return response


@routes.get("/empty")
def empty() -> Response:
    return Response(status=204)


@routes.get("/unchanged")
def unchanged() -> Response:
    return Response(status=304, headers={"etag": '"v1"'})


@routes.get("/head")
def head() -> Response:
    return Response("not for HEAD", mimetype="text/plain", headers={"x-head": "1"})


@routes.get("/redirect")
def elsewhere() -> Any:
    return redirect("/elsewhere?a=%2F")


@routes.get("/error")
def error() -> Response:
    abort(500)


@routes.get("/raises")
def raises() -> Response:
    raise RuntimeError("a secret of the function")


app = Flask(__name__)
app.url_map.merge_slashes = False  # Werkzeug would redirect `//` to `/`
app.register_blueprint(routes)

apig_wsgi = make_lambda_handler(app, binary_support=True)


def serverless(event: dict[str, Any], context: Any) -> Any:
    return serverless_wsgi.handle_request(app, event, context)
