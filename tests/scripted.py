"""AWS clients that answer from a script: real boto3 clients, whose calls are answered before they leave the process.

    script = Script({"iam.ListServerCertificates": [{"ServerCertificateMetadataList": []}]})
    script.client("iam").list_server_certificates()
    script.calls == [("iam.ListServerCertificates", {})]

An operation's answers are used up in order; a function of the parameters may stand for them. An answer is a response or
an `Error`. botocore checks the parameters, and an answer must have the shape of its service model (required members may
be left out), so a test cannot agree with a scanner about fields that AWS does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config
from botocore.validate import ParamValidator


@dataclass(frozen=True)
class Error:
    """An error that the service answers with."""

    code: str
    message: str = "scripted"
    status: int = 400


Answer = Mapping[str, Any] | Error
Answers = Sequence[Answer] | Callable[[Mapping[str, Any]], Answer]


class Script:
    """The answers of any number of services, and the calls that were made, in order."""

    def __init__(self, answers: Mapping[str, Answers], region: str = "eu-west-1") -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answers = {name: each if callable(each) else list(each) for name, each in answers.items()}
        self._region = region

    def client(self, service: str, region: str | None = None) -> Any:
        """A client in the script's region, or in another one."""
        client = boto3.client(
            service,
            region_name=region or self._region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("provide-client-params.*.*", self._record)
        client.meta.events.register("before-call.*.*", self._answer)
        return client

    def made(self, name: str) -> list[dict[str, Any]]:
        """The parameters of the calls of one operation."""
        return [parameters for called, parameters in self.calls if called == name]

    def _record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((f"{model.service_model.service_name}.{model.name}", dict(params)))

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        name, parameters = self.calls[-1]
        if name not in self._answers:
            raise AssertionError(f"the script has no answer for {name}")
        answers = self._answers[name]
        answer = answers(parameters) if callable(answers) else answers.pop(0)
        if isinstance(answer, Error):
            error = {"Code": answer.code, "Message": answer.message}
            metadata = {"HTTPStatusCode": answer.status}
            return SimpleNamespace(status_code=answer.status), {"Error": error, "ResponseMetadata": metadata}
        _check_shape(name, answer, model.output_shape)
        return SimpleNamespace(status_code=200), dict(answer)


def _check_shape(name: str, answer: Mapping[str, Any], shape: Any) -> None:
    report = ParamValidator().validate(answer, shape)
    wrong = [each for each in report._errors if each[0] != "missing required field"]
    assert not wrong, f"{name} does not answer like this: {wrong}"
