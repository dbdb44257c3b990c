"""The functions behind the bridge: their tenancy against `isolated`, and who else may invoke them.

Rule: no policy says which tenant an invoker may name. Whoever may invoke an isolated function without the bridge is any
of its tenants.
"""

from __future__ import annotations

from collections.abc import Iterator

from lattice_bridge.deployment.doctor_config import Configured
from lattice_bridge.deployment.doctor_facts import BackendFunction, Deployed, Door, Function
from lattice_bridge.deployment.doctor_finding import Finding, Level, Shell, Unread, listed


def backend_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """What there is to say of each `[[backend]]`."""
    for found in deployed.backends:
        yield from _tenancy_findings(found, configured, shell)
        for door in found.doors:
            yield from _door_findings(found, door, deployed, shell)


def _tenancy_findings(found: BackendFunction, configured: Configured, shell: Shell) -> Iterator[Finding]:
    subject = f"backend {found.backend.path} {found.name.short}"
    wanted = "PER_TENANT" if found.backend.isolated else "no tenant isolation"
    function = found.function
    if isinstance(function, Unread):
        yield function.finding(subject, wanted)
    elif function is None:
        look = shell.aws("lambda", "list-aliases", "--function-name", found.name.name)
        yield Finding("error", subject, "no such function or qualifier: answered with 500", wanted, look)
    elif found.backend.isolated and not function.isolated:
        yield Finding(
            "error", subject, "no tenant isolation: every request is a 500", wanted, _anew(found, function, shell)
        )
    elif function.isolated and not found.backend.isolated:
        mend = f'in {configured.file}, [[backend]] path "{found.backend.path}": isolated = true'
        yield Finding("error", subject, "PER_TENANT: every request is a 500", wanted, mend)
    elif function.state != "Active":
        look = shell.aws("lambda", "get-function-configuration", *found.name.arguments)
        yield Finding("warning", subject, function.state, "Active", look)
    else:
        yield Finding("ok", subject, "PER_TENANT" if function.isolated else "no tenant isolation", wanted)


def _anew(found: BackendFunction, function: Function, shell: Shell) -> str:
    """Tenancy is chosen when a function is made, and never after."""
    name = f"{found.name.name[:55]}-isolated"
    code = ["--package-type", "Image", "--code", "ImageUri=IMAGE"]
    if function.runtime is not None:
        code = ["--runtime", function.runtime, "--handler", function.handler or "app.handler"]
        code += ["--zip-file", "fileb://function.zip"]
    tenancy = ("--tenancy-config", "TenantIsolationMode=PER_TENANT")
    return shell.aws("lambda", "create-function", "--function-name", name, "--role", function.role, *code, *tenancy)


def _door_findings(found: BackendFunction, door: Door, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    subject, wanted = f"invoke permission {door.name.short}", "the bridge's role alone"
    if isinstance(door.statements, Unread):
        yield door.statements.finding(subject, wanted)
        return
    own = deployed.function.role if isinstance(deployed.function, Function) else None
    for statement in door.statements:
        if statement.effect == "Deny" or not statement.invokes:
            continue
        others = [(kind, name) for kind, name in statement.principals if name != own]
        if not others and statement.is_plain:
            continue
        sid = f", by statement {statement.sid}" if statement.sid else ""
        named = listed([name for _kind, name in others]) or "everybody but some"
        as_whom = ", as any tenant" if found.backend.isolated else ""
        everybody = not statement.conditions and (not others or any(kind == "*" for kind, _name in others))
        mend = shell.aws("lambda", "get-policy", *door.name.arguments)
        if statement.sid:
            which = ("--statement-id", statement.sid)
            mend = shell.aws("lambda", "remove-permission", *door.name.arguments, *which)
        level: Level = "error" if everybody else "warning"
        yield Finding(level, subject, f"{named} may invoke it past the bridge{as_whom}{sid}", wanted, mend)
