"""The resource types that the local CloudFormation has: a table, filled by the modules of this package."""

from springboard_local.services.cloudformation.resources import (
    compute as compute,
)
from springboard_local.services.cloudformation.resources import (
    containers as containers,
)
from springboard_local.services.cloudformation.resources import (
    data as data,
)
from springboard_local.services.cloudformation.resources import (
    gateway as gateway,
)
from springboard_local.services.cloudformation.resources import (
    identity as identity,
)
from springboard_local.services.cloudformation.resources import (
    network as network,
)
from springboard_local.services.cloudformation.resources.base import TABLE as TABLE
