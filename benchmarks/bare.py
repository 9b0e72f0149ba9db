"""What one would write instead: the same SDK calls in a row, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from alibabacloud_expressconnectrouter20230901 import models as ecr
from alibabacloud_expressconnectrouter20230901.client import Client as EcrClient
from alibabacloud_sts20150401.client import Client as StsClient
from alibabacloud_sts20150401.models import AssumeRoleRequest
from alibabacloud_tea_openapi.utils_models import Config
from mns.account import Account
from mns.queue import Message
from mns.topic import TopicMessage
from pydantic import SecretStr

from shared.external_ids import external_id

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT_A, ACCOUNT_B = "1000200030004000", "2000300040005000"
ECR, REGION = "ecr-hz7core4qk2m1", "cn-hangzhou"


class Bare:
    """A script that grants and associates, one call after the other."""

    CALLS: ClassVar = {
        "authorize": ("AssumeRole", "Grant", "Publish"),
        "attach": ("Create", "SendMessage", "Describe", "Publish"),
    }

    def __init__(self, url: str, environ: Mapping[str, str], key: str) -> None:
        self._endpoint = urlsplit(url).netloc
        self._key = environ["ALIBABA_CLOUD_ACCESS_KEY_ID"]
        self._secret = environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
        self._external_id = external_id(SecretStr(key), ACCOUNT_B).get_secret_value()
        self._mns = Account(url, self._key, self._secret)

    def _config(self, key: str, secret: str, token: str | None = None) -> Config:
        return Config(
            access_key_id=key,
            access_key_secret=secret,
            security_token=token,
            endpoint=self._endpoint,
            protocol="HTTP",
            region_id=REGION,
        )

    def authorize(self, vpc: str) -> None:
        """Assume account B's role, grant, publish."""
        policy = {
            "Version": "1",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "expressconnectrouter:GrantInstanceToExpressConnectRouter",
                    "Resource": f"acs:vpc:{REGION}:{ACCOUNT_B}:vpc/{vpc}",
                }
            ],
        }
        sts = StsClient(self._config(self._key, self._secret))
        given = sts.assume_role(
            AssumeRoleRequest(
                role_arn=f"acs:ram::{ACCOUNT_B}:role/ecr-authorization",
                role_session_name=f"bare-{vpc}",
                external_id=self._external_id,
                policy=json.dumps(policy),
                duration_seconds=900,
            )
        ).body.credentials
        client = EcrClient(
            self._config(given.access_key_id, given.access_key_secret, given.security_token)
        )
        client.grant_instance_to_express_connect_router(
            ecr.GrantInstanceToExpressConnectRouterRequest(
                ecr_id=ECR,
                ecr_owner_ali_uid=int(ACCOUNT_A),
                instance_id=vpc,
                instance_region_id=REGION,
                instance_type="VPC",
                client_token=f"bare-grant-{vpc}",
            )
        )
        self._publish({"request_id": vpc, "outcome": "granted"})

    def attach(self, vpc: str) -> None:
        """Associate, put the follow-up on the queue, look, publish."""
        client = EcrClient(self._config(self._key, self._secret))
        client.create_express_connect_router_association(
            ecr.CreateExpressConnectRouterAssociationRequest(
                ecr_id=ECR,
                association_region_id=REGION,
                vpc_id=vpc,
                vpc_owner_id=int(ACCOUNT_B),
                client_token=f"bare-associate-{vpc}",
            )
        )
        self._mns.get_queue("ecr-attachments").send_message(Message(json.dumps({"vpc": vpc}), 5))
        client.describe_express_connect_router_association(
            ecr.DescribeExpressConnectRouterAssociationRequest(ecr_id=ECR, vpc_id=vpc)
        )
        self._publish({"request_id": vpc, "outcome": "attached"})

    def _publish(self, body: dict[str, Any]) -> None:
        topic = self._mns.get_topic("ecr-results")
        topic.publish_message(TopicMessage(json.dumps(body), body["outcome"]))
