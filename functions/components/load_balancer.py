"""EnsureLoadBalancer and RemoveLoadBalancer of the state machines, and what a plan asks."""

from springboard.components import load_balancer
from springboard.runtime import component_handler

handler = component_handler(load_balancer)
