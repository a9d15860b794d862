"""Forks DVC and trimtab from a process that has imported their libraries, which takes two to five seconds each time.

The tests start both as any user does, as `python -m dvc` and `python -m trimtab`. In the environment that `forking` yields,
`sitecustomize.py` sends them here. Each fork imports the code of trimtab itself, from the folder in `PYTHONPATH`.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

FOLDER = Path(__file__).parent
ADDRESS = "TRIMTAB_TESTS_FORKED"
LIBRARIES = (
    "dvc.cli.parser",
    "dvc.repo.graph",
    "dvc.repo.index",
    "dvc.repo.worktree",
    "dvc.rwlock",
    "dvc.utils.strictyaml",
    "dvc_data.index.checkout",
    "dvc_data.index.fetch",
    "dvc_data.index.push",
    "dvc_data.hashfile.status",
    "fsspec.implementations.memory",
    "mlflow.projects",
    "mlflow.sklearn",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.tracking.sqlalchemy_store",
    "networkx",
    "pandera.pandas",
    "pyarrow.parquet",
    "sklearn.ensemble",
    "skops.io",
    "typer",
)
BASH = f"""\
python() {{ PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}{FOLDER}" command python "$@"; }}
"""
"""MLflow runs an entry point as `bash -c "PYTHONPATH=src python -m trimtab train"`."""


@contextmanager
def forking(folder: Path) -> Iterator[dict[str, str]]:
    """Start the process; yield the variables by which other processes find it."""
    functions = folder / "python.bash"
    functions.write_text(BASH)
    address = {ADDRESS: f"trimtab-tests-{os.getpid()}"}
    with subprocess.Popen([sys.executable, __file__], env={**os.environ, **address}, stdin=subprocess.PIPE):
        # The process ends with its standard input.
        places = os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))
        yield address | {"BASH_ENV": str(functions), "PYTHONPATH": places}


def serve(address: str) -> None:
    """Fork a process for each program, until standard input ends; the first program waits for the libraries' import."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    if sys.stdin in select.select([server, sys.stdin], [], [])[0]:
        return
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            run(connection)
        connection.close()


def run(connection: socket.socket) -> NoReturn:
    """Run the program that is asked for, and send its exit status."""
    request, streams, *_ = socket.recv_fds(connection, 1 << 20, 3)
    sys.argv, environment, folder = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    places = [os.path.abspath(place) for place in os.environ["PYTHONPATH"].split(os.pathsep) if place]
    sys.path[0:1] = [folder, *(place for place in places if place != str(FOLDER))]
    threading.Thread(target=end_with_the_client, args=[connection], daemon=True).start()
    status = 0
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except Exception:
        status = 1
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send(str(status).encode())
    os._exit(0)  # as the libraries need not be taken down


def end_with_the_client(connection: socket.socket) -> None:
    """Kill this process when the one that asked for it was killed."""
    if connection.recv(1) == b"":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(f"\0{os.environ[ADDRESS]}")
