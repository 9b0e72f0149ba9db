"""One ticket for many instances, through the wire."""

from __future__ import annotations

from simulation.wire.system import WireSystem

BOTH = {"vpc-bp1payments0test", "vpc-bp1factory00plc"}


def standing(system):
    return {grant.subject.instance_id for grant in system.cloud.ecr.grants()}


def parts(system, request_id="CHG-1010"):
    told = [one for one in system.results if one["request_id"] == request_id][-1]
    return {one["instance_id"]: (one["outcome"], one.get("code")) for one in told["parts"]}


def test_one_ticket_has_a_result_for_each_instance_and_one_for_itself(tmp_path):
    with WireSystem(tmp_path) as system:
        system.post("grant_bundle")
        system.settle()
        assert set(system.outcomes("CHG-1010")) == {"completed"}
        assert parts(system) == dict.fromkeys(BOTH, ("attached", None))
        assert standing(system) == BOTH
        of_parts = [one for one in system.results if one.get("part_of") == "CHG-1010"]
        assert sorted(one["outcome"] for one in of_parts) == ["attached"] * 2 + ["granted"] * 2


def test_the_same_bundle_twice_is_answered_twice_and_done_once(tmp_path):
    with WireSystem(tmp_path) as system:
        system.post("grant_bundle")
        system.settle()
        before = system.calls("ecr").count("GrantInstanceToExpressConnectRouter")
        system.post("grant_bundle")
        system.settle()
        assert system.outcomes("CHG-1010") == ["completed", "completed"]
        assert system.calls("ecr").count("GrantInstanceToExpressConnectRouter") == before


def test_a_bundles_id_used_for_something_else_is_rejected(tmp_path):
    with WireSystem(tmp_path) as system:
        system.post("grant_bundle")
        system.settle()
        system.post("grant_bundle", reason="Another")
        system.post("grant_vpc", request_id="CHG-1010")
        system.settle()
        codes = [one.get("problem", {}).get("code") for one in system.results]
        assert codes.count("request_id_reused") == 2


def test_all_or_nothing_begins_nothing_where_the_registry_refuses_one(tmp_path):
    with WireSystem(tmp_path) as system:
        system.post("grant_bundle", ecr_id="ecr-sg3edge8wv5n2")
        system.settle()
        assert set(system.outcomes("CHG-1010")) == {"rejected"}
        assert not standing(system)
        assert "GrantInstanceToExpressConnectRouter" not in system.calls("ecr")


def test_all_or_nothing_takes_back_what_stands_where_the_cloud_refuses_one(tmp_path):
    with WireSystem(tmp_path) as system:
        factory = next(one for one in system.cloud.world.accounts if one.uid == "3000400050006000")
        factory.vpcs.clear()
        system.post("grant_bundle")
        system.settle()
        assert set(system.outcomes("CHG-1010")) == {"failed"}
        assert parts(system)["vpc-bp1payments0test"] == ("revoked", None)
        assert not standing(system)


def test_best_effort_keeps_what_came(tmp_path):
    with WireSystem(tmp_path) as system:
        factory = next(one for one in system.cloud.world.accounts if one.uid == "3000400050006000")
        factory.vpcs.clear()
        system.post("grant_bundle", mode="best_effort")
        system.settle()
        assert set(system.outcomes("CHG-1010")) == {"partial"}
        assert standing(system) == {"vpc-bp1payments0test"}


def test_a_bundle_is_revoked_by_its_id(tmp_path):
    with WireSystem(tmp_path) as system:
        system.post("grant_bundle")
        system.settle()
        given = {"mode": "best_effort", "expires_at": None, "lease": "CHG-1010"}
        system.post("grant_bundle", request_id="R-10", action="revoke", **given)
        system.settle()
        assert set(system.outcomes("R-10")) == {"completed"}
        assert not standing(system)
