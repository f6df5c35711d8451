"""The Kubernetes API of each local EKS cluster, in two lanes behind one protocol (`lane.py`)."""
