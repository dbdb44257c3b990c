"""`lattice-bridge inspect`: the inspector's page over a recording, or over the log of a deployed bridge.

Rule: the file is only read, and nothing is invoked. The page is for this machine, and for a person who has its token.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import MAP_HELP, MAX_LOG_BYTES, STDIN, base_option, input_name, read_input_text, read_map
from lattice_bridge.config.regular_file import MIB, BadFile, is_folder, read_regular_text
from lattice_bridge.local.inspector import PORT
from lattice_bridge.local.web.server import PortTaken

if TYPE_CHECKING:  # imported when the command runs: other commands do not wait for it
    from lattice_bridge.local.inspector.from_file import FromFile, Recorded, Shown
    from lattice_bridge.local.inspector.server import Inspector

MAX_FILES: Final = 20_000
"""Files of a folder. `local --record` writes 2,000 into one."""
MAX_FOLDER_BYTES: Final = 256 * MIB
MAX_EVENT_BYTES: Final = 32 * MIB

_EXPECTED: Final = ".expected.json"
_EXAMPLES: Final = """\b
Examples:
  lattice-bridge inspect recorded --map bridge.toml
  aws logs tail /aws/lambda/bridge --since 1h > bridge.log
  lattice-bridge inspect bridge.log --map HEAD:bridge.toml
"""


@click.command(epilog=_EXAMPLES, short_help="Show recorded requests, or a bridge's log, in a browser.")
@click.argument("file", type=click.Path())
@click.option("--map", "map_name", type=click.Path(), metavar="MAP", help=f"{MAP_HELP} Default: none.")
@base_option
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    show_default=f"{PORT}, or a free one if that is in use",
    help="The page's port on this machine; 0 for a free one.",
)
@show.JSON
def inspect(file: str, map_name: str | None, base: Path | None, port: int | None, *, as_json: bool) -> None:
    """Open the inspector's page over FILE, which is only read: a folder that `local --record` wrote, a file of events,
    or the log of a deployed bridge (exported from CloudWatch as JSON or CSV, one JSON object a line, or the output of
    `local --json-logs`; - for stdin). With --map, each decision is explained by this map, as `explain` does. With
    --json, print the entries and their decisions instead. Exits with 0 when it is interrupted, 2 if there is nothing to
    show."""
    from lattice_bridge.local.inspector.from_file import BadContent, FromFile
    from lattice_bridge.local.inspector.server import Inspector

    if base is not None and map_name is None:
        raise click.UsageError("--base: there is no map. Fix: add --map MAP")
    explainer = None if map_name is None else read_map(map_name, base).explainer()
    reader = FromFile(explainer, map_name, time.time())
    try:
        shown = _read(reader, file)
    except BadContent as error:
        raise click.UsageError(f"{input_name(file)}: {error}") from error
    if as_json:
        show.say_json(_document_of(shown, reader))
        return
    inspector = Inspector(shown.timeline, reader.decide, input_name(file))
    try:
        asyncio.run(_serve(inspector, port, lambda: _say(file, shown, inspector.url)))
    except PortTaken as error:
        raise click.UsageError(f"{error}. Fix: choose another with --port") from error


def _document_of(shown: Shown, reader: FromFile) -> dict[str, Any]:
    entries, _ = shown.timeline.since(0)
    found = [{**entry.summary(), "decision": reader.decide(entry)} for entry in entries]
    return {"kind": shown.kind, "left_out": shown.left_out, "entries": found}


def _read(reader: FromFile, file: str) -> Shown:
    if file != STDIN and is_folder(file):
        return reader.of_events(recorded(Path(file)))
    return reader.of_text(read_input_text(file, MAX_LOG_BYTES))


def recorded(folder: Path, max_files: int = MAX_FILES, max_bytes: int = MAX_FOLDER_BYTES) -> Iterator[Recorded]:
    """The events of a folder, in the order of their names, each with what is beside it.

    Raises:
        click.UsageError: a file cannot be read, or there are more files or bytes than this.
    """
    from lattice_bridge.local.inspector.from_file import Recorded

    try:
        names = {entry.name for entry in folder.iterdir() if entry.name.endswith(".json")}
    except OSError as error:
        raise click.UsageError(f"{folder}: {error.strerror}. Fix: name a folder that you can read") from error
    events = sorted(name for name in names if not name.endswith(_EXPECTED))
    if len(names) > max_files:
        raise click.UsageError(f"{folder}: over {max_files} files. Fix: move some of them into another folder")
    read = 0
    for name in events:
        beside = f"{name.removesuffix('.json')}{_EXPECTED}"
        event, size = _document(folder / name)
        expected, more = _document(folder / beside) if beside in names else ({}, 0)
        read += size + more
        if read > max_bytes:
            raise click.UsageError(
                f"{folder}: over {max_bytes // MIB} MiB. Fix: move some of the files into another folder"
            )
        yield Recorded(event, expected if isinstance(expected, dict) else {}, name.removesuffix(".json"))


def _document(path: Path) -> tuple[Any, int]:
    """The JSON in a file, and its size."""
    try:
        text = read_regular_text(path, MAX_EVENT_BYTES)
        return json.loads(text), len(text)
    except BadFile as error:
        raise click.UsageError(str(error)) from error
    except RecursionError as error:
        raise click.UsageError(f"{path}: nested too deeply. Fix: remove the file from the folder") from error
    except ValueError as error:
        raise click.UsageError(f"{path}: not JSON: {error}. Fix: remove the file from the folder") from error


def _say(file: str, shown: Shown, url: str) -> None:
    number = len(shown.timeline)
    period = f", {_period(shown.began, shown.ended)}" if shown.began and shown.ended else ""
    show.say(f"{input_name(file)}: {number} {'entry' if number == 1 else 'entries'} of {shown.kind}{period}")
    if shown.left_out:
        show.say(f"Left out: the {shown.left_out} before them. The page shows {number} at most.")
    show.say(f"Inspector  {url}  (Ctrl-C ends it)")


def _period(began: float, ended: float) -> str:
    first, last = (datetime.fromtimestamp(seconds, UTC) for seconds in (began, ended))
    layout = "%H:%M:%S" if first.date() == last.date() else "%Y-%m-%d %H:%M:%S"
    return f"{first:%Y-%m-%d %H:%M:%S} to {last.strftime(layout)} UTC"


async def _serve(inspector: Inspector, port: int | None, say: Callable[[], None]) -> None:
    """Serves the page until Ctrl-C."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    try:
        server = await inspector.start(PORT if port is None else port)
    except PortTaken:
        if port is not None:
            raise
        server = await inspector.start(0)
    try:
        say()
        await stopped.wait()
    finally:
        await server.stop()
