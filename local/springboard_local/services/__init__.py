"""One module per AWS service: what moto lacks, and what it gets wrong."""
