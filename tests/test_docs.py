"""The documents: their examples load, their tables are the code's, and their links lead to files."""

from __future__ import annotations

import ast
import errno
import json
import math
import os
import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner

from lattice_bridge import errors
from lattice_bridge.cli.files import DEFAULT_MAP
from lattice_bridge.cli.package import OUTPUT
from lattice_bridge.cli.root import root
from lattice_bridge.config import location as place
from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Backend
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.source_arns import SERVICES
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.cloudformation.nested import STACKS
from lattice_bridge.deployment.cloudformation.sam import translate
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.doctor.read import READS
from lattice_bridge.errors import REASONS, InvalidMap
from lattice_bridge.formats import assumptions
from lattice_bridge.formats.event import Payload
from lattice_bridge.local.plan.readers.template import SERVED, WITHOUT_MEANING_HERE
from lattice_bridge.review.check import findings_of
from lattice_bridge.telemetry import NAMESPACE_VARIABLE
from lattice_bridge.tenancy.anchors import ANYONE
from lattice_bridge.testing import lattice_event
from tests.support.log_samples import samples
from tests.support.paths import ROOT
from tests.support.source import source
from tests.support.written import assert_written
from tests.test_layers import MAY_IMPORT, MODULES, ours

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONCEPTS = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
LOCAL = (ROOT / "docs" / "local.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
TENANTS = (ROOT / "docs" / "tenants.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
WIRE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
SESSIONS = "arn:aws:sts::111122223333:assumed-role/"


WORDS = {
    *("filter", "stats", "fields", "sort", "limit", "by", "as", "and", "in", "desc"),
    *("count", "count_distinct", "pct", "bin", "ispresent"),
}
"""Words of the language of Logs Insights."""


_NUMBERS = re.compile(r"([\d.]+)( M\b)?")
"""`13.14 M` is one number."""


LAMBDAS_OWN = {"type", "record.status", "record.errorType", "record.metrics.maxMemoryUsedMB"}
"""Fields of the lines that Lambda itself writes, as its telemetry API documents them."""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_table_of_reasons_equals_the_code() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.*) \|$", REFERENCE, re.MULTILINE)
    assert {reason: meaning for _, reason, meaning in rows} == REASONS
    statuses = {kind.status for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "status")}
    assert {int(status) for status, _, _ in rows} == statuses


def test_smallest_map_loads() -> None:
    loaded = Settings.from_text(blocks(TENANTS, "toml")[0])
    assert [found.function for found in loaded.options.backends] == ["orders:live"]
    assert set(loaded.tenant_map.rules.tenants) == {"blue", "green"}


def test_first_screen_of_the_readme_shows_the_first_steps() -> None:
    """Forty lines. test_strangers_project runs the commands."""
    screen = README.splitlines()[:40]
    assert screen.index("## Purpose") <= 40
    wanted = ("$ pip install ", "$ lattice-bridge init", "$ lattice-bridge local", "$ curl ", "make run ", "make test ")
    assert [start for start in wanted if not any(line.startswith(start) for line in screen)] == []


def test_make_targets_of_the_readme_start_what_it_says() -> None:
    """Make prints the commands, and runs none: `make test` would run this test."""
    command = ["make", "--dry-run", "--always-make", "run", "test"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for part in ("-m venv .venv", "lattice-bridge local ", "/ruff check .", "/mypy\n", "-m pytest -n auto"):
        assert part in printed


def test_command_in_a_sentence_of_the_readme_exists() -> None:
    named = re.findall(r"`lattice-bridge\s+([^`]+)`", README)
    assert len(named) >= 2
    for command, *options in map(str.split, named):
        known = {name for parameter in root.commands[command].params for name in parameter.opts}
        assert {option for option in options if option.startswith("--")} <= known


def test_python_of_the_readme_runs() -> None:
    (snippet,) = blocks(README, "python")
    said = re.findall(r"# '(arn:[^']+)'", snippet)
    found: dict[str, Any] = {"event": lattice_event(principal=said[0])}
    exec(snippet, found)
    assert str(found["request"].caller.principal) == said[0]


def test_urls_of_the_project_are_of_one_repository() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert all(url.startswith(urls["Repository"]) for url in urls.values())


def test_recipe_loads_and_its_tests_pass() -> None:
    recipes = blocks(TENANTS.partition("## Recipes")[2].partition("\n## ")[0], "toml")
    assert len(recipes) >= 5
    for recipe in recipes:
        assert recipe.count("[[test]]") >= 2
        found = findings_of(f"[tenants]\nblue = {{}}\ngreen = {{}}\n{recipe}")
        assert [finding.text for finding in found if finding.level == "error"] == []


def test_quoted_faults_are_those_of_the_loader() -> None:
    text = (
        '[tenants]\nblue = {}\n[[rule]]\nid = "blue-api"\nrole = "arn:aws:iam::111122223333:role/b"\ntenant = "bleu"\n'
        '[[rule]]\nid = "try"\nanyone = true\ntenant = "blue"\n[[rule]]\nid = "edge"\nroles = "x"\ntenants = "*"\n'
    )
    with pytest.raises(InvalidMap) as caught:
        TenantMap.from_toml(text)
    (quoted,) = [block for block in blocks(TENANTS, "text") if "did you mean" in block]
    assert quoted.splitlines() == list(caught.value.messages)


@pytest.mark.parametrize("variable", [place.CONFIG_VARIABLE, place.FUNCTION_VARIABLE, NAMESPACE_VARIABLE])
def test_variable_is_documented(variable: str) -> None:
    assert f"`{variable}`" in REFERENCE


@pytest.mark.parametrize("page", ["backends.md", "wire.md"])
@pytest.mark.parametrize("payload", get_args(Payload))
def test_payload_has_its_row(page: str, payload: str) -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert any(f"`{payload}`" in row for row in rows)


@pytest.mark.parametrize("field", Backend._fields)
def test_key_of_a_backend_is_documented(field: str) -> None:
    assert f"| `{field}` |" in REFERENCE


def test_settings_that_streams_md_tells_to_write_are_those_of_the_template() -> None:
    text = (ROOT / "docs" / "streams.md").read_text(encoding="utf-8")
    (settings,) = blocks(text, "yaml")
    own = yaml.safe_load(re.sub(r"!GetAtt [\w.]+", "of the template", settings))
    mapping = resources_of("Resources")["StreamMapping"]["Properties"]
    assert own.pop("DestinationConfig").keys() == mapping["DestinationConfig"].keys() == {"OnFailure"}
    assert own == {name: mapping[name] for name in own}


@pytest.mark.parametrize("field", EventSource.__slots__)
def test_key_of_an_event_source_is_documented(field: str) -> None:
    rows = REFERENCE.partition("| `[[event_source]]` |")[2].partition("\n| `[")[0]
    assert re.search(rf"(?:^|\n\| )[^|]*\|? ?[^|]*`{field}`[^|]*\|", rows)


def test_examples_of_event_sources_load_without_a_finding() -> None:
    """`check` runs their tests, and finds nothing that is probably not intended."""
    texts = [block for block in blocks(TENANTS, "toml") if "[[event_source]]" in block]
    for text in texts:
        assert findings_of(text) == []
        assert text.count("[[test]]") == 3
    sources = [source for text in texts for source in Settings.from_text(text).options.event_sources]
    assert {source.arn.split(":")[2] for source in sources} == set(SERVICES)


def test_page_has_the_claims_of_every_service() -> None:
    for name, service in SERVICES.items():
        assert {kind for kind in service.claims if f'from = "{kind}"' not in TENANTS} == set(), name


@pytest.mark.parametrize("name", [name for name in vars(assumptions) if name.isupper()])
def test_assumption_is_in_the_table(name: str) -> None:
    assert f"`{name}`" in WIRE


def test_assumption_of_the_table_is_in_the_code() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", WIRE)) - {"AWS_IAM"}
    assert named <= set(vars(assumptions))


def test_documented_make_target_exists() -> None:
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"run", "test", "check", "bench", "package", "help"} <= {line.split()[0] for line in printed.splitlines()}
    for command in re.findall(r"`make (\w+)`", README):
        assert f"\n{command}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        if target.startswith("https://"):
            continue
        linked = document.parent / name if name else document
        assert linked.exists(), target
        assert not heading or heading in headings_of(linked), target


def headings_of(document: Path) -> set[str]:
    """The anchors that GitHub makes for the headings: lower case, spaces as `-`, without punctuation."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_file_names_the_host_of_a_registry() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    hosts = re.compile("pypi" + r"\.org|files\.pythonhosted" + r"\.org|registry\.npmjs" + r"\.org")
    assert [name for name in files if hosts.search((ROOT / name).read_text(encoding="utf-8", errors="replace"))] == []


def test_open_map_is_the_closed_map_and_one_rule() -> None:
    closed = tomllib.loads((ROOT / "bridge.toml").read_text(encoding="utf-8"))
    opened = tomllib.loads((ROOT / "examples" / "open.toml").read_text(encoding="utf-8"))
    assert [rule for rule in opened["rule"] if rule.get("anyone")] == opened["rule"][-1:]
    assert {**opened, "rule": opened["rule"][:-1]} == closed


def test_default_deployment_admits_no_caller_without_a_credential() -> None:
    """Trap A1: the deployed map has no rule for unauthenticated callers, and the service requires a signature."""
    rules = Settings.load({"LAMBDA_TASK_ROOT": str(ROOT)}).tenant_map.rules
    assert ANYONE not in rules.owners
    functions = read_template(ROOT / "template.yaml", {}, "us-east-1").resources
    assert functions["BridgeFunction"].properties["Environment"]["Variables"]["LATTICE_BRIDGE_CONFIG"] == "bridge.toml"
    assert functions["Service"].properties["AuthType"] == "AWS_IAM"


def test_every_trap_has_its_tests_and_every_test_of_a_trap_its_row() -> None:
    named: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        module = ".".join(path.relative_to(ROOT / "tests").with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "Trap" in text else ():
            if isinstance(node, ast.FunctionDef):
                for group in re.findall(r"Traps? ([A-G][0-9, A-G]*)", ast.get_docstring(node) or ""):
                    for trap in re.findall(r"[A-G][0-9]+", group):
                        named.setdefault(trap, set()).add(f"{module}.{node.name.removeprefix('test_')}")
    text = (ROOT / "docs" / "traps.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-G][0-9]+) \| .* \| (`[\w.]+`(?:, `[\w.]+`)*) \|$", text, re.MULTILINE)
    assert {trap for trap, _ in rows} == set(named)
    assert [trap for trap, tests in rows if not {*re.findall(r"[\w.]+", tests)} <= named[trap]] == []


def test_snippets_of_testing_md_are_run() -> None:
    """Each is a part of a project in tests/stranger, which test_strangers_project runs, or imports existing names."""
    run = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests" / "stranger").rglob("*.py")))
    found = blocks((ROOT / "docs" / "testing.md").read_text(encoding="utf-8"), "python")
    assert len(found) >= 8
    for snippet in found:
        if snippet.startswith("from "):
            exec(snippet, {})
        else:
            assert all(piece in run for piece in snippet.strip().split("\n\n\n"))


def test_log_query_names_fields_of_the_log(tmp_path: Path) -> None:
    lines = [json.loads(line) for found in samples(tmp_path).values() for line in found]
    fields = {name for line in lines for name in line} | {
        f"milliseconds.{step}" for line in lines for step in line.get("milliseconds", ())
    }
    queries = blocks(OPERATIONS, "sql")
    assert len(queries) >= 5
    for query in queries:
        bare = re.sub(r'"[^"]*"', "", query)
        named = set(re.findall(r"\b[A-Za-z][\w.]*", bare)) - set(re.findall(r"\bas (\w+)", bare)) - WORDS
        assert {name.removesuffix(".0") for name in named} - LAMBDAS_OWN <= fields


def table(title: str) -> list[list[str]]:
    """The cells of the first table below a heading of operations.md, without the table's head."""
    rows = re.findall(r"^\| (.*) \|$", OPERATIONS.partition(f"## {title}\n")[2].partition("\n## ")[0], re.MULTILINE)
    return [row.split(" | ") for row in rows[1:]]


def test_table_of_parameters_equals_the_template() -> None:
    parameters = resources_of("Parameters")
    told = {name: cells for cells in table("Parameters") for name in re.findall(r"`(\w+)`", cells[0])}
    assert told.keys() == parameters.keys()
    for name, (_, _, default) in told.items():
        if re.fullmatch(r"`[^`]+`", default):
            assert default.strip("`") == str(parameters[name]["Default"])


def test_table_of_arguments_equals_the_command() -> None:
    told = {cells[0].strip("`"): cells[2].strip("`") for cells in table("Packages")}
    parameters = {parameter.opts[0]: parameter for parameter in root.commands["package"].params}
    assert told.keys() == {"MAP`, or `--map", *parameters.keys() - {"map_name", "--map"}}
    assert (told["MAP`, or `--map"], told["--runtime"]) == (DEFAULT_MAP, parameters["--runtime"].default)
    assert told["--output"] == str(OUTPUT)


def test_target_of_the_makefile_calls_the_command(tmp_path: Path) -> None:
    """As `sam build` does, with a folder whose name has a space."""
    (makefile,) = blocks(OPERATIONS, "make")
    (tmp_path / "Makefile").write_text(makefile, encoding="utf-8")
    (tmp_path / "lattice-bridge").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    (tmp_path / "lattice-bridge").chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "ARTIFACTS_DIR": "a b"}
    command = ["make", "--silent", "build-BridgeFunction"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    assert words == ["package", "--folder", "a b", "--arch", "arm64"]
    context = root.commands["package"].make_context("package", words[1:])  # the command has these options
    assert (context.params["folder"], context.params["archs"]) == (Path("a b"), ("arm64",))


def test_table_of_resources_to_copy_names_resources_of_the_template() -> None:
    section = OPERATIONS.partition("### What to copy from the template\n")[2].partition("\n### ")[0]
    resources = resources_of("Resources")
    named = {name for row in re.findall(r"^\| .* \|$", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named - resources.keys() == {"DeploymentPreference"}


def test_table_of_alarms_equals_the_template() -> None:
    alarms = {name for name, one in resources_of("Resources").items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    told = {name for cells in table("Alarms") for name in re.findall(r"`(\w+Alarm)`", cells[0])}
    assert {name for name in alarms if not name.endswith("LatencyAlarm")} == told


def resources_of(section: str) -> dict[str, Any]:
    """A section of template.yaml, unresolved."""

    class Loader(yaml.SafeLoader):
        """Reads each value with one of CloudFormation's tags as None."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    found: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), Loader)[section]
    return found


def test_policy_for_doctor_equals_its_calls() -> None:
    """sts:GetCallerIdentity needs no permission."""
    policies = [found for block in blocks(OPERATIONS, "json") if "Statement" in (found := as_json(block))]
    assert [set(policy["Statement"][0]["Action"]) for policy in policies] == [
        set(READS.values()) - {"sts:GetCallerIdentity"}
    ]


def as_json(block: str) -> dict[str, Any]:
    """The object in a block; empty for a block with several objects, as the log's are."""
    try:
        return dict(json.loads(block))
    except ValueError:
        return {}


def test_cost_example_adds_up() -> None:
    section = OPERATIONS.partition("## What it costs")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]*\d[^|]*) \| ([\d.]+) \| ([\d.]+) \|$", section, re.MULTILINE)
    assert len(rows) == 9
    for what, how_much, price, dollars in rows:
        factors = [float(number) * (1e6 if million else 1) for number, million in _NUMBERS.findall(how_much)]
        assert math.prod(factors) * float(price) == pytest.approx(float(dollars), abs=0.006), what
    (total,) = re.findall(r"^\| \| \| \| ([\d.]+) \|$", section, re.MULTILINE)
    assert sum(float(dollars) for *_, dollars in rows) == pytest.approx(float(total))


def test_costs_of_a_queue_add_up() -> None:
    section = OPERATIONS.partition("### What a queue costs")[2].partition("\n## ")[0]
    lines = re.findall(r"^\|(.*\d) \|$", section, re.MULTILINE)
    *items, (_, _, _, _, *totals) = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert len(items) == 7
    for what, one, other, price, *columns in items:
        prices = [float(each) for each in price.split(", ")]
        for how_much, each, dollars in zip((one, other), (prices[0], prices[-1]), columns, strict=True):
            numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", how_much)]
            assert math.prod(numbers) * each == pytest.approx(float(dollars), abs=0.006), what
    for total, column in zip(totals, (4, 5), strict=True):
        assert sum(float(row[column]) for row in items) == pytest.approx(float(total))


@pytest.mark.parametrize(
    ("heading", "parameter"),
    [("Queues", {"Queue": "standard"}), ("Streams", {"Stream": "kinesis"}), ("Event buses", {"Bus": "classic"})],
)
def test_snippet_of_a_source_fits_the_template(heading: str, parameter: dict[str, str]) -> None:
    """The map of the repository with the snippet, and the template with the parameter."""
    section = OPERATIONS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (snippet,) = blocks(section, "toml")
    options = Settings.from_text((ROOT / "bridge.toml").read_text(encoding="utf-8") + snippet).options
    assert template_findings(ROOT / "template.yaml", options, parameter, "us-east-1") == []


def test_log_lines_have_the_size_in_the_cost_example(tmp_path: Path) -> None:
    served = samples(tmp_path)["A request that was served, the first of its environment"]
    assert 800 < sum(len(line) + 1 for line in served) < 1000


def test_snippet_of_an_additional_backend_is_complete(tmp_path: Path) -> None:
    """The template passes with the snippet and the changes of the table: the right, the alarm and the isolated path."""
    section = OPERATIONS.partition("### Your own functions in the template")[2].partition("\n### ")[0]
    (function,), (table_,) = blocks(section, "yaml"), blocks(section, "toml")
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    right, paths = "                  - !Ref HistoryFunction.Alias\n", '["/isolated", "/history"]'
    assert (text.count(right), text.count(paths)) == (1, 1)
    text = text.replace(right, f"{right}                  - !Ref OrdersFunction.Alias\n")
    text = text.replace(paths, '["/isolated", "/history", "/orders"]')
    copies = {"HistoryRole": "OrdersRole", "HistoryLogs": "OrdersLogs", "HistoryLatencyAlarm": "OrdersLatencyAlarm"}
    for name, copy in copies.items():
        own = text.partition(f"\n  {name}:\n")[2].partition("\n\n")[0]
        own = own.replace("HistoryLogs", "OrdersLogs").replace("/history", "/orders")
        text = text.replace(f"\n  {name}:\n", f"\n  {copy}:\n{own}\n\n  {name}:\n", 1)
    text = text.replace("\n  FailureQueue:\n", f"\n{function}\n  FailureQueue:\n", 1)
    (tmp_path / "template.yaml").write_text(text, encoding="utf-8")
    settings = Settings.from_text((ROOT / "bridge.toml").read_text(encoding="utf-8") + table_)
    assert template_findings(tmp_path / "template.yaml", settings.options, {}, "us-east-1") == []
    versions = [
        next(name for name in translate(text, parameters, "us-east-1")["Resources"] if "OrdersFunctionVersion" in name)
        for parameters in ({}, {"BackendTimeout": "20"})
    ]
    assert versions[0] != versions[1]


# ---- concepts.md ----------------------------------------------------------------------------------------------------


def test_map_of_concepts_loads_before_any_table_begins() -> None:
    (text,) = blocks(CONCEPTS, "toml")
    assert findings_of(text) == []
    assert "\n|" not in CONCEPTS.partition(text)[0]


def test_answers_in_concepts_are_those_of_explain(tmp_path: Path) -> None:
    (text,) = blocks(CONCEPTS, "toml")
    (tmp_path / "concepts.toml").write_text(text, encoding="utf-8")
    rows = re.findall(r"^\| `([\w/-]+)` \| (yes|no) \| (?:–|`(\w+)`) \| (runs as )?`(\w+)` \|", CONCEPTS, re.MULTILINE)
    assert len(rows) >= 9
    for caller, in_vpc, header, runs, answer in rows:
        options = ["--map", str(tmp_path / "concepts.toml"), "--principal", f"{SESSIONS}{caller}"]
        options += ["--vpc", "vpc-0b8276c84697e7339"] if in_vpc == "yes" else []
        options += ["--header", header] if header else []
        found = json.loads(CliRunner().invoke(root, ["explain", "--json", *options]).stdout)
        assert found["tenant" if runs else "reason"] == answer, (caller, header)
        assert found["allowed"] == bool(runs)


@pytest.mark.parametrize(
    "word", ["tenant", "isolated", "backend", "event", "tenant map", "rule", "anchor", "condition", "outcome"]
)
def test_word_is_introduced_in_concepts(word: str) -> None:
    assert f"**{word}**" in CONCEPTS


# ---- local.md ---------------------------------------------------------------------------------------------------


def test_table_of_resource_types_equals_the_readers() -> None:
    """A cell's `::Alias` continues the type before it. SAM's types of APIs are translated before they are read."""
    translated = {"AWS::Serverless::Api", "AWS::Serverless::HttpApi"}
    kinds: dict[str, bool] = {}
    for cell, served in re.findall(r"^\| (`AWS::[^|]+) \| ([^|]*)\|", LOCAL, re.MULTILINE):
        service = ""
        for name in re.findall(r"`((?:AWS)?::[\w:]+)`", cell):
            service = name.rpartition("::")[0] if name.startswith("AWS") else service
            kinds[f"{service}::{name.rpartition('::')[2]}"] = bool(served.strip())
    assert set(kinds) == {*SERVED, *WITHOUT_MEANING_HERE, *STACKS, *translated}
    assert {name for name, served in kinds.items() if not served} == {*WITHOUT_MEANING_HERE} - {
        "AWS::Lambda::Permission",  # those of function URLs are evaluated,
        "AWS::VpcLattice::AuthPolicy",  # and that of a service with AuthType AWS_IAM
    }


def test_reason_code_of_the_front_is_in_the_table() -> None:
    found: set[str] = set()
    for path in (ROOT / "lattice_bridge" / "local" / "front").rglob("*.py"):
        found |= source(path).reasons
    assert len(found) > 15
    assert [code for code in sorted(found) if f"`{code}`" not in LOCAL] == []


# ---- troubleshooting.md ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", REASONS)
def test_reason_has_its_heading_in_troubleshooting(reason: str) -> None:
    assert re.search(rf"^### `{reason}`", TROUBLESHOOTING, re.MULTILINE)


def test_symptom_has_a_cause_and_a_fix() -> None:
    sections = re.findall(r"^### (.*)\n((?:(?!##).*\n)*)", TROUBLESHOOTING, re.MULTILINE)
    assert len(sections) > len(REASONS)
    for heading, body in sections:
        assert re.findall(r"^(Cause|Fix): ", body, re.MULTILINE) == ["Cause", "Fix"], heading


def test_message_in_troubleshooting_is_one_that_a_command_prints() -> None:
    """`NAME`, `…` and numbers stand for what differs."""
    printed = {os.strerror(errno.EADDRINUSE)}
    for path in (ROOT / "lattice_bridge").rglob("*.py"):
        printed |= source(path).texts
    headings = re.findall(r"^### (.*`.*)$", TROUBLESHOOTING.partition("\n## Commands\n")[2], re.MULTILINE)
    assert len(headings) >= 8
    messages = [message for heading in headings for message in re.findall(r"`([^`]+)`", heading)]
    fragments = [part.strip() for message in messages for part in re.split(r"'?NAME'?|…|\d+", message)]
    assert [one for one in fragments if len(one) >= 8 and not any(one in text for text in printed)] == []


# ---- architecture.md ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", ["request", "record"])
def test_walk_follows_the_imports(one: str) -> None:
    """Each file is imported by a file before it in the walk."""
    section = ARCHITECTURE.partition(f"\n## One {one}, file by file\n")[2].partition("\n## ")[0]
    walk = re.findall(r"^\d+\. \[`([\w/.]+)`\]\(\.\./lattice_bridge/\1\): ", section, re.MULTILINE)
    assert len(walk) >= 10
    modules = [name.removesuffix(".py").replace("/", ".") for name in walk]
    assert [name for name in modules if name not in MODULES] == []
    assert modules[:2] == ["main", "bootstrap"]
    known: set[str] = set()
    for before, module in pairwise(modules):
        known |= ours(before)
        assert module in known, f"{module}: not imported by a file before it"


def test_list_of_folders_equals_the_package() -> None:
    section = ARCHITECTURE.partition("\n## Folders\n")[2].partition("<!-- folders")[0]
    named = {
        name for line in re.findall(r"^\* ([^:]+):", section, re.MULTILINE) for name in re.findall(r"`([\w/]+)`", line)
    }
    named |= set(re.findall(r"`(\w+)` escapes", section))
    assert named == set(MAY_IMPORT)


def test_table_of_imports_equals_the_layer_test() -> None:
    rows = [
        f"| `{row}` | {', '.join(f'`{name}`' for name in sorted(needs)) or '–'} |" for row, needs in MAY_IMPORT.items()
    ]
    table_ = "\n".join(["| folder or file | may import |", "|---|---|", *rows])
    assert_written(ROOT / "docs" / "architecture.md", "folders", table_)


@pytest.mark.parametrize("place", ["An anchor", "A payload", "A format", "An event source", "A command"])
def test_architecture_says_where_to_add(place: str) -> None:
    assert f"* **{place}**" in ARCHITECTURE.partition("\n## Where to add what\n")[2]


@pytest.mark.parametrize("target", ["test", "quick", "thorough", "coverage", "fuzz", "soak", "bench"])
def test_make_help_has_the_duration_of_what_takes_long(target: str) -> None:
    """The measured ones that CONTRIBUTING.md has are the same there."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{target}:") and "## " in line]
    found = re.search(r"(\d+ min(?: \d+ s)?|\d+ s)\b|takes long", line)
    assert found
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert target not in ("test", "quick") or f"`make {target}` takes {found[0]} " in contributing
