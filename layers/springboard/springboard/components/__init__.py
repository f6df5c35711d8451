"""What an environment is made of: one module per thing, and nothing else knows about that thing.

A component module has five functions. `desired`, `changes` and `condition` are pure; `observe` and `apply`
are not. Removal is `changes(ABSENT, observed)`, so that plan, apply, drift and teardown are one code path.
A sixth, `learned(observed)`, gives the facts that status shows and that other components and the API read.
"""
