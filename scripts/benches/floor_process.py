"""The least that sees the peers' estate: its lists, each at the largest page, and nothing made of them. Prints JSON.

Knows nothing of Perennial but the counting. ListCertificates would take two calls fewer of 2,000 certificates, and
tells neither serial nor issuer.
"""

from __future__ import annotations

import json
from typing import Any

from benches import counting


def main() -> None:
    counts = counting.everywhere()
    import boto3

    session = boto3.Session()
    acm, elbv2, apigateway, iam = (session.client(name) for name in ("acm", "elbv2", "apigateway", "iam"))
    seen = sum(len(page["Results"]) for page in acm.get_paginator("search_certificates").paginate(**_page(500)))
    for page in elbv2.get_paginator("describe_load_balancers").paginate(**_page(400)):
        for balancer in page["LoadBalancers"]:
            seen += _attached(elbv2, balancer["LoadBalancerArn"])
    seen += len(apigateway.get_domain_names(limit=500)["items"])
    for page in iam.get_paginator("list_server_certificates").paginate(**_page(1000)):
        seen += len(page["ServerCertificateMetadataList"])
    print(json.dumps({"calls": counts.calls, "seen": seen}))


def _attached(elbv2: Any, balancer: str) -> int:
    """How many certificates the listeners of a load balancer have."""
    seen = 0
    for page in elbv2.get_paginator("describe_listeners").paginate(LoadBalancerArn=balancer, **_page(400)):
        for listener in page["Listeners"]:
            request = {"ListenerArn": listener["ListenerArn"], **_page(400)}
            pages = elbv2.get_paginator("describe_listener_certificates").paginate(**request)
            seen += sum(len(each["Certificates"]) for each in pages)
    return seen


def _page(size: int) -> dict[str, dict[str, int]]:
    return {"PaginationConfig": {"PageSize": size}}


if __name__ == "__main__":
    main()
