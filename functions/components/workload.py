"""EnsureWorkload and RemoveWorkload of the state machines, and what a plan asks."""

from springboard.components import workload
from springboard.runtime import component_handler

handler = component_handler(workload)
