"""Requests that schemathesis makes of docs/openapi.json, and what its checks say of their replies.

operation = operation_of("GET /managed/{name}")
for case in [*covering(operation), *drawn(operation, "negative", 20)]:
    judge(case, case.call(base_url=BASE, session=session))

`covering` are the cases of the document's limits, one each: lengths, patterns, members, parameters, methods and types
of content. `drawn` are cases of chance, the same ones in each run. Positive cases fit the document, negative ones do
not. schemathesis takes a second to import, hence it is imported where it is needed.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

BASE = "https://api.example.com/v1"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs/openapi.json"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
_PLACES = ("path", "query", "header", "body")  # of a violation that is one of form
LEFT_OUT = {  # why a check of schemathesis is not asked
    "positive_data_acceptance": "The document says of what form a request is, not what it means: the cursor of a list, "
    "the name of a profile, a time to come. `unexpected_refusal` says what is refused for its form alone.",
    "ignored_auth": "It takes a header Authorization away, which is made only as a request is sent. Cases are sent by "
    "nobody, too.",
    "object_level_authorization": "It looks at what a stateful run makes; test_matrix.py asks each route about each "
    "team.",
    "use_after_free": "DELETE asks for the end of a managed certificate, which goes on to be readable.",
    "ensure_resource_availability": "What is asked for with 202 is there when it was approved.",
}
REFUSED = ("400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "428")  # a request that fits nothing


def document() -> dict[str, Any]:
    """The document, read anew."""
    found: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return found


LABELS = sorted(
    f"{method.upper()} {path}" for path, item in document()["paths"].items() for method in item
)  # of all operations


@cache
def schema() -> Any:
    """The document as schemathesis has it."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig

    refused = {"expected-statuses": [int(each) for each in REFUSED]}
    judged = {"negative_data_rejection": refused, "missing_required_header": refused}
    own = {"generation": {"with-security-parameters": False}, "checks": judged}
    return schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_dict(own))


def written(label: str) -> dict[str, Any]:
    """The operation `METHOD /path` as the document has it."""
    method, _, path = label.partition(" ")
    found: dict[str, Any] = document()["paths"][path][method.lower()]
    return found


def operation_of(label: str) -> Any:
    """The operation `METHOD /path` as schemathesis has it."""
    method, _, path = label.partition(" ")
    return schema()[path][method]


def covering(operation: Any) -> list[Any]:
    """The cases of the document's limits."""
    from schemathesis import GenerationMode
    from schemathesis.generation.drivers import CoverageGenerator
    from schemathesis.generation.feedback import NO_FEEDBACK
    from schemathesis.generation.overrides import Override

    return list(
        CoverageGenerator(
            operation=operation,
            generation_modes=list(GenerationMode),
            generation_config=schema().config.generation_for(operation=operation, phase="coverage"),
            auth_storage=None,
            override=Override(),
            feedback=NO_FEEDBACK,
        )
    )


def drawn(operation: Any, mode: str, count: int) -> list[Any]:
    """At most so many cases of chance; fewer where there are no more."""
    from schemathesis import GenerationMode

    found: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
    def draw(case: Any) -> None:
        found.append(case)

    with suppress(Unsatisfiable):  # where nothing can be wrong, as without parameters
        draw()
    return found


def checks() -> list[Any]:
    """The checks that are asked."""
    from schemathesis.checks import CHECKS as ALL
    from schemathesis.checks import load_all_checks

    load_all_checks()
    return [ALL.get_one(name) for name in CHECKS]


def unexpected_refusal(_: Any, response: Any, case: Any) -> None:
    """A check of our own: what fits the document is not refused for its form. What its meaning is refused for has the
    id of a rule, or is a `value_error`: a time that is over, a name that is none."""
    if case.meta is None or case.meta.generation.mode.is_negative or response.status_code != 422:
        return
    found = json.loads(response.content)["violations"]
    formal = [each for each in found if each["where"].partition(".")[0] in _PLACES and each["rule"] != "value_error"]
    assert not formal, f"it fits the document, and is refused: {formal}"


def judge(case: Any, response: Any, who: str) -> None:
    """Raises: schemathesis' FailureGroup, with the request and its reply."""
    try:
        case.validate_response(response, checks=[*checks(), unexpected_refusal])
    except Exception as failed:
        failed.add_note(f"asked by {who}: {case!r}")
        raise
