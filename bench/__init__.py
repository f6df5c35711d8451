"""What Springboard costs in time, calls and size, beside the budgets it is held to: `python -m bench`."""

import os
import sys
from pathlib import Path

# Functions have the module names that they have in Lambda; their log lines are not what is looked for here.
sys.path.insert(0, str(Path(__file__).parents[1] / "functions"))
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "ERROR")
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
