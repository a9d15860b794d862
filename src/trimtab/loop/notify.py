"""Tell people: one webhook, `TRIMTAB_WEBHOOK_URL`."""

import json
import logging
import urllib.error
import urllib.request

from trimtab import settings
from trimtab.loop.loop import Loop

log = logging.getLogger(__name__)

_SECONDS = 5.0


def notify(loop: Loop, *, key: str, kind: str, text: str) -> None:
    """Post `{"model", "kind", "text"}` as JSON to the webhook, and log it; once a key, and again while the webhook fails.

    Args:
        loop: The ledger that remembers who was told.
        key: What this is about; the same key is told once.
        kind: `ask`, `quarantine`, `rollback`, `pinned`, `unloadable`, `gate_dead` or `foreign_change`.
        text: A sentence that says what happened and what to do.
    """
    if loop.ledger.noticed(loop.model, key):
        return
    log.warning("%s: %s", kind, text)
    url = settings.read().webhook_url
    if url:
        content = json.dumps({"model": loop.model, "kind": kind, "text": text}).encode()
        headers = {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(url, data=content, headers=headers)
            with urllib.request.urlopen(request, timeout=_SECONDS):
                pass
        except (OSError, ValueError) as error:  # people are told again at the next run; the loop goes on
            log.error("TRIMTAB_WEBHOOK_URL did not take the notice (%s); it is tried again", error)
            return
    loop.ledger.record_notice(loop.model, key=key, kind=kind, text=text)
