"""Express Connect Router 2023-09-01."""

from localcloud.ecr.operations import product
from localcloud.ecr.state import Ecr

__all__ = ["Ecr", "product"]
