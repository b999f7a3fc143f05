"""One scan of one scope as the Lambda makes it, in a process of its own: run with a scope's key, prints JSON.

The clients' pacing is off: it is made for AWS's rates and changes only how long a scan waits.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta

from benches import counting

LONG = timedelta(days=1)  # a Lambda ends earlier and goes on in the next; here one process does it all


def main() -> None:
    counts = counting.everywhere()
    from perennial import clients
    from perennial.deployment import Deployment
    from perennial.discovery import scan_scope
    from perennial.manifest import Scope

    clients.RATES.clear()
    deployment = Deployment()
    now = deployment.clock()
    began = time.process_time()
    result = scan_scope(deployment, run="bench", scope=Scope.of(sys.argv[1]), now=now, deadline=now + LONG)
    print(
        json.dumps(
            {
                "result": result,
                "calls": counts.calls,
                "written": counts.written,
                "read": counts.read,
                "put_bytes": counts.put_bytes,
                "peak_bytes": counting.peak_bytes(),
                "cpu_seconds": time.process_time() - began,
            }
        )
    )


if __name__ == "__main__":
    main()
