"""One execution environment: an operating-system process that runs a client of Lambda's Runtime API.

Rule: an environment serves one function, one tenant, and one request at a time. A process that failed, hung or died is
never used again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from lattice_bridge.local.environments.function_log import TAIL_BYTES, FunctionLog
from lattice_bridge.local.environments.invocation_watch import InvocationWatch
from lattice_bridge.local.environments.peer_process import Address, PeerProcess
from lattice_bridge.local.environments.processes import MARK, kill_group, kill_marked, kill_session
from lattice_bridge.local.environments.runtime_api import MAX_HEAD, FunctionResponse, Invocation, RuntimeApi, error_json
from lattice_bridge.local.environments.runtimes import INVALID_ENTRYPOINT, CannotStart, variables
from lattice_bridge.local.environments.storage import Storage, remove
from lattice_bridge.local.plan.model import Function
from lattice_bridge.local.web.printable import printable
from lattice_bridge.local.web.server import HOST, HttpServer

INIT_TIMEOUT: Final = 10.0
"""Seconds until a process asks for its first invocation: Lambda's own limit of the init phase."""

_logger: Final = logging.getLogger(__name__)
_EXIT_SECONDS: Final = 1.0
"""Seconds in which a process that has reported an error of its init phase may print about it, and end."""

_SHOWN: Final = 500
_WARNING: Final = "LAMBDA_WARNING: Unhandled exception."
"""The beginning of 600 characters about runtime updates on AWS, which the runtime client prints with every error of the
init phase. They are not shown: they hide the error."""
_NO_FRAMES: Final = "\nTraceback (most recent call last):"
_ERROR_OF: Final = "RequestId: {} Error: "
"""The beginning of the messages with which Lambda itself reports a timeout, or the end of a process."""


@dataclass(slots=True)
class InvocationResult:
    """The end of an invocation.

    Attributes:
        payload: the function's response, or the error as JSON.
        error: the value of `X-Amz-Function-Error`, or None.
        timed_out: the function ran past its timeout.
        milliseconds: that the function ran; 0 if its init phase failed.
        environment: the label of the environment that ran it; empty if it ran elsewhere.
        init_milliseconds: of a cold start; None if the environment was there already.
        request_id: of the invocation; empty if it ran elsewhere.
        output: the end of what the function printed, in pieces.
        failure: a line about a failure, in the words of Lambda's log; empty if there is none.
    """

    payload: bytes
    error: str | None = None
    timed_out: bool = False
    milliseconds: float = 0.0
    environment: str = ""
    init_milliseconds: float | None = None
    request_id: str = ""
    output: Collection[bytes] = ()
    failure: str = ""

    @property
    def tail(self) -> bytes:
        """The last 4 KB of its log, with Lambda's own lines; empty if it ran elsewhere."""
        if not self.request_id:
            return b""
        request = f"RequestId: {self.request_id}"
        failure = f"{self.failure}\n" if self.failure else ""
        end = f"{failure}END {request}\nREPORT {request}\tDuration: {self.milliseconds:.2f} ms\n"
        lines = [f"START {request} Version: $LATEST\n".encode(), *self.output, end.encode()]
        return b"".join(lines)[-TAIL_BYTES:]

    @property
    def description(self) -> str:
        """Type and message of an error, without control characters; the payload if it has none.

        Of a message, the first line is enough: the process has printed the others, such as Node.js's require stack.
        """
        kind, message = self.error_type_and_message()
        first_line = message.strip().partition("\n")[0]
        text = f"{kind}: {first_line}" if kind else self.payload[:_SHOWN].decode("utf-8", "replace")
        return printable(text[:_SHOWN])

    def error_type_and_message(self) -> tuple[str, str]:
        """Returns both as the process reported them; empty strings if it reported something else."""
        try:
            error = json.loads(self.payload)
        except (ValueError, RecursionError):
            error = None
        if not isinstance(error, dict):
            return "", ""
        return str(error.get("errorType", "")), str(error.get("errorMessage", ""))

    def failure_line(self, invocation: Invocation) -> str:
        """Describes a failure in one line, with the words of Lambda's log: `Task timed out after 3.00 seconds`.

        The function's own error is only named: the runtime client prints it with its stack trace.
        """
        kind, message = self.error_type_and_message()
        _, is_of_lambda, ending = message.partition(_ERROR_OF.format(invocation.request_id))
        fields = [ending if is_of_lambda else f"Task failed with {kind or 'an error'}"]
        fields += [
            f"RequestId: {invocation.request_id}",
            *([f"TenantId: {invocation.tenant}"] if invocation.tenant else []),
        ]
        return "\t".join(printable(field[:_SHOWN]) for field in [*fields, f"Duration: {self.milliseconds:.2f} ms"])


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """The settings that all environments of a stack share.

    Attributes:
        stack_id: marks the stack's processes.
        region: of the stack.
        variables: returns those by which a function's SDK finds the AWS endpoint, and signs for it. It may block.
        storage: the folders that environments may write to.
        show: takes an environment's label and a line of its output.
    """

    stack_id: str
    region: str
    variables: Callable[[], Mapping[str, str]]
    storage: Storage
    show: Callable[[str, str], None]


class Environment:
    """A process for one function and tenant.

    Attributes:
        label: `function/tenant#slot`, for people.
        stale: the function's code has changed since the process started.
        began: monotonic seconds of its start.
        idle_since: monotonic seconds since when it waits for work.
        invocations: that it has run or runs.
    """

    def __init__(self, function: Function, tenant: str | None, slot: int, number: int, shared: SharedSettings) -> None:
        self.function = function
        self.tenant = tenant
        self.slot = slot
        self.label = f"{function.name}{f'/{tenant}' if tenant is not None else ''}#{slot}"
        self.stale = False
        self.began = time.monotonic()
        self.idle_since = 0.0
        self.invocations = 0
        self._mark = f"{shared.stack_id}/{number}."
        self._number = number
        self._folder: Path | None = None
        self._shared = shared
        self._runtime = RuntimeApi(self._is_admitted, self._progressed)
        self._peer: asyncio.Future[PeerProcess] = asyncio.get_running_loop().create_future()
        self._warned = False
        self._log = FunctionLog(self._show)
        self._server: HttpServer | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._exited: asyncio.Task[int] | None = None
        self._busy = False
        self._watch = InvocationWatch(function.timeout, asyncio.get_running_loop())
        self._init_milliseconds: float | None = None
        self._ending = False
        self._fault: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it can take another invocation."""
        return not self._busy and not self.stale and self._process is not None and self._process.returncode is None

    @property
    def state(self) -> Literal["starting", "busy", "idle", "ending"]:
        """What it does now."""
        if self._ending:
            return "ending"
        if not self.invocations:
            return "starting"
        return "busy" if self._busy else "idle"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Starts the process, and waits until it asks for an invocation or fails. `run` reports which."""
        began = time.monotonic()
        try:
            await self._start()
        finally:
            self._init_milliseconds = (time.monotonic() - began) * 1000

    async def _start(self) -> None:
        self._server = await HttpServer.start(self._runtime.app, max_head=MAX_HEAD)
        self._folder = self._shared.storage.new(self._number)
        try:
            command = await self._shared.storage.command(self.function, self._folder)
        except CannotStart as error:
            self._fault = str(error)
            return
        self._process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.function.code,  # comes first on sys.path
            env=await self._variables(self._server.port, self._folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log.write_end,
            stderr=self._log.write_end,
            start_new_session=True,  # the stack handles Ctrl-C, and kills the whole process group
        )
        self._peer.set_result(PeerProcess(self._process.pid))
        self._log.started()
        self._exited = asyncio.create_task(self._process.wait())
        self._exited.add_done_callback(self._watch.end)
        await self._until(self._runtime.ready, self._runtime.init_error, seconds=INIT_TIMEOUT)
        if self._runtime.init_error.done():
            await self._until(seconds=_EXIT_SECONDS)

    async def run(self, invocation: Invocation) -> InvocationResult:
        """Runs one invocation to its end. The process may answer, fail, hang or die."""
        self._busy = True
        self.invocations += 1
        self._log.begin()
        try:
            result = self._init_failure(invocation) or await self._run(invocation)
        finally:
            self._log.finish()
        return self._reported(result, invocation)

    async def _run(self, invocation: Invocation) -> InvocationResult:
        assert self._exited is not None
        deadline_ms = int((time.time() + self.function.timeout) * 1000)
        response = self._runtime.dispatch(invocation, deadline_ms)
        milliseconds = 0.0 if self._exited.done() else await self._watch.wait() * 1000
        if response.done():
            self._busy = not self._runtime.ready.done()
        return self._result(response, invocation, milliseconds)

    def _progressed(self, response: asyncio.Future[FunctionResponse]) -> None:
        """Takes the process's response, or its request for the next invocation."""
        if not response.done():
            return
        if self._runtime.ready.done():
            self._watch.end()
        else:
            self._watch.respond()

    def _reported(self, result: InvocationResult, invocation: Invocation) -> InvocationResult:
        """Adds what the environment knows. The line of a failure is also shown, behind the function's."""
        if result.error is not None:
            result.failure = result.failure_line(invocation)
            self._show(result.failure)
        result.request_id, result.output, result.environment = invocation.request_id, self._log.output, self.label
        result.init_milliseconds, self._init_milliseconds = self._init_milliseconds, None
        return result

    async def stop(self) -> None:
        """Kills the process and all that it started, removes the files that they wrote, and frees the port."""
        self._busy = self._ending = True
        self._watch.close()
        try:
            if self._process is not None and self._exited is not None:
                kill_group(self._process.pid)
                await self._exited
                await asyncio.to_thread(kill_marked, self._mark)
                await asyncio.to_thread(kill_session, self._process.pid)
            if self._folder is not None:
                await asyncio.to_thread(remove, self._folder)
        finally:
            self._peer.cancel()  # has no effect if there was a process
            self._runtime.close()
            try:
                if self._server is not None:
                    await self._server.stop()
            finally:
                self._log.close()

    async def _is_admitted(self, client: Address, server: Address) -> bool:
        """Whether a connection belongs to the environment's own process.

        Any other process could take the tenant's next event from the Runtime API, and respond in its place.
        """
        if (await asyncio.shield(self._peer)).owns(client, server):
            return True
        if not self._warned:  # once, since a function could fill the terminal
            self._warned = True
            _logger.warning("%s: refused another process that connected to this environment's Runtime API.", self.label)
        return False

    def _show(self, line: str) -> None:
        if _WARNING not in line:
            self._shared.show(self.label, line.removesuffix(_NO_FRAMES))

    def _init_failure(self, invocation: Invocation) -> InvocationResult | None:
        """Returns the result if no process can take the invocation; None if one can."""
        if self._fault is not None:
            return self._failed(
                error_json(INVALID_ENTRYPOINT, f"{_ERROR_OF.format(invocation.request_id)}{self._fault}")
            )
        runtime = self._runtime
        if runtime.init_error.done():
            return self._failed(runtime.init_error.result())
        if runtime.ready.done():
            return None
        if self._exit_code() is not None:
            return self._failed(self._exit_error(invocation))
        return self._timed_out(invocation, "Init", INIT_TIMEOUT)

    def _result(
        self, response: asyncio.Future[FunctionResponse], invocation: Invocation, milliseconds: float
    ) -> InvocationResult:
        if response.done():
            found = response.result()
            return InvocationResult(found.payload, "Unhandled" if found.failed else None, milliseconds=milliseconds)
        if self._exit_code() is not None:
            failed = self._failed(self._exit_error(invocation))
        else:
            failed = self._timed_out(invocation, "Task", self.function.timeout)
        failed.milliseconds = milliseconds
        return failed

    def _timed_out(self, invocation: Invocation, phase: str, seconds: float) -> InvocationResult:
        message = f"{_ERROR_OF.format(invocation.request_id)}{phase} timed out after {seconds:.2f} seconds"
        return InvocationResult(error_json("Sandbox.Timedout", message), "Unhandled", timed_out=True)

    def _failed(self, payload: bytes) -> InvocationResult:
        return InvocationResult(payload, "Unhandled")

    def _exit_error(self, invocation: Invocation) -> bytes:
        code = self._exit_code() or 0
        ending = f"with error: signal: {-code}" if code < 0 else f"with error: exit status {code}"
        cause = ending if code else "without providing a reason"
        return error_json("Runtime.ExitError", f"{_ERROR_OF.format(invocation.request_id)}Runtime exited {cause}")

    def _exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    async def _until(self, *events: asyncio.Future[Any], seconds: float) -> None:
        """Waits for one of the events, for the process's end, or for the timeout."""
        assert self._exited is not None
        awaited = (*events, self._exited)
        for event in awaited:
            if event.done():
                return
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()  # asyncio.wait does the same at twice the cost

        def wake(_: object = None) -> None:
            if not woken.done():
                woken.set_result(None)

        timer = loop.call_later(seconds, wake)
        for event in awaited:
            event.add_done_callback(wake)
        try:
            await woken
        finally:
            timer.cancel()
            for event in awaited:
                event.remove_done_callback(wake)

    async def _variables(self, port: int, folder: Path) -> Mapping[str, str]:
        """Returns the variables that Lambda sets, and the template's.

        No variable of this shell is passed on except PATH: no secret of it reaches a handler.
        """
        function, shared = self.function, self._shared
        return {
            **variables(function),
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            **await shared.storage.variables(folder),
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
            "AWS_REGION": shared.region,
            "AWS_DEFAULT_REGION": shared.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **await asyncio.to_thread(shared.variables),
            **({"AWS_LAMBDA_LOG_LEVEL": function.log_level} if function.log_level else {}),
            **function.environment,
            MARK: self._mark,
        }
