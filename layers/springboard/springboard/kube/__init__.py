"""Adapter to the Kubernetes API: the only importer of the official client."""
