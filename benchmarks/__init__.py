"""The asv view of what sparkscale measures: a class per pattern, and the controls beside them.

asv takes `PYTHONPATH` away from its processes. The code that lies beside this folder is what is measured, here and in
the workers, even where another checkout is installed: else its figures would be stored for this one's commit.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

found = importlib.util.find_spec("sparkscale")
if found is None or not found.origin or Path(found.origin).resolve().parents[1] != ROOT:
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
