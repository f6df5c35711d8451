"""Adapters to AWS: the only importers of botocore. One module per service; each speaks our errors."""
