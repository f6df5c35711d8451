"""EnsureSchedules and RemoveSchedules of the state machines, and what a plan asks."""

from springboard.components import schedules
from springboard.runtime import component_handler

handler = component_handler(schedules)
