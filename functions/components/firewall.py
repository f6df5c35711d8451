"""EnsureFirewall and RemoveFirewall of the state machines, and what a plan asks."""

from springboard.components import firewall
from springboard.runtime import component_handler

handler = component_handler(firewall)
