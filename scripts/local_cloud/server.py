"""The one process of a local cloud: ministack with its hooks and the added services, on 127.0.0.1.

Run by `local_cloud.cloud`, with its whole configuration in the environment (see `Cloud.start`). It holds a lock on its
record file for as long as it lives, which is how others know that it runs and which process it is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local_cloud import hooks
from local_cloud.patching import HookLostError
from local_cloud.record import Record


def main() -> None:
    """Serve until a signal ends the process. Exits with 1 and one sentence when ministack does not take a hook."""
    parser = argparse.ArgumentParser(description="Serve a local cloud in the foreground.")
    parser.add_argument("record", type=Path, help="file to lock and to write this process's id and port to")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    with Record(arguments.record).hold(arguments.port):
        try:
            hooks.install()
        except HookLostError as error:
            sys.exit(str(error))
        serve()


def serve() -> None:
    """Run ministack's own server in this process; it reads its address from the environment."""
    from ministack.app import main as run_ministack  # type: ignore[import-untyped]

    sys.argv = sys.argv[:1]
    run_ministack()


if __name__ == "__main__":
    main()
