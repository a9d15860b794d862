"""Runs the contract of the prediction log on mongoeco, which has MongoDB's semantics and is slow.

It needs Python 3.13, which `PYTHON313` may name, and makes an environment of its own: `var/verify/mongoeco`. The suite itself takes any MongoDB:
`TRIMTAB_TEST_MONGODB_URL=mongodb://... pytest tests/integration/predictions -k mongodb`.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / "var" / "verify" / "mongoeco"
PINNED = "mongoeco[wire]==4.11.0"
SERVER = """
import asyncio
from mongoeco.wire import AsyncMongoEcoProxyServer

async def serve():
    async with AsyncMongoEcoProxyServer() as server:
        print(server.address.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""


def main() -> int:
    """Install, serve on a free port of the loopback, test; the exit status is pytest's."""
    uv = Path(sys.executable).parent / "uv"
    quiet = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", _python(), HOME], check=True, env=quiet)
    python = HOME / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, PINNED], check=True, env=quiet)
    with subprocess.Popen([python, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"mongodb://127.0.0.1:{int(server.stdout.readline())}/?directConnection=true"
            return subprocess.run(
                [sys.executable, "-m", "pytest", "tests/integration/predictions", "-k", "mongodb", "-q"]
                + ["--deselect", "tests/integration/predictions/test_faults.py"],
                cwd=ROOT,
                env={**os.environ, "TRIMTAB_TEST_MONGODB_URL": url},
            ).returncode
        finally:
            server.terminate()


def _python() -> str:
    # pyenv's shims are on the path for versions that it does not run
    installed = sorted(Path.home().glob(".pyenv/versions/3.13*/bin/python3.13"))
    return os.environ.get("PYTHON313") or (str(installed[-1]) if installed else "3.13")


if __name__ == "__main__":
    sys.exit(main())
