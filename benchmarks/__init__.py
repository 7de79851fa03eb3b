"""The benchmarks that asv sees: a class per pattern, and the controls.

asv removes `PYTHONPATH` from its processes. This module restores it, so that the code next to this folder is
measured here and in the workers, even if another checkout is installed. Otherwise asv would store that checkout's
results for this commit.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

installed = importlib.util.find_spec("sparkscale")
if installed is None or not installed.origin or Path(installed.origin).resolve().parents[1] != ROOT:
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
