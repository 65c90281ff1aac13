import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"

# Scripts are run as "python scripts/x.py", which puts their folder on the path.
sys.path.insert(0, str(SCRIPTS))
