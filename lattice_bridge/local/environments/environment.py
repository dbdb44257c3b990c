"""One execution environment: an operating-system process running AWS's own runtime client.

Rule: one function, one tenant, one request at a time. A process that failed, hung or died is never used again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lattice_bridge.local.aws.lambda_keys import EXECUTION_ROLE
from lattice_bridge.local.environments.output import Output
from lattice_bridge.local.environments.peer import Address, Client
from lattice_bridge.local.environments.processes import MARK, kill_group, kill_marked
from lattice_bridge.local.environments.runtime_api import MAX_HEAD, Answer, Invocation, RuntimeApi, error_json
from lattice_bridge.local.environments.storage import Storage, remove
from lattice_bridge.local.plan.plan import Function
from lattice_bridge.local.web.printable import printable
from lattice_bridge.local.web.server import HOST, LoopbackServer

INIT_TIMEOUT: Final = 10.0
"""Seconds for a handler's module to be imported: Lambda's own limit of the init phase."""

_logger: Final = logging.getLogger(__name__)
_RETURN_TIMEOUT: Final = 5.0
_SHOWN: Final = 500
_WARNING: Final = "LAMBDA_WARNING: Unhandled exception."
"""Begins 600 characters that the runtime client prints with every error of the init phase. They are about updates of
AWS's runtimes, and bury the error."""
_NO_FRAMES: Final = "\nTraceback (most recent call last):"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended.

    Attributes:
        payload: the function's answer, or the error as JSON.
        error: the value of `X-Amz-Function-Error`, or None.
        timed_out: the function ran past its timeout.
        tail: the end of its log.
    """

    payload: bytes
    error: str | None = None
    timed_out: bool = False
    tail: bytes = b""

    @property
    def description(self) -> str:
        """Type and message of an error, without control characters; the payload if it has none."""
        kind, message = self.error_type_and_message()
        text = f"{kind}: {message}" if kind else self.payload[:_SHOWN].decode("utf-8", "replace")
        return printable(text[:_SHOWN])

    def error_type_and_message(self) -> tuple[str, str]:
        """As the process reported them; empty if it reported something else."""
        try:
            error = json.loads(self.payload)
        except (ValueError, RecursionError):
            error = None
        if not isinstance(error, dict):
            return "", ""
        return str(error.get("errorType", "")), str(error.get("errorMessage", ""))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all environments of a stack have in common.

    Attributes:
        stack_id: marks the stack's processes.
        lambda_endpoint: URL of the local Lambda API.
        region: of the stack.
        storage: where they may write.
        show: takes an environment's label and a line of its output.
    """

    stack_id: str
    lambda_endpoint: str
    region: str
    storage: Storage
    show: Callable[[str, str], None]


class Environment:
    """A process for one function and tenant.

    Attributes:
        label: `function/tenant#slot`, for people.
        stale: the code has changed since it started.
        idle_since: monotonic seconds, when it is waiting for work.
    """

    def __init__(self, function: Function, tenant: str | None, slot: int, number: int, around: Surroundings) -> None:
        self.function = function
        self.tenant = tenant
        self.slot = slot
        self.label = f"{function.name}{f'/{tenant}' if tenant is not None else ''}#{slot}"
        self.stale = False
        self.idle_since = 0.0
        self._mark = f"{around.stack_id}/{number}."
        self._number = number
        self._folder: Path | None = None
        self._around = around
        self._runtime = RuntimeApi(self._admits)
        self._client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._warned = False
        self._output = Output(self._show)
        self._server: LoopbackServer | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._exited: asyncio.Task[int] | None = None
        self._busy = False

    @property
    def usable(self) -> bool:
        """Whether it can take another invocation."""
        return not self._busy and not self.stale and self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Starts the process, and waits until it has imported the handler or failed to; `run` says which."""
        self._server = await LoopbackServer.start(self._runtime.app, max_head=MAX_HEAD)
        self._folder = self._around.storage.new(self._number)
        self._process = await asyncio.create_subprocess_exec(
            *await self._around.storage.command(self.function.handler, self._folder),
            cwd=self.function.code,  # comes first on sys.path
            env=await self._variables(self._server.port, self._folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output.write_end,
            stderr=self._output.write_end,
            start_new_session=True,  # Ctrl-C is ours to handle, and the whole group ours to kill
        )
        self._client.set_result(Client(self._process.pid))
        self._output.started()
        self._exited = asyncio.create_task(self._process.wait())
        await self._until(self._runtime.asking, self._runtime.init_error, seconds=INIT_TIMEOUT)

    async def run(self, invocation: Invocation) -> Outcome:
        """Runs one invocation to its end, whatever the process does."""
        self._busy = True
        self._output.begin()
        try:
            return self._init_failure(invocation) or await self._run(invocation)
        finally:
            self._output.finish()

    async def _run(self, invocation: Invocation) -> Outcome:
        self._output.note(f"START RequestId: {invocation.request_id} Version: $LATEST")
        began = time.monotonic()
        deadline_ms = int((time.time() + self.function.timeout) * 1000)
        answer = self._runtime.give(replace(invocation, deadline_ms=deadline_ms))
        await self._until(answer, seconds=self.function.timeout)
        outcome = self._outcome(answer, invocation)
        milliseconds = (time.monotonic() - began) * 1000
        if outcome.error is None or answer.done():
            # An answer is passed on only when the process asks again: the client's next request must find this
            # environment free, not start another.
            await self._until(self._runtime.asking, seconds=_RETURN_TIMEOUT)
            self._busy = not self._runtime.asking.done()
        self._output.note(f"END RequestId: {invocation.request_id}")
        self._output.note(f"REPORT RequestId: {invocation.request_id}\tDuration: {milliseconds:.2f} ms")
        return replace(outcome, tail=self._output.tail())

    async def stop(self) -> None:
        """Kills the process and whatever it started, removes what they wrote, and frees the port."""
        self._busy = True
        try:
            if self._process is not None and self._exited is not None:
                kill_group(self._process.pid)
                await self._exited
                await asyncio.to_thread(kill_marked, self._mark)
            if self._folder is not None:
                await asyncio.to_thread(remove, self._folder)
        finally:
            self._client.cancel()  # of no effect if there was a process
            self._runtime.close()
            try:
                if self._server is not None:
                    await self._server.stop()
            finally:
                self._output.close()

    async def _admits(self, client: Address, server: Address) -> bool:
        """Only the runtime client uses its Runtime API. Any other process could take the tenant's next event from it,
        and answer in its place."""
        if (await asyncio.shield(self._client)).has(client, server):
            return True
        if not self._warned:  # once: a function could fill the terminal
            self._warned = True
            _logger.warning("%s: refused another process that connected to this environment's Runtime API.", self.label)
        return False

    def _show(self, line: str) -> None:
        if _WARNING not in line:
            self._around.show(self.label, line.removesuffix(_NO_FRAMES))

    def _init_failure(self, invocation: Invocation) -> Outcome | None:
        """Why there is nobody to give the invocation to; None if there is."""
        runtime = self._runtime
        if runtime.init_error.done():
            return self._failed(runtime.init_error.result())
        if runtime.asking.done():
            return None
        if self._exit_code() is not None:
            return self._failed(self._exit_error(invocation))
        return self._timed_out(invocation, "Init", INIT_TIMEOUT)

    def _outcome(self, answer: asyncio.Future[Answer], invocation: Invocation) -> Outcome:
        if answer.done():
            said = answer.result()
            return Outcome(said.payload, "Unhandled" if said.failed else None)
        if self._exit_code() is not None:
            return self._failed(self._exit_error(invocation))
        return self._timed_out(invocation, "Task", self.function.timeout)

    def _timed_out(self, invocation: Invocation, what: str, seconds: float) -> Outcome:
        message = f"RequestId: {invocation.request_id} Error: {what} timed out after {seconds:.2f} seconds"
        return replace(self._failed(error_json("Sandbox.Timedout", message)), timed_out=True)

    def _failed(self, payload: bytes) -> Outcome:
        return Outcome(payload, "Unhandled", tail=self._output.tail())

    def _exit_error(self, invocation: Invocation) -> bytes:
        code = self._exit_code() or 0
        ending = f"with error: signal: {-code}" if code < 0 else f"with error: exit status {code}"
        how = ending if code else "without providing a reason"
        return error_json("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: Runtime exited {how}")

    def _exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    async def _until(self, *events: asyncio.Future[Any], seconds: float) -> None:
        """Waits for one of the events, the process's end, or the timeout, whichever comes first."""
        assert self._exited is not None
        await asyncio.wait({*events, self._exited}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _variables(self, port: int, folder: Path) -> Mapping[str, str]:
        """What Lambda sets, the template's own, and nothing of ours: no secret of this shell reaches a handler."""
        function, around = self.function, self._around
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # see bytecode.py
            **await around.storage.variables(folder),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{python}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{self._mark.split('.')[2]}",
            "AWS_LAMBDA_LOG_FORMAT": function.log_format,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port}",
            "LAMBDA_TASK_ROOT": str(function.code),
            "_HANDLER": function.handler,
            "AWS_REGION": around.region,
            "AWS_DEFAULT_REGION": around.region,
            "AWS_ACCESS_KEY_ID": EXECUTION_ROLE.access_key,
            "AWS_SECRET_ACCESS_KEY": EXECUTION_ROLE.secret_key,
            "AWS_SESSION_TOKEN": EXECUTION_ROLE.token or "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_LAMBDA": around.lambda_endpoint,
            **({"AWS_LAMBDA_LOG_LEVEL": function.log_level} if function.log_level else {}),
            **function.environment,
            MARK: self._mark,
        }
