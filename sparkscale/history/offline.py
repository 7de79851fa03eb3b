"""asv's pages without the Internet: what they load from there lies beside them, once `make pages` has fetched it."""

import re
import shutil
from pathlib import Path

from sparkscale.measure.worker.descriptions import ROOT

FETCHED = ROOT / ".asv" / "pages" / "node_modules"

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
"""What asv 0.6.6 loads, by the files' names there, in npm's packages of the same release (stupidtable's is newer)."""

REMOTE = re.compile(r'(src|href)="https://[^"]+/([^"/]+)"((?: (?:integrity|crossorigin|referrerpolicy)="[^"]*")*)')


def make_offline(html: Path) -> bool:
    """Puts the fetched files beside the pages and has them loaded from there; whether there were any.

    Raises KeyError for a file that asv loads and this does not know.
    """
    if not FETCHED.is_dir():
        return False
    index = html / "index.html"
    local = html / "local"
    local.mkdir(exist_ok=True)

    def placed(found: re.Match[str]) -> str:
        shutil.copyfile(FETCHED / FILES[found[2]], local / found[2])
        return f'{found[1]}="local/{found[2]}"'

    index.write_text(REMOTE.sub(placed, index.read_text()))
    return True
