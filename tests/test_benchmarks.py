"""The benchmark runs. What it measures is no test's business: machines differ."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import against, goals
from benchmarks.batch import ARN, STREAM_ARN, TABLE_ARN, record
from benchmarks.bridge_soak import Soaked
from benchmarks.certificates import Certificates
from benchmarks.contenders import FRESH, INVOKE, OURS, POST, POWERTOOLS, REMEMBERED
from benchmarks.request import TENANT
from benchmarks.responder import WRONG, Manner, answer_to, responding
from benchmarks.side_by_side import Cost, Measured
from benchmarks.soak import TENANTS
from benchmarks.stack_client import Connection, load
from benchmarks.table import Table
from lattice_bridge.invoke.call import Call
from lattice_bridge.invoke.direct import DirectInvoker
from lattice_bridge.invoke.endpoint import endpoint_of
from lattice_bridge.invoke.signing import Credentials
from tests.support.paths import ROOT


def test_quick_run_of_the_warm_request_shows_every_peer(tmp_path: Path) -> None:
    written = tmp_path / "results.md"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--only", "warm", "--output", str(written)]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, timeout=90)
    rows = {line.split(" | ")[0].removeprefix("| ") for line in written.read_text(encoding="utf-8").splitlines()}
    assert {OURS, REMEMBERED, FRESH, INVOKE, POWERTOOLS, POST} <= rows
    assert "warm, IAM principal: CPU over Powertools with boto3" in rows


def test_goal_is_reached_at_its_bound_and_missed_over_it() -> None:
    table = goals.table({"warm over POST": 1.7, "6 MB peak": 3.01})
    assert [row[-1] for row in table.rows] == ["✓", "✗"]


def test_goal_that_was_not_measured_is_not_shown() -> None:
    assert not goals.table({}).rows


@pytest.mark.parametrize(
    ("resident", "growth"),
    [([50, 100, *[100] * 8, 104], 0.04), ([50, 100, *[100] * 8, 106], 0.06), ([50, 100, *[94] * 9], -0.06)],
)
def test_growth_counts_from_a_tenth_of_the_requests(resident: list[float], growth: float) -> None:
    batches = [Cost(cpu=1, rate=1, peak=1, resident=one) for one in resident]
    assert Soaked(1, 1, 1.0, batches).growth == pytest.approx(growth)


@pytest.mark.parametrize(("made", "words"), [(90, "90 of 100: the time was up"), (100, "100"), (104, "104")])
def test_soak_that_made_all_requests_was_not_cut_short(made: int, words: str) -> None:
    """It makes whole batches, and so a few more than were asked for."""
    assert ("requests", words) in Soaked(made, 100, 1.0, [Cost(1, 1, 1, 10.0)]).table().rows


def test_compared_rows_take_each_checkouts_own_line_as_the_peer() -> None:
    few, many = (against.Line(words, OURS, "few", ("with_rules", words)) for words in ("few", "many"))
    costs = {("before", "few"): 100.0, ("before", "many"): 150.0, ("after", "few"): 50.0, ("after", "many"): 55.0}
    rounds = [
        {against.key(which, OURS, ("with_rules", words)): Cost(cpu, 1, 1) for (which, words), cpu in costs.items()}
    ]
    row = against.row(many, [few, many], Measured(rounds, {}))
    assert row == ("many", "150 µs", "55 µs", "0.367", "1.500", "1.100")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_worktree_of_a_commit_is_removed(tmp_path: Path) -> None:
    with against.checked_out("HEAD", tmp_path) as root:
        assert (root / "benchmarks/peer.py").is_file()
    listed = subprocess.run(["git", "worktree", "list"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert (root.exists(), str(root) in listed.stdout) == (False, False)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_commit_that_git_does_not_have_is_named() -> None:
    done = CliRunner().invoke(against.main, ["no-such-commit", "--only", "warm"])
    assert (done.exit_code, "git has no no-such-commit. Fix: name a commit" in done.output) == (2, True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made_in(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("keeps", "resumes", "expected"), [(True, True, [1, 0]), (False, True, [3, 2]), (False, False, [3, 0])]
)
def test_responder_keeps_connections_and_gives_tickets_as_asked(
    certificates: Certificates, keeps: bool, resumes: bool, expected: list[int]
) -> None:
    """Connections, and how many of them were resumed."""
    context = ssl.create_default_context(cafile=certificates.root)
    with responding(Manner(certificate=str(certificates.server), keeps=keeps, resumes=resumes)) as url:
        endpoint, credentials = endpoint_of("eu-west-1", {"AWS_ENDPOINT_URL": url}), Credentials("A", "s")
        invoker = DirectInvoker(endpoint, "eu-west-1", lambda: credentials, environ={}, context=context)
        with closing(invoker):
            for _ in range(3):
                invoker(Call("f", TENANT, b"{}", "sync", 5.0, 5.0))
    stats = context.session_stats()
    assert [stats["connect_good"], stats["hits"]] == expected


def test_client_of_the_stack_counts_answers_of_another_tenant() -> None:
    def serve() -> None:
        channel, _ = listener.accept()
        with channel:
            for tenant in (TENANTS[0], TENANTS[0]):  # the second was asked for another
                channel.recv(1000)
                body = json.dumps({"tenant_id": tenant}).encode()
                channel.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
                channel.sendall(body)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = threading.Thread(target=serve)
        server.start()
        connection = Connection("127.0.0.1", listener.getsockname()[1], 0)
        with closing(connection.channel):
            assert load([connection], 2) == 1
        server.join()


def test_markdown_has_a_line_for_each_row_and_the_note_below() -> None:
    assert Table("T", ("", "b"), [("one", "1")], "note").markdown() == (
        "## T\n\n|  | b |\n| --- | ---: |\n| one | 1 |\n\nnote\n"
    )


@pytest.mark.parametrize(("tenant", "answer"), [(TENANT, b"null"), ("another", WRONG)])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("arn", [ARN, STREAM_ARN, TABLE_ARN])
def test_responder_reports_a_record_of_another_tenant(
    arn: str, tenant: str, answer: bytes, separators: tuple[str, str]
) -> None:
    payload = json.dumps({"Records": [record(arn, 0)]}, separators=separators).encode()
    assert answer_to(payload, tenant.encode()) == answer
