"""`lattice-bridge local`: runs the stack on this machine, until interrupted.

Rule: the stack stops on SIGINT, SIGTERM and SIGHUP, and, if a test started it, when that test's process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import DEFAULT_TEMPLATE, first_step, named_values, stack_region
from lattice_bridge.cli.local_problems import not_run, problems, shared_tenants
from lattice_bridge.config.words import quoted
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.translation_cache import TranslationCache
from lattice_bridge.local.aws.access_keys import NoCredentials, OwnCredentials
from lattice_bridge.local.aws.async_invokes import RETRY_SECONDS
from lattice_bridge.local.code.code_zip import BadArchive
from lattice_bridge.local.code.dependencies import BadDependencies, choose, provide
from lattice_bridge.local.code.package_cache import PackageCache, cache_folder
from lattice_bridge.local.code.package_cache import install as pip_install
from lattice_bridge.local.definition import Definition, read_definition, reread
from lattice_bridge.local.environments.external import url_fault
from lattice_bridge.local.environments.processes import STOP_SECONDS, kill_marked, stack_mark
from lattice_bridge.local.environments.runtimes import runtime_notes
from lattice_bridge.local.front.exchange.identities import BadIdentities
from lattice_bridge.local.front.exchange.recorder import BadRecording
from lattice_bridge.local.inspector import PORT as INSPECTOR_PORT
from lattice_bridge.local.local_file import BadLocalFile
from lattice_bridge.local.log_writer import LogWriter, WarningHandler
from lattice_bridge.local.plan.listener_rules import EventVersion
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.stack import AWS_PORT, Options, Stack, serve
from lattice_bridge.local.web.server import PortTaken

PASSED_THROUGH: Final = (
    "--passthrough: functions have your AWS credentials, and use the real AWS for every service but Lambda and the "
    "stack's own queues, streams, tables and event buses"
)
VERSIONS: Final[Mapping[str | None, EventVersion | None]] = {None: None, "V1": 1, "V2": 2}


@click.command(short_help="Run template.yaml on this machine.")
@click.option(
    "--template",
    "-t",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=Path(DEFAULT_TEMPLATE),
    show_default=True,
    help="The SAM or CloudFormation template.",
)
@click.option(
    "--parameter",
    "-P",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A template parameter. Repeatable.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=8080,
    envvar="PORT",
    show_default=True,
    show_envvar=True,
    help="The front's port; 0 for a free one.",
)
@click.option(
    "--aws-port",
    "--lambda-port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    show_default=f"{AWS_PORT}, or a free one if that is in use",
    help="The AWS endpoint's port; 0 for a free one.",
)
@click.option(
    "--passthrough",
    is_flag=True,
    help="Give functions your own AWS credentials, and the real AWS for every service that the AWS endpoint does not "
    "have.",
)
@click.option(
    "--identities",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Identities that may sign requests, beside those that the map names. Default: identities.toml beside the "
    "template.",
)
@click.option(
    "--event-version",
    type=click.Choice(["V1", "V2"]),
    help="The event version of all target groups. Default: the template's.",
)
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME=URL",
    help="Send the invocations of a function to a URL of this machine that speaks the protocol of Lambda's runtime "
    "interface emulator. Repeatable.",
)
@click.option(
    "--max-environments",
    metavar="NUMBER",
    type=click.IntRange(1, 2500),
    default=64,
    show_default=True,
    help="Highest number of processes, busy or idle. Requests beyond it get status 429.",
)
@click.option(
    "--idle",
    "idle_seconds",
    metavar="SECONDS",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    help="Seconds after which an idle environment is ended.",
)
@click.option(
    "--async-retry",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=RETRY_SECONDS,
    show_default=True,
    help="Seconds until a failed asynchronous invocation is tried again; twice as many until the third try. Lambda has "
    "60.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, resolve_path=True),
    metavar="DIR",
    help="Write the event and the reply of each request into DIR, without credentials.",
)
@click.option(
    "--inspect",
    is_flag=True,
    help=f"Show in a browser what happens: requests, records, decisions and replay. The port is {INSPECTOR_PORT}, or a "
    "free one if that is in use.",
)
@click.option("--no-install", is_flag=True, help="Do not install the packages that functions list.")
@click.option(
    "--reload", is_flag=True, help="Follow changes of code, packages, template, local.toml, identities and maps."
)
@click.option("--json-logs", is_flag=True, help="Write the log as one JSON object on each line.")
@click.option("--plan", "plan_only", is_flag=True, help="Print the functions and routes, and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: print JSON.")
@click.option(
    "--strict", is_flag=True, help="Exit with 2, and serve nothing, if a backend or a function has a problem."
)
def local(
    *,
    template: Path,
    parameters: tuple[str, ...],
    identities: Path | None,
    event_version: str | None,
    functions: tuple[str, ...],
    no_install: bool,
    json_logs: bool,
    plan_only: bool,
    as_json: bool,
    strict: bool,
    passthrough: bool,
    inspect: bool,
    **options: Any,
) -> None:
    """Run a SAM or CloudFormation template on this machine. The stack serves its VPC Lattice services, APIs, load
    balancers and function URLs, an AWS endpoint with Lambda's API, and a process for each function and tenant. It needs
    neither Docker nor an AWS account. It runs until Ctrl-C. Exits with 2 if the template or another file cannot be
    used."""
    if as_json and not plan_only:
        raise click.UsageError("--json needs --plan. Fix: add --plan, or write --json-logs for the log")
    region, version, urls = stack_region(os.environ), VERSIONS[event_version], _urls(functions)
    read = partial(read_definition, template, named_values(parameters), region, translations=_translations())
    read = partial(read, identities=identities, event_version=version, urls=urls)
    notes: list[str] = []
    definition = _first(read, notes.append, template, reload=options["reload"])
    faults = problems(definition.plan, definition.configurations)
    refused = strict and bool(faults)
    if plan_only:
        _print_plan(definition.plan, notes, as_json=as_json)
    if plan_only or refused:
        for fault in (*not_run(definition.plan), *faults):
            show.say_fault(fault)
        click.get_current_context().exit(2 if refused else 0)
    own = _own_credentials() if passthrough else None
    port = INSPECTOR_PORT if inspect else None
    chosen = Options(**options, own_credentials=own, inspect=port, example=_first_command)
    _run(definition, read, chosen, notes, faults, install=not no_install, json_logs=json_logs)


def _first_command(definition: Definition, front_url: str, aws_url: str) -> str | None:
    from lattice_bridge.cli.local_commands import first_command  # here: the start with --json-logs does not wait for it

    return first_command(definition, front_url, aws_url)


def _first(read: Callable[[], Definition], say: Callable[[str], None], template: Path, *, reload: bool) -> Definition:
    """The definition of the start, with the code of each function chosen."""
    try:
        definition = read()
    except (BadTemplate, BadLocalFile, BadIdentities) as error:
        raise click.UsageError(f"{error}{first_step(template)}") from error
    plan = choose(definition.plan, say, reload=reload)
    for note in runtime_notes(plan.functions.values()):
        say(note)
    return replace(definition, plan=plan)


def _own_credentials() -> OwnCredentials:
    """The person's AWS credentials. A start without any is refused here, and not by the first function."""
    found = OwnCredentials()
    try:
        found()
    except NoCredentials as error:
        raise click.UsageError(str(error)) from error
    return found


def _run(
    definition: Definition,
    read: Callable[[], Definition],
    options: Options,
    notes: Sequence[str],
    faults: Sequence[str],
    *,
    install: bool,
    json_logs: bool,
) -> None:
    """Provides the packages, and runs the stack until it is interrupted."""
    log = LogWriter(as_json=json_logs, colour=show.has_colour())
    logging.getLogger().addHandler(WarningHandler(log))
    for note in notes:
        log.info(note)
    provided = partial(with_packages, log=log, install=install)
    try:
        with _ended_by_signals():
            definition = replace(definition, plan=provided(definition.plan))
        again = partial(reread, read, partial(_prepared, provided, log, options))
        asyncio.run(_serve(definition, again, options, log, faults, json_logs=json_logs))
    except PortTaken as error:
        raise click.UsageError(f"{error}. Fix: choose another with --port or --aws-port") from error
    except (BadDependencies, BadArchive, BadRecording) as error:
        raise _NotStarted(str(error)) from error
    finally:
        log.close()


class _NotStarted(click.ClickException):
    """A function's code or packages cannot be provided, or nothing can be recorded.

    The message may have several lines, such as pip's.
    """

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's own signature
        for line in f"Error: {self.message}".splitlines():
            show.say_error(line)


def with_packages(plan: Plan, log: LogWriter, *, install: bool) -> Plan:
    """Provides the packages of every function, whose code is chosen."""
    # The field tells a test that starts a stack why the start takes long.
    cache = PackageCache(cache_folder(os.environ), pip_install, partial(log.info, installing=True))
    return provide(plan, cache, log.warning, install=install)


def _prepared(provided: Callable[[Plan], Plan], log: LogWriter, options: Options, definition: Definition) -> Definition:
    """Takes the steps of the start with a changed definition."""
    plan = choose(definition.plan, log.info, reload=options.reload)
    for fault in (*not_run(plan), *problems(plan, definition.configurations)):
        log.error(fault)
    return replace(definition, plan=provided(plan))


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end an installation as Ctrl-C does."""

    def end(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _urls(functions: tuple[str, ...]) -> dict[str, str]:
    """The functions that run elsewhere, with their URLs."""
    urls = named_values(functions, "--function", "NAME=URL")
    if len(urls) < len(functions):
        raise click.UsageError("--function: a function occurs twice. Fix: write each once")
    for name, url in urls.items():
        if fault := url_fault(url):
            raise click.UsageError(f"--function {name}: {quoted(url)} {fault}")
    return urls


async def _serve(
    definition: Definition,
    read: Callable[[], Definition],
    options: Options,
    log: LogWriter,
    faults: Sequence[str],
    *,
    json_logs: bool,
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    async with serve(definition, options, log, read) as stack:
        if options.own_credentials is not None:
            log.warning(PASSED_THROUGH)
        if json_logs:
            # `lambda` was the only name before the endpoint had other services.
            urls = {"front": stack.front_url, "aws": stack.aws_url, "lambda": stack.aws_url}
            log.info("listening", **urls, **({"inspector": stack.inspector_url} if stack.inspector_url else {}))
            _log_faults(definition.plan, log, faults)
        else:
            _print_summary(definition, stack, log, faults)
        await stopped.wait()
        log.info("stopping")
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _log_faults(plan: Plan, log: LogWriter, faults: Sequence[str]) -> None:
    for line in shared_tenants(plan):
        log.warning(line)
    for line in (*not_run(plan), *faults):
        log.error(line)


def _translations() -> TranslationCache:
    return TranslationCache(cache_folder(os.environ).with_name("translations"))


def _print_plan(plan: Plan, notes: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        show.say_json(asdict(plan), default=_jsonable)
        return
    from lattice_bridge.cli.local_summary import left_out, tables, warnings

    for line in (*tables(plan), *notes, *shared_tenants(plan), *warnings(plan), *left_out(plan)):
        show.say(line)


def _jsonable(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else str(value)


def _print_summary(definition: Definition, stack: Stack, log: LogWriter, faults: Sequence[str]) -> None:
    from lattice_bridge.cli.local_commands import commands
    from lattice_bridge.cli.local_summary import addresses, left_out_in_short, tables, warnings

    for line in (*tables(definition.plan), *warnings(definition.plan), *left_out_in_short(definition.plan)):
        log.info(line)
    for line in commands(definition, stack.front_url, stack.aws_url):
        log.info(line)
    _log_faults(definition.plan, log, faults)
    urls = addresses(stack.front_url, stack.aws_url, stack.inspector_url)
    for line in ([""] if faults or definition.plan.not_run else []) + urls:
        log.info(line)


# ---- a stack that a test has started --------------------------------------------------------------------------------


def end_when_stdin_closes() -> None:
    """Ends this process when its standard input is closed.

    A process that is killed cleans nothing up, but the kernel closes its end of the pipe: the stack then stops by
    itself, or kills its own processes after STOP_SECONDS.
    """
    threading.Thread(target=_stop_when_stdin_closes, daemon=True).start()


def _stop_when_stdin_closes() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    kill_marked(stack_mark(os.getpid()))
    os._exit(1)
