"""Existing functions behind the bridge: real frameworks, each in the payload it knows, over HTTP.

Rule: a case comes out right, or exactly as `losses` says the framework has it, which a control shows without us.
"""

from __future__ import annotations

import http.client
import json
import pkgutil
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from apig_wsgi import make_lambda_handler

from lattice_bridge.bridge import Bridge
from lattice_bridge.config.settings import Settings
from lattice_bridge.invoke.call import Call
from tests.frameworks import documented, page
from tests.frameworks.cases import CASES, HANDLERS, Answer, Case, Request
from tests.frameworks.losses import LOSSES, Loss
from tests.support import builders
from tests.support.paths import ROOT
from tests.support.stack import running
from tests.support.written import assert_written

FOLDER: Final = ROOT / "tests" / "frameworks"
PACKAGES: Final = sysconfig.get_path("purelib")
CALLER: Final = builders.role("blue-api")

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

CELLS: Final = [
    (framework, payload, case) for framework, payload in HANDLERS for case in CASES if payload in case.payloads
]
asked: set[tuple[str, str, str]] = set()
came_out: dict[tuple[str, str, str], Loss | None] = {}


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a handler that is called here."""

    tenant_id: str | None
    function_name: str = "orders"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:111122223333:function:orders"
    aws_request_id: str = "id"


def id_of(value: object) -> str | None:
    return value.id if isinstance(value, Case) else None


# ---- over HTTP, through the bridge ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def front() -> Iterator[http.client.HTTPConnection]:
    with running(f"--parameter=Packages={PACKAGES}", template=FOLDER / "template.yaml") as stack:
        address = urlsplit(stack.front)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        yield connection
        connection.close()


def sent(front: http.client.HTTPConnection, request: Request, function: str) -> Answer:
    """As it stands: these calls of http.client neither join nor encode anything."""
    target = f"/{function}{request.target}"
    front.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in (("host", request.host), ("x-tenant-id", request.tenant), *request.headers):
        front.putheader(name, value.encode())
    if request.method in ("POST", "PATCH"):
        front.putheader("content-length", str(len(request.body)))
    front.endheaders(request.body or None)
    response = front.getresponse()
    headers = tuple((name.lower(), value) for name, value in response.getheaders())
    return Answer(response.status, headers, response.read(), target)


@pytest.mark.parametrize(("framework", "payload", "case"), CELLS, ids=id_of)
def test_it_comes_out_right_or_as_the_framework_has_it(
    front: http.client.HTTPConnection, framework: str, payload: str, case: Case
) -> None:
    cell = (framework, payload, case.id)
    asked.add(cell)
    loss = LOSSES.get(cell)
    answer = sent(front, case.request, f"{framework}-{payload}")
    assert case.view(answer) == (case.right if loss is None else loss.seen), answer
    came_out[cell] = loss


# ---- in this process, without it ------------------------------------------------------------------------------------


def handler_of(framework: str, payload: str) -> Handler:
    """As tests/frameworks/template.yaml has it."""
    places = {
        "mangum": "fastapi_app:handler",
        "apig-wsgi": "flask_app:apig_wsgi",
        "serverless-wsgi": "flask_app:serverless",
        "powertools": f"powertools_app:{payload.replace('-', '_')}",
    }
    found: Handler = pkgutil.resolve_name(f"tests.frameworks.{places[framework]}")
    return found


@pytest.mark.usefixtures("event_loop_of_main")
@pytest.mark.parametrize(("framework", "payload", "case"), LOSSES)
def test_a_loss_is_the_frameworks_own(framework: str, payload: str, case: str) -> None:
    loss, function = LOSSES[framework, payload, case], f"{framework}-{payload}"
    (found,) = [each for each in CASES if each.id == case]
    event = documented.event(found.request, function, payload)
    handler, context = handler_of(framework, payload), Context(found.request.tenant)
    if loss.raises:
        with pytest.raises(Exception) as caught:
            handler(event, context)
        assert type(caught.value).__name__ == loss.raises
    else:
        assert found.view(documented.answer(handler(event, context), function)) == loss.seen


def test_loss_names_a_case_and_a_wrong_result() -> None:
    right = {(framework, payload, case.id): case.right for framework, payload, case in CELLS}
    assert LOSSES.keys() <= right.keys()
    assert [cell for cell, loss in LOSSES.items() if loss.seen == right[cell]] == []


@pytest.mark.parametrize("source", sorted({source for loss in LOSSES.values() for source in loss.note.sources}))
def test_where_a_loss_is_said_to_happen_exists(source: str) -> None:
    assert pkgutil.resolve_name(source) is not None


def test_recommended_payload_loses_least() -> None:
    lost = {handler: sum(cell[:2] == handler for cell in LOSSES) for handler in HANDLERS}
    for framework, payload in HANDLERS:
        recommended = "apigateway-v1" if framework == "powertools" else "apigateway-v2"
        assert lost[framework, recommended] <= lost[framework, payload]


def test_apig_wsgi_needs_an_option_for_binary_bodies() -> None:
    """The comment in its recipe."""
    app = pkgutil.resolve_name("tests.frameworks.flask_app:app")
    event = documented.event(Request("/png"), "apig-wsgi-apigateway-v1", "apigateway-v1")
    with pytest.raises(UnicodeDecodeError):
        make_lambda_handler(app)(event, Context("blue"))
    assert make_lambda_handler(app, binary_support=True)(event, Context("blue"))["isBase64Encoded"] is True


# ---- what docs/backends.md shows -------------------------------------------------------------------------------------


def behind_a_bridge(toml: str, handler: Handler) -> Bridge:
    """A bridge with a recipe's configuration, whose function is run here."""
    settings = Settings.from_text(toml + builders.MAP)

    def invoke(call: Call) -> bytes:
        assert call.function == "orders:live"
        return json.dumps(handler(json.loads(call.payload), Context(call.tenant))).encode()

    return Bridge(settings.tenant_map, invoke, backends=settings.options.backends, write=lambda _line: None)


def run(python: str, **names: Any) -> dict[str, Any]:
    """The values that a block of Python defines."""
    found: dict[str, Any] = {"__name__": "app", **names}
    exec(compile(python, "docs/backends.md", "exec"), found)
    return found


@pytest.mark.usefixtures("event_loop_of_main")
@pytest.mark.parametrize("title", page.recipes())
def test_a_recipe_answers_with_tenant_and_principal(title: str) -> None:
    python, toml = page.recipes()[title]
    bridge = behind_a_bridge(toml, run(python)["handler"])
    answer = bridge(builders.v2(CALLER, path="/orders/7"), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"order": "7", "tenant": "blue", "principal": CALLER}


def test_every_framework_has_a_recipe() -> None:
    assert [name for name in page.NAMES.values() if not any(name in title for title in page.recipes())] == []


SHOWS: Final = {
    "FastAPI, Mangum": """
from fastapi import FastAPI, Request
from mangum import Mangum
app = FastAPI()
@app.get("/orders")
async def show(request: Request) -> dict[str, list[object]]:
    return {"seen": [CODE]}
handler = Mangum(app, lifespan="off")
""",
    "Flask, apig-wsgi": """
from apig_wsgi import make_lambda_handler
from flask import Flask, request
app = Flask(__name__)
app.get("/orders")(lambda: {"seen": [CODE]})
handler = make_lambda_handler(app, binary_support=True)
""",
    "Flask, serverless-wsgi": """
import serverless_wsgi
from flask import Flask, request
app = Flask(__name__)
app.get("/orders")(lambda: {"seen": [CODE]})
handler = lambda event, context: serverless_wsgi.handle_request(app, event, context)
""",
    "Powertools": """
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
app = APIGatewayHttpResolver()
app.get("/orders")(lambda: {"seen": [CODE]})
handler = app.resolve
""",
}
"""Apps that answer with what the code in the table gives them."""


@pytest.mark.usefixtures("event_loop_of_main")
@pytest.mark.parametrize("name", SHOWS)
def test_the_tenant_reaches_an_app_as_the_table_says(name: str) -> None:
    handler = run(SHOWS[name].replace("CODE", ", ".join(page.expressions()[name])))["handler"]
    toml = '[[backend]]\npath = "/orders"\nfunction = "orders:live"\npayload = "apigateway-v2"\n'
    answer = behind_a_bridge(toml, handler)(builders.v2(CALLER), None)
    context, header, around = json.loads(answer["body"])["seen"]
    assert (context, header) == ("blue", "blue")
    assert around["authorizer"]["lambda"]["tenantId"] == "blue"
    assert around["authorizer"]["lambda"]["principal"] == CALLER


def test_every_row_of_the_table_is_tried() -> None:
    assert page.expressions().keys() == SHOWS.keys()


PREFIX_OFF: Final = {
    "FastAPI with Mangum": ('app, lifespan="off"', 'app, api_gateway_base_path="/orders"'),
    "Flask with serverless-wsgi": ("import serverless_wsgi", "import serverless_wsgi  # API_GATEWAY_BASE_PATH=orders"),
    "Powertools, REST API": ("APIGatewayRestResolver()", 'APIGatewayRestResolver(strip_prefixes=["/orders"])'),
}
"""Recipes, and what in them is replaced by what."""


@pytest.mark.usefixtures("event_loop_of_main")
@pytest.mark.parametrize("title", PREFIX_OFF)
def test_the_prefix_can_be_taken_off_as_the_page_says(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in ('Mangum(app, api_gateway_base_path="/orders")', 'strip_prefixes=["/orders"]', "_PATH=orders"):
        assert setting in " ".join(page.text().split())
    if "serverless" in title:
        monkeypatch.setenv("API_GATEWAY_BASE_PATH", "orders")
    python, toml = page.recipes()[title]
    without = python.replace('get("/orders/', 'get("/').replace(*PREFIX_OFF[title])
    answer = behind_a_bridge(toml, run(without)["handler"])(builders.v2(CALLER, path="/orders/7"), None)
    assert json.loads(answer["body"])["order"] == "7"


# ---- last, since it looks at what came before ------------------------------------------------------------------------


def test_the_page_says_what_came_out() -> None:
    if len(asked) < len(CELLS):
        pytest.skip("only some of the cases were run")
    assert asked == came_out.keys(), "a case above failed: the page is written when all are as they should be"
    assert_written(page.PAGE, "matrix", page.matrix(came_out))
