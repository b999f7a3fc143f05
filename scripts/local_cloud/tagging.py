"""The tags of the fakes' resources, for the Resource Groups Tagging API, and its pages of at most a hundred.

ministack collects tags from its own services only, and answers everything on one page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from local_cloud.fakes import fake
from local_cloud.fakes.service import here
from local_cloud.patching import part

MODULE = "ministack.services.tagging"
MOST = 100
Tagged = Iterator[tuple[str, list[dict[str, str]]]]


def tag_fakes() -> None:
    """Let GetResources see what the fakes hold, page by page."""
    hook = "tag_fakes"
    collectors = part(hook, MODULE, "_COLLECTORS")
    handlers = part(hook, MODULE, "_HANDLERS")
    get_resources = part(hook, MODULE, "_get_resources")
    collectors |= {"acm": _certificates, "elasticloadbalancing": _load_balancers}
    handlers["GetResources"] = _paged(get_resources)


def _certificates() -> Tagged:
    state = _state("acm")
    yield from _tagged(state.certificates if state else {})


def _load_balancers() -> Tagged:
    state = _state("elbv2")
    yield from _tagged({**state.load_balancers, **state.listeners, **state.trust_stores} if state else {})


def _state(service: str) -> Any:
    """A fake's state, without the fakes' lock: this runs on the event loop, and who holds the lock may wait for it."""
    return fake(service)._states.get(here())


def _tagged(resources: dict[str, Any]) -> Tagged:
    for each in list(resources.values()):
        if each.tags:
            yield each.arn, _listed(each.tags)


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _paged(get_resources: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    @wraps(get_resources)
    def page(request: dict[str, Any]) -> Any:
        status, headers, body = get_resources(request)
        answer = json.loads(body)
        found = answer.get("ResourceTagMappingList")
        if status != 200 or found is None:
            return status, headers, body
        start = int(request.get("PaginationToken") or 0)
        end = start + min(int(request.get("ResourcesPerPage", MOST)), MOST)
        answer |= {"ResourceTagMappingList": found[start:end], "PaginationToken": str(end) if end < len(found) else ""}
        return status, headers, json.dumps(answer).encode()

    return page
