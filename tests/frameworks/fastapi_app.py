"""FastAPI under Mangum: what a request looks like to the app, and every kind of answer.

Rule: what a FastAPI user would write; nothing is corrected here that the framework gets wrong.
"""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from mangum import Mangum
from starlette.datastructures import UploadFile

routes = APIRouter(prefix="/{backend}")
SERVED: set[str] = set()  # by this process
EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@routes.api_route("/echo", methods=["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@routes.api_route("/echo/{rest:path}", methods=["GET"])
async def echo(request: Request) -> dict[str, Any]:
    event, context = request.scope["aws.event"], request.scope["aws.context"]
    SERVED.add(context.tenant_id)
    return {
        "method": request.method,
        "path": request.scope["path"],
        "query": request.query_params.multi_items(),
        "headers": request.headers.items(),
        "cookies": request.cookies,
        "client": request.client.host if request.client else None,
        "scheme": request.url.scheme,
        "host": request.url.netloc,
        "tenant": context.tenant_id,
        "served": sorted(SERVED),
        "authorizer": event["requestContext"].get("authorizer"),
    }


@routes.get("/item/{item}")
async def item(item: str) -> dict[str, str]:
    return {"item": item}


@routes.api_route("/body", methods=["POST", "PATCH"])
async def body(request: Request) -> dict[str, str]:
    return {"body": base64.b64encode(await request.body()).decode()}


@routes.post("/json")
async def parsed(request: Request) -> dict[str, Any]:
    return {"parsed": await request.json()}


@routes.post("/form")
async def form(request: Request) -> dict[str, Any]:
    found = await request.form()
    return {"name": found["name"], "tags": found.getlist("tag")}


@routes.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    found = await request.form()
    file = found["file"]
    assert isinstance(file, UploadFile)
    return {
        "name": found["name"],
        "filename": file.filename,
        "content": base64.b64encode(await file.read()).decode(),
    }


@routes.get("/png")
async def png() -> Response:
    return Response(bytes(range(256)), media_type="image/png")


@routes.get("/text")
async def text() -> Response:
    return PlainTextResponse("naïve ✓ 😀")


@routes.get("/gzip")
async def compressed() -> Response:
    return Response(gzip.compress(b"unpacked", mtime=0), media_type="text/plain", headers={"content-encoding": "gzip"})


@routes.get("/cookies")
async def cookies() -> Response:
    response = PlainTextResponse("ok")
    response.set_cookie("one", "1", expires=EXPIRES)
    response.set_cookie("two", "2")
    return response


@routes.get("/list")
async def repeated() -> Response:
    response = PlainTextResponse("ok")
    response.headers.append("x-list", "a")
    response.headers.append("x-list", "b")
    return response


@routes.get("/empty")
async def empty() -> Response:
    return Response(status_code=204)


@routes.get("/unchanged")
async def unchanged() -> Response:
    return Response(status_code=304, headers={"etag": '"v1"'})


@routes.api_route("/head", methods=["GET", "HEAD"])
async def head() -> Response:
    return PlainTextResponse("not for HEAD", headers={"x-head": "1"})


@routes.get("/redirect")
async def redirect() -> Response:
    return RedirectResponse("/elsewhere?a=%2F", status_code=302)


@routes.get("/error")
async def error() -> None:
    raise HTTPException(500, "on purpose")


@routes.get("/raises")
async def raises() -> None:
    raise RuntimeError("a secret of the function")


app = FastAPI()
app.include_router(routes)
handler = Mangum(app, lifespan="off")
