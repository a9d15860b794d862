"""`trimtab plan`: write `run.yaml` for a manual run in a clone. For runs of the DAG, the arbiter writes it."""

from pathlib import Path

from trimtab import params
from trimtab.contracts import Manifest, Plan, from_json
from trimtab.origin.commands import git
from trimtab.trigger.planning import make_plan, read_champion, write_run


def plan(root: Path = Path()) -> Plan:
    """Plan a run that trains and judges on the batches of this checkout, against the champion in `champion.yaml`.

    Raises:
        NotEnoughBatches: There are too few batches, or the champion was trained on a batch to judge on.
    """
    manifests = [
        from_json(Manifest, path.read_bytes()) for path in sorted((root / "data/batches").glob("*.json"))
    ]
    run_plan = make_plan(
        params=params.load(root / params.FILE),
        commit=git("rev-parse", "HEAD", cwd=root).strip(),
        manifests=manifests,
        champion=read_champion(root / "champion.yaml"),
    )
    write_run(root / "run.yaml", run_plan)
    return run_plan
