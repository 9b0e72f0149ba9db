"""A running stand-in with the demo's world, and the official SDKs pointed at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from alibabacloud_expressconnectrouter20230901.client import Client as EcrClient
from alibabacloud_sts20150401.client import Client as StsClient
from alibabacloud_tea_openapi.utils_models import Config
from alibabacloud_vpc20160428.client import Client as VpcClient

from localcloud import worldfile
from localcloud.clock import VirtualClock
from localcloud.server import LocalCloud

ROOT = Path(__file__).parents[2]
A, B, FACTORY = "1000200030004000", "2000300040005000", "3000400050006000"
ECR = "ecr-hz7core4qk2m1"
VPC = "vpc-bp1payments0main"
CLIENTS = {"ecr": EcrClient, "sts": StsClient, "vpc": VpcClient}


class Sdk:
    """SDK clients of one stand-in."""

    def __init__(self, local):
        self.local = local
        self.cloud = local.cloud

    def config(self, key, secret, token=None):
        return Config(
            access_key_id=key,
            access_key_secret=secret,
            security_token=token,
            endpoint=self.local.endpoint,
            protocol="HTTP",
            region_id="cn-hangzhou",
        )

    def as_root(self, product, uid):
        """A client with the account's own key, which may do all within the account."""
        return CLIENTS[product](self.config(*self.cloud.identity.root_key(uid)))

    def as_role(self, product, arn):
        """A client with the credentials that Function Compute gives a role."""
        given = self.cloud.identity.service_session(arn, "fc.aliyuncs.com", "test", 3600)
        return CLIENTS[product](self.config(given.access_key_id, given.secret, given.token))

    def with_key(self, product, key, secret, token=None):
        return CLIENTS[product](self.config(key, secret, token))


@pytest.fixture
def clock():
    return VirtualClock(__import__("time").time())


@pytest.fixture
def world():
    return worldfile.load(ROOT / "demo" / "world.yaml")


@pytest.fixture
def sdk(world, clock):
    with LocalCloud(world, clock=clock) as local:
        yield Sdk(local)
