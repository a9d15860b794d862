"""`trimtab plan`: write `run.yaml` for a person's own run in a clone; the arbiter writes it for the DAG's."""

from pathlib import Path

from trimtab import params
from trimtab.contracts import Manifest, Plan, from_json
from trimtab.origin.commands import git
from trimtab.trigger.planning import make_plan, read_champion, write_run


def plan(root: Path = Path()) -> Plan:
    """Plan a run on the batches of this checkout against the champion of `champion.yaml`.

    Raises:
        NotEnoughBatches: There are too few batches, or the champion has seen the judging ones.
    """
    manifests = [
        from_json(Manifest, path.read_bytes()) for path in sorted((root / "data/batches").glob("*.json"))
    ]
    made = make_plan(
        params=params.load(root / params.FILE),
        commit=git("rev-parse", "HEAD", cwd=root).strip(),
        manifests=manifests,
        champion=read_champion(root / "champion.yaml"),
    )
    write_run(root / "run.yaml", made)
    return made
