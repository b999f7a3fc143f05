"""Start, stop and describe a local cloud.

A cloud is a directory: ``.local/<name>`` of the repository holds its record (see `record`), its log and its scratch
files. Several run side by side under different names.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

from local_cloud.record import Record, Running

SCRIPTS = Path(__file__).resolve().parent.parent
REPOSITORY = SCRIPTS.parent

HUB_ACCOUNT = "111111111111"
MEMBER_ACCOUNT = "222222222222"
REGION = "eu-west-1"

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LOG_TAIL_LINES = 15


class CloudError(RuntimeError):
    """A local cloud that could not be started, stopped, reached or deployed to; the message is for a person."""


@dataclass(frozen=True)
class Cloud:
    """A local cloud, running or not.

    ``account`` and ``region`` are what callers get that do not say otherwise. A 12-digit access key id selects the
    account of a call; every other one means ``account``.
    """

    directory: Path
    account: str = HUB_ACCOUNT
    region: str = REGION
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict, repr=False, compare=False)
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def named(cls, name: str = "default") -> Cloud:
        """The cloud of that name in this repository."""
        return cls(REPOSITORY / ".local" / name)

    @property
    def name(self) -> str:
        """The last part of the directory."""
        return self.directory.name

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.directory / "server.log"

    @cached_property
    def _record(self) -> Record:
        return Record(self.directory / "running.json")

    def running(self) -> Running | None:
        """The process of this cloud, or None when it is down."""
        return self._record.read()

    @property
    def url(self) -> str:
        """The endpoint of every service. Raises `CloudError` when the cloud is down."""
        running = self.running()
        if running is None:
            raise CloudError(f"The local cloud {self.name!r} is down: start it with scripts/local-cloud up.")
        return running.url

    def start(self, port: int | None = None, settings: Mapping[str, str] | None = None) -> Running:
        """Start the process and wait until it answers; a cloud that is up already is left as it is.

        ``settings`` are further variables of the process, which hands its whole environment to every Lambda.
        Raises `CloudError` with the end of the log when the process ends or does not answer.
        """
        running = self.running()
        if running is not None:
            return running
        port = port or free_port()
        process = self._spawn(port, {**self._server_environment(port), **(settings or {})})
        self._children.append(process)
        self._await_answer(process, f"http://127.0.0.1:{port}")
        running = self.running()
        if running is None or running.pid != process.pid:
            raise CloudError(f"Another process took the local cloud {self.name!r} while it started: run it again.")
        return running

    def stop(self) -> bool:
        """End the process and its Lambda workers. False when the cloud was down."""
        running = self.running()
        if running is None:
            return False
        for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
            _signal_session(running.pid, number)
            if self._is_down_within(seconds):
                self._forget()
                return True
        raise CloudError(f"Process {running.pid} of the local cloud {self.name!r} does not end.")

    def reset(self) -> None:
        """Empty every service, as if the cloud had just started."""
        self.open("/_ministack/reset", {}).close()

    def emit(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        *,
        resources: Sequence[str] = (),
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Put an event on the default bus as an AWS service does, for example ``aws.acm``; PutEvents refuses those."""
        event = {"source": source, "detail-type": detail_type, "detail": detail, "resources": list(resources)}
        place = {"account": account or self.account, "region": region or self.region}
        self.open("/_local_cloud/events", {**event, **place}).close()

    def add_accounts(self, names: Mapping[str, str], management: str | None = None) -> None:
        """Add accounts (id -> name) to the organization of the management account."""
        accounts = [{"Id": number, "Name": name} for number, name in names.items()]
        self.open("/_local_cloud/accounts", {"management": management or self.account, "accounts": accounts}).close()

    def edge(self) -> list[dict[str, Any]]:
        """Every address at which the local edge terminates TLS, with the certificate that it shows now.

        A row has place, kind, name, account, region, hosts, listens (the port in AWS), address, port, behaviour,
        protocols, certificate ({arn, name, serial, not_after, fingerprint} or None) and certificates (the ARNs of all).
        """
        with self.open("/_local_cloud/edge") as answer:
            return list(json.load(answer))

    def misbehave(
        self, place: str, behaviour: str, *, address: str | None = None, seconds: float | None = None
    ) -> list[dict[str, Any]]:
        """Let a place of the edge, or one of its addresses, behave in another way; returns the rows of what now does.

        ``place`` is what its row says, or a host name that leads there. ``behaviour`` is old, wrong-chain, refuse,
        hang, reset, or well, which ends the others; with ``seconds`` it ends by itself. Raises `CloudError`.
        """
        order = {"place": place, "address": address, "behaviour": behaviour, "seconds": seconds}
        with self.open("/_local_cloud/edge/behaviour", order) as answer:
            return list(json.load(answer))

    def open(self, path: str, content: Any = None, method: str | None = None) -> HTTPResponse:
        """Call a path of the process itself, for example ``/_fakes/inject``, with a JSON body.

        The method is POST with a body and GET without one, unless given. Raises `CloudError` for an error status.
        """
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=body, method=method)
        try:
            return cast(HTTPResponse, urllib.request.urlopen(request, timeout=60))
        except urllib.error.HTTPError as error:
            raise CloudError(f"{path} answered {error.code}: {error.read().decode(errors='replace')}") from error

    def env(self, account: str | None = None, region: str | None = None) -> dict[str, str]:
        """The variables that point an SDK, the AWS CLI or the CDK at this cloud, in one account and region."""
        return {**self._endpoints(self.url), **self._credentials(account, region)}

    def client(self, service: str, account: str | None = None, region: str | None = None) -> Any:
        """A boto3 client of a service, in one account and region; the same one for the same arguments."""
        key = (service, account or self.account, region or self.region)
        if key not in self._clients:
            self._clients[key] = self._session.client(
                service,
                endpoint_url=self.url,
                region_name=key[2],
                aws_access_key_id=key[1],
                aws_secret_access_key=key[1],
            )
        return self._clients[key]

    @cached_property
    def _session(self) -> Any:
        """One session for all clients, because each session reads the service models anew."""
        import boto3

        return boto3.Session()

    def _credentials(self, account: str | None, region: str | None) -> dict[str, str]:
        region = region or self.region
        return {
            "AWS_ACCESS_KEY_ID": account or self.account,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
        }

    @staticmethod
    def _endpoints(url: str) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": url, "AWS_ENDPOINT_URL_S3": url}

    def _server_environment(self, port: int) -> dict[str, str]:
        """The whole environment of the process: as little as it can be, because every Lambda gets it too."""
        scratch = self.directory / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        return {
            **_passed_on("HOME", "LANG", "LC_ALL", "TZ"),
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
            "PYTHONUNBUFFERED": "1",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_ACCOUNT_ID": self.account,
            "MINISTACK_REGION": self.region,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "STATE_DIR": str(self.directory / "state"),
            "TMPDIR": str(scratch),
            "LOG_LEVEL": "WARNING",
            "AWS_SECRET_ACCESS_KEY": "any",
            **self._endpoints(f"http://127.0.0.1:{port}"),
        }

    def _spawn(self, port: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "local_cloud.server", str(self._record.path), "--port", str(port)]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=SCRIPTS,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _forget(self) -> None:
        """Drop what belonged to the process that ended: clients with its port, and its exit status if it was ours."""
        self._clients.clear()
        while self._children:
            self._children.pop().wait()

    def _await_answer(self, process: subprocess.Popen[bytes], url: str) -> None:
        end = time.monotonic() + _START_SECONDS
        while not _answers(url):
            if process.poll() is not None:
                raise CloudError(f"The local cloud {self.name!r} did not start:\n{tail(self.log, _LOG_TAIL_LINES)}")
            if time.monotonic() > end:
                _signal_session(process.pid, signal.SIGKILL)
                raise CloudError(f"The local cloud {self.name!r} does not answer at {url}; its log is {self.log}.")
            time.sleep(0.05)

    def _is_down_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.running() is not None:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(path: Path, lines: int, began: int = 0) -> str:
    """The last lines of a text file, of what follows the byte ``began``."""
    return "\n".join(path.read_bytes()[began:].decode(errors="replace").splitlines()[-lines:])


def _passed_on(*names: str) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=1) as response:
            return bool(json.load(response))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _signal_session(leader: int, number: signal.Signals) -> None:
    """Signal the process and its Lambda workers, which are all of one process group."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return
