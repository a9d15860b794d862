"""Writes predictions as the service does, and prints each id that the service could now send to a client.

python -m tests.integration.predictions.client URL SPOOL NAME
"""

import signal
import sys
import time
from pathlib import Path

from tests.support.predictions import log_settings, outcome, prediction
from trimtab.clock import system_clock
from trimtab.predictions.opening import open_log
from trimtab.predictions.writer import LogWriter


def main(url: str, folder: str, name: str) -> None:
    parameters = log_settings(batch=20, queue=50, timeout_seconds=1.0)
    log = LogWriter(open_log(url, parameters), Path(folder), parameters, system_clock)
    log.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        number = 0
        while True:
            ids = [f"{name}-{number}-{row}" for row in range(3)]
            log.add([prediction(id_, id_) for id_ in ids])
            log.add_outcomes([outcome(ids[0], received_at=system_clock())])
            print(*ids, flush=True)
            number += 1
            time.sleep(0.01)
    finally:
        log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
