"""EnsureAlarms and RemoveAlarms of the state machines, and what a plan asks."""

from springboard.components import alarms
from springboard.runtime import component_handler

handler = component_handler(alarms)
