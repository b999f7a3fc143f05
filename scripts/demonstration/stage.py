"""What the acts of the demo share: the cloud, the estate, the clock, and the expectations."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from example_estate import ExampleEstate
from local_cloud.cloud import HUB_ACCOUNT, REGION, Cloud, CloudError

COMMAND = Path(sys.prefix) / "bin" / "perennial"
WIDTH = 100


@dataclass
class Stage:
    """The demo's state: `outputs` are those of the deployed stack, `missed` the expectations that did not hold."""

    cloud: Cloud
    estate: ExampleEstate
    began: float = field(default_factory=time.monotonic)
    outputs: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    acts: int = 0

    def act(self, title: str) -> None:
        """Begin an act."""
        self.acts += 1
        print(f"\n{self._bold(f'{self.acts}. {title}')}  [{time.monotonic() - self.began:.0f} s]", flush=True)

    def say(self, text: str) -> None:
        """A line about what happens."""
        print(f"   {text}", flush=True)

    def expect(self, holds: bool, what: str) -> None:
        """State an expectation; the demo goes on and fails at its end."""
        print(f"   {'✓' if holds else '✗'} {what}", flush=True)
        if not holds:
            self.missed.append(what)

    def command(
        self,
        *arguments: str,
        exit_codes: Sequence[int] = (0,),
        show: int = 14,
        errors: bool = False,
        who: str = "",
    ) -> str:
        """Run the `perennial` command as a person would, show the first lines of what it prints (with `errors`: of what
        it complains), and return all. `who`: as this user, whom `people.principal` made."""
        print(f"\n   {who}$ perennial {shlex.join(arguments)}", flush=True)
        environment = {**os.environ, **self.cloud.env(HUB_ACCOUNT, REGION), "COLUMNS": str(WIDTH)}
        done = subprocess.run(
            [*(self._as(who) if who else [COMMAND]), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode not in exit_codes:
            self.expect(False, f"exit code {done.returncode} of perennial {arguments[0]}: {done.stderr.strip()[-300:]}")
        lines = (done.stderr if errors else done.stdout).splitlines()
        for line in lines[:show]:
            print(f"   {line}")
        if len(lines) > show:
            print(f"   … {len(lines) - show} more lines" if show else f"   ({len(lines)} lines, which are read here)")
        return done.stdout

    def _as(self, who: str) -> list[str | Path]:
        return [sys.executable, "-m", "local_cloud", "as", "--name", self.cloud.name, who, "perennial"]

    def look(self, *arguments: str) -> Any:
        """What the `perennial` command says with `--json`, shown to nobody: what the demo waits for. In this process,
        as another one at every look would take the machine's time from the local cloud."""
        from perennial.cli.program import program

        environment = {**self.cloud.env(HUB_ACCOUNT, REGION), "COLUMNS": str(WIDTH)}
        looked = CliRunner().invoke(program, [*arguments, "--json"], env=environment)
        if looked.exit_code:
            said = looked.output.strip()[-300:]
            raise CloudError(f"exit code {looked.exit_code} of perennial {arguments[0]}: {said}")
        return json.loads(looked.stdout)

    def client(self, service: str, account: str = HUB_ACCOUNT, region: str = REGION) -> Any:
        """A client of the local cloud."""
        return self.cloud.client(service, account, region)

    @staticmethod
    def _bold(text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text
