"""The ECR API: each operation's checks, in the order in which the cloud makes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from localcloud import parameters
from localcloud.call import Call, CloudError, Operation, Product
from localcloud.ecr import listing
from localcloud.ecr.state import Association, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.cloud import Cloud
    from localcloud.ecr.state import Ecr
    from localcloud.world import Account, Vbr, Vpc
    from localcloud.world import Ecr as EcrInWorld

_INSTANCE_ID: Final = re.compile(r"(vpc|vbr)-[a-z0-9]+")
_TOKEN_LIMIT: Final = 64
_TYPES: Final = ("VPC", "VBR")


def product(cloud: Cloud) -> Product:
    """ECR as the wire dispatches to it."""
    api = _Api(cloud)
    operations = {
        "GrantInstanceToExpressConnectRouter": _write(api.grant, _on_instance, _instance_type),
        "RevokeInstanceFromExpressConnectRouter": _write(api.revoke, _on_instance, _instance_type),
        "CreateExpressConnectRouterAssociation": _write(api.create_association, _on_ecr),
        "DeleteExpressConnectRouterAssociation": _write(api.delete_association, _on_ecr),
        "AttachExpressConnectRouterChildInstance": _write(api.attach_child, _on_ecr),
        "DetachExpressConnectRouterChildInstance": _write(api.detach_child, _on_ecr),
    }
    return Product(
        code="expressconnectrouter",
        version="2023-09-01",
        envelope=True,
        operations={**operations, **listing.operations(cloud, api)},
    )


def _write(
    answer: Callable[[Call], dict[str, Any]],
    resources: Callable[[Call], list[str]],
    context: Callable[[Call], dict[str, str]] = lambda _: {},
) -> Operation:
    return Operation(
        answer=answer, resources=resources, context=context, quota="write", params_in="body"
    )


def _on_ecr(call: Call) -> list[str]:
    # ECR is global: its ARN has no region.
    owner, ecr_id = call.caller.account_uid, call.params.get("EcrId", "*")
    return [f"acs:expressconnectrouter::{owner}:expressconnectrouter/{ecr_id}"]


def _on_instance(call: Call) -> list[str]:
    region = call.params.get("InstanceRegionId", "*")
    place = f"{region}:{call.caller.account_uid}"
    instance = call.params.get("InstanceId", "*")
    if call.params.get("InstanceType") == "VBR":
        return [f"acs:expressconnect:{place}:virtualborderrouter/{instance}"]
    return [f"acs:vpc:{place}:vpc/{instance}"]


def _instance_type(call: Call) -> dict[str, str]:
    return {"InstanceType": call.params.get("InstanceType", "")}


class _Api:
    """The operations over the state."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    @property
    def _state(self) -> Ecr:
        return self._cloud.ecr

    # Account B --------------------------------------------------------------------------------

    def grant(self, call: Call) -> dict[str, Any]:
        """GrantInstanceToExpressConnectRouter."""
        subject = self._subject(call)

        def effect() -> dict[str, Any]:
            self._check_ecr(subject)
            owner = self._own_instance(call, subject)
            self._check_vbr(owner, subject, "grant")
            self._check_grant_lock(subject)
            known = any(one.subject == subject for one in self._state.grants())
            if known and self._cloud.behaviour.switches.grant_twice == "error":
                raise CloudError(400, "IllegalParam.InstanceId", "The instance is granted already.")
            if not self._is_dry(call):
                self._state.grant(subject, call.caller.account_uid)
            return {}

        return self._done(call, effect)

    def revoke(self, call: Call) -> dict[str, Any]:
        """RevokeInstanceFromExpressConnectRouter."""
        subject = self._subject(call)

        def effect() -> dict[str, Any]:
            self._own_instance(call, subject)
            self._check_grant_lock(subject)
            if not any(one.subject == subject for one in self._state.grants()):
                return self._not_granted()
            attached = [
                one
                for one in self._state.association_of(subject.instance_id)
                if one.subject.ecr_id == subject.ecr_id
            ]
            switch = self._cloud.behaviour.switches.revoke_while_attached
            if attached and switch == "refused":
                raise CloudError(
                    400, "IncorrectStatus.EcrAssociation", "The instance is still associated."
                )
            if not self._is_dry(call):
                self._state.revoke(subject)
                if switch == "association_dropped":
                    for association in attached:
                        self._state.dissociate(association)
            return {}

        return self._done(call, effect)

    # Account A --------------------------------------------------------------------------------

    def create_association(self, call: Call) -> dict[str, Any]:
        """CreateExpressConnectRouterAssociation, for a VPC."""
        params = call.params
        ecr = self.own_ecr(call)
        region = self._supported(parameters.region(params, "AssociationRegionId"))
        if params.get("VpcId") and params.get("TransitRouterId"):
            raise CloudError(
                400, "ExclusiveParam.TransitRouterIdAndVpcId", "Give one of the two, not both."
            )
        vpc_id = parameters.formed(params, "VpcId", _INSTANCE_ID)
        owner_uid = parameters.optional_uid(params, "VpcOwnerId") or call.caller.account_uid
        prefixes = parameters.listed(params, "AllowedPrefixes")
        mode = params.get("AllowedPrefixesMode", "")
        if mode not in ("", "MatchMode", "IncrementalMode"):
            raise parameters.bad_format("AllowedPrefixesMode")
        description = parameters.description(params)
        subject = Subject(ecr.id, call.caller.account_uid, vpc_id, "VPC", region)

        def effect() -> dict[str, Any]:
            self._check_attachable(call, ecr, subject, owner_uid)
            count = sum(
                one.subject.instance_type == "VPC" for one in self._state.associated(ecr.id)
            )
            if count >= ecr.vpc_quota:
                raise CloudError(400, "QuotaExceeded.VpcCountPerEcr", "The VPC quota is used up.")
            if self._is_dry(call):
                return {}
            association = self._state.associate(
                subject,
                owner_uid,
                description=description,
                allowed_prefixes=prefixes,
                allowed_prefixes_mode=mode,
            )
            return {"AssociationId": association.association_id}

        return self._done(call, effect)

    def attach_child(self, call: Call) -> dict[str, Any]:
        """AttachExpressConnectRouterChildInstance, for a VBR."""
        params = call.params
        ecr = self.own_ecr(call)
        parameters.one_of(params, "ChildInstanceType", ("VBR",))
        vbr_id = parameters.formed(params, "ChildInstanceId", _INSTANCE_ID)
        region = self._supported(parameters.region(params, "ChildInstanceRegionId"))
        owner_uid = (
            parameters.optional_uid(params, "ChildInstanceOwnerId") or call.caller.account_uid
        )
        description = parameters.description(params)
        subject = Subject(ecr.id, call.caller.account_uid, vbr_id, "VBR", region)

        def effect() -> dict[str, Any]:
            self._check_attachable(call, ecr, subject, owner_uid)
            vbr = self._cloud.world.vbr(vbr_id)
            if vbr is not None and not vbr[1].mpbgp:
                raise CloudError(
                    400, "OperationDenied.VbrDoesNotSupportMpbgp", "The VBR has no MPBGP."
                )
            if vbr is not None and vbr[1].asn not in (None, ecr.asn):
                raise CloudError(400, "Conflict.ASNOfVBR", "The ASNs of VBR and ECR differ.")
            if not self._is_dry(call):
                self._state.associate(subject, owner_uid, description=description)
            return {}

        return self._done(call, effect)

    def delete_association(self, call: Call) -> dict[str, Any]:
        """DeleteExpressConnectRouterAssociation."""
        ecr = self.own_ecr(call)
        association_id = parameters.text(call.params, "AssociationId")

        def effect() -> dict[str, Any]:
            known = {one.association_id: one for one in self._state.associated(ecr.id)}
            if association_id not in known:
                raise CloudError(
                    404, "ResourceNotFound.AssociationId", "The association does not exist."
                )
            vpc = self._cloud.world.vpc(known[association_id].subject.instance_id)
            if vpc is not None and vpc[1].static_route_to_ecr:
                raise CloudError(
                    400,
                    "OperationFailed.UsedInRouteEntryNextHop",
                    "The VPC also has a static route pointing to the ECR.",
                )
            return self._dissociated(call, ecr, known[association_id])

        return self._done(call, effect)

    def detach_child(self, call: Call) -> dict[str, Any]:
        """DetachExpressConnectRouterChildInstance."""
        ecr = self.own_ecr(call)
        parameters.one_of(call.params, "ChildInstanceType", ("VBR",))
        vbr_id = parameters.formed(call.params, "ChildInstanceId", _INSTANCE_ID)

        def effect() -> dict[str, Any]:
            for one in self._state.associated(ecr.id):
                if one.subject.instance_id == vbr_id:
                    return self._dissociated(call, ecr, one)
            raise CloudError(
                404, "ResourceNotFound.ChildInstanceId", "The child instance is not attached."
            )

        return self._done(call, effect)

    # Checks -----------------------------------------------------------------------------------

    def own_ecr(self, call: Call) -> EcrInWorld:
        """The ECR of the call, which must be the caller's."""
        ecr_id = parameters.ecr_id(call.params)
        found = self._cloud.world.ecr(ecr_id)
        if found is None or found[0].uid != call.caller.account_uid:
            raise CloudError(404, "ResourceNotFound.EcrId", "The specified ECR does not exist.")
        return found[1]

    def _subject(self, call: Call) -> Subject:
        params = call.params
        return Subject(
            parameters.ecr_id(params),
            parameters.uid(params, "EcrOwnerAliUid"),
            parameters.formed(params, "InstanceId", _INSTANCE_ID),
            parameters.one_of(params, "InstanceType", _TYPES),
            self._supported(parameters.region(params, "InstanceRegionId")),
        )

    def _supported(self, region: str) -> str:
        if region not in self._cloud.world.regions:
            raise CloudError(400, "UnsupportedRegion", f"ECR is not offered in {region}.")
        return region

    def _check_ecr(self, subject: Subject) -> None:
        found = self._cloud.world.ecr(subject.ecr_id)
        if found is None:
            raise CloudError(404, "ResourceNotFound.EcrId", "The specified ECR does not exist.")
        if found[0].uid != subject.ecr_owner_uid:
            raise CloudError(
                400, "IllegalParam.EcrOwnerAliUid", "The Ecr instance account parameter is invalid"
            )

    def _own_instance(self, call: Call, subject: Subject) -> Account | None:
        """The instance's account, which must be the caller's; None where there is no instance."""
        found = self._state.instance(subject.instance_id, subject.instance_type)
        own = found is not None and found[0].uid == call.caller.account_uid
        here = found is not None and found[1].region == subject.instance_region_id
        if own and here:
            return found[0] if found else None
        lenient = self._cloud.behaviour.switches.grant_of_unknown_instance == "success"
        if found is None and (lenient or call.action.startswith("Revoke")):
            return None
        raise CloudError(400, "IllegalParam.InstanceId", "The param InstanceId is illegal.")

    def _check_vbr(self, owner: Account | None, subject: Subject, at: str) -> None:
        switches = self._cloud.behaviour.switches
        crosses = owner is not None and owner.uid != subject.ecr_owner_uid
        if subject.instance_type != "VBR" or switches.vbr_refused_at != at or not crosses:
            return
        if owner is not None and not owner.cross_account_vbr:
            raise CloudError(
                400, switches.vbr_refused_with, "Cross-account VBR is not enabled for the account."
            )

    def _check_grant_lock(self, subject: Subject) -> None:
        takes_lock = self._cloud.behaviour.switches.grant_takes_ecr_lock
        if takes_lock and self._state.is_locked(subject.ecr_id):
            raise _locked()

    def _check_attachable(
        self, call: Call, ecr: EcrInWorld, subject: Subject, owner_uid: str
    ) -> None:
        if ecr.status.upper() != "ACTIVE":
            raise CloudError(400, "IncorrectStatus.Ecr", "The ECR is not active.")
        if self._state.is_locked(ecr.id):
            raise _locked()
        found = self._state.instance(subject.instance_id, subject.instance_type)
        if owner_uid != call.caller.account_uid:
            self._check_crossing(found, subject, owner_uid)
        if found is None or found[0].uid != owner_uid:
            raise CloudError(
                400, f"OperationFailed.RejectedBy{_yaochi(subject)}Yaochi", "No such instance."
            )
        self._check_free(subject)

    def _check_crossing(
        self, found: tuple[Account, Vpc | Vbr] | None, subject: Subject, owner_uid: str
    ) -> None:
        granted = self._state.is_granted(subject)
        if not granted:
            raise CloudError(
                400, "OperationDenied.NotGrantedByNodeOwner", "The node owner is not authorized."
            )
        self._check_vbr(found[0] if found else None, subject, "attach")
        ours = self._cloud.world.account(subject.ecr_owner_uid)
        theirs = self._cloud.world.account(owner_uid)
        if ours is not None and theirs is not None and ours.enterprise != theirs.enterprise:
            raise CloudError(
                400,
                "OperationDenied.CrossBidAssociating",
                "Cross-border binding is denied by compliance constraints.",
            )

    def _check_free(self, subject: Subject) -> None:
        standing = self._state.association_of(subject.instance_id)
        if not standing:
            return
        switch = self._cloud.behaviour.switches.associate_twice
        on_this = any(one.subject.ecr_id == subject.ecr_id for one in standing)
        if switch == "incorrect_status":
            raise CloudError(
                400, "IncorrectStatus.EcrAssociation", "The association is not in a state for this."
            )
        if switch == "rejected" or not on_this:
            raise CloudError(
                400,
                f"OperationFailed.RejectedBy{_yaochi(subject)}Yaochi",
                "The instance is associated already.",
            )

    def _dissociated(self, call: Call, ecr: EcrInWorld, association: Association) -> dict[str, Any]:
        if self._state.is_locked(ecr.id):
            raise _locked()
        if not self._is_dry(call):
            self._state.dissociate(association)
        return {}

    def _not_granted(self) -> dict[str, Any]:
        switch = self._cloud.behaviour.switches.revoke_twice
        if switch == "not_found":
            raise CloudError(404, "ResourceNotFound.GrantInstance", "There is no such grant.")
        if switch == "error":
            raise CloudError(400, "IllegalParam.InstanceId", "The instance is not granted.")
        return {}

    # The way out ------------------------------------------------------------------------------

    def _is_dry(self, call: Call) -> bool:
        return parameters.flag(call.params, "DryRun")

    def _done(self, call: Call, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The effect's answer, once for a ClientToken; or that of a dry run that passed."""
        token = call.params.get("ClientToken", "")
        if len(token) > _TOKEN_LIMIT or not token.isascii():
            raise parameters.bad_format("ClientToken")
        if self._is_dry(call):
            effect()
            if self._cloud.behaviour.switches.dry_run_answer == "error":
                raise CloudError(400, "DryRunOperation", "Request validation has been passed.")
            return {}
        return self._state.once(call.caller.account_uid, call.action, dict(call.params), effect)


def _locked() -> CloudError:
    return CloudError(400, "Conflict.Lock", "There are other unfinished operations.")


def _yaochi(subject: Subject) -> str:
    return "Vpc" if subject.instance_type == "VPC" else "Ec"
