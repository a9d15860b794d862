"""`trimtab plan`: write `run.yaml` for a manual run in a clone. For runs of the DAGs, the loop writes it."""

from pathlib import Path

from trimtab import params
from trimtab.contracts import Candidate, Manifest, Plan, from_json
from trimtab.origin.commands import git
from trimtab.project.prepare import BATCHES
from trimtab.trigger.planning import plan_backfill, read_champion, write_run


def plan(root: Path = Path()) -> Plan:
    """Plan a run that fits the candidates on the batches of this checkout, and scores them beside `champion.yaml`'s version.

    Raises:
        NotEnoughBatches: There are too few labelled batches.
    """
    parameters, champion = params.load(root / params.FILE), read_champion(root / "champion.yaml")
    manifests = [from_json(Manifest, path.read_bytes()) for path in sorted((root / BATCHES).glob("*.json"))]
    run_plan = plan_backfill(
        params=parameters,
        commit=git("rev-parse", "HEAD", cwd=root).strip(),
        manifests=manifests,
        candidates=[
            Candidate(name=name, window=window) for name, window in parameters.train.candidates.items()
        ],
        models=[champion] if champion else [],
    )
    write_run(root / "run.yaml", run_plan)
    return run_plan
