"""Queries, dashboard and alarms beside the lines that the functions really write."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from datetime import datetime

import pytest

from observability.__main__ import HERE, read, template
from tests.observability.story import ROOT, lines

QUERIES, ALARMS = read("queries"), read("alarms")
EVENTS = read("events")
LONGEST_FOR_SQL = 2048
FIELD = re.compile(r"json_extract_scalar\(message, '\$\.(\w+)'\)")


class Percentile:
    """SLS's approx_percentile, exact."""

    def __init__(self):
        self.values, self.share = [], 0.0

    def step(self, value, share):
        self.share = share
        if value is not None:
            self.values.append(value)

    def finalize(self):
        found = sorted(self.values)
        return found[min(len(found) - 1, int(self.share * len(found)))] if found else None


class MaxBy:
    """SLS's max_by: the one value where the other is highest."""

    def __init__(self):
        self.best = None

    def step(self, value, by):
        if self.best is None or by >= self.best[1]:
            self.best = (value, by)

    def finalize(self):
        return self.best[0] if self.best else None


def extracted(text, path):
    found = json.loads(text).get(path.removeprefix("$."))
    if found is None or isinstance(found, str):
        return found
    return json.dumps(found)


@pytest.fixture(scope="module")
def sls():
    """SQLite with the functions that the queries use, and each line as SLS keeps it."""
    base = sqlite3.connect(":memory:")
    base.create_function("json_extract_scalar", 2, extracted)
    base.create_function("try", 1, lambda value: value)
    base.create_function("from_unixtime", 1, lambda value: value)
    base.create_function(
        "date_format", 2, lambda at, _: time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))
    )
    base.create_aggregate("approx_percentile", 2, Percentile)
    base.create_aggregate("max_by", 2, MaxBy)
    base.execute("CREATE TABLE log_all (__time__ INTEGER, message TEXT)")
    for line in lines():
        at = datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")).timestamp()
        base.execute("INSERT INTO log_all VALUES (?, ?)", (int(at), json.dumps(line)))
    yield base
    base.close()


def rows(base, query):
    """What a query gives: the search first, then its SQL over what was found."""
    search, _, statement = query.partition("|")
    field, _, word = search.strip().partition(": ")
    assert field == "message"
    base.execute("DROP VIEW IF EXISTS log")
    found = f"SELECT * FROM log_all WHERE message LIKE '%{word.strip(chr(34))}%'"  # noqa: S608
    base.execute(f"CREATE TEMP VIEW log AS {found}")
    found = base.execute(statement)
    names = [one[0] for one in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def events_of(query):
    named = set(re.findall(r"'\$\.event'\) = '(\w+)'", query))
    searched = re.match(r"message: (\w+) ", query)
    if searched and searched[1] not in EVENTS["shared"]:
        named.add(searched[1])
    return named


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_names_events_and_fields_that_are_written(name):
    query = QUERIES[name]["query"]
    events = events_of(query) or {line["event"] for line in lines()}
    written = [line for line in lines() if line["event"] in events]
    assert {line["event"] for line in written} == events
    fields = set(FIELD.findall(query))
    assert fields <= set().union(*written), fields - set().union(*written)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_something_in_a_whole_run(sls, name):
    found = rows(sls, QUERIES[name]["query"])
    assert found
    for row in found:
        assert None not in [row[column] for column in QUERIES[name].get("y", [])]


def test_the_numbers_are_those_of_the_run(sls):
    def one(name):
        (row,) = rows(sls, QUERIES[name]["query"])
        return row

    granted = [line for line in lines() if line.get("outcome") == "granted"]
    granted = [line for line in granted if line["event"] == "result_published"]
    assert one("time_to_grant")["grants"] == len(granted) > 3
    assert one("time_to_grant")["p99"] >= one("time_to_grant")["p50"] >= 0
    assert one("failed") == {"failed": 1, "a_code": "role_not_found", "a_request": "CHG-50"}
    assert one("dead_letters")["letters"] == 1
    assert one("failed_invocations") == {"failed": 1}
    assert 0 < one("throttled")["share"] < 1
    gauges = one("gauges")
    assert (gauges["drift"], gauges["stale"], gauges["expiring"], gauges["brake"]) == (1, 1, 1, 1)


def test_a_line_has_no_field_that_the_list_lacks():
    for line in lines():
        known = EVENTS["events"][line["event"]]
        assert set(line) <= set(EVENTS["shared"]) | set(known["fields"]), line["event"]
        assert line["level"] == known["level"]
        assert {"function", "fc_request_id", "cold_start", "timestamp"} <= set(line)
        if "exception" not in known["fields"]:
            assert len(json.dumps(line)) < LONGEST_FOR_SQL


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_columns_of_its_query_and_has_a_runbook(sls, name):
    alarm = ALARMS[name]
    columns = rows(sls, QUERIES[alarm["query"]]["query"])[0]
    names = set(re.findall(r"[a-zA-Z]\w*", alarm["condition"]))
    assert names <= set(columns)
    assert all(one.isalnum() for one in names), "SLS takes letters and digits alone"
    assert len(alarm["condition"]) <= 128
    assert f"### Alarm {name}\n" in (ROOT / "docs" / "runbooks.md").read_text()
    assert alarm["severity"] in (2, 4, 6, 8, 10)


def test_a_condition_is_true_in_trouble_and_false_in_calm(sls):
    """Python reads the conditions as SLS does: && is and."""

    def fires(name, changes):
        row = rows(sls, QUERIES[ALARMS[name]["query"]]["query"])[0] | changes
        condition = ALARMS[name]["condition"].replace("&&", "and")
        return eval(condition, {"__builtins__": {}}, row)  # noqa: S307 -- our own file

    trouble = {
        "grant-slow": {"grants": 5, "p99": 121.0},
        "oldest-waiting": {"waiting": 21601.0},
        "failed-invocations": {"failed": 3},
        "clean-up-silent": {"runs": 0},
        "clean-up-blind": {"unseen": 1},
        "audit-differs": {"found": 1},
        "throttled": {"steps": 20, "share": 0.06},
        "cold-starts": {"invocations": 20, "share": 0.6},
    }
    for name in ALARMS:
        assert fires(name, trouble.get(name, {}))  # the others fire in the run itself
    calm = {"grants": 9, "p99": 2.0, "waiting": 60.0, "failed": 0, "letters": 0, "brake": 0}
    calm |= {"runs": 12, "unseen": 0, "drift": 0, "stale": 0, "expiring": 0, "share": 0.0}
    calm |= {"steps": 100, "invocations": 100, "found": 0, "findings": 0}
    assert not [name for name in ALARMS if fires(name, calm)]


# As Resource Orchestration Service's own generator lists them (ros-cdk-sls 1.15.0).
PROPERTIES = {
    "Detail": {"Configuration", "DisplayName", "Name", "Schedule", "Description", "State", "Type"},
    "Schedule": {"Type", "CronExpression", "DayOfWeek", "Delay", "Hour", "Interval"}
    | {"RunImmediately"},
    "Configuration": {"Dashboard", "QueryList", "Annotations", "AutoAnnotation", "Condition"}
    | {"GroupConfiguration", "JoinConfigurations", "Labels", "MuteUntil", "NoDataFire"}
    | {"NoDataSeverity", "NotificationList", "NotifyThreshold", "PolicyConfiguration"}
    | {"SendResolved", "SeverityConfigurations", "Threshold", "Throttling", "Type", "Version"},
    "QueryList": {"End", "Query", "Start", "TimeSpanType", "ChartTitle", "DashboardId", "LogStore"}
    | {"PowerSqlMode", "Project", "Region", "RoleArn", "Store", "StoreType"},
    "SeverityConfigurations": {"Severity", "EvalCondition"},
    "EvalCondition": {"Condition", "CountCondition"},
    "GroupConfiguration": {"Type", "Fields"},
    "PolicyConfiguration": {"ActionPolicyId", "AlertPolicyId", "RepeatInterval", "UseDefault"},
    "Labels": {"Key", "Value"},
    "Annotations": {"Key", "Value"},
}


def unknown(name, value):
    if isinstance(value, list):
        return [fault for one in value for fault in unknown(name, one)]
    if not isinstance(value, dict) or value.keys() == {"Ref"}:
        return []
    faults = [
        f"{name}.{key}" for key in value if name in PROPERTIES and key not in PROPERTIES[name]
    ]
    return faults + [fault for key, one in value.items() for fault in unknown(key, one)]


def test_the_stack_is_what_its_parts_say_and_has_no_property_that_ros_lacks():
    text = (HERE / "stack.json").read_text("utf-8")
    assert text == template(), "python -m observability writes it anew"
    for name, resource in json.loads(text)["Resources"].items():
        if resource["Type"] == "ALIYUN::SLS::Alert":
            assert name.isalnum()
            assert unknown("Detail", resource["Properties"]["Detail"]) == []
            assert 1 <= len(resource["Properties"]["Detail"]["DisplayName"]) <= 64


def test_no_query_is_without_a_use():
    used = {alarm["query"] for alarm in ALARMS.values()}
    shown = {name for name, query in QUERIES.items() if query["chart"] != "none"}
    assert set(QUERIES) - used - shown == {"one_request"}


def test_no_line_names_who_has_asked():
    asked = json.loads((ROOT / "events" / "requests" / "grant_vpc.json").read_text())
    assert asked["requester"] not in json.dumps(lines(), ensure_ascii=False)
