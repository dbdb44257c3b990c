"""The access keys of the senders that a map names."""

from __future__ import annotations

from pathlib import Path

from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY, AccessKey, AccessKeys
from lattice_bridge.local.definition import read_definition

TEMPLATE = """
Resources:
  Router:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
"""
MAP = """
[[event_source]]
arn = "arn:aws:sqs:us-east-1:123456789012:orders"
function = "worker"
[tenants]
blue = {}
[[rule]]
id = "service"
sender = { role_id = "AROAEXAMPLE123456789" }
tenant = "blue"
[[rule]]
id = "person"
sender = { user_id = "AIDAEXAMPLE123456789" }
tenant = "blue"
[[rule]]
id = "job"
sender = { role_id = "AROAEXAMPLE123456789", session = "night-job" }
session_set_by = "platform"
tenant = "blue"
"""


def keys_of(folder: Path) -> dict[str, AccessKey]:
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "bridge.toml").write_text(MAP)
    definition = read_definition(folder / "template.yaml", {}, "us-east-1")
    assert definition.configurations[0].faults == ()
    return dict(definition.senders)


def test_each_sender_of_a_rule_has_a_key_with_its_id(tmp_path: Path) -> None:
    assert {name: (key.secret_key, key.user_id) for name, key in keys_of(tmp_path).items()} == {
        "LOCALAROAEXAMPLE123456789": ("aroaexample123456789", "AROAEXAMPLE123456789:local"),
        "LOCALAIDAEXAMPLE123456789": ("aidaexample123456789", "AIDAEXAMPLE123456789"),
        "LOCALAROAEXAMPLE123456789NIGHTJOB": ("aroaexample123456789nightjob", "AROAEXAMPLE123456789:night-job"),
    }


def test_keys_of_an_earlier_map_are_not_accepted_any_more(tmp_path: Path) -> None:
    keys = AccessKeys()
    own = dict(keys.known)
    keys.replace_senders(keys_of(tmp_path))
    assert len(keys.known) == 5
    keys.replace_senders({})
    assert keys.known == own


def test_sender_s_key_does_not_replace_one_of_the_stack() -> None:
    keys = AccessKeys()
    keys.replace_senders({DEVELOPER_KEY.access_key: AccessKey(DEVELOPER_KEY.access_key, "other")})
    keys.replace_senders({})
    assert keys.known[DEVELOPER_KEY.access_key] is DEVELOPER_KEY
