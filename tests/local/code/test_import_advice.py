"""Advice for a function whose module cannot be imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.local.code.import_advice import handler_fault, import_advice
from lattice_bridge.local.plan.model import Dependencies, Function


def function(code: Path, handler: str = "app.handler") -> Function:
    return Function("orders", "arn:aws:lambda:us-east-1:123456789012:function:orders", handler, code, {})


def missing(module: str, imported: str = "app") -> str:
    """Returns the message of awslambdaric."""
    return f"Unable to import module '{imported}': No module named '{module}'"


IMPORT_ERROR: Final = "Runtime.ImportModuleError"
ELSEWHERE: Final = Path("/elsewhere/pyproject.toml")


@pytest.mark.parametrize(
    ("dependencies", "text"),
    [
        (
            Dependencies(),
            "no requirements.txt lists it, so the import fails on Lambda too. Fix: write the package into",
        ),
        (
            Dependencies(manifest=ELSEWHERE, folders=(Path("/cache"),)),
            "none of its packages contains it, so the import fails on Lambda too. Fix: write the package into "
            "/elsewhere/pyproject.toml (it may have another name than 'requests')",
        ),
        (Dependencies(manifest=ELSEWHERE), "are not installed. Fix: if it is listed there, start without --no-install"),
        (Dependencies("zip"), "is not in the zip, so the import fails on Lambda too. Fix: add its package to the zip"),
        (Dependencies("sam build", ELSEWHERE), "(it may have another name than 'requests'), and run `sam build` again"),
    ],
)
def test_missing_package_gets_the_place_to_write_it_into(tmp_path: Path, dependencies: Dependencies, text: str) -> None:
    advice = import_advice(
        replace(function(tmp_path), dependencies=dependencies), IMPORT_ERROR, missing("requests.adapters")
    )
    assert advice is not None
    assert advice.startswith("orders: the module 'requests.adapters' is not ")
    assert text in advice
    assert "\n" not in advice


@pytest.mark.parametrize(
    ("handler", "module"), [("ap.handler", "ap"), ("api/ap.handler", "api.ap"), ("apis.app.handler", "apis")]
)
def test_misspelt_handler_gets_the_list_of_modules(tmp_path: Path, handler: str, module: str) -> None:
    (tmp_path / "api").mkdir()
    for path in ("app.py", "api/app.py", "api/__init__.py", "notes.txt", "\x1b[2J.py"):
        (tmp_path / path).write_text("")
    advice = import_advice(function(tmp_path, handler), IMPORT_ERROR, missing(module))
    assert advice is not None
    assert f"Handler {handler!r}: there is no module" in advice
    assert advice.endswith("The folder contains '\\x1b[2J', 'api.app', 'app'.")


@pytest.mark.parametrize(
    ("runtime", "kind", "message", "module"),
    [
        ("python3.13", IMPORT_ERROR, missing("cfnresponse", "index"), "cfnresponse"),
        ("nodejs22.x", "Error", "Cannot find module 'cfn-response'", "cfn-response"),
    ],
)
def test_module_that_lambda_adds_to_inline_code_is_named(
    tmp_path: Path, runtime: str, kind: str, message: str, module: str
) -> None:
    custom = replace(function(tmp_path, "index.handler"), runtime=runtime, inline="")
    advice = import_advice(custom, kind, message)
    assert advice is not None
    assert advice.startswith(f"orders: the module '{module}', which Lambda adds to inline code, is not provided here.")
    in_a_folder = import_advice(replace(custom, inline=None), kind, message)
    assert in_a_folder is not None
    assert "so the import fails on Lambda too" in in_a_folder


def test_folder_without_modules_is_reported(tmp_path: Path) -> None:
    assert str(import_advice(function(tmp_path), IMPORT_ERROR, missing("app"))).endswith(
        "The folder contains no module at all."
    )


@pytest.mark.parametrize(
    "message",
    [
        "Unable to import module 'app': cannot import name 'x' from 'y'",
        missing("$(rm -rf ~)"),  # Trap G5: only what can be a module's name is called a package
        missing("--index-url=https://example.com"),
        missing("1requests"),
        missing("réquests"),
        missing("x" * 300),
        missing("own.module"),
        "",
    ],
)
def test_sufficient_message_gets_no_advice(tmp_path: Path, message: str) -> None:
    (tmp_path / "own").mkdir()
    assert import_advice(function(tmp_path), IMPORT_ERROR, message) is None


@pytest.mark.parametrize(("runtime", "has"), [("python3.13", "has no function"), ("nodejs22.x", "exports no function")])
def test_handler_that_the_module_does_not_have_gets_the_fix(tmp_path: Path, runtime: str, has: str) -> None:
    """The messages of the runtimes name no fix: "app.handler is undefined or not exported"."""
    found = import_advice(replace(function(tmp_path), runtime=runtime), "Runtime.HandlerNotFound", "any")
    fix = "Fix: correct Handler in the template, or the name in the code"
    assert found == f"orders: Handler 'app.handler': the module 'app' {has} 'handler'. {fix}"
    command = replace(function(tmp_path), command=("java",), runtime="java21")
    assert import_advice(command, "Runtime.HandlerNotFound", "any") is None


def test_other_errors_get_no_advice(tmp_path: Path) -> None:
    assert import_advice(function(tmp_path), "ValueError", missing("requests")) is None
    command = replace(function(tmp_path), command=("java",), runtime="java21")
    assert import_advice(command, IMPORT_ERROR, missing("requests")) is handler_fault(command) is None


# ---- Node.js ---------------------------------------------------------------------------------------------------------


def node(code: Path, handler: str = "app.handler") -> Function:
    return replace(function(code, handler), runtime="nodejs22.x")


@pytest.mark.parametrize(
    ("kind", "message", "advice"),
    [
        (
            *(IMPORT_ERROR, "Error: Cannot find module 'express/lib/router'\nRequire stack:\n- /code/app.js"),
            "orders: the package 'express' is not in the function's folder, so the import fails on Lambda too. "
            "Fix: npm install --prefix '{code}' express",
        ),
        (
            *("Error", "Cannot find package '@scope/listed' imported from /code/app.mjs"),
            "orders: the package '@scope/listed' is listed in package.json, but not installed. "
            "Fix: npm install --prefix '{code}'",
        ),
        (
            *("Error", "Cannot find package '@aws-sdk/client-s3' imported from /code/app.mjs"),
            "orders: the package '@aws-sdk/client-s3' is in Lambda's runtime, but not on this machine. "
            "Fix: npm install --no-save --prefix '{code}' @aws-sdk/client-s3",
        ),
        (
            *(IMPORT_ERROR, "Error: Cannot find module 'app'\nRequire stack:\n- /code/x"),
            "orders: Handler 'app.handler': there is no module 'app' in '{code}'. "
            "Fix: correct Handler or CodeUri in the template. The folder contains 'index'.",
        ),
        (IMPORT_ERROR, "Error: Cannot find module './own'", None),
        (IMPORT_ERROR, "Error: Cannot find module '/code/own.js'", None),
        (IMPORT_ERROR, "Error: Cannot find module '$(rm -rf ~)'", None),
        (IMPORT_ERROR, "Error: Cannot find module '--registry=https://example.com'", None),
        (IMPORT_ERROR, f"Error: Cannot find module '{'x' * 300}'", None),
        ("TypeError", "Cannot find module 'express'", None),
        ("Error", "no", None),
    ],
)
def test_missing_package_of_node_gets_the_command_that_installs_it(
    tmp_path: Path, kind: str, message: str, advice: str | None
) -> None:
    """Trap G5: the folder is quoted for a shell, and only npm's own names become part of a command."""
    code = tmp_path / "a b"
    code.mkdir()
    (code / "package.json").write_text('{"dependencies": {"@scope/listed": "1"}}')
    (code / "index.js").touch()
    assert import_advice(node(code), kind, message) == (advice and advice.format(code=code))


@pytest.mark.parametrize("package", ["", "[]", '{"dependencies": ["express"]}', '{"dependencies": null}'])
def test_unreadable_package_json_lists_nothing(tmp_path: Path, package: str) -> None:
    (tmp_path / "package.json").write_text(package)
    advice = import_advice(node(tmp_path), "Error", "Cannot find package 'express' imported from app.mjs")
    assert "is not in the function's folder" in str(advice)


@pytest.mark.parametrize(
    ("handler", "files", "fault"),
    [
        *(("app.handler", [name], None) for name in ("app.js", "app.mjs", "app.cjs", "app", "app/index.js")),
        ("src/app.api.handler", ["src/app.js"], None),
        ("orders.handler", ["node_modules/orders/index.js"], None),
        ("src/app.handler", ["app.js"], "there is no module 'src/app' in '{code}'. Fix: correct Handler or CodeUri"),
        ("app.handler", ["app.ts"], "'{code}', but app.ts, which has to be compiled. Fix: run `sam build`, and start"),
    ],
)
def test_handler_of_node_without_a_module_is_a_fault(
    tmp_path: Path, handler: str, files: list[str], fault: str | None
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = handler_fault(node(tmp_path, handler))
    assert found is None if fault is None else fault.format(code=tmp_path) in str(found)
