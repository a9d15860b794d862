"""Notify people through one webhook, `TRIMTAB_WEBHOOK_URL`."""

import json
import logging
import urllib.request

from trimtab import settings
from trimtab.ledger import Notice
from trimtab.loop.loop import Loop
from trimtab.redaction import redact

log = logging.getLogger(__name__)

_SECONDS = 5.0


def notify(loop: Loop, *, key: str, kind: str, text: str) -> None:
    """Log a message and post `{"model", "kind", "text"}` as JSON to the webhook; once per key.

    Args:
        loop: Its ledger remembers which messages were delivered.
        key: What this is about. While the webhook fails, the next call with the same key tries again.
        kind: `ask`, `quarantine`, `rollback`, `recipe`, `pinned`, `unloadable`, `gate_dead`, `unsettled` or
            `foreign_change`.
        text: A sentence that says what happened and what to do.
    """
    if loop.ledger.get(Notice, key) is not None:
        return
    text = redact(text)
    log.warning("%s: %s", kind, text)
    if url := settings.read().webhook_url:
        try:
            content = json.dumps({"model": loop.model, "kind": kind, "text": text}).encode()
            request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=_SECONDS).close()
        except (OSError, ValueError) as error:  # the loop goes on; the next run tries again
            log.error("TRIMTAB_WEBHOOK_URL did not accept the notice (%s); the next run tries again", error)
            return
    loop.ledger.append(Notice(key=key, kind=kind, text=text))
