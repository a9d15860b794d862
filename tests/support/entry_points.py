"""Fork the entry points of MLflow Projects from a process that has imported their libraries, which takes five seconds each time.

MLflow runs an entry point as `bash -c "PYTHONPATH=src python -m trimtab train"`. In the environment that `preloaded` yields,
bash sends its `python -m trimtab` to that process. The code of trimtab itself is imported from the checkout, as always.
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
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

LIBRARIES = (
    "mlflow.projects",
    "mlflow.sklearn",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandera.pandas",
    "pyarrow.parquet",
    "sklearn.ensemble",
    "skops.io",
)
ADDRESS = "TRIMTAB_TESTS_ENTRY_POINTS"
PYTHON = f"""\
python() {{
    if [ "${{PYTHONPATH:-}} $1 $2" = "src -m trimtab" ]; then command python -I -S {__file__} "$@"; else command python "$@"; fi
}}
"""


@contextmanager
def preloaded(folder: Path) -> Iterator[dict[str, str]]:
    """Start the process; yield the variables by which bash finds it."""
    functions = folder / "python.bash"
    functions.write_text(PYTHON)
    environment = {ADDRESS: f"trimtab-tests-{os.getpid()}", "BASH_ENV": str(functions)}
    command = [sys.executable, __file__]
    with subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.PIPE):
        yield environment  # the process ends with its standard input


def serve(address: str) -> None:
    """Import the libraries, then fork a process for each entry point, until standard input ends."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
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
    """Run the entry point that is asked for, and send its exit status."""
    request, streams, *_ = socket.recv_fds(connection, 1 << 20, 3)
    sys.argv, environment, folder = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0:1] = [folder, os.path.abspath(os.environ["PYTHONPATH"])]
    status: object = 0
    try:
        runpy.run_module("trimtab", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        status = error.code or 0
    except BaseException:
        status = 1
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send(str(status).encode())
    os._exit(0)  # as the libraries need not be taken down


def send(address: str) -> int:
    """Have an entry point run with this process's arguments, environment, folder and streams; return its exit status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        request = json.dumps([sys.argv[2:], dict(os.environ), os.getcwd()])
        socket.send_fds(connection, [request.encode()], [0, 1, 2])
        return int(connection.recv(16))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(send(f"\0{os.environ[ADDRESS]}"))
    serve(f"\0{os.environ[ADDRESS]}")
