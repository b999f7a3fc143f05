"""lego and certbot in the issuance bench: dns-01, keys on P-256, a warm account, and no wait that they can leave out.

lego shows its challenges through its provider `httpreq`, without a look for the record itself (`--dns.disable-cp`).
certbot does so through its hooks; as it locks its directories, each that runs at once has directories of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benches.issuance_lab import Lab

_MAIL = "bench@example.com"
_SECONDS = 300
_RECORD = '"$RECORDS/_acme-challenge.$CERTBOT_DOMAIN"'
_DIRECTORIES = ("config", "work", "logs")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another client: its command for a directory and some names, and how its account comes into a directory."""

    name: str
    command: Callable[[Lab, Path, Sequence[str]], list[str]]
    register: Callable[[Lab, Path], list[str]]
    account: str  # the part of its directory that holds the account

    def warmed(self, lab: Lab) -> Path:
        """A directory with an account."""
        directory = lab.directory / self.name
        directory.mkdir()
        _run(self.register(lab, directory), lab)
        return directory

    def issue(self, lab: Lab, directory: Path, names: Sequence[str]) -> None:
        """One certificate."""
        _run(self.command(lab, directory, names), lab)

    def issue_at_once(self, lab: Lab, directory: Path, names: Sequence[str]) -> None:
        """One certificate for each name, all at once, each from a directory of its own with the same account."""
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: self.issue(lab, directory.with_name(f"{self.name}-{name}"), (name,)), names))

    def copies(self, directory: Path, names: Sequence[str]) -> None:
        """The directories that `issue_at_once` needs."""
        for name in names:
            own = directory.with_name(f"{self.name}-{name}")
            shutil.copytree(directory / self.account, own / self.account)


def _lego(lab: Lab, directory: Path, names: Sequence[str]) -> list[str]:
    where = ["--path", str(directory), "--server", lab.place.url, "--accept-tos", "--email", _MAIL]
    return ["lego", *where, "--dns", "httpreq", "--dns.disable-cp", *_options("--domains", names), "run"]


def _certbot(lab: Lab, directory: Path, names: Sequence[str]) -> list[str]:
    show = f'printf %s "$CERTBOT_VALIDATION" > {_RECORD}'
    hooks = ["--manual-auth-hook", show, "--manual-cleanup-hook", f"rm -f {_RECORD}"]
    key = ["--key-type", "ecdsa", "--elliptic-curve", "secp256r1"]
    challenge = ["--manual", "--preferred-challenges", "dns"]
    return [*_certbot_in(lab, directory), "certonly", *challenge, *hooks, *key, *_options("-d", names)]


def _certbot_in(lab: Lab, directory: Path) -> list[str]:
    where = [word for each in _DIRECTORIES for word in (f"--{each}-dir", str(directory / each))]
    return ["certbot", *where, "--server", lab.place.url, "--non-interactive"]


def _options(option: str, names: Sequence[str]) -> list[str]:
    return [word for name in names for word in (option, name)]


def _run(command: Sequence[str], lab: Lab) -> None:
    """Run a client to its end. Ends the bench where it fails, or takes too long."""
    environment = _environment(lab)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"bench: {command[0]} did not end within {_SECONDS} seconds") from None
    if done.returncode:
        raise SystemExit(f"bench: {command[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2_000:]}")


def _environment(lab: Lab) -> Mapping[str, str]:
    of_lego = {"LEGO_CA_CERTIFICATES": lab.place.roots, "HTTPREQ_ENDPOINT": lab.hook, "HTTPREQ_POLLING_INTERVAL": "0"}
    of_certbot = {"REQUESTS_CA_BUNDLE": lab.place.roots, "RECORDS": lab.place.records}
    return {**os.environ, **of_lego, **of_certbot}


LEGO = Peer(
    name="lego",
    command=_lego,
    register=lambda lab, directory: _lego(lab, directory, ("lego-first.example.com",)),
    account="accounts",
)
CERTBOT = Peer(
    name="certbot",
    command=_certbot,
    register=lambda lab, directory: [*_certbot_in(lab, directory), "register", "--agree-tos", "--email", _MAIL],
    account="config/accounts",
)


PEERS = (LEGO, CERTBOT)


def installed() -> tuple[Peer, ...]:
    """Those that are on PATH."""
    return tuple(peer for peer in PEERS if shutil.which(peer.name))
