"""EnsureCertificate and RemoveCertificate of the state machines, and what a plan asks."""

from springboard.components import certificate
from springboard.runtime import component_handler

handler = component_handler(certificate)
