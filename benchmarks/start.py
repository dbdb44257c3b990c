"""A fresh process to its first answer: CPU of the whole process, the interpreter's own start included."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from benchmarks import configuration
from benchmarks.certificates import Certificates
from benchmarks.environment import like_lambda
from benchmarks.request import EVENT
from benchmarks.responder import Manner, responding
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import spread
from benchmarks.table import Table
from lattice_bridge.packaging.build import Request, build_folder
from lattice_bridge.packaging.bytecode import compiler_for
from tests.support.packages import copy_from_here, install_from_here
from tests.testing.test_strangers_project import needed

_FIRST_ANSWER: Final = """
import sys
from MODULE import handler
class Context:
    aws_request_id = "8f5a7b1c-0000-4000-8000-000000000000"
    def get_remaining_time_in_millis(self):
        return 30_000
sys.exit(handler(EVENT, Context())["statusCode"] != 200)
"""


def _first_answer(module: str) -> str:
    return _FIRST_ANSWER.replace("MODULE", module).replace("EVENT", repr(EVENT))


PACKAGED: Final = "the bridge, as packaged"
NO_BYTECODE: Final = "the bridge, packaged without bytecode"
TOML: Final = "the bridge, packaged, TOML alone"
POWERTOOLS: Final = "Powertools' resolver and boto3"
BUILT_BY_SAM: Final = "the same, as `sam build` packages it"
CLIENT: Final = "import boto3, and a Lambda client; no request"
INTERPRETER: Final = "the interpreter alone"
PROGRAMS: Final = {
    PACKAGED: _first_answer("lattice_bridge.main"),
    NO_BYTECODE: _first_answer("lattice_bridge.main"),
    TOML: _first_answer("lattice_bridge.main"),
    POWERTOOLS: _first_answer("powertools"),
    BUILT_BY_SAM: _first_answer("powertools"),
    CLIENT: 'import boto3; boto3.client("lambda")',
    INTERPRETER: "pass",
}
ROUNDS: Final = 15


def _over_tls(name: str) -> str:
    return f"{name}, over TLS"


def milliseconds(program: str, folder: Path, environ: dict[str, str], python: str = sys.executable) -> float:
    """CPU of a process from its start to its end, in user and kernel.

    As in Lambda, the folder is the current one and on the path, nothing else is installed, and no bytecode is written.
    """
    command = [python, "-S", "-B", "-c", program]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"a start ended with {process.returncode}: {program}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def rounds_of(
    programs: Mapping[str, str],
    folders: Mapping[str, Path],
    environs: Mapping[str, dict[str, str]],
    rounds: int,
    python: str = sys.executable,
) -> list[dict[str, float]]:
    """The milliseconds of each program in each round. They take turns, every other round backwards."""

    def measure(name: str) -> float:
        return milliseconds(programs[name], folders[name], environs[name], python)

    names = list(programs)
    for name in names:
        measure(name)  # brings files into memory
    return [{name: measure(name) for name in (names if number % 2 == 0 else names[::-1])} for number in range(rounds)]


def runtime_of(python: str = sys.executable) -> str:
    """Lambda's name of an interpreter's release, as in `python3.13`."""
    command = [python, "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def bridge_folders(folder: Path, python: str = sys.executable) -> dict[str, Path]:
    """What the bridge's Lambda would have at /var/task."""
    runtime = runtime_of(python)
    text = configuration.SHIPPED.read_text(encoding="utf-8")
    found: dict[str, Path] = {}
    bytecode = compiler_for(runtime, [python])
    for name, compiler in ((PACKAGED, bytecode), (NO_BYTECODE, None), (TOML, bytecode)):
        found[name] = folder / f"bridge-{len(found)}"
        request = Request(text, folder, runtime, compiler, False, lambda _: None, install_from_here)
        build_folder(request, "x86_64", found[name])
        as_unzipped(found[name])
    (found[TOML] / "bridge.json").unlink()
    return found


def peer_folders(folder: Path, python: str = sys.executable) -> dict[str, Path]:
    """What the Lambda of each peer would have at /var/task."""
    found: dict[str, Path] = {}
    packages = {"aws-lambda-powertools", "boto3"}
    packages |= {name for one in packages for name in needed(distribution(one), ())}
    for name in (POWERTOOLS, BUILT_BY_SAM):
        found[name] = folder / f"powertools-{len(found)}"
        copy_from_here(packages, found[name])
        shutil.copy(Path(__file__).with_name("powertools.py"), found[name])
    subprocess.run([python, "-m", "compileall", "-q", str(found[POWERTOOLS])], check=True)
    return {**found, CLIENT: found[POWERTOOLS], INTERPRETER: found[POWERTOOLS]}


def as_unzipped(folder: Path) -> None:
    """Gives the configuration the time that a zip file has: the bridge waits for a file that was written just now."""
    for path in folder.glob("bridge.*"):
        os.utime(path, (configuration.UNZIPPED, configuration.UNZIPPED))


def run(bench: Bench) -> Section:
    folders = bridge_folders(bench.folder / "start", bench.python)
    folders |= peer_folders(bench.folder / "start", bench.python)
    certificates = Certificates.made_in(bench.folder / "start-tls")
    with responding(Manner(certificate=str(certificates.server))) as secure:
        environs = {name: like_lambda(bench.url, folder) for name, folder in folders.items()}
        programs, also = dict(PROGRAMS), (PACKAGED, POWERTOOLS, BUILT_BY_SAM)
        if runtime_of(bench.python) != runtime_of():
            del programs[TOML]  # it imports pydantic, which is installed for this Python alone
        for name in also:
            programs[_over_tls(name)], folders[_over_tls(name)] = PROGRAMS[name], folders[name]
            environs[_over_tls(name)] = like_lambda(secure, folders[name], certificates.bundle)
        found = rounds_of(programs, folders, environs, bench.few(ROUNDS), bench.python)

    def ratio(name: str, other: str) -> float:
        return statistics.median(one[name] / one[other] for one in found)

    rows = []
    for name in programs:
        more = statistics.median(one[name] - one[INTERPRETER] for one in found)
        over = (f"{ratio(name, other):.2f}" for other in (POWERTOOLS, BUILT_BY_SAM, CLIENT))
        rows.append((name, *spread([one[name] for one in found]), f"{more:.0f}", *over))
    columns = (
        "",
        "CPU ms, median",
        "range",
        "over the interpreter",
        "over Powertools",
        "over `sam build`",
        "over boto3's client",
    )
    note = (
        "User and system time of the whole process, from its start to its end. Ratios are of the whole; the fourth "
        "column is without the interpreter. Each contender runs from a folder as Lambda unzips it. All have bytecode, "
        "except the second, and what `sam build` packages, which contains none. The last rows are with TLS, which "
        "reads as many authorities as this machine trusts; the others are without."
    )
    release = runtime_of(bench.python).replace("python", "Python ")
    return Section(
        [Table(f"Start to the first answer, {release}, {len(found)} rounds", columns, rows, note)],
        {
            "packaged start": ratio(PACKAGED, BUILT_BY_SAM),
            "start over Powertools": ratio(PACKAGED, POWERTOOLS),
            "start over boto3": ratio(PACKAGED, CLIENT),
        },
    )
