"""The asv view of what sparkscale measures: a class per pattern, and the controls beside them.

asv takes `PYTHONPATH` away from its processes. The code that lies beside this folder is what is measured, here and in
the workers, even where another checkout is installed: else its figures would be stored for this one's commit.
"""

import os
import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])

sys.path.insert(0, ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
