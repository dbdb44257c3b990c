"""Storage: functions write to a /tmp of their own environment, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.environments.storage import MARKER, PREFIX, Storage, remove, remove_left_behind
from lattice_bridge.local.plan.readers.template import read_plan
from lattice_bridge.testing import LocalStack
from tests.support.paths import ROOT
from tests.support.stack import FAULTS, ONE_FUNCTION, RunningStack, alive, allowed, running, wait_until

WITHOUT_MOUNTS: Final = ("unshare", "--user", "--map-root-user", "sh", "-c")
"""Enters a namespace in which the kernel refuses mount namespaces, as a container or a policy does."""

NO_MOUNTS: Final = "echo 0 > /proc/sys/user/max_mnt_namespaces"

private: Final = pytest.mark.skipif(
    not allowed("unshare", "--user", "--map-root-user", "--mount", "true"), reason="no private mounts on this machine"
)
HOME: Final = pwd.getpwuid(os.getuid()).pw_dir
"""Not `Path.home()`: `$HOME` may be in `/tmp`, where a function sees no file of the machine."""

ordinary: Final = ("setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all")
"""Removes from root the rights that an ordinary user does not have."""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running(template=FAULTS) as stack:
        yield stack


def folder_of(answer: dict[str, Any]) -> Path:
    """Returns the machine's path of the folder that is the `/tmp` of the process."""
    command = Path(f"/proc/{answer['pid']}/cmdline").read_text().split("\0")
    return next(Path(word) for word in command if word.startswith(f"/tmp/{PREFIX}"))


def run(stack: RunningStack, tenant: str, command: str) -> dict[str, Any]:
    answer: dict[str, Any] = stack.invoke("isolated-files", {"run": command}, tenant).json()
    return answer


def end_environment(stack: RunningStack, tenant: str) -> None:
    """Kills the environment's process, so that the stack ends the environment at once and not after an idle time."""
    assert stack.invoke("isolated-files", {"run": "kill -9 $PPID"}, tenant).json()["errorType"] == "Runtime.ExitError"


# ---- a folder for each environment ----------------------------------------------------------------------------------


@private
def test_file_in_tmp_is_not_seen_by_another_tenant(stack: RunningStack) -> None:
    """Trap G8: developers test the isolation with a file first."""
    name = f"/tmp/of-blue-{os.getpid()}"
    blue = run(stack, "blue", f"echo secret > {name}; cat {name}")
    assert (blue["out"], blue["tmp"]) == ("secret\n", "/tmp")
    assert "No such file" in run(stack, "green", f"cat {name}; ls -a /tmp")["err"]
    assert run(stack, "blue", f"cat {name}")["out"] == "secret\n"  # as long as its environment lives
    assert not Path(name).exists()


@private
@pytest.mark.parametrize("folder", [str(FAULTS.parent), "/var/tmp", "/dev/shm", str(ROOT), HOME])
def test_only_tmp_is_writable(stack: RunningStack, folder: str) -> None:
    if not Path(folder).is_dir():
        pytest.skip(f"this machine has no {folder}")
    assert "Read-only file system" in run(stack, "blue", f"echo 1 > {folder}/written-by-a-function")["err"]
    assert not Path(folder, "written-by-a-function").exists()


@private
@pytest.mark.parametrize(
    "command", ["umount /tmp", "mount -o remount,rw /", "unshare --user --map-root-user --mount umount /tmp"]
)
def test_function_cannot_undo_its_mounts(stack: RunningStack, command: str) -> None:
    """Trap G8."""
    assert run(stack, "blue", "echo mine > /tmp/mine; stat -c %a /tmp")["out"] == "700\n"  # not the machine's
    assert run(stack, "blue", f"{command} || echo refused; cat /tmp/mine")["out"] == "refused\nmine\n"


@private
@pytest.mark.parametrize("whose", ["sibling", "stack"])
def test_proc_of_another_process_gives_no_access(stack: RunningStack, whose: str) -> None:
    """Trap G8: also as root. `/proc/PID/root` leads to another process's mounts."""
    blue = run(stack, "blue", "echo secret > /tmp/secret")["pid"]
    there = f"/proc/{blue if whose == 'sibling' else stack.process.pid}"
    for command in (
        f"ls {there}/root/tmp",
        f"cat {there}/root/tmp/secret",
        f"echo changed > {there}/root/tmp/secret",
        f"cat {there}/environ",
        f"cat {there}/maps",
        f"head -c 1 {there}/mem",
        f"ls {there}/cwd/",
        f"cat {there}/fd/0",
    ):
        answer = run(stack, "green", command)
        assert (answer["out"], "Permission denied" in answer["err"]) == ("", True), command
    assert run(stack, "blue", "cat /tmp/secret")["out"] == "secret\n"


@private
@pytest.mark.skipif(os.getuid() != 0, reason="only root reads other users' files")
def test_root_runs_code_of_another_user(tmp_path: Path) -> None:
    """In a container, root runs a mounted project that belongs to a user of the machine."""
    (tmp_path / "code").mkdir()
    shutil.copy(FAULTS.parent / "faults.py", tmp_path / "code")
    (tmp_path / "template.yaml").write_text(SHELL_FUNCTION)
    for path in (tmp_path / "code" / "faults.py", tmp_path / "code"):
        os.chown(path, 12345, 12345)
        path.chmod(0o700)
    with running(template=tmp_path / "template.yaml") as stack:
        answer = stack.invoke("isolated-files", {"run": "stat -c %u faults.py; touch /tmp/a; chown 7:7 /tmp/a"}).json()
        assert (answer["out"], answer["err"]) == ("12345\n", "")


@private
def test_project_in_tmp_is_run_and_read_only(tmp_path: Path) -> None:
    """A project may be cloned into `mktemp -d`. Links between its folders still work."""
    assert str(tmp_path).startswith("/tmp/")
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "shared.py").write_text("WORD = 'found'\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "common").symlink_to("../common")
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "imported.py").write_text("from linked import WORD\n")
    (tmp_path.parent / "cache" / "linked").mkdir(parents=True, exist_ok=True)
    (tmp_path.parent / "cache" / "linked" / "__init__.py").write_text("WORD = 'imported'\n")
    (elsewhere / "linked").symlink_to(tmp_path.parent / "cache" / "linked")
    shutil.copy(FAULTS.parent / "faults.py", tmp_path / "code")
    (tmp_path / "template.yaml").write_text(
        SHELL_FUNCTION.replace("Timeout: 20", f"Timeout: 20, Environment: {{Variables: {{PYTHONPATH: {elsewhere}}}}}")
    )
    (tmp_path.parent / "beside").write_text("not in the project")
    with running(template=tmp_path / "template.yaml") as stack:
        there = stack.invoke(
            "isolated-files", {"run": f"cat {tmp_path}/code/common/shared.py; cat {tmp_path}/../beside"}
        )
        assert there.json()["out"] == "WORD = 'found'\n"
        imports = f"{sys.executable} -c 'import imported; print(imported.WORD)'"
        assert stack.invoke("isolated-files", {"run": imports}).json()["out"] == "imported\n"
        assert "No such file" in there.json()["err"]
        wrote = stack.invoke(
            "isolated-files", {"run": f"echo 1 > written; ls /tmp; rm -rf {tmp_path}/code 2>/dev/null; echo 1 > /tmp/x"}
        )
        assert "Read-only file system" in wrote.json()["err"]
        assert tmp_path.parts[2] in wrote.json()["out"]
        assert not [*tmp_path.glob("**/__pycache__"), *elsewhere.glob("**/__pycache__")]
    assert (tmp_path / "code" / "faults.py").exists()


SHELL_FUNCTION: Final = ONE_FUNCTION.replace(
    "Handler: app.handler,", "FunctionName: isolated-files, Handler: faults.files, CodeUri: code, Timeout: 20,"
)
PYTHON_FUNCTION: Final = ONE_FUNCTION.replace("Handler:", "FunctionName: isolated-files, Handler:")


# ---- without root's rights, and without mounts ----------------------------------------------------------------------

PROGRAM: Final = """
import json, sys
from pathlib import Path
from tests.support.stack import FAULTS, alive, running
with running("--max-environments", "4", template=FAULTS) as stack:
    def run(tenant, command):
        return stack.invoke("isolated-files", {"run": command}, tenant).json()
    first = run("blue", "echo secret > /tmp/of-blue; echo there > $TMPDIR/mine; grep CapEff /proc/self/status")
    second = run("green", "cat /tmp/of-blue; umount /tmp")
    child, escaped = stack.invoke("forks").json()["child"], stack.invoke("escapes").json()
    pids = [child, escaped, first["pid"], second["pid"]]
    lived = [alive(pid) for pid in pids]
    warnings = [line["message"] for line in stack.lines if line.get("level") == "warning"]
left = [alive(pid) for pid in pids]
json.dump([first, second, lived, left, warnings], sys.stdout)
"""


def result_of(template: Path, wrapper: Sequence[str]) -> Any:
    """Returns the result of the function, in a stack that runs under a command."""
    if wrapper:
        return outcome(*wrapper, sys.executable, "-c", IMPORTS, str(template))
    with running(template=template) as stack:
        return stack.invoke("isolated-files").json()


def outcome(*command: str) -> Any:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not allowed(*ordinary, "unshare", "--user", "--map-current-user", "true"), reason="needs setpriv")
def test_user_namespace_isolates_and_ends_with_the_stack() -> None:
    """For an ordinary user, mounts need a user namespace. The stack still finds and kills its processes."""
    first, second, lived, left, warnings = outcome(*ordinary, sys.executable, "-c", PROGRAM)
    assert {first["user"], second["user"]}.isdisjoint({str(Path("/proc/self/ns/user").readlink())})
    assert first["out"].split() == ["CapEff:", "0" * 16]
    assert "No such file" in second["err"]
    assert (lived, left, warnings) == ([True] * 4, [False] * 4, [])


can_refuse_mounts: Final = allowed(*WITHOUT_MOUNTS, NO_MOUNTS)
UNDER_REFUSAL: Final = (*WITHOUT_MOUNTS, f'{NO_MOUNTS} && exec "$0" "$@"')


@pytest.mark.skipif(not can_refuse_mounts, reason="needs a user namespace to refuse mounts in")
def test_machine_without_private_mounts_is_reported() -> None:
    try:
        first, second, lived, left, warnings = outcome(*UNDER_REFUSAL, sys.executable, "-c", PROGRAM)
    finally:
        Path("/tmp/of-blue").unlink()
    assert second["out"] == "secret\n"
    assert first["tmp"] != second["tmp"]
    assert not Path(first["tmp"]).exists()
    assert (lived, left) == ([True] * 4, [False] * 4)
    (warning,) = warnings
    assert warning.startswith("Tenants share this machine's /tmp here (")
    assert "No space left on device" in warning  # the kernel's word for the limit


IMPORTS: Final = """
import json, sys
from pathlib import Path
from tests.support.stack import running
with running(template=Path(sys.argv[1])) as stack:
    json.dump(stack.invoke("isolated-files").json(), sys.stdout)
"""


def test_function_writes_no_bytecode(tmp_path: Path) -> None:
    """Without private mounts, which make the project read-only."""
    wrapper = UNDER_REFUSAL if can_refuse_mounts else ()
    (tmp_path / "helper.py").write_text("WORD = 'found'\n")
    (tmp_path / "app.py").write_text("import helper\ndef handler(event, context):\n    return helper.WORD\n")
    template = tmp_path / "template.yaml"
    template.write_text(PYTHON_FUNCTION)
    assert result_of(template, wrapper) == "found"
    assert not list(tmp_path.glob("**/__pycache__"))


# ---- removal --------------------------------------------------------------------------------------------------------


@private
def test_folder_and_mounts_end_with_the_environment(stack: RunningStack) -> None:
    answer = run(stack, "ends", "mkdir -p /tmp/a/b; chmod 0 /tmp/a/b; ln -s / /tmp/root; stat -c %a:%u /tmp")
    assert answer["out"] == f"700:{os.getuid()}\n"
    folder = folder_of(answer)
    assert (folder / "root").is_symlink()
    end_environment(stack, "ends")
    wait_until(lambda: not folder.exists())
    assert not alive(answer["pid"])
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()


def abandonable(answer: dict[str, Any]) -> Path:
    """The folder of an environment, which has a `/tmp` of its own only with private mounts."""
    return folder_of(answer) if answer["tmp"] == "/tmp" else Path(answer["tmp"])


def test_processes_and_folders_of_a_killed_stack_end_with_the_next_start(stack: RunningStack) -> None:
    """Those of a running stack are kept, and its own end with it."""
    run(stack, "blue", "echo 1 > ${TMPDIR:-/tmp}/x")
    with LocalStack(FAULTS) as started:
        killed = RunningStack(started.process.popen, started.url, started.lambda_url)
        child = killed.invoke("forks").json()["child"]
        answer = run(killed, "blue", "echo 1 > ${TMPDIR:-/tmp}/x")
        abandoned = abandonable(answer)
        killed.process.kill()
        killed.process.wait()
        assert alive(child)  # at once: any stack that starts on this machine ends it
        assert (abandoned / "x").exists()
    with running(template=FAULTS) as after:
        wait_until(lambda: not alive(child) and not abandoned.parent.exists())
        own = abandonable(run(after, "blue", "mkdir -p ${TMPDIR:-/tmp}/a/b; chmod 0 ${TMPDIR:-/tmp}/a/b"))
        assert own.exists()
    assert not own.parent.exists()
    assert run(stack, "blue", "cat ${TMPDIR:-/tmp}/x")["out"] == "1\n"


def left_behind(parent: Path, name: str = f"{PREFIX}a") -> Path:
    """Makes a folder as a killed stack leaves it."""
    folder = parent / name
    folder.mkdir(mode=0o700, parents=True)
    (folder / MARKER).touch(mode=0o600)
    (folder / "1").mkdir()
    return folder


def test_removal_follows_no_link(tmp_path: Path) -> None:
    """Trap G8."""
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True, mode=0o755)
    (outside / MARKER).touch()
    outside.chmod(0o555)
    parent = tmp_path / "parent"
    folder = left_behind(parent)
    (folder / "1" / "locked" / "link").mkdir(parents=True)
    (folder / "1" / "link").symlink_to(outside)
    (folder / "1" / "locked" / "link" / "link").symlink_to(outside)
    (folder / "1" / "locked").chmod(0)
    (parent / f"{PREFIX}b").symlink_to(outside)
    remove_left_behind(str(parent))
    assert [entry.name for entry in parent.iterdir()] == [f"{PREFIX}b"]
    remove(parent / f"{PREFIX}b")
    assert (outside / "kept").exists()
    assert outside.stat().st_mode & 0o777 == 0o555
    outside.chmod(0o755)


def without_marker(folder: Path) -> None:
    (folder / MARKER).unlink()


def with_marker_that_is_a_link(folder: Path) -> None:
    (folder / MARKER).unlink()
    (folder / MARKER).symlink_to("1")


def with_marker_that_is_a_folder(folder: Path) -> None:
    (folder / MARKER).unlink()
    (folder / MARKER).mkdir()


def readable_by_others(folder: Path) -> None:
    folder.chmod(0o755)


@pytest.mark.parametrize(
    "change", [without_marker, with_marker_that_is_a_link, with_marker_that_is_a_folder, readable_by_others]
)
def test_folder_without_a_stack_is_kept(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """Trap G10: a project that was unpacked to `/tmp/lattice-bridge-stack-main` is not a stack's folder."""
    folder = left_behind(tmp_path)
    change(folder)
    remove_left_behind(str(tmp_path))
    assert (folder / "1").is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("given", [".", MARKER])
def test_folder_of_another_user_is_kept(tmp_path: Path, given: str) -> None:
    """Trap G10."""
    folder = left_behind(tmp_path)
    os.chown(folder / given, 12345, 12345)
    remove_left_behind(str(tmp_path))
    assert (folder / "1").is_dir()


@pytest.mark.parametrize("inside", [".", "1", "1/code"])
def test_folder_with_needed_files_is_kept(tmp_path: Path, inside: str) -> None:
    """Trap G10: the folder or one inside is needed by the stack."""
    needed, other = left_behind(tmp_path), left_behind(tmp_path, f"{PREFIX}ab")
    remove_left_behind(str(tmp_path), {os.path.realpath(needed / inside)})
    assert (needed / "1").is_dir()
    assert not other.exists()


def test_project_named_like_a_stack_folder_is_kept(tmp_path: Path) -> None:
    """Trap G10: a start removed the project that it was to run.

    The test uses a folder of its own: in `/tmp`, other stacks on this machine would remove the project.
    """
    project, abandoned = left_behind(tmp_path, f"{PREFIX}main"), left_behind(tmp_path)
    (project / "app.py").write_text("def handler(event, context):\n    return 1\n")
    (project / "template.yaml").write_text(PYTHON_FUNCTION)
    plan = read_plan(read_template(project / "template.yaml", {}, "us-east-1"))

    async def start() -> None:
        await Storage(tmp_path / "own", plan).remove_left_behind()

    asyncio.run(start())
    assert (project / "app.py").exists()
    assert not abandoned.exists()


DEEP: Final = "import os\nos.chdir('/tmp')\nfor _ in range(1200): os.mkdir('d'); os.chdir('d'); open('f', 'w').close()"


@private
def test_deeply_nested_folders_are_removed(stack: RunningStack) -> None:
    """Without this, the stop and each later start failed with a RecursionError."""
    answer = run(stack, "deep", f'{sys.executable} -I -c "{DEEP}"; ls /tmp')
    assert "d" in answer["out"].split()  # beside the project, if it is in /tmp
    folder = folder_of(answer)
    end_environment(stack, "deep")
    wait_until(lambda: not folder.exists())
    assert "d" not in run(stack, "deep", "ls -A /tmp")["out"].split()


def test_deeply_nested_folders_of_a_killed_stack_are_removed(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    subprocess.run([sys.executable, "-I", "-c", DEEP.replace("/tmp", str(folder / "1"))], check=True)
    remove_left_behind(str(tmp_path))
    assert not folder.exists()


@pytest.mark.skipif(os.getuid() != 0 or not allowed("chattr", "-V", "-i", __file__), reason="needs chattr")
def test_undeletable_folder_is_reported_and_keeps_its_marker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rest is removed, and a later start tries again."""
    folder = left_behind(tmp_path)
    (folder / "1" / "2" / "3").mkdir(parents=True)
    (folder / "1" / "2" / "kept").touch()
    subprocess.run(["chattr", "+i", folder / "1" / "2" / "kept"], check=True)
    try:
        remove_left_behind(str(tmp_path))
        assert len(list(folder.iterdir())) == 2
        assert (folder / MARKER).exists()
        (message,) = caplog.messages
        assert message.startswith(f"{folder} cannot be removed: ")
    finally:
        subprocess.run(["chattr", "-R", "-i", folder], check=True)
    remove_left_behind(str(tmp_path))
    assert not folder.exists()


# ---- a PATH that cannot be read -------------------------------------------------------------------------------------


SHOWS_MOUNTS: Final = """
import os
def handler(event, context):
    return open("/proc/self/mountinfo").read() + os.environ.get("TMPDIR", "")
"""
"""Returns a text with the folder of its stack."""


@pytest.mark.parametrize("wrapper", [(), ordinary], ids=["", "without root's rights"])
def test_unreadable_folder_in_path_is_no_obstacle(
    tmp_path: Path, wrapper: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrapper and not allowed(*wrapper, "true"):
        pytest.skip("needs setpriv")
    (tmp_path / "app.py").write_text(SHOWS_MOUNTS)
    template = tmp_path / "template.yaml"
    template.write_text(PYTHON_FUNCTION)
    (tmp_path / "locked" / "bin").mkdir(parents=True)
    (tmp_path / "locked").chmod(0)
    path = os.pathsep.join([str(tmp_path / "locked" / "bin"), f"/tmp/{'x' * 300}", "/tmp/y" * 1000, os.environ["PATH"]])
    try:
        monkeypatch.setenv("PATH", path)
        shown = re.search(rf"{PREFIX}\w+", result_of(template, wrapper))
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert shown
    assert not Path("/tmp", shown[0]).exists()
