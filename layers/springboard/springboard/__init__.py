"""Springboard: complete Spring environments on Amazon EKS from one request."""
