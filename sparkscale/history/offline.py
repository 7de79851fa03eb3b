"""Makes asv's pages work without the Internet, with the libraries that `make pages` has fetched."""

import re
import shutil
from pathlib import Path

from sparkscale.measure.worker.descriptions import ROOT

FETCHED = ROOT / ".asv" / "pages" / "node_modules"
"""The folder of the fetched libraries."""

FILES = {
    "jquery-3.3.1.min.js": "jquery/dist/jquery.min.js",
    "jquery.flot.min.js": "flot/jquery.flot.js",
    "jquery.flot.time.min.js": "flot/jquery.flot.time.js",
    "jquery.flot.selection.min.js": "flot/jquery.flot.selection.js",
    "jquery.flot.categories.min.js": "flot/jquery.flot.categories.js",
    "jquery.flot.orderBars.js": "flot-orderbars/js/jquery.flot.orderBars.js",
    "stupidtable.min.js": "stupid-table-plugin/stupidtable.min.js",
    "md5.min.js": "blueimp-md5/js/md5.min.js",
    "bootstrap.min.js": "bootstrap/dist/js/bootstrap.min.js",
    "bootstrap.min.css": "bootstrap/dist/css/bootstrap.min.css",
}
"""Maps names of files that asv 0.6.6 loads in its pages to their paths in npm's packages.

The packages have the releases that asv's pages name. Only stupidtable has a newer release.
"""

REMOTE = re.compile(r'(src|href)="https://[^"]+/([^"/]+)"((?: (?:integrity|crossorigin|referrerpolicy)="[^"]*")*)')


def make_offline(html: Path) -> bool:
    """Copies the fetched files next to the pages and makes the pages load them.

    Returns false if nothing was fetched. Raises KeyError if asv loads a file that FILES, the list of the fetched
    files, does not have.
    """
    if not FETCHED.is_dir():
        return False
    index = html / "index.html"
    local = html / "local"
    local.mkdir(exist_ok=True)

    def local_reference(match: re.Match[str]) -> str:
        shutil.copyfile(FETCHED / FILES[match[2]], local / match[2])
        return f'{match[1]}="local/{match[2]}"'

    index.write_text(REMOTE.sub(local_reference, index.read_text()))
    return True
