"""A server of each kind on loopback, with credentials made for this run."""

import base64
import getpass
import http.server
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import free_port

ROOT = Path(__file__).parents[3]
HOST = "127.0.0.1"
_START_SECONDS = 60


@dataclass(frozen=True)
class Remote:
    """A remote's address, the settings that open it, wrong ones, and the text that must stay secret."""

    url: str
    right: Mapping[str, str]
    wrong: Mapping[str, str]
    secrets: tuple[str, ...]


@contextmanager
def running(*command: str, port: int, folder: Path, extra: Mapping[str, str] | None = None) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(extra or {})},
        )
    try:
        _wait(server, port, log)
        yield
    finally:
        server.terminate()
        server.wait(20)


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"{server.args} does not listen on {port}:\n{log.read_text()[-3000:]}")


@contextmanager
def s3(folder: Path) -> Iterator[Remote]:
    import boto3

    port = free_port()
    # moto lets the first calls in without credentials, and checks each call after them.
    command = (sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port))
    with running(*command, port=port, folder=folder, extra={"INITIAL_NO_AUTH_ACTION_COUNT": "4"}):
        url = f"http://{HOST}:{port}"
        anyone = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "a",
            "aws_secret_access_key": "b",
        }
        iam = boto3.client("iam", **anyone)
        iam.create_user(UserName="trimtab")
        key = iam.create_access_key(UserName="trimtab")["AccessKey"]
        allow = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        iam.put_user_policy(UserName="trimtab", PolicyName="all", PolicyDocument=allow)
        boto3.client("s3", **anyone).create_bucket(Bucket="data")
        right = {"endpointurl": url, "region": "us-east-1", "access_key_id": key["AccessKeyId"]}
        secret = key["SecretAccessKey"]
        wrong = {**right, "secret_access_key": f"wrong-{secrets.token_hex(16)}"}
        yield Remote(
            "s3://data/dvc",
            {**right, "secret_access_key": secret},
            wrong,
            (secret, wrong["secret_access_key"]),
        )


@contextmanager
def azure(folder: Path) -> Iterator[Remote]:
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    program = str(ROOT / ".venv" / "node" / "node_modules" / ".bin" / "azurite-blob")
    key, other = (base64.b64encode(secrets.token_bytes(64)).decode() for _ in range(2))
    options = ("--skipApiVersionCheck", "--disableTelemetry", "--silent")
    where = ("--blobHost", HOST, "--blobPort", str(port), "--location", str(folder))
    with running(
        program, *options, *where, port=port, folder=folder, extra={"AZURITE_ACCOUNTS": f"trimtab:{key}"}
    ):
        right, wrong = (_connection(port, secret) for secret in (key, other))
        BlobServiceClient.from_connection_string(right).create_container("data")
        yield Remote(
            "azure://data/dvc", {"connection_string": right}, {"connection_string": wrong}, (key, other)
        )


def _connection(port: int, key: str) -> str:
    parts = {
        "DefaultEndpointsProtocol": "http",
        "AccountName": "trimtab",
        "AccountKey": key,
        "BlobEndpoint": f"http://{HOST}:{port}/trimtab",
    }
    return ";".join(f"{name}={value}" for name, value in parts.items())


@contextmanager
def ssh(folder: Path) -> Iterator[Remote]:
    port = free_port()
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "config").write_text(
        f"ListenAddress {HOST}\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        f"KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    (folder / "home" / ".ssh").mkdir(parents=True)
    host_key = (folder / "host.pub").read_text()
    (folder / "home" / ".ssh" / "known_hosts").write_text(f"[{HOST}]:{port} {host_key}")
    Path("/run/sshd").mkdir(exist_ok=True)
    with running("/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config"), port=port, folder=folder):
        common = {"user": getpass.getuser(), "port": str(port)}
        right, wrong = ({**common, "keyfile": str(folder / name)} for name in ("user", "stranger"))
        key = (folder / "user").read_text().splitlines()[2]
        yield Remote(f"ssh://{HOST}{folder}/data", right, wrong, (key,))


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serve and take files below a folder, for clients with the password."""

    expected = ""

    def do_GET(self) -> None:
        if self._may():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._may():
            super().do_HEAD()

    def do_PUT(self) -> None:
        content = self._body()
        if self._may():
            path = Path(self.translate_path(self.path))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _may(self) -> bool:
        may = self.headers.get("Authorization") == self.expected
        if not may:
            self.send_error(401)
        return may

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def http_put(folder: Path) -> Iterator[Remote]:
    password, other = secrets.token_hex(16), secrets.token_hex(16)
    token = base64.b64encode(f"trimtab:{password}".encode()).decode()
    handler = type("Files", (_Files,), {"expected": f"Basic {token}"})
    server = http.server.ThreadingHTTPServer(
        (HOST, 0), lambda *call: handler(*call, directory=str(folder))  # type: ignore[arg-type]
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    common = {"auth": "basic", "method": "PUT", "user": "trimtab"}
    url = f"http://{HOST}:{server.server_port}/data"
    try:
        yield Remote(
            url, {**common, "password": password}, {**common, "password": other}, (password, token, other)
        )
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def webdav(folder: Path) -> Iterator[Remote]:
    port, password, other = free_port(), secrets.token_hex(16), secrets.token_hex(16)
    (folder / "files" / "data").mkdir(parents=True)  # DVC makes the folders below it only
    (folder / "wsgidav.yaml").write_text(
        f"host: {HOST}\nport: {port}\nprovider_mapping:\n  '/': '{folder}/files'\n"
        f"simple_dc:\n  user_mapping:\n    '*':\n      trimtab:\n        password: '{password}'\n"
    )
    program = str(Path(sys.executable).parent / "wsgidav")
    with running(program, "--config", str(folder / "wsgidav.yaml"), port=port, folder=folder):
        right, wrong = ({"user": "trimtab", "password": secret} for secret in (password, other))
        yield Remote(f"webdav://{HOST}:{port}/data", right, wrong, (password, other))


KINDS = {"s3": s3, "azure": azure, "ssh": ssh, "http": http_put, "webdav": webdav}
