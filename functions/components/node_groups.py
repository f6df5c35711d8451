"""EnsureNodeGroups and RemoveNodeGroups of the state machines, and what a plan asks."""

from springboard.components import node_groups
from springboard.runtime import component_handler

handler = component_handler(node_groups)
