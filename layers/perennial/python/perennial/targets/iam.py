"""Server certificates of IAM, for what takes nothing else.

A server certificate cannot be changed under its name: every version is uploaded as one of its own,
`<name_prefix>-<version>-<8 digits of its fingerprint>`, below `path`. What is found is the newest of this prefix, also
where someone uploaded it as `<name_prefix>-<number>`. Activating means that the new version is the newest; restoring,
that it is deleted again and what was found is the newest. IAM refuses to delete what a load balancer or distribution
uses: then restoring fails and says so.

What refers to a server certificate is the business of its owner (or of a target of kind `elb` with `store = "iam"`).
Nothing serves TLS here: the proof is that IAM shows the certificate. Earlier ones are left, as someone may refer to
them; those that Perennial uploaded are deleted when their versions are retired, after the grace period.

Sources: IAM API Reference (ListServerCertificates, UploadServerCertificate, DeleteServerCertificate); IAM User Guide,
"Manage server certificates in IAM".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from perennial.errors import ChangedMeanwhile, ServiceRefused
from perennial.issuers.aws_replies import answered
from perennial.targets import iam_copy
from perennial.targets.attached_certificate import client
from perennial.targets.interface import DEADLINE as USUAL_DEADLINE
from perennial.targets.interface import Bundle, Field, Found, Keep, Later, Reach, Target, TargetSettings
from perennial.targets.reply_members import text

TITLE = "Server certificate in IAM"
FIELDS = (
    Field(
        name="name_prefix",
        pattern="[A-Za-z0-9_+=,.@-]{1,100}",
        words="how the names of the server certificates begin",
        needed=True,
    ),
    Field(
        name="path",
        pattern="/|/[!-~]{1,510}/",
        words="the path of the server certificates, which begins and ends with a slash",
        default=iam_copy.PATH,
    ),
)
KEYS = iam_copy.KEYS
LOOKS = (*iam_copy.LOOKS, "iam:ListServerCertificates")
CHANGES = (*iam_copy.CHANGES, "iam:DeleteServerCertificate")
RETIRES = (*iam_copy.RETIRES, *LOOKS)
MAX_CHAIN = 10
DEADLINE = USUAL_DEADLINE
HANDSHAKES = False
PAUSE = iam_copy.PAUSE
_ADVICE = {"DeleteConflict": "let what uses it refer to the earlier one again, then restore again"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificates:
    """The server certificates of a prefix; see the module's docstring."""

    prefix: str
    path: str
    reach: Reach

    @property
    def shares(self) -> str:
        return ""

    def look(self) -> Found:
        names = self._names()
        newest = names[-1] if names else ""
        state = {"newest": newest, "names": sorted(names)}
        serves = iam_copy.held(self._iam, newest) if newest else ""
        return Found(state=json.dumps(state, sort_keys=True), fingerprint=serves)

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        was, name = json.loads(found.state), self._name(new)
        wrong = iam_copy.unfit(self.prefix, new)
        if name in was["names"] and name != was["newest"]:
            wrong.append(f"{name} is in IAM and older than {was['newest']}, and IAM cannot make it the newest again")
        return wrong

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        was, name = json.loads(found.state)["newest"], self._name(new)
        newest = self._newest()
        if newest not in (was, name):
            raise self._changed(newest)
        arn = iam_copy.ensure(self._iam, self.prefix, self.path, new)
        if isinstance(arn, Later):
            return arn
        if not self._is_here(arn):
            raise ServiceRefused(
                f"{arn} is at another path than {self.path}, and IAM has one of a name: use another prefix"
            )
        if arn != placed:
            keep(arn)
        return None if self._newest() == name else Later(PAUSE, f"IAM to list {name}")

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        state, name = json.loads(found.state), self._name(new)
        newest = self._newest()
        if newest not in (state["newest"], name):
            raise self._changed(newest)
        if name in state["names"]:  # it was there before this rollout
            return None
        arn = iam_copy.known(self._iam, self.prefix, new)
        if arn and self._is_here(arn):
            with answered(f"iam:DeleteServerCertificate of {name}", _ADVICE):
                self._iam.delete_server_certificate(ServerCertificateName=name)
        return None if self._newest() == state["newest"] else Later(PAUSE, f"IAM to list {name} no more")

    def _newest(self) -> str:
        names = self._names()
        return names[-1] if names else ""

    def _names(self) -> list[str]:
        """The names of the prefix, from old to new."""
        doing = f"iam:ListServerCertificates of {self.path}"
        with answered(doing, {}):
            pages = self._iam.get_paginator("list_server_certificates").paginate(
                PathPrefix=self.path, PaginationConfig={"PageSize": 1000}
            )
            told = [each for page in pages for each in page.get("ServerCertificateMetadataList", ())]
        there = [(each, text(each, "ServerCertificateName", doing)) for each in told if each.get("Path") == self.path]
        dated = [(str(each.get("UploadDate", "")), self._number(name), name) for each, name in there]
        return [name for _, number, name in sorted(dated) if number]

    def _is_here(self, arn: str) -> bool:
        return arn.partition(":server-certificate")[2].rpartition("/")[0] + "/" == self.path

    def _number(self, name: str) -> int:
        """The version in a name; 0 where the name is not of this prefix."""
        named = re.fullmatch(re.escape(self.prefix) + r"-([0-9]{1,9})(-[0-9a-f]{8})?", name)
        return int(named[1]) if named else 0

    def _name(self, new: Bundle) -> str:
        return iam_copy.name(self.prefix, new)

    def _changed(self, newest: str) -> ChangedMeanwhile:
        return ChangedMeanwhile(
            f"the newest server certificate {self.path}{self.prefix}-… is not what was found but {newest or 'none'}: "
            "it stays. See who changed it, then roll out again"
        )

    @property
    def _iam(self) -> Any:
        return client(self.reach, "iam")


def target(settings: TargetSettings, reach: Reach) -> Target:
    """The server certificates of a prefix."""
    return ServerCertificates(
        prefix=settings.text("name_prefix"), path=settings.text("path") or iam_copy.PATH, reach=reach
    )
