"""What is published is what the models say, and no change breaks who works with a version of it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import Field, TypeAdapter
from pydantic import ValidationError as Unfit

from contracts.__main__ import documents
from contracts.compat import beyond, changes
from contracts.schemas import MODELS, schema
from contracts.versions import current, folder, released, schemas_of, version, wrong
from shared.contract import read_bundle, read_request, read_result

ROOT = Path(__file__).parents[2]
REQUESTS = sorted((ROOT / "events" / "requests").glob("*.json"))
NOW = {name: schema(name) for name in MODELS}
DOCUMENTS = documents()


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Any:
    """Python's `re` does not know \\p{C}; the engine of the models does."""
    if isinstance(instance, str):
        try:
            TypeAdapter(Annotated[str, Field(pattern=pattern)]).validate_python(instance)
        except Unfit:
            yield ValidationError(f"does not match {pattern}")


Validator = extend(Draft202012Validator, {"pattern": _pattern})


def sample(path):
    return json.loads(path.read_text())


# What is published --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_published_is_what_the_models_say(name):
    assert sample(ROOT / "contracts" / name) == DOCUMENTS[name], "run `make contracts`"


@pytest.mark.parametrize("name", MODELS)
def test_a_published_schema_is_one(name):
    Draft202012Validator.check_schema(NOW[name], format_checker=None)  # see `_pattern`
    assert NOW[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_the_schemas_take_every_sample_and_not_the_malformed_one(path):
    document = sample(path)
    validator = Validator(NOW["bundle" if "instances" in document else "request"])
    assert validator.is_valid(document) == (path.stem != "malformed")


def test_the_schema_of_results_takes_the_sample_and_what_a_later_version_adds():
    document = sample(ROOT / "events" / "result_granted.json")
    Validator(NOW["result"]).validate(document)
    later = {**document, "more": 1, "data": {**document["data"], "more": 1}}
    Validator(NOW["result"]).validate(later)
    assert not Validator(NOW["result"]).is_valid({**document, "specversion": "2.0"})


def test_openapi_is_valid_where_intake_has_its_document():
    if "openapi.json" not in DOCUMENTS:
        pytest.skip("intake is not there")
    assert DOCUMENTS["openapi.json"]["openapi"].startswith("3.1")
    known = json.dumps(DOCUMENTS["openapi.json"]).replace(r"\\p{", "{")  # see `_pattern`
    OpenAPIV31SpecValidator(json.loads(known)).validate()


# AsyncAPI: what its specification (3.0.0) asks of a document --------------------------------------

ASYNC = DOCUMENTS["asyncapi.json"]


def referred(reference):
    """What a reference within the document points at."""
    found = ASYNC
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def references(part):
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def test_asyncapi_has_what_is_required_and_nothing_that_is_not_in_its_specification():
    assert ASYNC["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= ASYNC["info"].keys()
    assert ASYNC.keys() <= {
        "asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations",
        "components",
    }  # fmt: skip
    assert all({"host", "protocol"} <= one.keys() for one in ASYNC["servers"].values())
    for server in ASYNC["servers"].values():
        named = {part.split("}")[0] for part in server["host"].split("{")[1:]}
        assert named == server["variables"].keys()
    assert ASYNC["channels"].keys() == {"requests", "results", "ticketingResults"}
    for one in ASYNC["operations"].values():
        assert one["action"] in ("send", "receive")
        assert {"action", "channel"} <= one.keys()
    schema_names = ASYNC["components"]["schemas"]
    assert {"Request", "Bundle", "Result"} <= schema_names.keys()


def test_each_reference_of_asyncapi_points_at_something_of_its_kind():
    for reference in references(ASYNC):
        assert reference.startswith("#/")
        assert isinstance(referred(reference), dict)
    for channel in ASYNC["channels"].values():
        for server in channel["servers"]:
            assert server["$ref"].startswith("#/servers/")
        for message in channel["messages"].values():
            assert message["$ref"].startswith("#/components/messages/")
    for operation in ASYNC["operations"].values():
        channel = operation["channel"]["$ref"]
        assert channel.startswith("#/channels/")
        # The messages of an operation are those of its channel, by their place in the channel.
        assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])


def test_each_example_of_asyncapi_is_of_its_messages_schema():
    taken = 0
    for message in ASYNC["components"]["messages"].values():
        payload = {**message["payload"], "components": ASYNC["components"]}
        for example in message["examples"]:
            assert example.keys() == {"name", "payload"}
            Validator(payload).validate(example["payload"])
            taken += 1
    assert taken == len(REQUESTS)


# Versions -----------------------------------------------------------------------------------------


def test_the_version_says_what_has_changed_since_each_release():
    faults = wrong(current(), released(), NOW)
    assert faults == [], "raise contracts/VERSION, then `python -m contracts release`"


@pytest.mark.parametrize("of", released(), ids=str)
def test_what_a_released_version_has_sent_is_still_taken(of):
    paths = sorted((folder(of) / "samples" / "requests").glob("*.json"))
    assert len(paths) > 5
    for path in paths:
        document = sample(path)
        is_bundle = "instances" in document
        (read_bundle if is_bundle else read_request)(document)
        Validator(NOW["bundle" if is_bundle else "request"]).validate(document)
        Validator(schemas_of(of)["bundle" if is_bundle else "request"]).validate(document)


@pytest.mark.parametrize("of", released(), ids=str)
def test_what_is_sent_now_is_what_who_works_with_a_released_version_expects(of):
    """They pass over what they do not know, as contracts/README.md has them do."""
    for path in sorted((folder(of) / "samples" / "results").glob("*.json")):
        read_result(sample(path))
    open_ = json.loads(
        json.dumps(schemas_of(of)["result"]).replace('"additionalProperties": false, ', "")
    )
    assert "additionalProperties" not in json.dumps(open_)
    Validator(open_).validate(sample(ROOT / "events" / "result_granted.json"))


def test_an_older_version_is_one_number_before_another():
    assert version("1.10\n") > version("1.9")
    assert released()[0] == (1, 0)


# The checker: each kind of break ------------------------------------------------------------------


def with_change(name, change):
    changed = deepcopy(NOW[name])
    change(changed)
    return changed


def weights(name, change):
    found = changes(NOW[name], with_change(name, change), MODELS[name][1])
    return {one.weight for one in found}


def parts(document):
    return document["properties"]


ACCEPTED_BREAKS = {
    "requires more": lambda d: d["required"].append("reason"),
    "drops a property": lambda d: parts(d).pop("reason"),
    "narrows an enum": lambda d: parts(d)["instance_type"]["enum"].remove("VBR"),
    "an enum becomes one word": lambda d: parts(d)["action"].update(enum=["grant"]),
    "changes a pattern": lambda d: parts(d)["ecr_id"].update(pattern="^ecr-[a-z0-9]{17}$"),
    "adds a pattern": lambda d: parts(d)["lease"]["anyOf"][0].update(pattern="^x"),
    "takes null no more": lambda d: parts(d)["reason"]["anyOf"].pop(),
    "takes another type": lambda d: parts(d)["attach"].update(type="string"),
    "shortens a text": lambda d: parts(d)["reason"]["anyOf"][0].update(maxLength=100),
    "lengthens the least": lambda d: parts(d)["reason"]["anyOf"][0].update(minLength=5),
    "asks for a format": lambda d: parts(d)["ticket"].update(format="uuid"),
    "a definition narrows": lambda d: d["$defs"]["Approval"]["properties"]["state"]["enum"].pop(),
    "a definition requires more": lambda d: d["$defs"]["Callback"]["required"].append("language"),
    "a word that it cannot compare": lambda d: parts(d)["ticket"].update(contentEncoding="base64"),
}


@pytest.mark.parametrize("change", ACCEPTED_BREAKS)
def test_what_is_accepted_may_not_be_less(change):
    assert "major" in weights("request", ACCEPTED_BREAKS[change])


ACCEPTED_ADDITIONS = {
    "a property that may be left out": lambda d: parts(d).update(more={"type": "string"}),
    "a word of a list": lambda d: parts(d)["instance_type"]["enum"].append("TR"),
    "requires less": lambda d: d["required"].remove("ticket"),
    "a longer text": lambda d: parts(d)["reason"]["anyOf"][0].update(maxLength=400),
    "null as well": lambda d: parts(d).update(
        ticket={"anyOf": [parts(d)["ticket"], {"type": "null"}]}
    ),
    "no pattern": lambda d: parts(d)["ecr_id"].pop("pattern"),
}


@pytest.mark.parametrize("change", ACCEPTED_ADDITIONS)
def test_what_is_accepted_may_be_more_with_a_minor_version(change):
    assert weights("request", ACCEPTED_ADDITIONS[change]) == {"minor"}


EMITTED_BREAKS = {
    "drops what was always there": lambda d: (
        d["$defs"]["ResultBody"]["properties"].pop("final"),
        d["$defs"]["ResultBody"]["required"].remove("final"),
    ),
    "leaves out what was always there": lambda d: d["required"].remove("time"),
    "drops what was there at times": lambda d: d["$defs"]["ResultBody"]["properties"].pop(
        "problem"
    ),
    "another type": lambda d: d["$defs"]["ResultBody"]["properties"]["final"].update(type="string"),
    "null where none was": lambda d: parts(d).update(
        id={"anyOf": [{"type": "string"}, {"type": "null"}]}
    ),
    "another pattern": lambda d: parts(d)["type"].update(pattern="^x"),
    "another constant's type": lambda d: parts(d)["specversion"].update(const=1, type="integer"),
    "an open text for a list of words": lambda d: d["$defs"]["ResultBody"]["properties"].update(
        outcome={"type": "string"}
    ),
}


@pytest.mark.parametrize("change", EMITTED_BREAKS)
def test_what_is_emitted_may_not_lose_or_change_what_others_read(change):
    assert "major" in weights("result", EMITTED_BREAKS[change])


def _words_of(document):
    found = document["$defs"]["ResultBody"]["properties"]["outcome"]
    return found["enum"] if "enum" in found else document["$defs"]["Outcome"]["enum"]


EMITTED_ADDITIONS = {
    "a new word of a list": lambda d: _words_of(d).append("paused"),
    "a new property": lambda d: parts(d).update(more={"type": "string"}),
    "a new property that is always there": lambda d: (
        parts(d).update(more={"type": "string"}),
        d["required"].append("more"),
    ),
    "always, what was there at times": lambda d: d["$defs"]["ResultBody"]["required"].append(
        "ticket"
    ),
}


@pytest.mark.parametrize("change", EMITTED_ADDITIONS)
def test_what_is_emitted_may_be_more_with_a_minor_version(change):
    found = weights("result", EMITTED_ADDITIONS[change])
    assert found <= {"minor"}
    assert found or change == "a new property"


def test_notes_are_no_change():
    def noted(document):
        document["title"] = document["description"] = "Another"
        parts(document)["ticket"]["examples"] = ["CHG-1"]

    assert weights("request", noted) == set()
    assert beyond(NOW["result"], deepcopy(NOW["result"])) == []


@pytest.mark.parametrize(
    ("stated", "change", "is_wrong"),
    [
        ((1, 1), lambda _: None, False),
        ((1, 1), ACCEPTED_ADDITIONS["a word of a list"], True),
        ((1, 2), ACCEPTED_ADDITIONS["a word of a list"], False),
        ((1, 2), ACCEPTED_BREAKS["requires more"], True),
        ((2, 0), ACCEPTED_BREAKS["requires more"], False),
        ((1, 0), lambda _: None, True),
    ],
)
def test_a_version_must_be_raised_by_what_has_changed(stated, change, is_wrong):
    now = {**{name: schemas_of((1, 1))[name] for name in MODELS}}
    now["request"] = deepcopy(now["request"])
    change(now["request"])
    assert bool(wrong(stated, [(1, 0), (1, 1)], now)) == is_wrong
