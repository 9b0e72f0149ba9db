"""The bill of materials of a package (SBOM), as CycloneDX 1.6: each library, from the lock."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

if TYPE_CHECKING:
    from package.folder import Package
    from package.libraries import Library

_SPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ecr-authorization:package")


def bill(package: Package, digest: str) -> str:
    """The bill of `package`, whose digest it names: JSON, the same for the same package.

    The hashes of a library are those that the lock allows: of the files that it is installed from.
    """
    function = Component(
        name=package.function.name,
        type=ComponentType.APPLICATION,
        bom_ref=package.function.name,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        properties=[Property(name="python", value=package.function.runtime)],
    )
    parts = [_component(library) for library in package.libraries]
    bom = Bom(
        components=parts,
        # It is known when it was made by what it is of: a moment would make two builds differ.
        serial_number=uuid.uuid5(_SPACE, f"{package.function.name} {digest}"),
        metadata=BomMetaData(component=function),
    )
    bom.register_dependency(function, parts)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document["metadata"].pop("timestamp", None)
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _component(library: Library) -> Component:
    locked = library.locked
    purl = PackageURL("pypi", name=locked.name, version=locked.version)
    return Component(
        name=locked.name,
        version=locked.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        licenses=[DisjunctiveLicense(name=library.licence)] if library.licence else (),
        properties=[Property(name="lock:sha256", value=one) for one in locked.hashes],
    )
