"""The functions behind the bridge: their tenancy against `isolated`, and who else may invoke them.

Rule: no policy says which tenant an invoker may name. Whoever may invoke an isolated function without the bridge is any
of its tenants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.doctor.configuration import Configured
from lattice_bridge.deployment.doctor.doors import (
    Own,
    by_sid,
    deed,
    is_for_role,
    remove,
    show,
    standing,
    unread_findings,
    url_findings,
    whom,
)
from lattice_bridge.deployment.doctor.facts import BackendFunction, Deployed, Door, Function, Name, Rights
from lattice_bridge.deployment.doctor.findings import Finding, Shell, Unread, free_name
from lattice_bridge.deployment.doctor.granted import within_boundary
from lattice_bridge.deployment.iam.policy import INVOKE, Statement

_WANTED: Final = "the bridge's role alone"


def backend_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """What there is to say of each `[[backend]]`, and once of each function behind them."""
    said: set[str] = set()
    for found in deployed.backends:
        yield from _tenancy_findings(found, deployed, configured, shell)
        yield from _admission_findings(found, deployed, shell)
        if found.name.arn not in said:
            said.add(found.name.arn)
            yield from _past_findings(found, deployed, shell)


def _tenancy_findings(
    found: BackendFunction, deployed: Deployed, configured: Configured, shell: Shell
) -> Iterator[Finding]:
    subject = f"backend {found.backend.path} {found.name.short}"
    wanted = "PER_TENANT" if found.backend.isolated else "no tenant isolation"
    function = found.function
    if isinstance(function, Unread):
        yield function.finding(subject, wanted)
    elif function is None:
        look = shell.of_function("list-aliases", found.name.arn)
        yield Finding("error", subject, "no such function or qualifier: answered with 500", wanted, look)
    elif found.backend.isolated and not function.isolated:
        mend = _anew(found.name, function, deployed, shell)
        yield Finding("error", subject, "no tenant isolation: every request is a 500", wanted, mend)
    elif function.isolated and not found.backend.isolated:
        mend = f'in {configured.file}, [[backend]] path "{found.backend.path}": isolated = true'
        yield Finding("error", subject, "PER_TENANT: every request is a 500", wanted, mend)
    elif function.state != "Active":
        look = shell.of_function("get-function-configuration", found.name.arn, *found.name.version)
        yield Finding("warning", subject, function.state, "Active", look)
    else:
        yield Finding("ok", subject, "PER_TENANT" if function.isolated else "no tenant isolation", wanted)


def _anew(name: Name, function: Function, deployed: Deployed, shell: Shell) -> str:
    """Tenancy is chosen when a function is made, and never after."""
    if (name.account, name.region) != (deployed.account, shell.region):
        return f"make {name.short} anew, in {name.account} and {name.region}, with tenant isolation PER_TENANT"
    code = ["--package-type", "Image", "--code", "ImageUri=IMAGE"]
    if function.runtime is not None:
        code = ["--runtime", function.runtime, "--handler", function.handler or "app.handler"]
        code += ["--zip-file", "fileb://function.zip"]
    which = ("--function-name", f"{name.name[:55]}-isolated", "--role", function.role)
    return shell.aws("lambda", "create-function", *which, *code, "--tenancy-config", "TenantIsolationMode=PER_TENANT")


# ---- who may invoke them --------------------------------------------------------------------------------------------


def _roles(deployed: Deployed) -> frozenset[tuple[str, str]]:
    """Those that the bridge runs as."""
    functions = (deployed.function, *(one.function for one in deployed.running))
    return frozenset(("AWS", one.role) for one in functions if isinstance(one, Function))


def _past_findings(found: BackendFunction, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    """Who may invoke a function past the bridge, under whichever of its names."""
    if not found.doors:
        return  # of another region: nothing of it was read, which is said of its tenancy
    own = Own(_roles(deployed), frozenset({found.name.account, deployed.bridge.account}))
    isolated = any(one.backend.isolated for one in deployed.backends if one.name.arn == found.name.arn)
    as_whom = ", as any tenant" if isolated else ""
    unsure = any(isinstance(one, Unread) for one in (deployed.function, *(one.function for one in deployed.running)))
    yield from unread_findings(found.name, found.aliases, found.doors, found.left, _WANTED)
    for door in found.doors:
        subject = f"invoke permission {door.name.short}"
        for statement in () if isinstance(door.statements, Unread) else door.statements:
            if (level := standing(statement, own)) is None:
                continue
            text = f"{whom(statement, own)} may {deed(statement)} past the bridge{as_whom}{by_sid(statement)}"
            if unsure and level == "warning":
                text = f"{text}, unless that is the bridge's role, which could not be read"
                yield Finding("unknown", subject, text, _WANTED)
            else:
                yield Finding(level, subject, text, _WANTED, _shut_out(statement, door, found, deployed, shell))
    yield from url_findings(found.name, found.urls, "none: who calls it passes the bridge by", shell)


def _shut_out(statement: Statement, door: Door, found: BackendFunction, deployed: Deployed, shell: Shell) -> str:
    """What lets the bridge in as well stays until something else does: in its own account that may be its role's own
    policies, and in another one nothing else than another statement."""
    mend = remove(statement, door.name, shell)
    roles = _roles(deployed)
    if roles and not any(is_for_role(statement, role) for _kind, role in roles):
        return mend
    if found.name.account != deployed.bridge.account:
        return f"once the bridge's role has a statement of its own there: {mend}"
    if _may_by_itself(found.name, deployed):
        return mend
    return f"once {INVOKE} on {found.name.qualified} stands in the policies of the bridge's role: {mend}"


def _may_by_itself(backend: Name, deployed: Deployed) -> bool:
    """Each role that the bridge runs as may invoke a backend by its own policies, for sure."""
    every = [deployed.rights, *(one.rights for one in deployed.running if one.function is not None)]
    return all(
        isinstance(rights, Rights) and within_boundary(rights, INVOKE, backend.qualified) == "allowed"
        for rights in every
    )


def _admission_findings(found: BackendFunction, deployed: Deployed, shell: Shell) -> Iterator[Finding]:
    """Whether the function's own policy lets the bridge in: of another account it has to, and a Deny never does."""
    door = next((one for one in found.doors if one.name == found.name.admitted_as), None)
    roles = [name for _kind, name in _roles(deployed)]
    if door is None or isinstance(door.statements, Unread) or not isinstance(found.function, Function) or not roles:
        return
    subject = f"invoke permission {door.name.short}"
    for statement in door.statements:
        if statement.effect == "Deny" and any(is_for_role(statement, role) for role in roles):
            hard = not statement.conditions
            text = "denied: every request is a 500" if hard else "denied under a condition, which is not looked into"
            mend = remove(statement, door.name, shell) if hard else show(door.name, shell)
            yield Finding(
                "error" if hard else "warning", subject, f"the bridge is {text}{by_sid(statement)}", _WANTED, mend
            )
    if found.name.account == deployed.bridge.account:
        return  # there the role's own policy is enough
    for role in sorted(roles):
        letting = [one for one in door.statements if one.effect == "Allow" and is_for_role(one, role)]
        if letting and all(one.conditions for one in letting):
            text = f"{role} is admitted under a condition, which is not looked into"
            yield Finding("unknown", subject, text, _WANTED, show(door.name, shell))
        elif not letting:
            text = f"{role} is not admitted, and is of another account: every request is a 500"
            yield Finding("error", subject, text, _WANTED, _admit(door, door.statements, role, shell))


def _admit(door: Door, statements: tuple[Statement, ...], role: str, shell: Shell) -> str:
    sid = free_name("lattice-bridge", [one.sid for one in statements])
    words = ("--statement-id", sid, "--action", INVOKE, "--principal", role)
    return shell.of_function("add-permission", door.name.arn, *door.name.version, *words)
