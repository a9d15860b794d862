"""`python -m tests.mutation.by_hand`: removes one protection at a time by hand; each has to turn a test red."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from tests.mutation.__main__ import ROOT

COPY = ROOT / "var" / "disarmed"
TRANSITIONS = "tests/integration/test_transitions.py"
FAILED_RUNS = "tests/integration/test_failed_runs.py"
PEOPLE = "tests/integration/test_people.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarmed:
    """A change that removes a protection, and the tests that have to notice."""

    name: str
    file: str
    before: str
    after: str
    tests: str


DISARMED = (
    Disarmed(
        name="the guard lets a worse model pass",
        file="src/trimtab/evaluate/guard.py",
        before="if compared.upper < 0:",
        after="if False:",
        tests="tests/unit/evaluate/test_guard.py",
    ),
    Disarmed(
        name="a model that jumped is deployed at once",
        file="src/trimtab/evaluate/guard.py",
        before="if far is not None:",
        after="if False:",
        tests="tests/unit/evaluate/test_guard.py",
    ),
    Disarmed(
        name="slices skipped",
        file="src/trimtab/evaluate/checks.py",
        before="*_slices(record, champion, challenger, gate),",
        after="",
        tests="tests/unit/evaluate/test_checks.py",
    ),
    Disarmed(
        name="each slice spends the whole error",
        file="src/trimtab/evaluate/checks.py",
        before="gate.error / len(large)",
        after="gate.error",
        tests="tests/unit/evaluate/test_checks.py",
    ),
    Disarmed(
        name="the baseline bars a model that beats the champion",
        file="src/trimtab/evaluate/checks.py",
        before="passed=against_baseline.gain > 0 or against_champion.gain > 0,",
        after="passed=against_baseline.gain > 0,",
        tests="tests/unit/evaluate/test_checks.py",
    ),
    Disarmed(
        name="the edges of the data contract are not tried",
        file="src/trimtab/project/edges.py",
        before="if wrong else None",
        after="if False else None",
        tests="tests/unit/project/test_edges.py",
    ),
    Disarmed(
        name="a model is compared with itself",
        file="src/trimtab/evaluate/record.py",
        before="and champion(scored) != challenger(scored)",
        after="",
        tests="tests/unit/evaluate/test_record.py",
    ),
    Disarmed(
        name="one batch is a proof",
        file="src/trimtab/evaluate/compare.py",
        before="compared.batches >= _FEWEST and",
        after="",
        tests="tests/unit/evaluate/test_compare.py",
    ),
    Disarmed(
        name="each look spends the whole error",
        file="src/trimtab/evaluate/proof.py",
        before="error=error_of(len(watched), first=1, last=batches, error=error),",
        after="error=error,",
        tests="tests/unit/evaluate/test_proof.py",
    ),
    Disarmed(
        name="a model is scored on a batch that it was trained on",
        file="src/trimtab/project/evaluate.py",
        before="if model.trained_through <= start",
        after="",
        tests="tests/unit/project/test_evaluate.py",
    ),
    Disarmed(
        name="a candidate is fitted on later batches",
        file="src/trimtab/trigger/planning.py",
        before="ordered = ordered[: [each.batch for each in ordered].index(batch) + 1]",
        after="",
        tests="tests/unit/trigger/test_planning.py",
    ),
    Disarmed(
        name="a deployment after a rollback needs no proof",
        file="src/trimtab/trigger/policy.py",
        before='if tenure.kind == "rollback":',
        after="if False:",
        tests="tests/unit/trigger/test_policy.py",
    ),
    Disarmed(
        name="a first model needs no proof",
        file="src/trimtab/trigger/policy.py",
        before="if target is None or not is_better(compared, params.gate):",
        after="if target is None:",
        tests="tests/unit/trigger/test_policy.py",
    ),
    Disarmed(
        name="evidence from before a deployment counts after it",
        file="src/trimtab/trigger/standing.py",
        before="if first < move.id",
        after="if False",
        tests="tests/unit/trigger/test_standing.py",
    ),
    Disarmed(
        name="a rollback goes to a blocked version",
        file="src/trimtab/trigger/arbiter.py",
        before="elif state.former in state.orders.blocked:",
        after="elif False:",
        tests="tests/unit/trigger/test_arbiter.py",
    ),
    Disarmed(
        name="a blocked version is deployed",
        file="src/trimtab/loop/retrain.py",
        before="if version in orders.blocked:",
        after="if False:",
        tests=f"{PEOPLE}::test_paused_pinned_and_blocked_nothing_is_deployed_and_then_it_goes_on",
    ),
    Disarmed(
        name="wrong metric direction",
        file="src/trimtab/evaluate/compare.py",
        before="(block.champion - block.challenger, block.rows)",
        after="(block.challenger - block.champion, block.rows)",
        tests="tests/unit/evaluate",
    ),
    Disarmed(
        name="a body may trickle for ever",
        file="src/trimtab/serve/bridge.py",
        before="async with asyncio.timeout(self._seconds):",
        after="async with asyncio.timeout(1000 * self._seconds):",
        tests="tests/unit/serve/test_bridge.py",
    ),
    Disarmed(
        name="errors hold passwords",
        file="src/trimtab/errors.py",
        before="super().__init__(redact(message))",
        after="super().__init__(message)",
        tests="tests/unit/test_redaction.py",
    ),
    Disarmed(
        name="log records hold passwords",
        file="src/trimtab/redaction.py",
        before="logging.setLogRecordFactory(_Record)",
        after="pass",
        tests="tests/unit/test_redaction.py",
    ),
    Disarmed(
        name="no start from the last good version",
        file="src/trimtab/serve/wsgi.py",
        before="(state := last_good(models, params))",
        after="(state := None)",
        tests="tests/integration/test_serve_alone.py",
    ),
    Disarmed(
        name="a lease of an older epoch is good enough",
        file="src/trimtab/ledger/leases.py",
        before="row.epoch != lease.epoch",
        after="False",
        tests="tests/unit/ledger/test_leases.py",
    ),
    Disarmed(
        name="a lease is renewed too late",
        file="src/trimtab/ledger/leases.py",
        before="lease.minutes * 60 / 3",
        after="lease.minutes * 60 * 3",
        tests="tests/unit/ledger/test_leases.py",
    ),
    Disarmed(
        name="a deleted version is moved",
        file="src/trimtab/registry/transitions.py",
        before="if version not in stages:",
        after="if False:",
        tests=f"{TRANSITIONS}::test_a_version_deleted_in_mlflow_does_not_block_the_others",
    ),
    Disarmed(
        name="one transition stops the others",
        file="src/trimtab/registry/reconcile.py",
        before="unsettled[transition.key] = str(error)",
        after="raise",
        tests=f"{TRANSITIONS}::test_a_transition_that_mlflow_refuses_stays_open_and_does_not_block_the_others",
    ),
    Disarmed(
        name="the request of a run that has failed is final",
        file="src/trimtab/ledger/queries.py",
        before="return state.waiting(unanswered_requests(facts), runs_in_progress(facts))",
        after="return state.waiting(unanswered_requests(facts), facts.all(Run))",
        tests=f"{FAILED_RUNS}::test_a_run_without_a_sign_of_life_is_lost_and_asked_for_again",
    ),
    Disarmed(
        name="a decision on facts that are no longer the newest",
        file="src/trimtab/ledger/ledger.py",
        before="if self.ledger.newest(connection, kind, prefix) != newest:",
        after="if False:",
        tests="tests/unit/ledger/test_ledger.py",
    ),
    Disarmed(
        name="two processes decide at once",
        file="src/trimtab/ledger/ledger.py",
        before="if self.ledger.newest(connection, kind, prefix) != newest:",
        after="if False:",
        tests=f"{TRANSITIONS}::test_of_two_processes_that_decide_at_once_one_wins",
    ),
    Disarmed(
        name="a blocked version is promoted",
        file="src/trimtab/registry/transitions.py",
        before="if version in orders.blocked:",
        after="if False:",
        tests=f"{TRANSITIONS}::test_a_promotion_that_an_order_forbids_meanwhile_is_void",
    ),
    Disarmed(
        name="a paused promotion is not undone",
        file="src/trimtab/registry/transitions.py",
        before="return not facts.append(end) or reason != obstacle",
        after="return not facts.append(end)",
        tests=f"{TRANSITIONS}::test_a_promotion_that_was_paused_gives_way_to_a_later_one",
    ),
    Disarmed(
        name="the event clock counts corrected revisions",
        file="src/trimtab/ledger/state.py",
        before="for batch in batches_in_force(batches)), default=None)",
        after="for batch in batches), default=None)",
        tests="tests/unit/ledger/test_state.py",
    ),
    Disarmed(
        name="a batch may end in the future",
        file="src/trimtab/loop/ingest.py",
        before="if landed.end > now:",
        after="if False:",
        tests="tests/integration/test_quarantine.py",
    ),
    Disarmed(
        name="a run that has failed keeps its lease",
        file="src/trimtab/loop/retrain.py",
        before="if lease is not None and lease.holder == holder:",
        after="if False:",
        tests=f"{FAILED_RUNS}::test_a_run_that_fails_says_why_and_after_three_its_request_waits_for_another_commit",
    ),
)


def main() -> int:
    """Return 0 when the unchanged code is green and each change turns a test red."""
    _copy()
    failed = [tests for tests in sorted({disarmed.tests for disarmed in DISARMED}) if _run(tests) != 0]
    for tests in failed:
        print(f"red without any change: {tests}")
    survived = []
    for disarmed in DISARMED:
        noticed = _notices(disarmed)
        survived += [] if noticed else [disarmed.name]
        print(f"{'noticed' if noticed else 'NOT NOTICED'}: {disarmed.name} ({disarmed.file})", flush=True)
    return int(bool(failed or survived))


def _copy() -> None:
    """Copy what git knows of, as a checkout of its own: a loop under test takes its code from there."""
    shutil.rmtree(COPY, ignore_errors=True)
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=COPY, check=True)


def _notices(disarmed: Disarmed) -> bool:
    path = COPY / disarmed.file
    source = path.read_text()
    path.write_text(source.replace(disarmed.before, disarmed.after))
    try:
        return _run(disarmed.tests) == 1
    finally:
        path.write_text(source)


def _run(tests: str) -> int:
    """Return pytest's exit status: 1 for red tests, others for anything else."""
    environment = os.environ | {"PYTHONPATH": str(COPY / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    return subprocess.run(command, cwd=COPY, env=environment, capture_output=True).returncode


if __name__ == "__main__":
    sys.exit(main())
