"""Who uses a certificate: asked by ACM for InUseBy, answered by the services that attach certificates.

A provider is a callable `(account, region, certificate_arn) -> ARNs of resources`; account and region are those of the
certificate. A provider of a service with many resources may add an index, `(account, region) -> {certificate ARN: ARNs
of resources}`, so that a search over 100,000 certificates asks it once and not once for each.
"""

from collections.abc import Callable, Iterable, Mapping

Provider = Callable[[str, str, str], Iterable[str]]
Index = Callable[[str, str], Mapping[str, Iterable[str]]]
Users = Callable[[str], list[str]]


class References:
    """The providers, by name, so that registering one twice replaces it."""

    def __init__(self) -> None:
        self._providers: dict[str, Provider] = {}
        self._indexes: dict[str, Index] = {}

    def register(self, name: str, provider: Provider, *, index: Index | None = None) -> None:
        """Adds a provider; a second one of the same name takes the first one's place."""
        self._providers[name] = provider
        self._indexes.pop(name, None)
        if index:
            self._indexes[name] = index

    def users(self, account: str, region: str, certificate_arn: str) -> list[str]:
        """The ARNs of all resources that use the certificate, sorted, each once."""
        found = {arn for provider in self._providers.values() for arn in provider(account, region, certificate_arn)}
        return sorted(found)

    def view(self, account: str, region: str) -> Users:
        """`users` for many certificates of one account and region at one moment."""
        maps = [index(account, region) for index in self._indexes.values()]
        others = [provider for name, provider in self._providers.items() if name not in self._indexes]

        def users(arn: str) -> list[str]:
            found = {user for used in maps for user in used.get(arn, ())}
            found.update(user for provider in others for user in provider(account, region, arn))
            return sorted(found)

        return users


references = References()
