"""Builds, starts, plays, kills, takes down, starts again, backs up, wipes, restores; ends with an error when anything is not as it should be."""

import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.support.waiting import free_port
from tests.verify.compose import images
from tests.verify.compose.engine import running
from tests.verify.compose.system import ROOT, System

FIRST_WEEKS, WEEKS = 10, 13
"""Eight train the first model; the rest is played, three of them while containers are killed."""
TRIES = 12
SECRETS = ROOT / "deploy" / "compose" / "secrets"
WITHOUT_A_USER = "mongodb://mongodb:27017/trimtab?directConnection=true"
"""nx-27017 knows no users."""


def play(system: System, weeks: int) -> bool:
    """Play, and tell what is said; whether it came to its end."""
    with system.demo(weeks) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "Container" not in line:
                print(f"    {line.rstrip()}", flush=True)
    return demo.returncode == 0


def kill_each(system: System) -> None:
    """Kill one container after the other while the demo goes on; one that is cut off is begun again, as a person would."""
    ended: list[int] = []

    def go_on() -> None:
        for number in range(TRIES):
            if play(system, WEEKS):
                ended.append(number)
                return

    player = threading.Thread(target=go_on)
    player.start()
    for service in system.services():
        print(f"{service} is killed, and healthy again after {system.kill(service):.0f} s", flush=True)
    player.join()
    if not ended:
        raise RuntimeError(f"The demo did not come to its end in {TRIES} tries")
    print(f"The demo came to its end, begun again {ended[0]} times", flush=True)


def same(before: object, after: object, what: str) -> None:
    """Raise unless two findings are equal."""
    if before != after:
        raise RuntimeError(f"{what} differs:\n{before}\n{after}")


def checked(system: System) -> dict[str, object]:
    """Read what the stores hold, and see that nothing is there twice, or missing."""
    facts = system.facts()
    names = [entry.split()[0] for entry in facts["batches"]]
    same(WEEKS, len(set(names)), "the number of batches")
    same(sorted(set(names)), sorted(names), "each batch once")
    same(1, len(facts["production"]), "one version in Production")
    same(facts["production"][0], system.served(), "the version that answers")
    print(
        f"{len(names)} batches of {sum(facts['rows'])} rows, {facts['predictions'][0]} predictions, ", end=""
    )
    print(f"{len(facts['history'])} entries of history, version {facts['production'][0]} answers", flush=True)
    return facts


def main() -> None:
    """Run all of it, and remove the secrets that it made."""
    ports = {name: str(free_port()) for name in ("AIRFLOW_PORT", "MLFLOW_PORT", "SERVICE_PORT")}
    ports |= {name: str(free_port()) for name in ("PROMETHEUS_PORT", "ALERTMANAGER_PORT")}
    folder = Path(tempfile.mkdtemp(prefix="trimtab-compose-"))
    if SECRETS.exists():
        raise SystemExit(f"{SECRETS} holds the secrets of a system of yours. Verify in a clone of its own.")
    try:
        SECRETS.mkdir(mode=0o700)
        (SECRETS / "TRIMTAB_PREDICTION_LOG_URL").write_text(WITHOUT_A_USER, encoding="utf-8")
        subprocess.run(["make", "secrets"], cwd=ROOT, check=True)
        with running(folder, ports) as engine:
            images.build(engine)
            images.push(engine, free_port())
            verify(System(engine))
    finally:
        shutil.rmtree(SECRETS)
    shutil.rmtree(folder)


def verify(system: System) -> None:
    """Go through all steps on the built images."""
    try:
        system.up()
        if not play(system, FIRST_WEEKS):
            raise RuntimeError("The demo did not come to its end")
        kill_each(system)
        before = checked(system)
        print(f"Firing: {', '.join(system.firing()) or 'nothing'}", flush=True)
        system.down()
        system.up()
        same(before, checked(system), "what the stores hold after down and up")
        print("After down and up all stores hold the same, and the same version answers", flush=True)
        backup = system.backed_up()
        system.wipe()
        system.restore(backup)
        system.up()
        same(before, checked(system), "what the stores hold after a restore into empty ones")
        print(f"Wiped and restored from {backup}: the same again", flush=True)
    finally:
        system.compose("--profile", "*", "down", "--volumes", check=False)


if __name__ == "__main__":
    sys.exit(main())
