"""Adapters to AWS: the only importers of boto3. One module per service; each speaks our errors."""
