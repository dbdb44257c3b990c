"""Alarms on the bridge's metrics: each watches a path that bridge.toml has, and each path is watched.

Rule: only where the template has such alarms at all. Whoever watches the bridge from elsewhere is told nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from lattice_bridge.config.options import Backend
from lattice_bridge.deployment.checks.found import TemplateFinding, finding
from lattice_bridge.deployment.checks.stack import bridges_of, maps_in, variables_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.telemetry import NAMESPACE, NAMESPACE_VARIABLE

NO_BACKEND: Final = "none"
"""What the dimension says of a request that was refused before a backend was chosen."""
_SILENT: Final = "missing data counts as health, so nobody would ever hear of it"


def alarms_as_said(template: Template, backends: Iterable[Backend]) -> Iterator[TemplateFinding]:
    """Where bridge.toml and the template's alarms disagree."""
    by_path = {backend.path: backend for backend in backends}
    watched: dict[str, set[str]] = {}
    namespaces = set(map(_namespace, bridges_of(template, by_path.values())))
    for alarm in template.of_type("AWS::CloudWatch::Alarm"):
        for metric, path in _watched_by(alarm, namespaces):
            watched.setdefault(metric, set()).add(path)
            if path not in by_path and path != NO_BACKEND:
                yield finding(
                    alarm.id,
                    f'it watches {metric} of the backend "{path}", which bridge.toml does not have',
                    f"a dimension Backend that is one of {', '.join(sorted(by_path))}",
                    _SILENT,
                )
    for path in sorted(set(by_path) - watched.get("Latency", set())) if "Latency" in watched else ():
        yield finding(
            "Resources",
            f'no alarm watches Latency of the backend "{path}"',
            f"one with the dimension Backend: {path}",
            "the other backends have one, and this one could be slow without anybody hearing of it",
            "warning",
        )
    yield from _counted(template, by_path)


def _namespace(bridge: Resource) -> str:
    return str(variables_of(bridge).get(NAMESPACE_VARIABLE) or NAMESPACE)


def _watched_by(alarm: Resource, namespaces: Collection[str]) -> Iterator[tuple[str, str]]:
    """The name of each metric of a bridge's that is watched for one backend, and that backend's path."""
    stats = maps_in([one.get("MetricStat") for one in maps_in(alarm.properties.get("Metrics"))])
    for metric in (alarm.properties, *maps_in([stat.get("Metric") for stat in stats])):
        if metric.get("Namespace") not in namespaces:
            continue
        for dimension in maps_in(metric.get("Dimensions")):
            if dimension.get("Name") == "Backend" and not unresolved(dimension.get("Value")):
                yield str(metric.get("MetricName")), str(dimension.get("Value"))


def _counted(template: Template, by_path: Mapping[str, Backend]) -> Iterator[TemplateFinding]:
    """Contributor Insights rules that count tenants: over the isolated paths, and all of them."""
    isolated = {path for path, backend in by_path.items() if backend.isolated}
    for rule in template.of_type("AWS::CloudWatch::InsightRule"):
        for each in _filters(rule):
            if each.get("Match") != "$.backend" or not isinstance(each.get("In"), list):
                continue
            counted = set(map(str, each["In"]))
            if counted == isolated:
                continue
            odd = [f'"{path}", which is no isolated backend of bridge.toml' for path in sorted(counted - isolated)]
            odd += [f'not "{path}", which is isolated' for path in sorted(isolated - counted)]
            yield finding(
                rule.id,
                f"it counts the tenants of {' and '.join(odd)}",
                f'"In": {json.dumps(sorted(isolated))}',
                "each tenant of an isolated backend has an environment, and the quota counts them all",
            )


def _filters(rule: Resource) -> list[dict[str, Any]]:
    try:
        body = json.loads(str(rule.properties.get("RuleBody")))
        return [each for each in body["Contribution"]["Filters"] if isinstance(each, dict)]
    except (ValueError, LookupError, TypeError):
        return []  # not of the kind that is meant, or not known before the deployment
