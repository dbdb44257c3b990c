"""The listeners of a Lattice service: all are served, and the port of the request chooses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.plan.model import Service, way_in_for
from lattice_bridge.local.plan.readers.template import read_plan


def services(folder: Path, *listeners: str, more: str = "") -> tuple[Service, ...]:
    """The services of a template. Each listener is `PROTOCOL PORT`, and answers with its port as status."""
    written = "".join(
        f"  L{number}: {{Type: AWS::VpcLattice::Listener, Properties: {{ServiceIdentifier: !Ref Orders, "
        f"Protocol: {listener.split()[0]}, Port: {listener.split()[1]}, "
        f"DefaultAction: {{FixedResponse: {{StatusCode: {100 + number}}}}}}}}}\n"
        for number, listener in enumerate(listeners)
    )
    path = folder / "template.yaml"
    path.write_text(f"Resources:\n  Orders: {{Type: AWS::VpcLattice::Service}}\n{written}{more}")
    return read_plan(read_template(path, {}, "us-east-1")).services


def test_every_listener_of_a_service_is_served(tmp_path: Path) -> None:
    found = services(tmp_path, "HTTP 80", "HTTPS 8443", "HTTPS 443")
    assert [(one.name, one.port, one.encrypted, one.rules[-1].action.status) for one in found] == [
        ("Orders:443", 443, True, 102),
        ("Orders:8443", 8443, True, 101),
        ("Orders:80", 80, False, 100),
    ]
    assert {one.arn for one in found} == {found[0].arn}


@pytest.mark.parametrize("given", ["svc-0123456789abcdef0", None])
def test_service_can_have_the_id_or_the_arn_of_its_deployed_twin(given: str | None, tmp_path: Path) -> None:
    """So `[lattice] services` of a bridge.toml works unchanged."""
    services(tmp_path, "HTTPS 443")
    arn = "arn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-0123456789abcdef0"
    template = read_template(tmp_path / "template.yaml", {}, "us-east-1", ids={"Orders": given or arn})
    (found,) = read_plan(template).services
    assert found.arn.endswith("service/svc-0123456789abcdef0")
    assert found.arn == arn or given


@pytest.mark.parametrize(
    ("authority", "port"),
    [
        ("orders", 443),
        ("orders:8443", 8443),
        ("orders:80", 80),
        ("orders:3000", 443),  # the stack's own port
        ("orders.localhost:8443", 8443),
        ("127.0.0.1:3000", 443),
        ("127.0.0.1:8443", 8443),
        ("localhost", 443),
    ],
)
def test_port_of_the_host_header_chooses_the_listener(tmp_path: Path, authority: str, port: int) -> None:
    found = way_in_for(services(tmp_path, "HTTP 80", "HTTPS 8443", "HTTPS 443"), authority)
    assert found is not None
    assert found.port == port


def test_only_listener_takes_every_port(tmp_path: Path) -> None:
    (only,) = services(tmp_path, "HTTP 8080")
    assert (only.name, only.names) == ("Orders", ("orders",))
    assert way_in_for((only,), "anything:9") is only


OTHER = """
  Carts: {Type: AWS::VpcLattice::Service}
  M: {Type: AWS::VpcLattice::Listener, Properties: {ServiceIdentifier: !Ref Carts, DefaultAction: {FixedResponse: {StatusCode: 200}}}}
"""  # noqa: E501 - one resource a line


@pytest.mark.parametrize(
    ("authority", "name"),
    [("carts:8443", "Carts"), ("orders:8443", "Orders:8443"), ("orders", "Orders:443"), ("127.0.0.1:8443", None)],
)
def test_host_name_chooses_among_services_before_the_port(tmp_path: Path, authority: str, name: str | None) -> None:
    found = way_in_for(services(tmp_path, "HTTPS 8443", "HTTPS 443", more=OTHER), authority)
    assert (found and found.name) == name
