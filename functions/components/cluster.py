"""EnsureCluster and RemoveCluster of the state machines, and what a plan asks."""

from springboard.components import cluster
from springboard.runtime import component_handler

handler = component_handler(cluster)
