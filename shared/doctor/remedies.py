"""Each finding by its id: its level, what is there, why it matters, what mends it."""

from __future__ import annotations

from typing import Final, Literal

from shared.onboarding import TEMPLATE_A, TEMPLATE_B

SKEW_SECONDS: Final = 60

_STACK_B: Final = (
    f"deploy {TEMPLATE_B} there: `ecrauth account add {{about}} --stack-b STACK_ID` prints the call"
)
_STACK_A: Final = (
    f"deploy {TEMPLATE_A} again: `ecrauth account add UID --stack-a STACK_ID` prints, as step 2, "
    "the call with all roles"
)
_AGAIN: Final = "ask again: `ecrauth doctor --account {about}`"
_FAIL: Final = "Requests for the account's instances fail."
_OPEN: Final = (
    "Whoever gets account A's function to ask could be led into this account by another's request "
    "(confused deputy)."
)

_MORE_VPCS: Final = (
    "end leases that none needs (`ecrauth list --ecr {about}`), or apply for more in Quota Center "
    "(https://quotas.console.aliyun.com, General Quotas, Express Connect), then put the new number "
    "as vpc_quota of {about} into registry.yaml"
)

EXPLAINED: Final[
    dict[str, tuple[Literal["ok", "warning", "problem", "unknown"], str, str, str]]
] = {
    "role_missing": (
        "problem",
        "the role that registry.yaml names does not exist",
        _FAIL,
        "run there what `ecrauth account add {about}` prints as step 3",
    ),
    "role_not_trusting": (
        "problem",
        "the role does not let the authorize function in ({code})",
        _FAIL,
        "compare the trust policy's principal and ExternalId; " + _STACK_B + "; and account A's "
        "stack must list the role (RolesB): step 2 of what it prints",
    ),
    "account_not_asked": (
        "unknown",
        "the role could not be asked for ({code})",
        "Whether requests succeed is not known.",
        _AGAIN,
    ),
    "not_deployed": (
        "problem",
        "the deployed function's registry.yaml does not have the account",
        _FAIL,
        "`make check && make package && s deploy`",
    ),
    "open_without_external_id": (
        "warning",
        "the role lets the authorize function in without an ExternalId",
        _OPEN,
        _STACK_B,
    ),
    "open_to_any_id": (
        "warning",
        "the role lets the authorize function in with an ExternalId of no account",
        _OPEN,
        _STACK_B,
    ),
    "trust_not_asked": (
        "unknown",
        "whether the role refuses a wrong ExternalId could not be asked ({code})",
        _OPEN,
        _AGAIN,
    ),
    "grant_denied": (
        "problem",
        "the role may not grant a {kind} ({code})",
        "Tickets for it fail.",
        _STACK_B,
    ),
    "revoke_denied": (
        "problem",
        "the role may not revoke the grant of a {kind} ({code})",
        "What is granted cannot be taken away again: access outlives its lease.",
        _STACK_B,
    ),
    "look_denied": (
        "problem",
        "the role may not look at the grants of a {kind} ({code})",
        "No revoke is ever told as done: nobody can see that the grant is gone.",
        _STACK_B,
    ),
    "ecr_refused": (
        "problem",
        "account B is told that the ECR is not account A's, or does not exist ({code})",
        _FAIL,
        "mend the ECR's id and owner in registry.yaml, then `make check && s deploy`",
    ),
    "permission_not_asked": (
        "unknown",
        "{purpose} of a {kind} could not be tried ({code})",
        "Whether requests succeed is not known.",
        _AGAIN,
    ),
    "region_unreachable": (
        "problem",
        "{region} is not served ({code})",
        "Tickets for instances there fail.",
        "take {region} out of the account's `regions` in registry.yaml, then `s deploy`",
    ),
    "region_not_asked": (
        "unknown",
        "{region} did not answer ({code})",
        "Whether requests for instances there succeed is not known.",
        _AGAIN,
    ),
    "vbr_not_enabled": (
        "problem",
        "registry.yaml has cross_account_vbr, and the cloud refuses {vbr} ({code})",
        "Tickets for the account's VBRs are taken and then fail.",
        "have the customer manager enable them, or take cross_account_vbr out of registry.yaml",
    ),
    "vbr_not_registered": (
        "warning",
        "the cloud would take {vbr}, and registry.yaml has no cross_account_vbr",
        "Tickets for the account's VBRs are rejected though they need not be.",
        "put `cross_account_vbr: {{proof: …}}` under the account in registry.yaml, then `s deploy`",
    ),
    "clock_skewed": (
        "warning",
        "the function's clock is {seconds} s ahead of the cloud's",
        "From 900 s on the cloud refuses every call; leases end at the wrong time before.",
        "the clock is the platform's: open a support case; on an own machine `chronyc makestep`",
    ),
    "clock_not_asked": (
        "unknown",
        "STS did not say what time it is ({code})",
        "From 900 s of difference on the cloud refuses every call.",
        "ask again: `ecrauth doctor`",
    ),
    "function_not_answering": (
        "problem",
        "{about} cannot be invoked ({code})",
        "Nothing is granted or revoked, and no account B can be asked.",
        "`s deploy`; the key needs fc:InvokeFunction (user ecr-operator of " + TEMPLATE_A + ")",
    ),
    "ecr_missing": (
        "problem",
        "account A has no such ECR",
        "Every request for it fails.",
        "take it out of registry.yaml, or mend its id; then `make check && s deploy`",
    ),
    "ecr_not_ours": (
        "problem",
        "registry.yaml says that {owner} owns it, and the functions run in {account}",
        "Every association of it fails: account A's calls are of another account.",
        "mend owner_uid in registry.yaml, or FC_ACCOUNT_ID; then `make check && s deploy`",
    ),
    "ecr_not_asked": (
        "unknown",
        "the ECR could not be looked at ({code})",
        "Whether requests for it succeed is not known.",
        "ask again: `ecrauth doctor`",
    ),
    "vpc_quota_near": (
        "warning",
        "{count} VPCs stand on it, of the {quota} that registry.yaml has as its quota",
        "Beyond its quota an ECR refuses each VPC more: a ticket is granted, then fails at attach.",
        _MORE_VPCS,
    ),
    "vpc_quota_used_up": (
        "problem",
        "{count} VPCs stand on it, and {quota} is its quota",
        "The next VPC is granted, then refused (QuotaExceeded.VpcCountPerEcr): its ticket fails.",
        _MORE_VPCS,
    ),
    "vpcs_not_counted": (
        "unknown",
        "the VPCs that stand on it could not be counted ({code})",
        "Whether there is room for the next one is not known.",
        "ask again: `ecrauth doctor`",
    ),
    "writes_near_quota": (
        "warning",
        "{percent} % of the coming minute's calls of {api} are given out, {seconds} s ahead",
        "Nothing is lost and nothing refused; a new ticket waits until those before it have gone.",
        "let them go, and post later what can wait: 120 a minute is the quota that is documented",
    ),
    "queue_missing": ("problem", "the queue does not exist", "Messages are lost.", _STACK_A),
    "dead_letters": (
        "warning",
        "{count} messages lie there",
        "Nobody goes on with them; they are gone after seven days.",
        "`ecrauth dead-letters list --queue {about}`, then `redrive`",
    ),
    "topic_missing": (
        "problem",
        "the topic does not exist",
        "No result reaches anybody.",
        _STACK_A,
    ),
    "subscription_missing": (
        "problem",
        "the topic has no such subscription",
        "Results do not go on their way: what is granted is not attached, or nobody is told.",
        _STACK_A,
    ),
    "subscription_wrong": (
        "problem",
        "its {key} is {shown}, and is to be {wanted}",
        "Results go astray, or in a form that the functions do not read.",
        "delete the subscription in MNS's console, then " + _STACK_A,
    ),
    "timer_silent": (
        "problem",
        "the clean-up's last report is {minutes} minutes old",
        "Leases that are due do not end, and what lies is not picked up.",
        "`s deploy cleanup`, then look at the trigger every-ten-minutes and the function's log",
    ),
}
