"""Print what the stores hold, as JSON; `System.facts` runs this text in a container that has no tests."""

import json

from trimtab.contracts import plain
from trimtab.ledger import Batch, state
from trimtab.loop.loop import open_loop
from trimtab.predictions.opening import open_log
from trimtab.views import history


def main() -> None:
    """Print one line."""
    loop = open_loop()
    log = open_log(loop.stores.prediction_log, loop.params.predictions)
    batches = state.batches_in_force(loop.ledger.all(Batch))
    print(
        json.dumps(
            {
                "commit": loop.commit,
                "batches": [
                    f"{batch.manifest.batch} r{batch.manifest.revision} {batch.md5}" for batch in batches
                ],
                "production": loop.registry.in_stage(loop.model, "Production"),
                "history": [str(entry) for entry in map(plain, history.history(None))],
                "predictions": log.count(),
                "rows": [
                    len(loop.origin.fetch_batch(batch.manifest.batch, md5=batch.md5, commit=batch.commit))
                    for batch in batches
                ],
            }
        )
    )


if __name__ == "__main__":
    main()
