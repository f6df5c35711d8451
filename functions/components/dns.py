"""EnsureDns and RemoveDns of the state machines, and what a plan asks."""

from springboard.components import dns
from springboard.runtime import component_handler

handler = component_handler(dns)
