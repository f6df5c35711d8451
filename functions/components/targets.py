"""EnsureTargets and RemoveTargets of the state machines, and what a plan asks."""

from springboard.components import targets
from springboard.runtime import component_handler

handler = component_handler(targets)
