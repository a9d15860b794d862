"""Peak memory of each step by rows, beside pandas and scikit-learn alone on the same rows (`make bench-memory`).

Each step runs in a process of its own (`benchmarks.memory_steps`) on a real loop in a folder of its own; the kernel says
what its largest process held (`ru_maxrss`). This process stays small, for a child counts what its parent held when it began.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MEGABYTE = 1024
"""Of `ru_maxrss`, which Linux gives in KiB."""

STEPS = {"ingest": 0.25, "prepare": 1.0, "train": 1.0, "evaluate": 0.25, "measure": 1.0, "observe": 0.25}
"""Rows that a step works on, as a multiple of the rows that a model is fitted on: those of four batches."""
PLAIN = {
    "ingest": "read",
    "prepare": "read",
    "train": "fit",
    "evaluate": "predict",
    "measure": "fit",
    "observe": "predict",
}
"""What a user would do instead: read the rows, predict them too, or fit the same pipeline on them."""

BEFORE = {"prepare": ("checkout",)}
"""What has to happen first, and is not measured."""


def peak(folder: Path, *words: object) -> float:
    """Run one of `benchmarks.memory_steps` and return the MB of its largest process, its own or one that it started.

    Raises:
        RuntimeError: It failed; the end of what it said.
    """
    command = [sys.executable, "-m", "benchmarks.memory_steps", str(folder), *map(str, words)]
    with (folder / "output").open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = (folder / "output").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{said}")
    return used.ru_maxrss / MEGABYTE


def of_size(rows: int) -> dict[str, tuple[float, float]]:
    """Play a loop whose newest model is fitted on so many rows; return the MB of each step, and of what stands beside it."""
    peaks = {}
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-memory-") as place:
        folder = Path(place)
        peak(folder, "begin", rows)
        for step, times in STEPS.items():
            for between in BEFORE.get(step, ()):
                peak(folder, between)
            ours = peak(folder, step)
            peaks[step] = ours, peak(folder, "plain", PLAIN[step], round(rows * times))
            figures = " and ".join(f"{megabytes:.0f} MB" for megabytes in peaks[step])
            print(f"{step} of {rows * times:,.0f} rows: {figures}", file=sys.stderr, flush=True)
    return peaks


def table(peaks: dict[int, dict[str, tuple[float, float]]]) -> str:
    """Return a row for each step and size, as Markdown."""
    lines = ["| step | rows | trimtab, MB | instead | MB | ratio |", "|---|---|---|---|---|---|"]
    for step, times in STEPS.items():
        for size, figures in peaks.items():
            ours, plain = figures[step]
            rows = f"{round(size * times):,}"
            lines.append(
                f"| `{step}` | {rows} | {ours:,.0f} | {PLAIN[step]} | {plain:,.0f} | {ours / plain:.1f} |"
            )
    return "\n".join(lines)


def slopes(peaks: dict[int, dict[str, tuple[float, float]]]) -> str:
    """Return the bytes that each further row of a step costs, between the two largest sizes."""
    few, many = sorted(peaks)[-2:]
    lines = ["| step | bytes a row, trimtab | instead |", "|---|---|---|"]
    for step, times in STEPS.items():
        rows = (many - few) * times
        ours, plain = (
            (more - less) * 2**20 / rows
            for less, more in zip(peaks[few][step], peaks[many][step], strict=True)
        )
        lines.append(f"| `{step}` | {ours:,.0f} | {plain:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    peaks = {rows: of_size(rows) for rows in sorted(parser.parse_args().rows)}
    print(table(peaks))
    if len(peaks) > 1:
        print(f"\n{slopes(peaks)}")


if __name__ == "__main__":
    main()
