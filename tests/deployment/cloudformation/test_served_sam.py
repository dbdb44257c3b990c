"""SAM for the local stack: what is translated, what stays as it is written, and what the translator refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lattice_bridge.deployment.cloudformation.served_sam import generates
from lattice_bridge.deployment.cloudformation.template import Template, read_template
from lattice_bridge.deployment.cloudformation.text import read_document
from lattice_bridge.deployment.cloudformation.translation_cache import TranslationCache
from tests.support.paths import ROOT

FUNCTION = "Type: AWS::Serverless::Function, Properties: {Handler: a.b, Runtime: python3.13, CodeUri: src"
FAILURES = "EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS"
EVENT = "Events: {Get: {Type: Api, Properties: {Path: /x, Method: get}}}"


def read(folder: Path, resources: str, sections: str = "") -> Template:
    path = folder / "template.yaml"
    path.write_text(f"Transform: AWS::Serverless-2016-10-31\n{sections}\nResources:\n{resources}")
    return read_template(path, {}, "eu-west-1")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (f"Fn: {{{FUNCTION}}}}}", False),
        (f"Fn: {{{FUNCTION}, AutoPublishAlias: live}}}}\nX: {{Type: T, Properties: {{A: !Ref Fn.Alias}}}}", False),
        (f"Fn: {{{FUNCTION}, Events: {{S: {{Type: SNS, Properties: {{Topic: x}}}}}}}}}}", False),
        (f"Fn: {{{FUNCTION}, Events: {{S: {{Type: Schedule, Properties: {{Schedule: x}}}}}}}}}}", True),
        (f"Fn: {{{FUNCTION}, Events: {{E: {{Type: EventBridgeRule, Properties: {{Pattern: {{}}}}}}}}}}}}", True),
        (f"Fn: {{{FUNCTION}, Events: {{Q: {{Type: SQS, Properties: {{Queue: x}}}}}}}}}}", True),
        ("L: {Type: AWS::Serverless::LayerVersion}\nA: {Type: AWS::Serverless::SimpleTable}", False),
        (f"Fn: {{{FUNCTION}, {EVENT}}}}}", True),
        (f"Fn: {{{FUNCTION}, FunctionUrlConfig: {{AuthType: NONE}}}}}}", True),
        (f"Fn: {{{FUNCTION}, {FAILURES}, Destination: !GetAtt Q.Arn}}}}}}}}}}", False),
        (f"Fn: {{{FUNCTION}, {FAILURES}}}}}}}}}}}", True),
        ("Api: {Type: AWS::Serverless::HttpApi}", True),
        (f"Fn: {{{FUNCTION}}}}}\nX: {{Type: T, Properties: {{A: !GetAtt FnRole.Arn}}}}", True),
        (f"Fn: {{{FUNCTION}}}}}\nX: {{Type: T, Properties: {{A: !Sub '${{FnRole.Arn}}'}}}}", True),
        (f"Fn: {{{FUNCTION}}}}}\nX: {{Type: T, Properties: {{A: !Ref Fn.Version}}}}", True),
    ],
)
def test_template_is_translated_if_sam_generates_what_is_served_or_referred_to(resources: str, expected: bool) -> None:
    text = "Resources:\n" + "\n".join(f"  {line}" for line in resources.splitlines())
    assert generates(read_document(text, "t")) is expected


def test_own_templates_are_read_without_the_translator() -> None:
    """The import of the translator takes longer than everything else at a start."""
    paths = [ROOT / "template.yaml", ROOT / "lattice_bridge/project/template.yaml"]
    assert not any(generates(read_document(path.read_text("utf-8"), "t")) for path in paths)


GLOBALS = "Globals: {Function: {Runtime: python3.13, CodeUri: common, Layers: [arn:x], TenancyConfig: {A: b}}}"
GENERATED = """
  Layer:
    Type: AWS::Serverless::LayerVersion
    Metadata: {BuildMethod: makefile}
    Properties: {ContentUri: layer, RetentionPolicy: Delete}
  Fn:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: makefile}
    Properties:
      Handler: a.b
      AutoPublishAlias: live
      Layers: [!Ref Layer]
      FunctionUrlConfig: {AuthType: AWS_IAM}
      Environment:
        Variables:
          URL: !GetAtt FnUrl.FunctionUrl
          ROLE: !GetAtt FnRole.Arn
          API: !Sub "https://${ServerlessRestApi}.x/${ServerlessRestApiProdStage}"
          ALIAS: !Ref Fn.Alias
          VERSION: !Ref Fn.Version
      Events:
        Get: {Type: Api, Properties: {Path: /x, Method: get}}
        Queue: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}
        Daily: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
  Inline: {Type: "AWS::Serverless::Function", Properties: {InlineCode: "x = 1", Handler: index.x}}
  Own: {Type: "AWS::Serverless::Function", Properties: {CodeUri: own/, Handler: index.x}}
  Queue: {Type: "AWS::SQS::Queue"}
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return read(tmp_path_factory.mktemp("sam"), GENERATED, GLOBALS)


def test_what_sam_generates_is_there(generated: Template) -> None:
    kinds = {name: resource.type for name, resource in generated.resources.items()}
    assert kinds["ServerlessRestApi"] == "AWS::ApiGateway::RestApi"
    assert kinds["ServerlessRestApiProdStage"] == "AWS::ApiGateway::Stage"
    assert kinds["FnUrl"] == "AWS::Lambda::Url"
    assert kinds["FnRole"] == "AWS::IAM::Role"
    assert kinds["FnAliaslive"] == "AWS::Lambda::Alias"
    assert kinds["FnQueue"] == "AWS::Lambda::EventSourceMapping"
    assert generated.notes == ()


def test_references_to_what_sam_generates_have_values(generated: Template) -> None:
    variables = generated.resources["Fn"].properties["Environment"]["Variables"]
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:Fn"
    assert variables == {
        "URL": generated.resources["FnUrl"].attributes["FunctionUrl"],
        "ROLE": "arn:aws:iam::123456789012:role/FnRole",
        "API": f"https://{generated.resources['ServerlessRestApi'].ref}.x/Prod",
        "ALIAS": f"{arn}:live",
        "VERSION": f"{arn}:1",
    }


@pytest.mark.parametrize(("name", "code"), [("Fn", "common"), ("Own", "own/"), ("Inline", {"ZipFile": "x = 1"})])
def test_translated_function_has_the_code_of_the_template(generated: Template, name: str, code: Any) -> None:
    function = generated.resources[name]
    assert function.type == "AWS::Lambda::Function"
    assert function.properties["Code"] == code
    assert function.properties["TenancyConfig"] == {"A": "b"}
    assert "Role" not in function.properties  # the template has none


def test_layer_and_metadata_keep_their_logical_id(generated: Template) -> None:
    """The translator would add a hash to it, and `sam build` names its folders by it."""
    layer, function = generated.resources["Layer"], generated.resources["Fn"]
    assert (layer.type, layer.properties) == ("AWS::Lambda::LayerVersion", {"Content": "layer"})
    assert layer.metadata == function.metadata == {"BuildMethod": "makefile"}
    assert function.properties["Layers"] == ["arn:x", layer.ref]


REFUSED = f"""
  Good: {{{FUNCTION}, {EVENT}}}}}
  BadEvent: {{{FUNCTION}, Events: {{S: {{Type: S3, Properties: {{Bucket: x}}}}}}}}}}
  BadProperty: {{{FUNCTION}, Nonsense: 1}}}}
"""


def test_part_that_the_translator_refuses_is_named_and_the_rest_is_served(tmp_path: Path) -> None:
    found = read(tmp_path, REFUSED)
    assert found.resources["ServerlessRestApi"].type == "AWS::ApiGateway::RestApi"
    assert found.resources["BadEvent"].type == "AWS::Lambda::Function"  # without its event
    assert found.resources["BadProperty"].properties["CodeUri"] == "src"
    assert {place: sentence.partition(": ")[0] for sentence, place in found.notes} == dict.fromkeys(
        ("BadEvent", "BadProperty"),
        "AWS's translator of SAM refuses a part, so that the resources that it generates are missing",
    )


def test_reference_to_what_a_refused_part_generates_is_a_marker(tmp_path: Path) -> None:
    found = read(tmp_path, f"{REFUSED}  R: {{Type: T, Properties: {{X: !GetAtt BadPropertyRole.Arn}}}}")
    assert found.resources["R"].properties == {"X": "{BadPropertyRole.Arn is not resolved locally}"}


def test_template_that_the_translator_refuses_as_a_whole_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read(tmp_path, REFUSED, "Globals: {Nonsense: {}}")
    assert found.resources["Good"].type == "AWS::Serverless::Function"
    ((sentence, place),) = found.notes
    assert place == "the template"
    assert "Nonsense" in sentence


def test_definitions_that_are_huge_together_are_refused(tmp_path: Path) -> None:
    """Trap D9: each has fewer values than a template may have, and they are copied for the translator."""
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 5))
    (tmp_path / "api.yaml").write_text(f"a0: &a0 [x, x, x, x, x]\n{levels}")
    apis = "".join(
        f"  A{n}: {{Type: AWS::Serverless::Api, Properties: {{DefinitionUri: api.yaml}}}}\n" for n in range(40)
    )
    found = read(tmp_path, apis)
    assert "more than 1,000,000 values" in found.notes[0][0]


def test_missing_translator_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(yaml.safe_dump({"Resources": {"A": {"Type": "AWS::Serverless::Api"}}}))
    code = (
        "import sys; sys.modules['samtranslator'] = None\n"
        "from pathlib import Path\n"
        "from lattice_bridge.deployment.cloudformation.template import read_template\n"
        "read_template(Path(sys.argv[1]), {}, 'us-east-1')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "template.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "NoTranslator" in done.stderr
    assert "Fix: pip install 'lattice-bridge[local,template]'" in done.stderr


# ---- the cache -------------------------------------------------------------------------------------------------------


def read_with(cache: Path, folder: Path, resources: str, hidden: str = "false") -> Template:
    path = folder / "template.yaml"
    declared = f"Parameters: {{S: {{Type: String, NoEcho: {hidden}}}}}"
    path.write_text(f"{declared}\n{GLOBALS}\nResources:{resources}")
    return read_template(path, {"S": "s3cret"}, "eu-west-1", cache=TranslationCache(cache))


def test_cached_translation_is_that_of_the_translator(tmp_path: Path) -> None:
    first = read_with(tmp_path / "cache", tmp_path, GENERATED)
    (file,) = (tmp_path / "cache").iterdir()
    assert read_with(tmp_path / "cache", tmp_path, GENERATED) == first
    stored = json.loads(file.read_text("utf-8"))
    stored["template"]["Resources"]["Added"] = {"Type": "T"}
    file.write_text(json.dumps(stored))
    assert "Added" in read_with(tmp_path / "cache", tmp_path, GENERATED).resources  # the file is what is read


def test_cached_refusal_is_that_of_the_translator(tmp_path: Path) -> None:
    first = read_with(tmp_path / "cache", tmp_path, REFUSED)
    assert read_with(tmp_path / "cache", tmp_path, REFUSED).notes == first.notes


def test_changed_template_is_translated_again(tmp_path: Path) -> None:
    read_with(tmp_path / "cache", tmp_path, GENERATED)
    changed = read_with(tmp_path / "cache", tmp_path, GENERATED.replace("Path: /x", "Path: /y"))
    assert list(changed.resources["ServerlessRestApi"].properties["Body"]["paths"]) == ["/y"]


def test_template_with_a_hidden_parameter_is_not_stored(tmp_path: Path) -> None:
    """Trap D11: the translation may contain its value."""
    read_with(tmp_path / "cache", tmp_path, GENERATED, hidden="true")
    assert not (tmp_path / "cache").exists()


def test_cache_that_another_user_may_write_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    read_with(tmp_path / "cache", tmp_path, GENERATED)
    assert list((tmp_path / "cache").iterdir()) == []


def test_link_in_place_of_the_cache_leads_to_no_other_folder(tmp_path: Path) -> None:
    """Trap G4: another user who may write to the folder above could have any file of this user read or removed."""
    other = tmp_path / "documents"
    other.mkdir()
    for number in range(40):
        (other / f"{number}.txt").write_text("{}")
    (tmp_path / "cache").symlink_to(other)
    cache = TranslationCache(tmp_path / "cache")
    (other / "key.json").write_text('{"template": {}}')
    cache.put("new", {})
    assert cache.get("key") is None
    assert len(list(other.iterdir())) == 41


@pytest.mark.parametrize("content", ["", "[]", '{"template": {}}', "[" * 100_000])
def test_damaged_file_is_replaced(tmp_path: Path, content: str) -> None:
    cache = TranslationCache(tmp_path / "cache")
    first = read_with(tmp_path / "cache", tmp_path, GENERATED)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(content)
    assert read_with(tmp_path / "cache", tmp_path, GENERATED) == first
    assert "template" in (cache.get(file.stem) or {})


def test_oldest_translations_are_removed(tmp_path: Path) -> None:
    """Trap D9: the folder does not grow with what a user serves."""
    cache = TranslationCache(tmp_path / "cache")
    for number in range(40):
        cache.put(str(number), {})
    assert len(list((tmp_path / "cache").iterdir())) == 32
