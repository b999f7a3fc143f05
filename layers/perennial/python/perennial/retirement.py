"""Retiring: what was made for a superseded version on the way is removed, so that nothing unreferenced stays.

First its copies in ACM and IAM, of all accounts and regions; when none stands, its key: in KMS, and in Secrets Manager.
Nothing is forced. What is in use stays and is told, and the same call later goes on from there, as it does after an
interruption: what is not there any more counts as removed.

What serves is not touched: neither the version that was deployed last or is to be deployed next, nor anything while a
rollout is under way, which may bring the version back. A copy in IAM is deleted only when, besides IAM, neither the
version's targets nor the last discovery know of a user of it: Elastic Load Balancing does not always tell IAM
(IAM API Reference, DeleteServerCertificate).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perennial import bundle, kms_keys, targets
from perennial.clients import meant
from perennial.errors import InvalidInput, InvalidReply, NotFound, PerennialError
from perennial.inventory.records import RolloutState, TargetState, VersionState
from perennial.rollout import target_of
from perennial.targets import acm_copy, iam_copy
from perennial.targets.interface import Retirer, Superseded

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.records import SightingRecord, VersionRecord
    from perennial.targets.interface import Bundle, Target, TargetSettings

STORES: Mapping[str, Retirer] = {"acm": acm_copy, "iam": iam_copy}
_UNTOUCHED = (TargetState.WAITING, TargetState.READY, TargetState.REFUSED)  # nothing was made for such a target


@dataclass(frozen=True, slots=True)
class _Store:
    """ACM of an account and region, or IAM of an account, as `shares` names it; what was kept of the version there, and
    the targets that were given it from there."""

    name: str
    placed: dict[str, str] = field(default_factory=dict)  # what → ARN
    targets: list[tuple[str, Target]] = field(default_factory=list)  # with their names

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]

    @property
    def account(self) -> str:
        return self.name.split("/")[1]

    def client(self, deployment: Deployment) -> Any:
        """A client of the store, as the role that may change its account's targets."""
        clients = deployment.clients_of(self.account, deployment.settings.targets.role_name)
        region = "/".join(self.name.split("/")[2:])
        return clients(self.kind, region or None)


@meant("retirement")
def retire(deployment: Deployment, managed: str, version: int, now: datetime) -> list[str]:
    """Remove what was made for a version. Returns what still stands and why, a sentence each, with what to do; [] when
    all is removed. May be called again at any time, also where an earlier call was interrupted.

    Raises: NotFound where there is no such version; AccessDenied, Throttled, Unavailable and others as AWS's errors
    mean them.
    """
    record = deployment.inventory.version(f"{managed}/{version}")
    removed = _is_removed(deployment, managed)
    needed = _needed(deployment, record, removed)
    if needed:
        return [needed]
    left = _copies(deployment, record, now)
    return left or [*_kms_key(deployment, record, removed), *_secret(deployment, record, removed)]


# --- whether it may go ---


def _is_removed(deployment: Deployment, managed: str) -> bool:
    """Whether the managed certificate is no longer declared, so that its last version is retired too."""
    found = deployment.inventory.find_managed(managed)
    return found is not None and found.removed_at is not None


def _needed(deployment: Deployment, record: VersionRecord, removed: bool) -> str:
    """Why nothing of a version may be removed now; "" when it may."""
    if not record.state.ended:
        return f"{record.reference} is being issued: it is retired after that"
    rollouts = deployment.inventory.rollouts(record.managed)
    if rollouts and not rollouts[0].state.ended:
        return f"the rollout {rollouts[0].reference} is under way: {record.reference} is retired after that"
    if removed:
        return ""
    deployed = next((each.version for each in rollouts if each.state is RolloutState.DEPLOYED), 0)
    found = deployment.inventory.find_managed(record.managed)
    serving = found.serving.number if found and found.serving else 0
    if record.number in (deployed, serving):
        return f"{record.reference} is the version that serves: deploy a newer one first"
    newest = next(iter(deployment.inventory.versions(record.managed, limit=1)), record)
    if record.state is VersionState.ISSUED and newest.number == record.number:
        return f"{record.reference} is the newest version: it is retired when a newer one serves"
    return ""


# --- its copies ---


def _copies(deployment: Deployment, record: VersionRecord, now: datetime) -> list[str]:
    """Delete the copies of a version in all stores; what was kept of them is forgotten with each store."""
    if not record.chain:
        return []
    version = bundle.of(deployment, record, with_key=False)
    spared = deployment.inventory.placed_beside(record.managed, record.number)
    left: list[str] = []
    failed: list[PerennialError] = []  # one account that cannot be reached does not keep the others' copies
    stores = _stores(deployment, record, version, failed)
    seen = not failed
    for store in stores:
        if store.kind == "iam" and not seen:  # a target that cannot be looked at may use it
            continue
        try:
            left += _of_store(deployment, store, record, version, spared)
        except PerennialError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return [f"{each}. {_until(version, now)}" for each in left]


def _of_store(
    deployment: Deployment, store: _Store, record: VersionRecord, version: Bundle, spared: frozenset[str]
) -> list[str]:
    users = list(_users(deployment, store, version))
    if users:
        return users
    arns = frozenset(store.placed.values()) | ({version.arn} if _name(version.arn) == store.name else frozenset())
    old = Superseded(bundle=version, ask=record.ask, placed=arns, spared=spared)
    with meant(f"retiring {version.reference} in {store.name}"):
        left = STORES[store.kind].retire(store.client(deployment), old)
    if not left:
        for what in sorted(store.placed):
            deployment.inventory.forget_placed(record.managed, what)
    return left


def _until(version: Bundle, now: datetime) -> str:
    ends = version.certificate.not_after
    if ends is None:
        return "It has no date at which it ends"
    return f"It {'ended' if ends < now else 'is valid until'} {ends:%Y-%m-%d %H:%M} UTC"


# --- where they are ---


def _stores(
    deployment: Deployment, record: VersionRecord, version: Bundle, failed: list[PerennialError]
) -> list[_Store]:
    """Every store that may have a copy: what was kept says so, or a target that was given the version (an interrupted
    call may have left a copy there that nobody kept), or ACM, which issued it. Targets that cannot be reached are added
    to `failed`."""
    found: dict[str, _Store] = {}
    for what, arn in deployment.inventory.placed_of(record.managed, record.number).items():
        name = _name(arn)
        if not name:
            raise InvalidReply(f"{what[:200]} of {record.managed}: {arn[:200]} is no copy in ACM or IAM")
        found.setdefault(name, _Store(name)).placed[what] = arn
    for settings in _given(deployment, record):
        try:
            name, target = _source(deployment, settings)
        except PerennialError as error:
            failed.append(error)
        else:
            found.setdefault(name, _Store(name)).targets.append((settings.name, target))
    if version.arn:
        found.setdefault(_name(version.arn), _Store(_name(version.arn)))
    return [found[name] for name in sorted(found)]


def _name(arn: str) -> str:
    """The store of an ARN, as targets name it that share it; "" for none."""
    _, _, service, region, account, *_ = [*arn.split(":"), *[""] * 5]
    if service == "acm":
        return acm_copy.shares(account, region)
    return iam_copy.shares(account) if service == "iam" else ""


def _given(deployment: Deployment, record: VersionRecord) -> Iterable[TargetSettings]:
    """The targets that may have been given a copy of the version, each once."""
    found: dict[tuple[Any, ...], TargetSettings] = {}
    for head in deployment.inventory.rollouts(record.managed):
        for each in deployment.inventory.targets(head) if head.version == record.number else ():
            place = each.settings
            if each.state not in _UNTOUCHED and targets.kind(place.kind).RETIRES:
                found[place.kind, place.account, place.region, tuple(sorted(place.fields.items()))] = place
    return found.values()


def _source(deployment: Deployment, settings: TargetSettings) -> tuple[str, Target]:
    """The store from which a target gets its certificate, and the target. One that shares with none has it in IAM."""
    with meant(f"retiring from {settings.name}"):
        target = target_of(deployment, settings, look_only=False)
        return target.shares or iam_copy.shares(settings.account or deployment.account), target


# --- who uses a copy in IAM ---


def _users(deployment: Deployment, store: _Store, version: Bundle) -> Iterator[str]:
    """Who still uses a copy in IAM. ACM knows its own."""
    if store.kind != "iam":
        return
    for name, target in store.targets:
        if _serves(target, version):
            yield f"the target {name} has {version.reference}: let it refer to a newer certificate"
    for each in _attached(deployment, store, version):
        yield (
            f"{each.sighting.holder}, a copy of {version.reference}, is in use by {each.sighting.resource} since the "
            "last discovery: let that refer to a newer certificate"
        )


def _serves(target: Target, version: Bundle) -> bool:
    try:
        return target.look().fingerprint == version.fingerprint
    except NotFound:  # the target is gone
        return False


def _attached(deployment: Deployment, store: _Store, version: Bundle) -> list[SightingRecord]:
    found = deployment.inventory.show(version.fingerprint)
    attached = found.attached if found else ()
    return [each for each in attached if each.gone_at is None and _name(each.sighting.holder or "") == store.name]


# --- its key ---


def _kms_key(deployment: Deployment, record: VersionRecord, removed: bool) -> list[str]:
    """Give up the version's key in KMS, unless another version that is not retired has it."""
    if not record.key_arn:
        return []
    others = [each for each in deployment.inventory.versions(record.managed) if each.number != record.number]
    if any(each.key_arn == record.key_arn and each.state is not VersionState.RETIRED for each in others):
        return []
    asks = (record.ask, "") if removed else (record.ask,)
    return kms_keys.retire(deployment.clients("kms"), record.managed, record.key_arn, asks)


def _secret(deployment: Deployment, record: VersionRecord, removed: bool) -> list[str]:
    """Give up the version's key, certificate and chain in Secrets Manager. The current version of a certificate that is
    no longer declared goes with the whole secret, which can be restored for a month."""
    store = bundle.key_store(deployment)
    try:
        return store.retire(record.managed, record.ask)
    except InvalidInput as error:
        if removed:
            store.give_up(record.managed)
            return []
        return [f"{error}; let another version be the current one, or delete the secret when nothing reads it"]
