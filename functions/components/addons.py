"""EnsureAddons and RemoveAddons of the state machines, and what a plan asks."""

from springboard.components import addons
from springboard.runtime import component_handler

handler = component_handler(addons)
