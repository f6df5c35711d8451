"""The `springboard` command."""
