"""Patterns of IAM's and names known in part: whether they may come to the same function.

Rule: where something is not known, they may.
"""

from __future__ import annotations

from dataclasses import replace

from lattice_bridge.deployment.checks.names import Named, is_function, name_of, named, refers_to
from lattice_bridge.deployment.checks.stack import Bridge, Stack, is_named
from lattice_bridge.deployment.cloudformation.template import Template
from lattice_bridge.deployment.cloudformation.values import MARKER, unresolved


def is_pattern(text: object) -> bool:
    """Whether a text of a policy is for more than itself."""
    return "*" in str(text) or "?" in str(text)


def may_be_bridge(text: object, stack: Stack) -> Bridge | None:
    """The bridge that a text may name, whose name is known in part; none if it is known to name another function."""
    found = named(text)
    if found is None or unresolved(found.name) or is_pattern(found.name):
        return None
    others = [named(backend.function) for backend in stack.backends]
    if found.name in [one.name for one in others if one] or any(refers_to(text, one) for one in stack.functions):
        return None
    return next((one for one in stack.bridges if is_function(found, one.function, stack.template)), None)


def reaches(pattern: str, stack: Stack) -> bool | None:
    """Whether a pattern is for a bridge, or for what bridge.toml names; None if only a deployed stack knows."""
    wanted = [Named(name_of(one.function)) for one in stack.bridges]
    wanted += [found for one in stack.backends if (found := named(one.function)) is not None]
    behind = [one.function for one in stack.backends]
    wanted += [
        Named(name_of(one)) for one in stack.functions if any(is_named(one, text, stack.template) for text in behind)
    ]
    if any(_reaches(pattern, one, stack.template) for one in wanted):
        return True
    found = named(pattern)
    if found is not None and any(found.name.rstrip("*") == name_of(one) for one in stack.functions):
        return False  # all of its name is said, and it is another's
    opened = [replace(one, name=_opened(one.name)) for one in wanted]
    return None if any(_reaches(_opened(pattern), one, stack.template) for one in opened) else False


def is_isolated(name: Named, stack: Stack) -> bool:
    """Whether a name is that of an isolated function, in the template or elsewhere."""
    elsewhere = [named(one.function) for one in stack.backends if one.isolated]
    names = [one.name for one in elsewhere if one] + [name_of(one) for one in stack.isolated]
    return name.name in names


def _reaches(pattern: str, wanted: Named, template: Template) -> bool:
    """By its name, or with an alias or version behind it. Accounts and regions that only stand in are not compared."""
    known = template.given
    region = known.get("AWS::Region") and (wanted.region or known["AWS::Region"])
    account = known.get("AWS::AccountId") and (wanted.account or known["AWS::AccountId"])
    parts = ["arn", "*", "lambda", region or "*", account or "*", "function"]
    fields = pattern.split(":", 6)
    names = [str(wanted)] if wanted.qualifier else [str(wanted), f"{wanted}:*"]
    if len(fields) < 7:
        return any(overlap(pattern, ":".join((*parts, name))) for name in names)
    return all(map(overlap, fields, parts)) and any(overlap(fields[6], name) for name in names)


def _opened(text: str) -> str:
    """A text as a pattern, that is for whatever may stand where it is unresolved."""
    return MARKER.sub("*", text)


def overlap(one: str, other: str) -> bool:
    """Whether some text is for both of two patterns."""
    seen, left = {(0, 0)}, [(0, 0)]
    while left:
        first, second = left.pop()
        mine, theirs = one[first : first + 1], other[second : second + 1]
        if not mine and not theirs:
            return True
        steps = {(first + 1, second)} if mine == "*" else set()
        steps |= {(first, second + 1)} if theirs == "*" else set()
        if mine and theirs and ("*" in (mine, theirs) or "?" in (mine, theirs) or mine == theirs):
            steps.add((first + (mine != "*"), second + (theirs != "*")))
        left += steps - seen
        seen |= steps
    return False
