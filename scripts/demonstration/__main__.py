"""Run the acts, then say whether everything was as expected."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from functools import partial

from demonstration import discovery, issuance
from demonstration.stage import Stage
from example_estate import ExampleEstate
from local_cloud.cloud import Cloud, CloudError

KEPT = """
The local cloud and its CAs stay up until Ctrl-C here, or scripts/local-cloud down --name demo. In another shell:
  eval "$(scripts/local-cloud env --name demo)"                         # as an administrator of the hub's account
  .venv/bin/perennial certs list --expiring 30d
  .venv/bin/perennial findings --severity high
  scripts/local-cloud as --name demo ada perennial me                   # as a requester; bert approves, sam is security
  scripts/local-cloud as --name demo bert perennial requests list --state all
  scripts/local-cloud as --name demo --roles operator olga perennial me # somebody else, with roles of your choice
"""


def main() -> int:
    """0 when everything was as expected, 1 when not."""
    keep = "--keep" in sys.argv[1:]
    cloud = Cloud.named("demo")
    cloud.stop()
    began = time.monotonic()
    print(
        f"Perennial's demo, in a local cloud (process {cloud.start().pid}, up after {time.monotonic() - began:.1f} s)"
    )
    stage = Stage(cloud, ExampleEstate(cloud))
    conclude = partial(concluded, stage, keep)
    try:
        discovery.run(stage)
        issuance.run(stage, conclude)
    except CloudError as error:
        stage.expect(False, str(error))
        conclude()
    finally:
        stage.estate.close()
        cloud.stop()
    return 1 if stage.missed else 0


def concluded(stage: Stage, keep: bool) -> None:
    """The last lines; and with `keep` nothing more until somebody ends this, or the local cloud."""
    print(f"\nEverything took {time.monotonic() - stage.began:.0f} s.")
    for what in stage.missed:
        print(f"✗ {what}", file=sys.stderr)
    print("Not everything was as expected." if stage.missed else "Everything was as expected.", flush=True)
    if not keep:
        return
    print(KEPT, flush=True)
    with suppress(KeyboardInterrupt):
        while stage.cloud.running():
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
