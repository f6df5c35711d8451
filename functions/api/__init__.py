"""The HTTP API: one function behind every route.

`app` is the edge, `requests` reads what came, `routes` finds who answers it; the rest answers, a module per
kind of thing. Nothing here imports boto3 or reads the clock.
"""
