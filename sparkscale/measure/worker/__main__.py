"""The main module of a worker process: it answers the runner's requests, one after another.

It is started as `python -m sparkscale.measure.worker REQUESTS REPLIES`, with two inherited pipe descriptors. Its
standard output and error go to a log file. Nothing is printed while a clock runs.
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
    """Returns the reply to a request that failed.

    The message of an unknown error is cut to one line, because the log has all of it.
    """
    log.exception("request refused")
    if isinstance(error, errors.SparkscaleError):
        return Refused(error=type(error).__name__, message=str(error))
    if isinstance(error, OSError) and (sentence := places.sentence(error)):
        return Refused(error="ConfigError", message=sentence)
    first_line = (str(error).strip().splitlines() or ["no message"])[0]
    return Refused(error=type(error).__name__, message=f"{type(error).__name__}: {first_line}")


def main() -> None:
    """Answers each request. Ends at Close, or when the runner's pipe is closed."""
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
