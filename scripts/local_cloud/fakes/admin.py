"""The fakes' own HTTP paths, for tests, demos and benches: `/_fakes/…`.

POST   /_fakes/inject            {"service", "operation", "error_code", "times"?, "message"?, "status"?}
GET    /_fakes/calls             {"acm": {"SearchCertificates": 12}, …}
GET    /_fakes/rates             [{"service", "operation", "account", "region", "rate", "calls", "throttled",
                                 "most_in_a_second"}, …]: how those were called that have a rate
DELETE /_fakes/calls             forgets the counts of both
POST   /_fakes/reset             empties every fake, and forgets counts and faults
POST   /_fakes/<service>/<what>  runs the fake's `admin_<what>` with the JSON body, for example /_fakes/acm/seed
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from local_cloud.fakes.controls import Controls
from local_cloud.fakes.service import LOCK, FakeService, ServiceError
from local_cloud.fakes.wire import Response

PREFIX = "/_fakes/"


class Admin:
    """Routes the admin paths to the controls and to the fakes."""

    def __init__(self, fakes: Mapping[str, FakeService[Any]], steering: Controls) -> None:
        self._fakes = fakes
        self._controls = steering
        self._routes: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("POST", "inject"): self._inject,
            ("GET", "calls"): lambda _: steering.calls(),
            ("GET", "rates"): lambda _: steering.pressed(),
            ("DELETE", "calls"): lambda _: steering.reset_calls(),
            ("POST", "reset"): self._reset,
        }

    def __call__(self, method: str, path: str, body: bytes) -> Response:
        """Serves one admin request."""
        try:
            answer = self._run(method, path.removeprefix(PREFIX).strip("/"), json.loads(body or b"null"))
        except ServiceError as error:
            return _json(error.status, {"error": error.code, "message": error.message})
        except (KeyError, TypeError, ValueError) as error:
            return _json(400, {"error": type(error).__name__, "message": str(error)})
        return _json(200, {} if answer is None else answer)

    def _run(self, method: str, name: str, content: Any) -> Any:
        if (method, name) in self._routes:
            return self._routes[method, name](content)
        service, _, what = name.partition("/")
        action = getattr(self._fakes.get(service), f"admin_{what.replace('-', '_')}", None)
        if action is None or method != "POST":
            raise ServiceError("NotFound", f"{method} {PREFIX}{name} is no admin path", 404)
        with LOCK:
            return action(content)

    def _inject(self, content: dict[str, Any]) -> None:
        self._controls.inject(
            content["service"],
            content.get("operation", "*"),
            content["error_code"],
            int(content.get("times", 1)),
            content.get("message", ""),
            int(content.get("status", 400)),
        )

    def _reset(self, _: Any) -> None:
        for fake in self._fakes.values():
            fake.reset()
        self._controls.reset()


def _json(status: int, content: Any) -> Response:
    return status, {"Content-Type": "application/json"}, json.dumps(content, default=str).encode()
