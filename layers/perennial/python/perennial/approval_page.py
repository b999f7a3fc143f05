"""The page where people decide on requests and exceptions: `GET /page` of the API for people.

It is the same for everybody and needs nobody to be signed in: what it shows, the browser asks the API for, with the
token of the person. Its answer for `Accept: application/json` is where people sign in, for the command.

Only its own style and script may run (by their hashes), it talks to the API and the issuer alone, and no page may frame
it. Sources: Content Security Policy Level 3, Trusted Types, RFC 9110 12.5.1.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from perennial.sign_in import SignIn

PATH = "page"
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def reply(event: Mapping[str, Any], where: SignIn) -> dict[str, Any]:
    """The answer to a request of a REST API (proxy integration)."""
    if _wants_json(event):
        return _answer("application/json", json.dumps(where.document()), "default-src 'none'; frame-ancestors 'none'")
    return _answer("text/html; charset=utf-8", page(where), policy(where))


def page(where: SignIn) -> str:
    """The page. What it is told stands in a block of data, where nothing of it can end the block."""
    configuration = json.dumps(where.document()).replace("<", "\\u003c")
    text = part("html").replace("{{style}}", part("css")).replace("{{configuration}}", configuration)
    return text.replace("{{script}}", part("js"))


def policy(where: SignIn) -> str:
    """Its Content-Security-Policy."""
    issuer = urlsplit(where.token)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(part('js'))}'",
            f"style-src '{_hash(part('css'))}'",
            f"connect-src 'self' {issuer.scheme}://{issuer.netloc}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


@cache
def part(kind: str) -> str:
    """The html, css or js of the page."""
    return files("perennial").joinpath(f"approval_page.{kind}").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _wants_json(event: Mapping[str, Any]) -> bool:
    """Whether JSON alone is asked for; browsers want HTML first."""
    headers = event.get("headers")
    given = headers if isinstance(headers, Mapping) else {}
    accept = next((str(value) for name, value in given.items() if str(name).lower() == "accept"), "")
    return accept.strip().lower() == "application/json"


def _answer(content_type: str, body: str, csp: str) -> dict[str, Any]:
    headers = {"Content-Type": content_type, "Content-Security-Policy": csp, **HEADERS}
    return {"statusCode": 200, "headers": headers, "body": body, "isBase64Encoded": False}
