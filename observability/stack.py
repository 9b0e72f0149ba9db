"""The dashboard and the alarms as a ROS stack, from queries.yaml and alarms.yaml. Pure.

Sources: the resource types ALIYUN::SLS::Dashboard and ALIYUN::SLS::Alert of Resource Orchestration
Service, and SLS's alert rules of version 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]

_PROJECT: Final = {"Ref": "Project"}
_LOGSTORE: Final = {"Ref": "Logstore"}
_WIDTH, _HEIGHT, _COLUMNS = 10, 6, 2


def stack(queries: Mapping[str, Document], alarms: Mapping[str, Document]) -> Document:
    """The template.

    Args:
        queries: By name: title, about, chart, query; x and y of a line.
        alarms: By name: says, query (its name), condition, look_back, every, severity.
    """
    resources = {"Dashboard": _dashboard(queries)}
    for name, alarm in alarms.items():
        resources[_logical(name)] = _alert(name, alarm, queries[alarm["query"]])
    return {
        "ROSTemplateFormatVersion": "2015-09-01",
        "Description": "Cross-account ECR authorization - dashboard and alarms on its logs",
        "Parameters": {
            "Project": _parameter("The SLS project of the functions' logs"),
            "Logstore": _parameter("Its logstore"),
            "ActionPolicy": _parameter("The id of the action policy: who is told, and how"),
        },
        "Resources": resources,
    }


def _parameter(description: str) -> Document:
    return {"Type": "String", "Description": description}


def _logical(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _dashboard(queries: Mapping[str, Document]) -> Document:
    shown = {name: query for name, query in queries.items() if query["chart"] != "none"}
    return {
        "Type": "ALIYUN::SLS::Dashboard",
        "Properties": {
            "ProjectName": _PROJECT,
            "DashboardName": "ecr-authorization",
            "DisplayName": "ECR authorization",
            "Charts": [
                _chart(name, query, place) for place, (name, query) in enumerate(shown.items())
            ],
        },
    }


def _chart(name: str, query: Document, place: int) -> Document:
    return {
        "action": {},
        "title": name,
        "type": query["chart"],
        "search": {
            "logstore": _LOGSTORE,
            "topic": "",
            "query": query["query"],
            "start": "-86400s",
            "end": "now",
        },
        "display": {
            "xAxis": query.get("x", []),
            "yAxis": query.get("y", []),
            "xPos": place % _COLUMNS * _WIDTH,
            "yPos": place // _COLUMNS * _HEIGHT,
            "width": _WIDTH,
            "height": _HEIGHT,
            "displayName": query["title"],
        },
    }


def _alert(name: str, alarm: Document, query: Document) -> Document:
    return {
        "Type": "ALIYUN::SLS::Alert",
        "Properties": {
            "Project": _PROJECT,
            "Detail": {
                "Name": f"ecr-authorization-{name}",
                "DisplayName": f"ECR authorization: {name}",
                "State": "Enable",
                "Schedule": {"Type": "FixedRate", "Interval": alarm["every"]},
                "Configuration": _rule(name, alarm, query),
            },
        },
    }


def _rule(name: str, alarm: Document, query: Document) -> Document:
    runbook = f"docs/runbooks.md#alarm-{name}"
    return {
        "Version": "2.0",
        "Type": "default",
        "Dashboard": "internal-alert-analysis",
        "QueryList": [
            {
                "StoreType": "log",
                "Project": _PROJECT,
                "Store": _LOGSTORE,
                "Region": {"Ref": "ALIYUN::Region"},
                "Query": query["query"],
                "TimeSpanType": "Relative",
                "Start": f"-{alarm['look_back']}",
                "End": "now",
                "PowerSqlMode": "auto",
            }
        ],
        "GroupConfiguration": {"Type": "no_group", "Fields": []},
        "JoinConfigurations": [],
        "SeverityConfigurations": [
            {
                "Severity": alarm["severity"],
                "EvalCondition": {"Condition": alarm["condition"], "CountCondition": ""},
            }
        ],
        "Threshold": 1,
        "NoDataFire": False,
        "NoDataSeverity": 6,
        "SendResolved": True,
        "AutoAnnotation": True,
        "Labels": [{"Key": "runbook", "Value": runbook}],
        "Annotations": [
            {"Key": "title", "Value": alarm["says"]},
            {"Key": "desc", "Value": f"{alarm['says']}. What to do: {runbook}"},
        ],
        "PolicyConfiguration": {
            "AlertPolicyId": "sls.builtin.dynamic",
            "ActionPolicyId": {"Ref": "ActionPolicy"},
            "RepeatInterval": "4h",
        },
    }
