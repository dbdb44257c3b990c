"""Commands on the pull request of a stranger: every file is hostile, and so is every name.

A command ends with 1 or 2 and says what is wrong. It does not wait, fill the memory, show a traceback, or let what it
read act on the terminal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.root import root
from lattice_bridge.config.document import parse_toml
from lattice_bridge.config.regular_file import BadFile, read_regular_file
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.errors import InvalidMap
from lattice_bridge.local.web.printable import printable
from lattice_bridge.testing.builders import lattice_event
from lattice_bridge.testing.corpus import all_events
from lattice_bridge.testing.queue_events import sqs_event
from tests.support.paths import ROOT

MAP: Final = "bridge.toml"
TEMPLATE: Final = "template.yaml"
SECONDS: Final = 30
"""Of processor time. Each case takes less than five; without its bound it takes minutes, or all memory."""

COMMANDS: Final[dict[str, Callable[[str], list[str]]]] = {
    "check": lambda file: ["check", file],
    "compile": lambda file: ["compile", file],
    "package": lambda file: ["package", file],
    "diff old": lambda file: ["diff", file, str(ROOT / MAP)],
    "diff new": lambda file: ["diff", str(ROOT / MAP), file],
    "diff events": lambda file: ["diff", str(ROOT / MAP), str(ROOT / MAP), "--events", file],
    "explain map": lambda file: ["explain", "--map", file, "--principal", "arn:aws:iam::111122223333:role/x"],
    "explain": lambda file: ["explain", "--map", str(ROOT / MAP), file],
    "explain log": lambda file: ["explain", "--map", str(ROOT / MAP), "--log", file],
    "inspect": lambda file: ["inspect", file],
    "inspect map": lambda file: ["inspect", "--map", file, str(ROOT / "events" / "v2" / "cookies.json")],
    "who": lambda file: ["who", "blue", "--map", file],
    "token": lambda file: ["token", "--issuer", "corp", "--map", file],
    "doctor": lambda file: ["doctor", "--function", "bridge", "--config", file],
    "event parse": lambda file: ["event", "parse", file],
    "event check": lambda file: ["event", "check", file],
    "event convert": lambda file: ["event", "convert", "--to", "v1", file],
    "check template": lambda file: ["check", str(ROOT / MAP), "--template", file],
    "local": lambda file: ["local", "--plan", "--template", file],
    "local identities": lambda file: ["local", "--plan", "--template", str(ROOT / TEMPLATE), "--identities", file],
}
READS_BYTES: Final = {"event body": lambda file: ["event", "new", "--body", f"@{file}"]}


def run(*arguments: str) -> Result:
    before = time.process_time()
    done = CliRunner().invoke(root, list(arguments))
    assert time.process_time() - before < SECONDS
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def refused(done: Result) -> None:
    assert done.exit_code in (1, 2), done.output
    assert "Traceback" not in done.output
    assert len(done.output.strip().splitlines()[-1]) < 1000


# ---- what is no regular file ----------------------------------------------------------------------------------------


def _fifo(path: Path) -> None:
    os.mkfifo(path)


KINDS: Final[dict[str, Callable[[Path], None]]] = {
    "a pipe": _fifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS | READS_BYTES)
def test_what_is_no_regular_file_is_refused_by_every_command(command: str, kind: str, tmp_path: Path) -> None:
    """Trap G4."""
    KINDS[kind](tmp_path / "file")
    done = run(*(COMMANDS | READS_BYTES)[command](str(tmp_path / "file")))
    refused(done)
    of_folder = {"diff events": "contains no NAME.json", "inspect": "no event in it"}
    is_folder_of_events = kind == "a folder" and command in of_folder
    fault = of_folder[command] if is_folder_of_events else f"not a regular file but {kind}"
    assert f"file: {fault}. Fix: " in done.output


@pytest.mark.parametrize("command", COMMANDS | READS_BYTES)
def test_file_over_the_limit_is_refused_by_every_command(command: str, tmp_path: Path) -> None:
    """Trap G4."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    done = run(*(COMMANDS | READS_BYTES)[command](str(tmp_path / "file")))
    refused(done)
    assert ("file: over " in done.output) is (command != "diff events")  # of which there may be a day's


COMPILED_TO: Final = {"compile output": lambda file: ["compile", str(ROOT / MAP), "--output", file]}


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/file", "link/file"])
@pytest.mark.parametrize("command", COMMANDS | READS_BYTES | COMPILED_TO)
def test_path_that_leads_nowhere_is_refused_by_every_command(command: str, name: str, tmp_path: Path) -> None:
    """Trap G4: a name that is too long, and a link to itself."""
    (tmp_path / "link").symlink_to("link")
    done = run(*(COMMANDS | READS_BYTES | COMPILED_TO)[command](str(tmp_path / name)))
    refused(done)
    assert ("Too many levels of symbolic links" if "link" in name else "File name too long") in done.output


@pytest.mark.parametrize("words", [["check"], ["local", "--plan"], ["init"]])
def test_working_directory_that_is_gone_is_a_fault(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = run(*words)
    refused(done)
    assert "No such file or directory. Fix: " in done.output


def test_folder_that_may_not_be_searched_is_refused_by_every_command(tmp_path: Path) -> None:
    """Trap G4."""
    (tmp_path / "closed").mkdir(mode=0)
    if os.access(tmp_path / "closed", os.X_OK):
        pytest.skip("this user may search every folder")
    for words in (COMMANDS | READS_BYTES | COMPILED_TO).values():
        done = run(*words(str(tmp_path / "closed" / "file")))
        refused(done)
        assert "Permission denied" in done.output


@pytest.mark.parametrize(
    "functions",
    [
        f"Runtime: python3.13, CodeUri: ., Handler: {'a' * 300}.handler",
        f"Runtime: python3.13, CodeUri: ., Handler: {'a' * 300}.b.handler",
        f"Runtime: nodejs22.x, CodeUri: ., Handler: {'a' * 300}.handler",
        "Runtime: python3.13, CodeUri: ., Handler: a.b, Layers: [!Ref Long, !Ref Looping, !Ref NoName]",
    ],
)
def test_name_in_a_template_that_no_file_can_have_is_a_finding(functions: str, tmp_path: Path) -> None:
    """Trap G4."""
    (tmp_path / "looping").symlink_to("looping")
    layers = {"Long": "a" * 300, "Looping": "looping", "NoName": r'"a\0b"'}
    lines = [
        f"  {name}: {{Type: AWS::Serverless::LayerVersion, Properties: {{ContentUri: {path}}}}}"
        for name, path in layers.items()
    ]
    function = (
        f"  F: {{Type: AWS::Serverless::Function, Properties: {{{functions}, FunctionUrlConfig: {{AuthType: NONE}}}}}}"
    )
    head = ["Transform: AWS::Serverless-2016-10-31", "Resources:"]
    (tmp_path / TEMPLATE).write_text("\n".join([*head, *lines, function]))
    done = run("local", "--plan", "--template", str(tmp_path / TEMPLATE))
    assert done.exit_code == 0
    assert "cannot be read (Long)" in done.output
    assert "cannot be read (NoName)" in done.output


def test_fifo_that_takes_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    """Trap G4."""
    (tmp_path / "link").symlink_to("fifo")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BadFile, match="not a regular file but a pipe"):
        read_regular_file(tmp_path / "link", 10)


def test_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular_file(tmp_path / "link", 10) == b"0123456789"
    with pytest.raises(BadFile, match="over 0 KiB"):
        read_regular_file(tmp_path / "link", 9)


@pytest.mark.parametrize("name", ["../secret", "link", "/etc/hostname", "folder/../../secret"])
def test_file_outside_of_its_folder_is_not_read(name: str, tmp_path: Path) -> None:
    """Trap G4: with `..`, by an absolute path, and through a link."""
    folder = tmp_path / "project"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(BadFile, match="outside of the folder"):
        read_regular_file(folder / name, 100, within=folder)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 5000])
def test_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(BadFile):
        read_regular_file(name, 100)


def test_link_back_to_its_own_folder_ends_no_search_for_events(tmp_path: Path) -> None:
    """Trap G4."""
    (tmp_path / "one.json").write_text("{}")
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path)
    assert [case.name for case in all_events(folder=tmp_path)] == ["one"]


# ---- contents -------------------------------------------------------------------------------------------------------

CONTENTS: Final[dict[str, bytes]] = {
    "a key of 30,000 parts": b".".join([b"a"] * 30_000) + b" = 1\n",
    "a quoted key of 30,000 parts": b" . ".join([b'"a"'] * 30_000) + b" = 1\n",
    "a table of 30,000 parts": b"[" + b".".join([b"a"] * 30_000) + b"]\n",
    "100,000 brackets": b"[" * 100_000,
    "a value of 100,000 brackets": b"a = " + b"[" * 100_000,
    "100,000 braces": b'{"a": ' * 100_000,
    "inline tables": b"a = " + b"{a.a.a = " * 40 + b"1" + b"}" * 40,
    "a number": b"a = " + b"1" * 10_000,
    "a number for JSON and YAML": b'{"Resources": ' + b"1" * 10_000 + b"}",
    "a NUL": b"a = \0",
    "no UTF-8": b"a = '\xff'",
    "half a surrogate": b'{"a": "\\ud800"}',
    "nothing": b"",
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_contents_are_refused_by_every_command(command: str, content: str, tmp_path: Path) -> None:
    """Trap G4."""
    (tmp_path / "file").write_bytes(CONTENTS[content])
    if (command, content) != ("local identities", "nothing"):  # an empty list is valid: no caller may sign
        refused(run(*COMMANDS[command](str(tmp_path / "file"))))


def test_dotted_key_is_not_hidden_by_a_text_over_several_lines() -> None:
    """Trap G4: to a reader of lines, what follows `\"\"\"` looks like a text."""
    key = ".".join(["a"] * 30_000)
    with pytest.raises(InvalidMap, match=r":2:\d+: a key, a string or a comment with dots between more than 32 words"):
        parse_toml(f'a = {{b = """\n x""" , {key} = "1"}}')


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 40 + "]" * 40, "[" + ".".join("a" * 20) + "]\n" + ".".join("b" * 20) + "=1"]
)
def test_value_within_too_many_others_is_refused(text: str) -> None:
    """Trap G4: whatever reads it then goes as deep, some of it by recursion."""
    with pytest.raises(InvalidMap, match="a value of more than 32 levels"):
        parse_toml(text)


def test_texts_with_many_dots_are_no_key() -> None:
    names = ", ".join(f'"a.b{number}.c"' for number in range(1000))
    assert len(parse_toml(f"tenants = [{names}] # {'.' * 1000}")["tenants"]) == 1000


FUNCTION: Final = "{Type: AWS::Serverless::Function, Properties: {Runtime: python3.13, Handler: a.b, FunctionName: %s}}"
BOMBS: Final[dict[str, str]] = {
    "a million values": "Resources: {}\nX:\n" + "- a\n" * 1_000_000,
    "aliases of aliases": "Resources: {}\nA: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{chr(66 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)),
    "an alias of itself": "Resources: &a {R: *a}",
    "a number to the base of 60": "Resources: {R: " + ":".join(["1"] * 1_000_000) + "}",
    "a fraction to the base of 60": "Resources: {}\nX: " + ":".join(["1"] * 2_000) + ".0",
    "an empty number": "Resources: {R: !!int ''}",
    "a truth that is none": "Resources: {R: !!bool perhaps}",
    "texts that double": "Resources:\n  R: {Type: T, Properties: {X: "
    + "!Sub ['${x}${x}', {x: " * 60
    + "abc"
    + "}]" * 60
    + "}}",
    "names made of names": "Resources:\n"
    + "".join(f"  F{n}: " + FUNCTION % f'!Join ["", [!Ref F{n + 1}, !Ref F{n + 1}]]' + "\n" for n in range(60))
    + "  F60: "
    + FUNCTION % "x"
    + "\n",
    "a pattern that takes years": "Parameters: {P: {Type: String, Default: "
    + "a" * 40
    + "b, AllowedPattern: '(a+)+'}}\n"
    "Resources: {}",
    "choices that take years": "Parameters: {P: {Type: String, Default: "
    + "a" * 40
    + "b, AllowedPattern: '"
    + "(a|a)" * 40
    + "'}}\nResources: {}",
    "a name of exclamation marks": "Resources: {R: {Type: T, Properties: {X: !ImportValue '" + "!" * 200_000 + "'}}}",
    "a folder with a long name": "Resources: {F: {Type: AWS::Serverless::Function, Properties: "
    "{Runtime: python3.13, Handler: a.b, CodeUri: " + "a" * 5000 + "}}}",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("command", ["check template", "local"])
def test_growing_template_is_refused(command: str, bomb: str, tmp_path: Path) -> None:
    """Trap G4."""
    (tmp_path / "file").write_text(BOMBS[bomb], encoding="utf-8")
    refused(run(*COMMANDS[command](str(tmp_path / "file"))))


def test_parameter_is_as_long_as_cloudformation_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("Parameters: {P: {Type: String}}\nResources: {}", encoding="utf-8")
    assert read_template(path, {"P": "a" * 4096}, "us-east-1")
    with pytest.raises(BadTemplate, match="parameter P: has 4,097 characters"):
        read_template(path, {"P": "a" * 4097}, "us-east-1")


def test_definition_outside_of_the_templates_folder_is_not_read(tmp_path: Path) -> None:
    """Trap G4: it is said, and the rest of the template is checked."""
    text = (ROOT / "tests" / "templates" / "orders.sam.yaml").read_text(encoding="utf-8")
    (tmp_path / "project").mkdir()
    (tmp_path / "api.yaml").write_text("{openapi: 3.0.1}", encoding="utf-8")
    (tmp_path / "project" / "link.yaml").symlink_to(tmp_path / "api.yaml")
    apis = "".join(
        f"\n  {name}: {{Type: AWS::Serverless::HttpApi, Properties: {{DefinitionUri: {uri}}}}}"
        for name, uri in (("Up", "../api.yaml"), ("Link", "link.yaml"), ("Zero", "/dev/zero"))
    )
    template = tmp_path / "project" / TEMPLATE
    template.write_text(text.replace("\nResources:", f"\nResources:{apis}"), encoding="utf-8")
    done = run("check", str(ROOT / "tests" / "templates" / "orders.toml"), "--template", str(template))
    lines = [line for line in done.output.splitlines() if "its definition was not checked" in line]
    assert len(lines) == 3
    assert all("outside of the folder" in line for line in lines)


# ---- the terminal ---------------------------------------------------------------------------------------------------

EVIL: Final = "a\x1b]0;owned\x07\x1b[2J\x9b2J\u202eb\u200b[red]c"
"""Sets the window's title, clears the screen, turns the direction of writing, hides, and is markup of rich's."""


def evil_map(folder: Path) -> str:
    quoted = json.dumps(EVIL)
    text = f"""[[backend]]
path = {quoted}
function = {quoted}
[{quoted}]
[tenants]
{quoted} = {{}}
[jwt.{quoted}]
issuer = {quoted}
audience = []
jwks_file = {quoted}
[[rule]]
id = {quoted}
role = {quoted}
tenant = {quoted}
"""
    (folder / f"{EVIL}.toml").write_text(text, encoding="utf-8")
    return f"{EVIL}.toml"


def good_map(folder: Path) -> str:
    quoted = json.dumps(EVIL)
    text = f"""[tenants]
blue = {{}}
[[rule]]
id = {quoted}
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "blue"
"""
    (folder / f"good-{EVIL}.toml").write_text(text, encoding="utf-8")
    return f"good-{EVIL}.toml"


def undecodable(folder: Path) -> str:
    """The name of a file that is not UTF-8; macOS has no such files, and then there is none."""
    with suppress(OSError):
        (folder / "\udcff.toml").write_text("[nothing]", encoding="utf-8")
    return "\udcff.toml"


def evil_event(folder: Path) -> str:
    event = {**lattice_event(principal="arn:aws:iam::111122223333:role/blue-api"), "method": EVIL, EVIL: EVIL}
    (folder / f"{EVIL}.json").write_text(json.dumps(event, ensure_ascii=False), encoding="utf-8")
    return f"{EVIL}.json"


def evil_batch(folder: Path) -> str:
    record = {**sqs_event("{}")["Records"][0], "messageId": EVIL, "eventSourceARN": EVIL, EVIL: EVIL}
    record |= {"attributes": {"SenderId": EVIL, EVIL: EVIL}, "messageAttributes": {EVIL: EVIL}}
    (folder / f"{EVIL}-batch.json").write_text(json.dumps({"Records": [record]}), encoding="utf-8")
    return f"{EVIL}-batch.json"


def evil_template(folder: Path) -> str:
    text = (ROOT / TEMPLATE).read_text(encoding="utf-8")
    names = {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": "python3.13", "Handler": EVIL}}
    names["Properties"] |= {"FunctionName": EVIL, "CodeUri": ".", EVIL: EVIL}  # type: ignore[operator] # is a dict
    made = f"\n  Evil: {json.dumps(names)}\n  Other: {json.dumps({'Type': EVIL})}"
    (folder / f"{EVIL}.yaml").write_text(text.replace("\nResources:", f"\nResources:{made}"), encoding="utf-8")
    return f"{EVIL}.yaml"


def words(folder: Path) -> list[list[str]]:
    """A command line each, with hostile names for everything."""
    bad, good, event, template = evil_map(folder), good_map(folder), evil_event(folder), evil_template(folder)
    principal = ["--principal", "arn:aws:iam::111122223333:role/blue-api"]
    batch = evil_batch(folder)
    return [
        [EVIL],
        [f"--{EVIL}"],
        *([command, EVIL] for command in root.commands if command not in ("diff", "event")),
        *(["check", bad, "--format", form] for form in ("text", "json", "sarif")),
        *(["check", undecodable(folder), "--format", form] for form in ("text", "json", "sarif")),
        ["check", good, "--template", template, "-P", EVIL],
        *(["check", good, "--template", template, "--format", form] for form in ("text", "json", "sarif")),
        ["check", good, "--template", template, "-P", f"{EVIL}={EVIL}"],
        ["compile", bad],
        ["compile", good],
        ["compile", good, "-o", "-"],
        ["package", bad],
        ["package", good],
        ["package", good, "--output", EVIL, "--arch", EVIL],
        ["diff", bad, good],
        ["diff", good, str(ROOT / MAP)],
        ["diff", good, str(ROOT / MAP), "--json"],
        ["diff", good, good, "--events", event],
        ["diff", good, good, "--events", template],
        ["explain", "--map", good, event],
        ["explain", "--map", good, *principal],
        ["explain", "--map", good, "--log", event],
        ["explain", "--map", good, "--log", event, "--request-id", EVIL],
        ["explain", "--map", good, batch],
        ["explain", "--map", good, "--source", EVIL],
        ["explain", "--map", good, "--source", EVIL, "--sender", EVIL],
        ["explain", "--map", good, "--source", EVIL, "--claim", EVIL],
        ["diff", good, good, "--events", batch],
        ["check", f"HEAD:{EVIL}"],
        ["diff", f"{EVIL}:{MAP}", good],
        ["explain", "--map", good, *principal, "--json", "--header", EVIL],
        ["explain", "--map", good, *principal, "--claims", f"{EVIL}={{}}"],
        ["who", "blue", "--map", good],
        ["who", EVIL, "--map", good],
        ["token", "--issuer", EVIL, "--map", bad],
        ["token", "--issuer", EVIL, "--map", good],
        ["token", "--issuer", "corp", "--claim", EVIL, "--map", good],
        ["token", "--issuer", "corp", "--claim", f"{EVIL}:={EVIL}", "--map", good],
        ["doctor", "--function", EVIL, "--config", bad],
        ["inspect", "--json", event],
        ["inspect", "--json", "--map", bad, event],
        ["inspect", "--json", "--map", good, batch],
        ["event", "parse", event],
        ["event", "check", event],
        ["event", "convert", "--to", "alb", event],
        ["event", "convert", "--to", EVIL, event],
        ["event", "convert", "--to", "alb", "--tenant", EVIL, event],
        ["event", "parse", batch],
        ["event", "check", batch],
        ["event", "new", "--source", "sqs", "--queue", EVIL],
        ["event", "new", "--source", "sqs", "--sender", EVIL, "--attribute", EVIL],
        ["event", "new", "--source", "sqs", "--attribute", f"{EVIL}={EVIL}", "--group", EVIL],
        ["event", "new", "--path", EVIL],
        ["event", "new", "--header", EVIL],
        ["event", "new", "--body", f"@{EVIL}"],
        ["event", "show", EVIL],
        ["event", "list", EVIL],
        ["local", "--plan", "--template", template],
        ["local", "--plan", "--json", "--template", template],
        ["local", "--plan", "--template", template, "-P", EVIL],
        ["local", "--plan", "--template", template, "--identities", bad],
        ["local", "--port", EVIL],
    ]


PROGRAM: Final = """
import json, sys
from click.testing import CliRunner
from lattice_bridge.cli.root import root
for words in json.load(sys.stdin):
    done = CliRunner().invoke(root, words)
    print(json.dumps([words, done.exit_code, done.output, repr(done.exception)]))
"""


def test_every_command_is_tried_with_hostile_names(tmp_path: Path) -> None:
    """A command that is missing here escapes traps G3 and G4."""
    tried = {arguments[0] for arguments in words(tmp_path)}
    assert set(root.commands) <= tried
    assert set(root.commands) - {name.split()[0] for name in COMMANDS} <= {"schema", "init"}, "these read no file"


def test_no_command_prints_a_control_character_of_what_it_reads(tmp_path: Path) -> None:
    """Trap G3: names of files, maps, rules, functions, events and arguments; on standard output and error."""
    given = json.dumps(words(tmp_path))
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    ended = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ended) == len(words(tmp_path))
    for arguments, code, output, exception in ended:
        acting = [one for one in output if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert set(acting) <= {"\n", "\t"}, (arguments, output)
        assert code in (0, 1, 2), arguments
        assert exception == "None" or exception.startswith("SystemExit"), (arguments, exception)


def test_name_is_no_markup(tmp_path: Path) -> None:
    """Trap G3: rich would take `[red]` out, and show another name."""
    text = (ROOT / TEMPLATE).read_text(encoding="utf-8")
    function = FUNCTION % "'[red]name'"
    (tmp_path / TEMPLATE).write_text(
        text.replace("\nResources:", f"\nResources:\n  Named: {function}"), encoding="utf-8"
    )
    done = run("local", "--plan", "--template", str(tmp_path / TEMPLATE))
    assert [line for line in done.output.splitlines() if line.startswith("[red]name ")], done.output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("blue-api ✓", "blue-api ✓"),
        ("a\x1b[2J", r"a\x1b[2J"),
        ("a\x9b\x7f\0", r"a\x9b\x7f\x00"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("a\ud800b", r"a\ud800b"),
        ("a\u2028b\u00a0", r"a\u2028b\xa0"),
        ("a\tb\nc", r"a\tb\nc"),
    ],
)
def test_unprintable_character_is_escaped(text: str, shown: str) -> None:
    """Trap G3."""
    assert printable(text) == shown
    assert printable("a\tb", keep="\t") == "a\tb"
