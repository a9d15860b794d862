"""Lets Azure's own command line read every command of deploy/azure/provision.sh: names, options, choices. Nothing is sent.

It makes an environment of its own with `azure-cli`, and puts an `az` first on the path that parses and runs nothing.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / "var" / "verify" / "azure"
SCRIPT = ROOT / "deploy" / "azure" / "provision.sh"
PINNED = "azure-cli==2.91.0"
AZ = """#!{python}
import sys
from pathlib import Path
from azure.cli.core import get_default_cli
from azure.cli.core.commands import AzCliCommandInvoker

words = sys.argv[1:]
AzCliCommandInvoker._run_job = lambda self, arguments, command: None
for check in ("_validate_cmd_level", "_validate_arg_level"):  # they ask Azure
    setattr(AzCliCommandInvoker, check, lambda *arguments, **named: None)
code = get_default_cli().invoke(words)
with Path("{log}").open("a") as log:
    log.write(f"{{code}} {{' '.join(words)}}\\n")
if words[:3] == ["keyvault", "secret", "show"] and "none" in words:
    sys.exit(3)  # there is no such secret yet
if "tsv" in words:
    print("value")
sys.exit(code)
"""


def main() -> int:
    """Install, read all commands, and see that a wrong one is refused and that a dry run tells the same ones."""
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, HOME], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", HOME / "bin" / "python", PINNED], check=True)
    text = SCRIPT.read_text(encoding="utf-8")
    code, read = run(text)
    print("\n".join(read))
    if code:
        print(f"az refused a command of {SCRIPT.relative_to(ROOT)}", file=sys.stderr)
        return 1
    for right, wrong in (
        ("--sku Standard ", "--sku Stanard "),
        ("--enable-oidc-issuer", "--enable-oidc-isuer"),
    ):
        assert right in text
        code, _ = run(text.replace(right, wrong))
        print(f"{wrong.strip()}: {'refused' if code else 'TAKEN'}")
        if not code:
            return 1
    names = {name_of(line.split(maxsplit=1)[1]) for line in read}
    changed = {name_of(line.removeprefix("+ az ")) for line in dry_run() if line.startswith("+ az ")}
    print(
        f"{len(read)} commands read, {len(names)} different; a dry run tells all but {sorted(names - changed)}"
    )
    return int(names - changed != {"keyvault secret show"})


def run(text: str) -> tuple[int, list[str]]:
    """Run the script with an az that only reads; its exit status, and the commands with theirs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "az").write_text(AZ.format(python=HOME / "bin" / "python", log=folder / "log"))
        (folder / "az").chmod(0o755)
        (folder / "provision.sh").write_text(text)
        environment = {
            **os.environ,
            "NAME": "verify",
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "AZURE_CONFIG_DIR": str(folder / "config"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
        }
        done = subprocess.run(
            ["bash", folder / "provision.sh"], env=environment, capture_output=True, text=True
        )
        print(done.stderr[-500:] if done.returncode else "", end="")
        return done.returncode, (folder / "log").read_text().splitlines()


def dry_run() -> list[str]:
    """Return what a dry run says."""
    environment = {**os.environ, "NAME": "verify"}
    done = subprocess.run(
        ["bash", SCRIPT, "--dry-run"], env=environment, capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def name_of(command: str) -> str:
    """Return the words of a command before its first option."""
    return re.split(r" -| …", command)[0].strip()


if __name__ == "__main__":
    sys.exit(main())
