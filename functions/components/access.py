"""EnsureAccess and RemoveAccess of the state machines, and what a plan asks."""

from springboard.components import access
from springboard.runtime import component_handler

handler = component_handler(access)
