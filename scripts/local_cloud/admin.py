"""What only AWS itself could do: the paths ``/_local_cloud/…``, by which tests and the demo play AWS.

POST /_local_cloud/events    {"account", "region", "source", "detail-type", "detail", "resources"?}
                             an event of an AWS service, which PutEvents refuses to every customer
POST /_local_cloud/accounts  {"management", "accounts": [{"Id", "Name", "Email"?}]}
                             accounts with chosen ids in the organization of the management account

The paths ``/_local_cloud/edge…`` are in `edge.paths`.
"""

from __future__ import annotations

import json
from typing import Any

from local_cloud.fakes.wire import Response
from local_cloud.patching import part

PREFIX = "/_local_cloud/"

_HOOK = "serve_admin"


def admin(method: str, path: str, body: bytes) -> Response:
    """Serve one request to `PREFIX`."""
    action = {"events": emit, "accounts": add_accounts}.get(path.removeprefix(PREFIX))
    if method != "POST" or action is None:
        return _json(404, {"message": f"{method} {path} is no path of the local cloud"})
    try:
        return _json(200, action(json.loads(body)))
    except (KeyError, ValueError) as error:
        return _json(400, {"message": f"{type(error).__name__}: {error}"})


def emit(event: dict[str, Any]) -> dict[str, Any]:
    """Put an event on the default bus of an account, as an AWS service does."""
    put = part(_HOOK, "ministack.services.eventbridge", "_put_events")
    entry = {
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "Resources": event.get("resources", []),
    }
    with part(_HOOK, "ministack.core.responses", "request_scope")(event["account"], event["region"]):
        _status, _headers, answer = put({"Entries": [entry]}, allow_aws_source=True)
    return dict(json.loads(answer))


def add_accounts(order: dict[str, Any]) -> dict[str, Any]:
    """Add accounts to an organization; CreateAccount would give them ids of its own choice."""
    module, management = "ministack.services.organizations", order["management"]
    with part(_HOOK, "ministack.core.responses", "request_scope")(management, "us-east-1"):
        part(_HOOK, module, "_ensure_org")()
        accounts = part(_HOOK, module, "_accounts")
        record = accounts[management]
        for account in order["accounts"]:
            number = account["Id"]
            accounts[number] = {
                **record,
                "Id": number,
                "Arn": f"{record['Arn'].rpartition('/')[0]}/{number}",
                "Name": account["Name"],
                "Email": account.get("Email", f"{number}@example.com"),
                "Status": account.get("Status", "ACTIVE"),
                "JoinedMethod": "CREATED",
            }
    return {}


def _json(status: int, content: Any) -> Response:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()
