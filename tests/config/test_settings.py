"""bridge.toml and the environment: what loads, and every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.config.settings import Settings
from lattice_bridge.errors import InvalidMap, Unavailable
from tests.support.builders import MAP, SERVICE

BACKEND = '[[backend]]\nfunction = "orders:live"\n'


def loaded(text: str = BACKEND, function: str | None = None) -> Settings:
    return Settings.from_text(MAP + text, function=function)


def faults(text: str, function: str | None = None) -> tuple[str, ...]:
    with pytest.raises(InvalidMap) as error:
        loaded(text, function)
    return error.value.faults


def test_one_function_is_a_whole_configuration() -> None:
    [backend] = loaded().options.backends
    assert (backend.path, backend.function, backend.isolated, backend.timeout) == ("/", "orders:live", True, 28.0)


def test_backend_settings_are_read() -> None:
    [backend] = loaded(
        '[[backend]]\npath = "/a/b"\nfunction = "f"\nisolated = false\ninvocation = "async"\ntimeout = 5\n'
        'keep_headers = ["authorization"]\npayload = "lattice"\n'
    ).options.backends
    assert (backend.path, backend.isolated, backend.invocation, backend.timeout) == ("/a/b", False, "async", 5)
    assert backend.keep_headers == {"authorization"}


def test_lattice_settings_are_read() -> None:
    settings = loaded(f'{BACKEND}[lattice]\nservices = ["{SERVICE}"]\nset_cookie = "headers"\nscheme = "http"\n')
    assert settings.options.services == {SERVICE}
    assert (settings.options.set_cookie, settings.options.scheme) == ("headers", "http")


def test_log_settings_are_read_and_name_no_person_by_default() -> None:
    """Trap D11."""
    assert loaded(BACKEND).options.log_caller == "key"
    assert loaded(f'{BACKEND}[log]\ncaller = "full"\n').options.log_caller == "full"
    for wrong, where in (
        ('caller = "all"', "log: caller: "),
        ("callers = 1", "log: callers: unknown key; did you mean caller?"),
    ):
        [fault] = faults(f"{BACKEND}[log]\n{wrong}\n")
        assert fault.startswith(where)


def test_headers_to_drop_are_lowered() -> None:
    settings = loaded(f'{BACKEND}[reply]\ndrop_headers = ["Set-Cookie", "etag"]\n')
    assert settings.options.drop_headers == {"set-cookie", "etag"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            '["set cookie"]',
            'reply: drop_headers: "set cookie" is not a header name. Fix: write one, such as set-cookie',
        ),
        ('["Content-Type"]', 'reply: drop_headers: a browser guesses the type without "content-type". Fix: '),
        ('"set-cookie"', "reply: drop_headers: "),
        ("[1]", "reply: drop_headers: "),
    ],
)
def test_malformed_header_to_drop_is_a_fault(names: str, message: str) -> None:
    [fault] = faults(f"{BACKEND}[reply]\ndrop_headers = {names}\n")
    assert fault.startswith(message)


def test_default_invoker_is_direct() -> None:
    assert loaded().options.invoker == "direct"
    assert Settings.from_text('invoker = "boto3"\n' + MAP + BACKEND).options.invoker == "boto3"


@pytest.mark.parametrize("line", ['invoker = "boto"', "invoker = 1", "invoker = []", "[invoker]\na = 1"])
def test_unknown_invoker_is_a_fault(line: str) -> None:
    with pytest.raises(InvalidMap) as error:
        Settings.from_text(f"{line}\n{MAP}{BACKEND}" if "[inv" not in line else f"{MAP}{BACKEND}{line}\n")
    [fault] = error.value.faults
    assert fault.startswith("bridge.toml: invoker: ")


@pytest.mark.parametrize(
    "function",
    [
        "orders",
        "orders:live",
        "orders:$LATEST",
        "orders:7",
        "arn:aws:lambda:eu-west-1:111122223333:function:orders",
        "arn:aws:lambda:eu-west-1:111122223333:function:orders:live",
        "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:orders",
        "111122223333:function:orders",
    ],
)
def test_function_name_in_every_form_is_read(function: str) -> None:
    assert loaded(f'[[backend]]\nfunction = "{function}"\n').options.backends[0].function == function


@pytest.mark.parametrize("function", ["", " orders", "orders/../x", "orders:", "a b", "orders\\n", "https://x", "é"])
def test_malformed_function_is_a_fault(function: str) -> None:
    assert "not a Lambda function name" in faults(f'[[backend]]\nfunction = "{function}"\n')[0]


@pytest.mark.parametrize("path", ["", "a", "/a/", "//", "/a//b", "/a?b", "/a b", "/a#\\n", "/é", "*"])
def test_malformed_path_prefix_is_a_fault(path: str) -> None:
    assert (
        "is not a path of whole segments. Fix: write it as in /"
        in faults(f'[[backend]]\npath = "{path}"\nfunction = "f"\n')[0]
    )


def test_two_backends_of_one_path_are_a_fault() -> None:
    assert "another backend has this path" in faults(BACKEND + BACKEND)[0]


@pytest.mark.parametrize(
    "line",
    [
        "timeout = 0",
        "timeout = -1",
        "timeout = 901",
        "timeout = inf",
        "timeout = nan",
        'timeout = "28"',
        "timeout = true",
        'isolated = "false"',
        "isolated = 0",
        'invocation = "Event"',
        'payload = "xml"',
        'keep_headers = ["cookie"]',
        'keep_headers = "authorization"',
        "isolate = false",
    ],
)
def test_unknown_backend_setting_is_a_fault(line: str) -> None:
    assert faults(BACKEND + line + "\n")[0].startswith("backend number 1: ")


@pytest.mark.parametrize(
    "service", ["", "*", "svc-1", SERVICE + "*", SERVICE.replace("service/svc", "servicenetwork/sn")]
)
def test_malformed_service_is_a_fault(service: str) -> None:
    """Trap A8."""
    assert "not the ARN of a VPC Lattice service" in faults(f'{BACKEND}[lattice]\nservices = ["{service}"]\n')[0]


@pytest.mark.parametrize("line", ['set_cookie = "join"', 'scheme = "ws"', "services = 5", 'service = ["x"]'])
def test_unknown_lattice_setting_is_a_fault(line: str) -> None:
    assert faults(f"{BACKEND}[lattice]\n{line}\n")


def test_missing_backend_is_a_fault() -> None:
    assert "no [[backend]]" in faults("")[0]


def test_map_and_backend_faults_are_listed_together() -> None:
    """Trap D3."""
    found = faults('[[backend]]\nfunction = ""\n[[rule]]\nid = "x"\n')
    assert [fault.split(" ")[0] for fault in found] == ["backend", "rule", "rule"]


def test_shape_and_map_faults_are_listed_together() -> None:
    """Trap D3."""
    found = faults('[[backend]]\nfunction = 5\n[[rule]]\nid = "x"\n')
    assert [fault.split(" ")[0] for fault in found] == ["backend", "rule", "rule"]


# ---- the environment ------------------------------------------------------------------------------------------------


def test_environment_replaces_only_the_default_function() -> None:
    text = '[[backend]]\nfunction = "a"\ntimeout = 5\nisolated = false\n[[backend]]\npath = "/b"\nfunction = "b"\n'
    assert {(b.path, b.function, b.timeout, b.isolated) for b in loaded(text, "c").options.backends} == {
        ("/", "c", 5, False),
        ("/b", "b", 28, True),
    }


def test_environment_adds_a_default_backend() -> None:
    [backend] = loaded("", "c").options.backends
    assert (backend.path, backend.function, backend.isolated) == ("/", "c", True)


def test_malformed_function_of_the_environment_is_a_fault() -> None:
    assert "not a Lambda function name" in faults(BACKEND, "a b")[0]


def test_environment_hides_no_repeated_path() -> None:
    assert "another backend has this path" in faults(BACKEND + BACKEND, "c")[0]


def test_file_without_a_rule_is_a_fault() -> None:
    """Trap D4: a file cut off before its rules would refuse all callers, as if that were intended."""
    with pytest.raises(InvalidMap):
        Settings.from_text(BACKEND + "[tenants]\nblue = {}\n")


@pytest.mark.parametrize("text", ["", "# emptied\n"])
def test_emptied_file_is_a_fault_despite_the_environment(text: str) -> None:
    """Trap D4."""
    with pytest.raises(InvalidMap):
        Settings.from_text(text, function="orders")


@pytest.mark.parametrize("name", ["bridge.toml", "other.toml"])
def test_relative_path_begins_at_the_task_root(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(MAP + BACKEND, encoding="utf-8")
    environ = {"LAMBDA_TASK_ROOT": str(tmp_path), "LATTICE_BRIDGE_CONFIG": "" if name == "bridge.toml" else name}
    assert Settings.load(environ).options.backends[0].function == "orders:live"


def test_absolute_path_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(MAP + BACKEND, encoding="utf-8")
    environ = {"LAMBDA_TASK_ROOT": "/nowhere", "LATTICE_BRIDGE_CONFIG": str(tmp_path / "x.toml")}
    assert Settings.load({**environ, "LATTICE_BRIDGE_FUNCTION": "c"}).options.backends[0].function == "c"


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Trap D4."""
    with pytest.raises(Unavailable, match=r"bridge\.toml: No such file"):
        Settings.load({"LAMBDA_TASK_ROOT": str(tmp_path)})
