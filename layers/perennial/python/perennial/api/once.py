"""Idempotency-Key: a write that is sent again under the same key is done once, and answered again as it was.

A key belongs to its principal and its route, so that nobody is answered with what another one asked. The same key with
another body is refused with 422. Replies of what was done are kept a day; what failed may be tried again under the same
key. It is Powertools' idempotency, in the inventory's table (draft-ietf-httpapi-idempotency-key-header).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.event_handler import Response

from perennial.api.problems import Refused
from perennial.api.routes import WRITES
from perennial.clients import meaning
from perennial.deployment import Deployment
from perennial.errors import Unavailable

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
PARTITION = "IDEMPOTENCY"
KEPT = 86_400  # seconds
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
Next = Callable[[Any], Response[Any]]


class Once:
    """The middleware. What keeps the replies is made when the first key comes."""

    __name__ = "once"

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, Any]] = {}  # by table

    def __call__(self, app: Any, next_middleware: Next) -> Response[Any]:
        """The answer, that of the first time where a key comes again.

        Raises: Refused with 400, 409 or 422; what `next_middleware` raises.
        """
        key = _key(app.current_event.raw_event)
        if key is None:
            return next_middleware(app)
        return self._done_once(app, next_middleware, _asked(app, key))

    def _done_once(self, app: Any, next_middleware: Next, asked: dict[str, Any]) -> Response[Any]:
        from aws_lambda_powertools.utilities.idempotency import idempotent_function

        store, config = self._store(app.context["asking"].hub)
        config.register_lambda_context(app.lambda_context)
        fresh: list[Response[Any]] = []

        def once(*, asked: dict[str, Any]) -> dict[str, Any]:
            fresh.append(next_middleware(app))
            return _document(fresh[0])

        done = idempotent_function(
            once, data_keyword_argument="asked", persistence_store=store, config=config, key_prefix="api"
        )
        kept = _told(lambda: done(asked=asked))
        return fresh[0] if fresh else _again(kept)

    def _store(self, hub: Deployment) -> tuple[Any, Any]:
        table = hub.named("PERENNIAL_TABLE")
        if table not in self._kept:
            self._kept[table] = _made(hub, table)
        return self._kept[table]


def _made(hub: Deployment, table: str) -> tuple[Any, Any]:
    """Where replies are kept, and how."""
    from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig

    store = DynamoDBPersistenceLayer(
        table_name=table,
        key_attr="pk",
        sort_key_attr="sk",
        static_pk_value=PARTITION,
        expiry_attr="expires_at",
        boto3_client=hub.clients("dynamodb"),
    )
    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="digest",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=KEPT,
        hash_function="sha256",
    )
    return store, config


def _key(event: Mapping[str, Any]) -> str | None:
    """The key of a write; None where there is none.

    Raises: Refused with 400.
    """
    values = event["multiValueHeaders"].get(HEADER.lower())
    if values is None or event["httpMethod"] not in WRITES:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise Refused(400, f"{HEADER} is not one key of 1 to 128 visible ASCII characters; a UUID is a good one")
    key: str = values[0]
    return key


def _asked(app: Any, key: str) -> dict[str, Any]:
    """By what a request is known again, and by what it is told from another one under the same key."""
    event = app.current_event.raw_event
    principal = app.context["asking"].person.principal
    said = (event["multiValueHeaders"].get("if-match"), event["multiValueQueryStringParameters"], event["body"])
    return {
        "key": [principal, event["httpMethod"], app.context["_path"].rstrip("/"), key],
        "digest": hashlib.sha256(repr(said).encode()).hexdigest(),
    }


def _document(response: Response[Any]) -> dict[str, Any]:
    headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
    return {"status": response.status_code, "body": response.body, "headers": headers}


def _again(kept: Mapping[str, Any]) -> Response[Any]:
    headers = {**kept["headers"], REPLAYED: "true"}
    return Response(int(kept["status"]), content_type="application/json", body=kept["body"], headers=headers)


def _told(done: Callable[[], Any]) -> Any:
    """What Powertools' errors mean here."""
    from aws_lambda_powertools.utilities.idempotency import exceptions
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return done()
    except exceptions.IdempotencyValidationError as error:
        raise Refused(422, f"this {HEADER} was sent with another request; take a new key for each") from error
    except exceptions.IdempotencyAlreadyInProgressError as error:
        raise Refused(409, f"the request of this {HEADER} is being done; ask again", {"Retry-After": "2"}) from error
    except exceptions.IdempotencyInconsistentStateError as error:
        raise Unavailable("the reply that was kept changed meanwhile; ask again") from error
    except exceptions.IdempotencyPersistenceLayerError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError | BotoCoreError):
            raise meaning(cause, f"keeping the reply of an {HEADER}") from error
        raise
