"""A fake AWS service that takes its shapes from botocore's service model, so that a wrong call fails here as there.

A fake is one class with one method for each operation, named in snake_case, which gets the state of the caller's
account and region and the parsed, validated request, and returns the response as a dict:

    class Parrots(FakeService["Cage"]):
        service = "parrots"                                  # botocore's name of the service
        credential_scope = "parrots"                         # the SigV4 service name, which ministack routes by
        target_prefixes = ("AWSParrotService",)              # of X-Amz-Target, for the JSON protocols
        operations = None                                    # None: all; else only these, the rest goes to ministack
        rates: ClassVar = {"FeedParrot": 5}                  # calls a second, kept where LOCAL_CLOUD_RATES=1

        def new_state(self, account: str, region: str) -> "Cage":
            return Cage(account, region)

        def feed_parrot(self, state: "Cage", request: dict[str, Any]) -> dict[str, Any]:
            if request["Name"] not in state.parrots:
                raise ServiceError("ResourceNotFoundException", f"No parrot {request['Name']}")
            return {"Fed": True}

        def list_parrots(self, state: "Cage", request: dict[str, Any]) -> dict[str, Any]:
            found, token = self.page(sorted(state.parrots), request, token="NextToken", size="MaxItems", default=100)
            return {"Parrots": found, "NextToken": token}    # a member that is None is left out

A `FakeService` is a ministack handler; it keeps its state in memory for each account and region. An operation of the
model without a method answers NotImplementedException (501): nothing is faked silently. Operations run one at a time
in the process (`LOCK`, re-entrant), off the event loop, so one fake may call another: `other.call("Operation", {...})`.
What asks this process over HTTP lets the lock go meanwhile (`LOCK.released`), as the event loop may wait for it.
An instance whose `where` and `clock` are given needs no ministack, which is how the unit tests run them.
"""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar

from botocore import xform_name

from local_cloud.fakes import constraints, pages, wire
from local_cloud.fakes.controls import Controls, controls

State = TypeVar("State")
Item = TypeVar("Item")
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[wire.Response]]


class Lock:
    """A lock that its holder may take again, and may let go while it waits for the event loop of this process: there
    others wait for the lock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._held = threading.local()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._held.times = self._times + 1

    def __exit__(self, *_: object) -> None:
        self._held.times -= 1
        self._lock.release()

    @property
    def _times(self) -> int:
        """How often this thread has taken it."""
        return getattr(self._held, "times", 0)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Without the lock, whether or not this thread has it; what it guards may change meanwhile."""
        times = self._times
        for _ in range(times):
            self.__exit__()
        try:
            yield
        finally:
            for _ in range(times):
                self.__enter__()


LOCK = Lock()
_THREADS = ThreadPoolExecutor(32, "fake")
"""Of the fakes alone: some ask S3 of the same process, which must find threads of its own."""


class ServiceError(Exception):
    """An error that the service answers with. `code` is the error's shape name or its code; `members` are extra fields.

    The HTTP status is the one of the model; `status` counts for errors that the model does not name.
    """

    def __init__(self, code: str, message: str = "", status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def here() -> tuple[str, str]:
    """(account, region) of the request that ministack is serving."""
    from ministack.core.responses import get_account_id, get_region

    return get_account_id(), get_region()


def utc_now() -> datetime:
    """The time, in UTC, with its zone."""
    return datetime.now(UTC)


class FakeService(Generic[State]):
    """The base of a fake: see the module's docstring."""

    service: ClassVar[str]
    credential_scope: ClassVar[str]
    target_prefixes: ClassVar[tuple[str, ...]] = ()
    operations: ClassVar[frozenset[str] | None] = None
    api_version: ClassVar[str | None] = None
    rates: ClassVar[Mapping[str, float]] = {}
    is_global: ClassVar[bool] = False
    """True where the service has one state for each account, whatever the region (IAM)."""
    validation_error: ClassVar[str | None] = None
    """The error of a request that breaks the model; by default the protocol's usual one."""
    throttling_error: ClassVar[str | None] = None

    def __init__(
        self,
        *,
        where: Callable[[], tuple[str, str]] = here,
        clock: Callable[[], datetime] = utc_now,
        steering: Controls = controls,
    ) -> None:
        self.where = where
        self.now = clock
        self.controls = steering
        self.fallback: Handler | None = None
        self._states: dict[tuple[str, str], State] = {}

    def new_state(self, account: str, region: str) -> State:
        """An empty state; every fake says what that is."""
        raise NotImplementedError

    def state(self, account: str, region: str) -> State:
        """The state of an account in a region, made at first use."""
        key = (account, "global" if self.is_global else region)
        with LOCK:
            if key not in self._states:
                self._states[key] = self.new_state(account, region)
            return self._states[key]

    def reset(self) -> None:
        """Forgets everything that the fake holds."""
        with LOCK:
            self._states.clear()

    def claims(self, request: wire.HttpRequest) -> wire.Match | None:
        """The operation, if this fake answers it; None for what goes to `fallback`."""
        match = wire.find(self.service, request)
        taken = match and (self.operations is None or match.operation.name in self.operations)
        return match if taken else None

    async def __call__(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> wire.Response:
        """Serves one request, as a ministack handler; what this fake does not take goes to `fallback`."""
        request = wire.HttpRequest(method, path, {key.lower(): value for key, value in headers.items()}, body, query)
        match = self.claims(request)
        if match:
            told = contextvars.copy_context()  # whose account it is
            return await asyncio.get_running_loop().run_in_executor(_THREADS, told.run, self.answer, match, request)
        if self.fallback:
            return await self.fallback(method, path, headers, body, query)
        return self._error(ServiceError("UnknownOperationException", f"{method} {path} is no operation", 404))

    def handle(self, request: wire.HttpRequest) -> wire.Response:
        """Serves one request without an event loop and without a fallback."""
        match = self.claims(request)
        if not match:
            return self._error(ServiceError("UnknownOperationException", "No such operation", 404))
        return self.answer(match, request)

    def answer(self, match: wire.Match, request: wire.HttpRequest) -> wire.Response:
        """The response to a request whose operation is known."""
        try:
            result = self._serve(match, request)
            return wire.serialize(match.operation, result)
        except ServiceError as error:
            return self._error(error)

    def _serve(self, match: wire.Match, request: wire.HttpRequest) -> dict[str, Any]:
        name = match.operation.name
        self.controls.count(self.service, name)
        self._admit(name)
        try:
            parsed = wire.parse(match, request)
        except wire.Malformed as error:
            raise ServiceError("SerializationException", str(error)) from error
        return self.call(name, parsed)

    def _admit(self, operation: str) -> None:
        """Raises the injected fault that waits for this call, or the throttling error."""
        if fault := self.controls.fault(self.service, operation):
            raise ServiceError(fault.code, fault.message, fault.status)
        if not self.controls.within_rate((self.service, operation, *self.where()), self.rates.get(operation)):
            raise ServiceError(self._throttling_code(), "Rate exceeded")

    def call(
        self, operation: str, request: dict[str, Any], *, account: str | None = None, region: str | None = None
    ) -> dict[str, Any]:
        """Validates and runs an operation in-process, for other fakes and CloudFormation. Raises ServiceError."""
        self._validate(operation, request)
        method = getattr(self, xform_name(operation), None)
        if method is None:
            raise ServiceError("NotImplementedException", f"{self.service}:{operation} is not part of the fake", 501)
        served_account, served_region = self.where()
        with LOCK:
            state = self.state(account or served_account, region or served_region)
            return without_none(method(state, request) or {})

    def _validate(self, operation: str, request: dict[str, Any]) -> None:
        shape = wire.service_model(self.service).operation_model(operation).input_shape
        if found := constraints.violations(shape, request):
            raise ServiceError(self._validation_code(), constraints.message(found))

    def _validation_code(self) -> str:
        is_query = wire.service_model(self.service).protocol == "query"
        return self.validation_error or ("ValidationError" if is_query else "ValidationException")

    def _throttling_code(self) -> str:
        is_query = wire.service_model(self.service).protocol == "query"
        return self.throttling_error or ("Throttling" if is_query else "ThrottlingException")

    def _error(self, error: ServiceError) -> wire.Response:
        model = wire.service_model(self.service)
        return wire.serialize_error(model, error.code, error.message, error.status, error.members)

    def page(
        self,
        items: Sequence[Item],
        request: Mapping[str, Any],
        *,
        token: str,
        size: str,
        default: int,
        maximum: int | None = None,
        error: str | None = None,
    ) -> tuple[list[Item], str | None]:
        """One page of `items` and the next token; `token` and `size` name the request's members.

        A token of another query, or a size beyond `maximum`, is refused with `error` (by default a validation error).
        """
        wanted = request.get(size) or default
        if maximum is not None and wanted > maximum:
            raise ServiceError(error or self._validation_code(), f"{size} must not exceed {maximum}")
        query = {key: value for key, value in request.items() if key not in (token, size)}
        try:
            return pages.page(items, request.get(token), wanted, query)
        except pages.BadToken as bad:
            raise ServiceError(error or self._validation_code(), f"The {token} is not valid") from bad


def without_none(value: dict[str, Any]) -> dict[str, Any]:
    """The response without the members that are None, on every level: AWS leaves out what it does not have."""
    return {key: _pruned(item) for key, item in value.items() if item is not None}


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return without_none(value)
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value
