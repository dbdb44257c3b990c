"""The zip for this machine, unpacked, as a function of the local stack.

Rule: its execution environments import what is in the zip, Python's own modules, and what Lambda's runtime has. That is
how the stack runs every function that brings its packages.
"""

from __future__ import annotations

import gzip
import json
import platform
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from lattice_bridge.testing import Issuer, LocalStack, lattice_event
from tests.support.packages import install_from_here
from tests.support.paths import ROOT
from tests.support.stack import RunningStack
from tests.testing.test_strangers_project import run

PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIMIT: Final = 10_000_000
"""Bytes of a zip without boto3."""

BLUE: Final = "arn:aws:sts::111122223333:assumed-role/blue-api/i-0123"

PROBE: Final = """
import sys
from lattice_bridge.main import handler as bridge

def handler(event, context):
    answer = bridge(event, context)
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return {"answer": answer, "path": sys.path, "files": {name: file for name, file in files.items() if file}}
"""
"""On the runtime's side: the bridge, and what of everything that it has loaded is from where."""

READ: Final = """
import sys
from lattice_bridge.config import document
texts = [document.read_text(path) for path in sys.argv[1:]]
print(document.__file__, document.parse_document(*texts).compiled is not None, sep="\\n")
"""
"""On the runtime's side: where the bridge is, and whether it reads the compiled form."""

MAP: Final = """
[[backend]]
function = "counter"

[tenants]
BlueTenant = {}
GreenTenant = {}

[[rule]]
id = "blue-api"
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "BlueTenant"

[[rule]]
id = "green-api"
role = "arn:aws:iam::111122223333:role/green-api"
tenant = "GreenTenant"
"""
BY_TOKEN: Final = '[[rule]]\nid = "corp"\njwt = "corp"\ntenant_from = "claim"\nclaim = ["tenant"]\n'
ALLOW: Final = {"Effect": "Allow", "Action": "vpc-lattice-svcs:Invoke", "Resource": "*"}
BY_BOTO3: Final = f'invoker = "boto3"\n{MAP}'
OF_A_REGISTRY: Final = MAP.partition("[tenants]")[0] + (
    '[registry]\ndynamodb_table = "tenants"\n[[rule]]\nid = "edge"\n'
    'role = "arn:aws:iam::111122223333:role/blue-api"\ntenant = "BlueTenant"\n'
)


@dataclass(frozen=True)
class Packaged:
    """What was packaged, unpacked.

    Attributes:
        task: of bridge-ARCH.zip, as it is at /var/task.
        layer: of layer-ARCH.zip, as it is at /opt.
        config: the configuration, and nothing else.
        token: of an issuer whose keys were packaged.
        printed: by the command, as JSON.
    """

    task: Path
    layer: Path
    config: Path
    token: str
    printed: dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What the clients were answered, and what functions returned and printed."""

    clients: list[tuple[int, str]]
    invoked: list[dict[str, Any]]
    output: dict[str, list[str]]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    """By `lattice-bridge package`, without pip: what is installed here is what pip would have installed."""
    folder = tmp_path_factory.mktemp("packaged")
    (folder / "mine").mkdir()
    with Issuer() as issuer:
        written(folder / "mine" / "keys.json", json.dumps(issuer.jwks))
        text = MAP + issuer.table(jwks_url=None, jwks_file="keys.json") + BY_TOKEN
        token = issuer.token(tenant="BlueTenant")
    map_ = written(folder / "mine" / "bridge.toml", text)
    command = [
        "package",
        str(map_),
        "--arch",
        "x86_64",
        "--runtime",
        PYTHON,
        "--output",
        str(folder / "dist"),
        "--json",
    ]
    done = CliRunner().invoke(root, command, obj=install_from_here, catch_exceptions=False)
    task = unpack(folder / "dist" / "bridge-x86_64.zip", folder / "task")
    layer = unpack(folder / "dist" / "layer-x86_64.zip", folder / "layer")
    (folder / "configured").mkdir()
    for name in ("bridge.toml", "bridge.json", "keys.json"):
        (folder / "configured" / name).write_bytes((task / name).read_bytes())
    return Packaged(task, layer, folder / "configured", token, json.loads(done.stdout))


@pytest.fixture(scope="module")
def bare(packaged: Packaged, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """With a boto3 that cannot be imported, in place of the runtime's."""
    folder = tmp_path_factory.mktemp("bare")
    stack = Functions(folder, packaged)
    (folder / "first").mkdir()
    written(folder / "first" / "probe.py", PROBE)
    written(folder / "first" / "boto3.py", "raise ImportError('not there')")
    first = folder / "first"
    stack.add("bridge", packaged.task)
    stack.add("layered", packaged.config, PYTHONPATH=packaged.layer / "python")
    toml = folder / "alone" / "bridge.toml"  # without bridge.json beside it, and so read by all that reads TOML
    toml.parent.mkdir()
    for name in ("bridge.toml", "keys.json"):
        (toml.parent / name).write_bytes((packaged.config / name).read_bytes())
    stack.add("probe", packaged.task, handler="probe.handler", LATTICE_BRIDGE_CONFIG=toml, PYTHONPATH=first)
    config, table = written(folder / "boto3.toml", BY_BOTO3), written(folder / "table.toml", OF_A_REGISTRY)
    stack.add("needs-boto3", packaged.task, LATTICE_BRIDGE_CONFIG=config, PYTHONPATH=first)
    stack.add("needs-s3", packaged.task, LATTICE_BRIDGE_CONFIG="s3://maps/bridge.toml", PYTHONPATH=first)
    stack.add("needs-ssm", packaged.task, LATTICE_BRIDGE_CONFIG="ssm:/bridge", PYTHONPATH=first)
    stack.add("needs-dynamodb", packaged.task, LATTICE_BRIDGE_CONFIG=table, PYTHONPATH=first)
    clients = [("/orders", "LOCALBLUE"), ("/orders", "LOCALGREEN"), ("/orders", None), ("/orders", "LOCALBLUE")]
    by_token = lattice_event(headers={"authorization": f"Bearer {packaged.token}"})
    signed = lattice_event(principal=BLUE)
    needs = ("needs-boto3", "needs-s3", "needs-ssm", "needs-dynamodb")
    events = [("probe", by_token), ("layered", signed), *((name, signed) for name in needs)]
    return stack.run(clients, events)


@pytest.fixture(scope="module")
def with_boto3(packaged: Packaged, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """With the boto3 that Lambda's runtime has."""
    folder = tmp_path_factory.mktemp("with-boto3")
    stack = Functions(folder, packaged)
    config = written(folder / "boto3.toml", BY_BOTO3)
    stack.add("bridge", packaged.task, LATTICE_BRIDGE_CONFIG=config)
    old = without_tenants(folder / "models")
    stack.add("too-old", packaged.task, LATTICE_BRIDGE_CONFIG=config, AWS_DATA_PATH=old)
    runs = [("too-old", lattice_event(principal=BLUE))]
    return stack.run([("/orders", "LOCALBLUE")], runs)


# ---- what it answers ------------------------------------------------------------------------------------------------


def test_packaged_bridge_runs_a_signed_request_in_its_callers_tenant(bare: Answers) -> None:
    found = [(status, json.loads(text)["tenant_id"]) for status, text in bare.clients[:2]]
    assert found == [(200, "BlueTenant"), (200, "GreenTenant")]


def test_packaged_bridge_serves_more_than_one_request(bare: Answers) -> None:
    assert [json.loads(bare.clients[number][1])["counter"] for number in (0, 3)] == [1, 2]


def test_packaged_bridge_refuses_an_unsigned_request(bare: Answers) -> None:
    assert bare.clients[2][0] == 403


def test_packaged_bridge_verifies_a_token_with_packaged_keys(bare: Answers) -> None:
    answer = bare.invoked[0]["answer"]
    assert (answer["statusCode"], json.loads(answer["body"])["tenant_id"]) == (200, "BlueTenant")


def test_function_with_only_a_configuration_serves_from_the_layer(bare: Answers) -> None:
    answer = bare.invoked[1]
    assert (answer["statusCode"], json.loads(answer["body"])["tenant_id"]) == (200, "BlueTenant")


def test_packaged_bridge_reads_the_compiled_configuration(packaged: Packaged) -> None:
    for code, config in ((packaged.task, packaged.task), (packaged.layer / "python", packaged.config)):
        found = run([sys.executable, "-c", READ, str(config / "bridge.toml"), str(config / "bridge.json")], code)
        assert found.splitlines() == [str(code / "lattice_bridge" / "config" / "document.py"), "True"]


def test_zip_for_this_machine_keeps_the_limit(packaged: Packaged) -> None:
    assert packaged.printed["built"][0]["zipped"] <= LIMIT


def test_zip_has_bytecode_that_every_packaged_module_is_run_from(packaged: Packaged) -> None:
    """The Python that builds is the function's. Compiling at each cold start would take longer than the rest of it."""
    assert packaged.printed["bytecode"] == platform.python_version()
    sources = {path.relative_to(packaged.task) for path in packaged.task.rglob("*.py")}
    assert [one for one in sources if not (packaged.task / cache_from_source(str(one))).exists()] == []


# ---- what it has loaded ---------------------------------------------------------------------------------------------


def test_every_loaded_module_is_in_the_zip(bare: Answers, packaged: Packaged) -> None:
    """Or Python's own, or the runtime client's."""
    outside = {name for name, file in bare.invoked[0]["files"].items() if not Path(file).is_relative_to(packaged.task)}
    others = {name for name in outside if not is_pythons_own(bare.invoked[0]["files"][name])}
    runtimes = {"__main__", "awslambdaric", "probe", "runtime_client", "simplejson", "snapshot_restore_py"}
    assert {name.partition(".")[0] for name in others} <= runtimes


def test_loaded_modules_come_from_the_zip(bare: Answers, packaged: Packaged) -> None:
    files = bare.invoked[0]["files"]
    for name in ("lattice_bridge.bridge", "pydantic", "pydantic_core", "jwt", "cryptography", "_cffi_backend"):
        assert Path(files[name]).is_relative_to(packaged.task)
    assert not {"boto3", "botocore"} & set(files)


def test_nothing_else_is_on_its_path(bare: Answers, packaged: Packaged) -> None:
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(ROOT)}
    path = bare.invoked[0]["path"]
    assert path[0] in ("", str(packaged.task))
    assert not ours & set(path)
    assert not [entry for entry in path if entry.endswith("site-packages")]


# ---- what it does without boto3 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "function", "reason"),
    [
        (2, "needs-boto3", "config_invalid"),
        (3, "needs-s3", "config_unreachable"),
        (4, "needs-ssm", "config_unreachable"),
        (5, "needs-dynamodb", "config_invalid"),
    ],
)
def test_missing_boto3_is_logged(bare: Answers, number: int, function: str, reason: str) -> None:
    lines = [json.loads(line) for line in bare.output[function] if '"message":"request"' in line]
    assert bare.invoked[number]["statusCode"] == 503
    assert [(line["reason"], "boto3 is not installed" in line["detail"]) for line in lines] == [(reason, True)]
    assert not [line for line in bare.output[function] if "Traceback" in line]


def test_boto3_of_the_runtime_is_enough(with_boto3: Answers) -> None:
    ((status, text),) = with_boto3.clients
    assert (status, json.loads(text)["tenant_id"]) == (200, "BlueTenant")


def test_old_boto3_is_reported_at_start(with_boto3: Answers) -> None:
    assert with_boto3.invoked[0]["statusCode"] == 503
    started = [json.loads(line) for line in with_boto3.output["too-old"] if '"message":"closed"' in line]
    assert [(line["level"], line["reason"]) for line in started] == [("ERROR", "boto3_too_old")]
    assert "package boto3 1.41 or later" in started[0]["faults"][0]


# ---- how ------------------------------------------------------------------------------------------------------------


class Functions:
    """A stack's template: functions that are the packaged bridge, behind Lattice the one with the name `bridge`."""

    def __init__(self, folder: Path, packaged: Packaged) -> None:
        self._folder = folder
        self._resources: dict[str, Any] = {
            "Counter": function("counter", ROOT / "examples" / "counter", "app.handler"),
            "Targets": resource(
                "TargetGroup",
                Type="LAMBDA",
                Config={"LambdaEventStructureVersion": "V2"},
                Targets=[{"Id": {"Fn::GetAtt": ["F0", "Arn"]}}],
            ),
            "Service": resource("Service", Name="lattice-bridge", AuthType="AWS_IAM"),
            "Policy": resource(
                "AuthPolicy",
                ResourceIdentifier={"Ref": "Service"},
                Policy={"Statement": [{**ALLOW, "Principal": {"AWS": "111122223333"}}]},
            ),
            "Listener": resource(
                "Listener",
                ServiceIdentifier={"Ref": "Service"},
                Protocol="HTTPS",
                DefaultAction={"Forward": {"TargetGroups": [{"TargetGroupIdentifier": {"Ref": "Targets"}}]}},
            ),
        }
        self._resources["Counter"]["Properties"]["TenancyConfig"] = {"TenantIsolationMode": "PER_TENANT"}
        self._names: list[str] = []

    def add(self, name: str, code: Path, handler: str = "lattice_bridge.main.handler", **variables: object) -> None:
        """A function of this code, with these variables. The first one is behind Lattice."""
        made = function(name, code, handler)
        made["Properties"]["Environment"] = {"Variables": {key: str(value) for key, value in variables.items()}}
        self._resources[f"F{len(self._names)}"] = made
        self._names.append(name)

    def run(
        self, clients: Iterable[tuple[str, str | None]], invoke: Iterable[tuple[str, Mapping[str, Any]]]
    ) -> Answers:
        """A stack of these functions; what signed clients were answered, and functions."""
        template = self._folder / "template.yaml"  # JSON is YAML
        template.write_text(json.dumps({"Resources": self._resources}), encoding="utf-8")
        with LocalStack(template) as stack:
            found = [stack.get(path, identity=identity) for path, identity in clients]
            api = RunningStack(stack.process.popen, stack.url, stack.lambda_url)
            invoked = [api.invoke(function, event).json() for function, event in invoke]
        output = {name: stack.output(name) for name in self._names}
        return Answers([(answer.status, answer.text) for answer in found], invoked, output)


def function(name: str, code: Path, handler: str) -> dict[str, Any]:
    properties = {"FunctionName": name, "CodeUri": str(code), "Handler": handler, "Runtime": PYTHON, "Timeout": 20}
    return {"Type": "AWS::Serverless::Function", "Properties": properties}


def resource(kind: str, **properties: object) -> dict[str, Any]:
    return {"Type": f"AWS::VpcLattice::{kind}", "Properties": properties}


def is_pythons_own(file: str) -> bool:
    folders = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return file.startswith(folders) and not {"site-packages", "dist-packages"} & set(Path(file).parts)


def without_tenants(folder: Path) -> Path:
    """botocore's model of Lambda as it was before tenants: a folder that botocore reads before its own."""
    models = Path(str(distribution("botocore").locate_file("botocore/data/lambda/2015-03-31")))
    (model,) = models.glob("service-2.json*")
    data = model.read_bytes()
    service = json.loads(gzip.decompress(data) if model.suffix == ".gz" else data)
    del service["shapes"]["InvocationRequest"]["members"]["TenantId"]
    target = folder / "lambda" / "2015-03-31" / "service-2.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(service), encoding="utf-8")
    return folder


def unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    return folder


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
