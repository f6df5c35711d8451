"""EnsureTargetGroups and RemoveTargetGroups of the state machines, and what a plan asks."""

from springboard.components import target_groups
from springboard.runtime import component_handler

handler = component_handler(target_groups)
