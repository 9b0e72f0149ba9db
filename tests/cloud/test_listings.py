"""Account A's listings through the SDK: pages that break off, loop or repeat; forms that differ."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from alibabacloud_expressconnectrouter20230901 import models
from alibabacloud_expressconnectrouter20230901.client import Client
from pydantic import SecretStr

from localcloud import worldfile
from localcloud.ecr.state import Subject
from localcloud.server import LocalCloud
from shared.cloud import sdk
from shared.cloud.credentials import Credentials
from shared.cloud.errors import NotNow, OutcomeUnknown
from shared.cloud.listings import Listings
from shared.cloud.network import Network
from shared.cloud.times import readable_time
from shared.contract import AuthorizationId

ROOT = Path(__file__).parents[2]
A, B, ECR = "1000200030004000", "2000300040005000", "ecr-hz7core4qk2m1"
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=timezone.utc)
KEYS = Credentials("LTAI-test", SecretStr("secret"), SecretStr("token"))
GRANTED = "DescribeInstanceGrantedToExpressConnectRouter"
ATTACHED = "DescribeExpressConnectRouterAssociation"
CHILDREN = "DescribeExpressConnectRouterChildInstance"


def of(number=1, kind="VPC"):
    return AuthorizationId(
        ecr_id=ECR,
        ecr_owner_uid=A,
        instance_id=f"{kind.lower()}-bp1row{number:06d}",
        instance_type=kind,
        instance_region_id="cn-hangzhou",
        instance_owner_uid=B,
    )


def granted(number=1, created="1763971200000", **changes):
    row = {
        "GrantId": f"g-{number}",
        "Status": "Active",
        "GmtCreate": created,
        "EcrId": ECR,
        "EcrOwnerAliUid": A,
        "NodeId": of(number).instance_id,
        "NodeType": "VPC",
        "NodeRegionId": "cn-hangzhou",
        "NodeOwnerUid": int(B),
    }
    return {**row, **changes}


def attached(number=1, status="ACTIVE", association_id=None):
    return {
        "AssociationId": association_id or f"ecr-assoc-{number}",
        "EcrId": ECR,
        "RegionId": "cn-hangzhou",
        "VpcId": of(number).instance_id,
        "VpcOwnerId": int(B),
        "Status": status,
    }


LISTS = {
    GRANTED: "EcrGrantedInstanceList",
    ATTACHED: "AssociationList",
    CHILDREN: "ChildInstanceList",
}


class Pages:
    """A server that answers each action from a script: (rows, next token), or a status."""

    def __init__(self):
        self.script = {}
        self.asked = []
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                form = parse_qs(self.rfile.read(length).decode() or urlsplit(self.path).query)
                status, body = pages.answer(self.headers["x-acs-action"], form)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_):
                """Quietly."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, action, form):
        token = form.get("NextToken", [""])[0]
        self.asked.append((action, token))
        found = self.script.get(action, {}).get(token, ([], None))
        if isinstance(found, tuple) and isinstance(found[0], int):
            return found[0], {"Code": found[1], "Message": "no", "RequestId": "R"}
        rows, after = found
        body = {"Success": True, "RequestId": "R", LISTS[action]: rows}
        return 200, {**body, **({"NextToken": after} if after else {})}


@pytest.fixture
def pages():
    served = Pages()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.05,))
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def show(pages):
    return Listings(pages.url, "cn-hangzhou").show(KEYS, ECR, A, NOW)


def test_all_pages_of_all_listings_make_one_view(pages):
    pages.script[GRANTED] = {"": ([granted(1)], "two"), "two": ([granted(2)], None)}
    pages.script[ATTACHED] = {"": ([attached(1)], "two"), "two": ([attached(2)], None)}
    shown = show(pages)
    assert shown.grants.keys() == {of(1).key, of(2).key}
    assert shown.associations == {of(n).key: (f"ecr-assoc-{n}",) for n in (1, 2)}


@pytest.mark.parametrize("action", [GRANTED, ATTACHED, CHILDREN])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [((503, "ServiceUnavailable"), OutcomeUnknown), ((400, "Throttling.User"), NotNow)],
)
def test_a_page_that_fails_half_way_leaves_nothing_that_could_be_taken_for_the_whole(
    pages, action, answer, kind
):
    first = {GRANTED: granted(), ATTACHED: attached()}.get(action)
    pages.script[action] = {"": ([first] if first else [], "two"), "two": answer}
    with pytest.raises(kind):
        show(pages)


def test_a_next_token_that_loops_is_no_answer(pages):
    pages.script[GRANTED] = {
        "": ([granted(1)], "two"),
        "two": ([granted(2)], "three"),
        "three": ([granted(3)], "two"),
    }
    with pytest.raises(OutcomeUnknown, match="PageRepeated"):
        show(pages)
    assert len(pages.asked) == 3


def test_a_listing_that_never_ends_is_no_answer(pages):
    class Endless(dict):
        def get(self, token, _=None):
            return [granted(1)], f"after-{len(pages.asked)}"

    pages.script[GRANTED] = Endless()
    client = Client(sdk.config(KEYS, pages.url, "cn-hangzhou"))
    operation = client.describe_instance_granted_to_express_connect_router_with_options
    request = models.DescribeInstanceGrantedToExpressConnectRouterRequest(ecr_id=ECR)
    with pytest.raises(OutcomeUnknown, match="TooManyPages"):
        list(sdk.rows(operation, request, "ecr_granted_instance_list", most_pages=30))
    assert len(pages.asked) == 30


def test_a_row_that_two_pages_repeat_is_one(pages):
    pages.script[GRANTED] = {"": ([granted(1)], "two"), "two": ([granted(1)], None)}
    pages.script[ATTACHED] = {"": ([attached(1)], "two"), "two": ([attached(1)], None)}
    shown = show(pages)
    assert (shown.rows, shown.associations[of(1).key]) == (1, ("ecr-assoc-1",))


def test_two_associations_of_one_instance_are_two(pages):
    pages.script[ATTACHED] = {"": ([attached(1), attached(1, association_id="ecr-assoc-9")], None)}
    assert len(show(pages).associations[of(1).key]) == 2


@pytest.mark.parametrize("status", ["ACTIVE", "Active", "active", "Available", "CREATING"])
def test_a_status_in_any_case_is_there(pages, status):
    pages.script[GRANTED] = {"": ([granted(1, Status=status)], None)}
    pages.script[ATTACHED] = {"": ([attached(1, status)], None)}
    assert (len(show(pages).grants), len(show(pages).associations)) == (1, 1)


@pytest.mark.parametrize("status", ["DELETING", "Deleting", "dissociating"])
def test_a_status_in_any_case_is_going(pages, status):
    pages.script[ATTACHED] = {"": ([attached(1, status)], None)}
    assert show(pages).associations == {}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1763971200000", datetime(2025, 11, 24, 8, tzinfo=timezone.utc)),
        (1763971200000, datetime(2025, 11, 24, 8, tzinfo=timezone.utc)),
        ("2025-11-24T08:00:00Z", datetime(2025, 11, 24, 8, tzinfo=timezone.utc)),
        ("2025-11-24T16:00:00+08:00", datetime(2025, 11, 24, 8, tzinfo=timezone.utc)),
        ("yesterday", None),
        (None, None),
        ("9" * 40, None),
    ],
)
def test_a_time_in_any_of_their_forms_is_one_moment_and_an_unreadable_one_is_none(written, read):
    assert readable_time(written) == read


def test_a_grant_whose_time_cannot_be_read_is_a_grant(pages):
    pages.script[GRANTED] = {"": ([granted(1, created="soon")], None)}
    assert show(pages).grants == {of(1).key: None}


def test_a_row_that_is_nothing_that_we_know_is_named_and_hides_no_other(pages):
    strange = granted(2, NodeType="TR", NodeId="tr-bp1strange")
    pages.script[GRANTED] = {"": ([strange, granted(1)], None)}
    shown = show(pages)
    assert (list(shown.grants), shown.unreadable) == ([of(1).key], ["g-2"])


def test_no_grant_at_all_is_a_whole_view(pages):
    shown = show(pages)
    assert (shown.rows, shown.is_whole) == (0, True)


def test_one_ecr_with_20000_grants_is_shown_whole(pages):
    """Each of its 200 pages is asked for once."""

    class Many(dict):
        def get(self, token, _=None):
            start = int(token or 0)
            rows = [granted(number) for number in range(start, start + 100)]
            return rows, str(start + 100) if start + 100 < 20000 else None

    pages.script[GRANTED] = Many()
    assert show(pages).rows == 20000
    assert len([action for action, _ in pages.asked if action == GRANTED]) == 200


def test_both_accounts_tell_of_one_grant_in_their_own_words_and_it_is_one():
    """A says Node and milliseconds; B says Instance and ISO 8601: the key and the moment agree."""
    with LocalCloud(worldfile.load(ROOT / "demo" / "world.yaml")) as local:
        for kind, owner, name in (
            ("VPC", B, "vpc-bp1payments0main"),
            ("VBR", "3000400050006000", "vbr-bp1factory0line1"),
        ):
            subject = Subject(ECR, A, name, kind, "cn-hangzhou")
            local.cloud.ecr.grant(subject, owner)
            key, secret = local.cloud.identity.root_key(A)
            own = Credentials(key, SecretStr(secret), SecretStr(""))
            shown = Listings(local.url, "cn-hangzhou").show(own, ECR, A, NOW)
            (listed,) = [one for one in shown.grants if name in one]
            key, secret = local.cloud.identity.root_key(owner)
            theirs = Credentials(key, SecretStr(secret), SecretStr(""))
            its = AuthorizationId.of_key(listed)
            at = Network(local.url).authorized_at(theirs, its)
            assert abs(at - shown.grants[listed]) < timedelta(seconds=1.5)
