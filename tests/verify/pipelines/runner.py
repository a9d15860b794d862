"""The local runner act, on this machine itself, with stand-ins for the actions that only GitHub can hand out."""

import os
import re
import subprocess
from pathlib import Path

from tests.support.builders import ROOT

UPLOAD = (
    'mkdir -p "$HANDOVER/${{ inputs.name }}" && cp -r "${{ inputs.path }}/." "$HANDOVER/${{ inputs.name }}"'
)
DOWNLOAD = 'mkdir -p "${{ inputs.path }}" && cp -r "$HANDOVER/${{ inputs.name }}/." "${{ inputs.path }}"'
STAND_INS = {
    "actions/checkout": 'cp -a "$CHECKOUT/." .',
    "actions/setup-python": "python3 --version",
    "actions/upload-artifact": UPLOAD,
    "actions/download-artifact": DOWNLOAD,
}
"""In the place of each action, what it comes to on this machine: a copy of the checkout, and its Python."""


def act(checkout: Path, work: Path, workflow: str, *words: str, **environment: str) -> tuple[int, str]:
    """Run a job of a workflow of `checkout`; returns the exit status and the log."""
    used = set(
        re.findall(
            r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})", (checkout / ".github/workflows" / workflow).read_text()
        )
    )
    command = [
        str(ROOT / ".venv/tools/bin/act"),
        "--bind",
        "--no-skip-checkout",
        "--platform",
        "ubuntu-latest=-self-hosted",
    ]
    command += ["--action-offline-mode", "--workflows", f".github/workflows/{workflow}"]
    for name, digest in sorted(used):
        folder = work / "actions" / name
        folder.mkdir(parents=True, exist_ok=True)
        inputs = "inputs: {name: {required: false}, path: {required: false}}"
        run = f"    - shell: bash\n      run: {STAND_INS[name]}\n"
        (folder / "action.yml").write_text(
            f"name: stand-in\n{inputs}\nruns:\n  using: composite\n  steps:\n{run}"
        )
        command += ["--local-repository", f"{name}@{digest}={folder}"]
    for name, value in {"CHECKOUT": str(checkout), **environment}.items():
        command += ["--env", f"{name}={value}"]
    state = {
        "HOME": str(work),
        "XDG_CACHE_HOME": str(work / "cache"),
        "XDG_CONFIG_HOME": str(work / "config"),
    }
    done = subprocess.run(
        [*command, *words],
        cwd=checkout,
        env={**os.environ, **state},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def with_environment(checkout: Path) -> Path:
    """Give a checkout this checkout's .venv; it counts as newer than what it was made from."""
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    for name in ("requirements.txt", "requirements-tools.txt", "pyproject.toml"):
        os.utime(checkout / name, (0, 0))
    return checkout
