"""The outcome of an invocation, in the words of the log; and what a process has of the stack."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Final

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.environments.environment import Environment, InvocationResult, SharedSettings
from lattice_bridge.local.environments.processes import stack_mark
from lattice_bridge.local.environments.storage import Storage
from lattice_bridge.local.plan.readers.template import read_plan

LISTING: Final = """
Resources:
  Listing:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: listing, Runtime: provided.al2023, Handler: any, Code: code, Role: arn:a}
"""


def test_description_of_an_error_is_the_first_line_of_its_message() -> None:
    """Node.js puts its require stack into the message, and the process has printed that."""
    error = {
        "errorType": "Runtime.ImportModuleError",
        "errorMessage": "Cannot find module 'a'\nRequire stack:\n- /a.js",
    }
    result = InvocationResult(json.dumps(error).encode(), error="Unhandled")
    assert result.description == "Runtime.ImportModuleError: Cannot find module 'a'"


def test_process_inherits_no_descriptor_that_the_stack_has(tmp_path: Path) -> None:
    """Trap G8: two tenants' functions could write to one file. Not every event loop closes what it does not pass."""
    (tmp_path / "code").mkdir()
    (program := tmp_path / "code" / "bootstrap").write_text("#!/bin/sh\nls -l /proc/$$/fd\n")
    program.chmod(0o755)
    (tmp_path / "template.yaml").write_text(LISTING)
    plan = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    lines: list[str] = []

    async def run() -> None:
        (folder := tmp_path / "stack").mkdir()
        stack_id = f"{stack_mark(os.getpid())}test"
        await (storage := Storage(folder, plan)).probe()
        settings = SharedSettings(stack_id, "us-east-1", dict, storage, lambda _, line: lines.append(line))
        environment = Environment(plan.functions["listing"], None, 1, 1, settings)
        await environment.start()
        await environment.stop()

    with (tmp_path / "of the shell").open("w", encoding="utf-8") as left_open:
        os.set_inheritable(left_open.fileno(), True)
        asyncio.run(run())
    assert any("/dev/null" in line for line in lines), lines
    assert not any("of the shell" in line for line in lines), lines
