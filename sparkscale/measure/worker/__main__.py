"""The process of a worker: answers the runner's requests, one after another.

Started as `python -m sparkscale.measure.worker REQUESTS REPLIES`, two inherited pipe descriptors. Its standard output
and error go to a log file; nothing is printed while a clock runs.
"""

import logging
import os
import signal
import sys

from cluster import processes
from sparkscale import places
from sparkscale.contract import errors
from sparkscale.measure.worker.protocol import REQUEST, Close, Closed, Open, Refused
from sparkscale.measure.worker.worker import Worker

log = logging.getLogger(__name__)


def _refusal(error: Exception) -> Refused:
    """Of an error that is not ours the first line: the log holds all of it."""
    log.exception("request refused")
    if isinstance(error, errors.SparkscaleError):
        return Refused(error=type(error).__name__, message=str(error))
    if isinstance(error, OSError) and (said := places.sentence(error)):
        return Refused(error="ConfigError", message=said)
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return Refused(error=type(error).__name__, message=f"{type(error).__name__}: {first}")


def main() -> None:
    """Answers each request in turn; ends at Close or when the runner's pipe does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which ends its workers itself
    processes.die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    requests = os.fdopen(int(sys.argv[1]), "r", encoding="utf-8")
    replies = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    worker: Worker | None = None
    for line in iter(requests.readline, ""):
        request = REQUEST.validate_json(line)
        if isinstance(request, Open):
            worker = Worker(request, replies)
            try:
                worker.say(worker.open())
            except Exception as error:
                worker.say(_refusal(error))
        elif worker is None:
            raise RuntimeError("The first request must be `open`.")
        elif isinstance(request, Close):
            if worker.runtime:
                worker.runtime.stop()
            worker.say(Closed())
            return
        else:
            try:
                reply = worker.serve(request)
            except Exception as error:
                reply = _refusal(error)
            worker.say(reply)


if __name__ == "__main__":
    main()
