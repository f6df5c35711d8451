"""What Springboard costs in time, calls and size, beside the budgets it is held to: `python -m bench`."""
