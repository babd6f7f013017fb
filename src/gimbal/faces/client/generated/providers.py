"""Providers: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.faces.client.group import Group
from gimbal.generative.gateway.providers.model import ProviderCard, ProviderCheck, ProviderKind, Resealed


class Providers(Group):
    """Who answers model calls: addresses, and keys that are sealed and never shown."""

    def check(self, name: str, *, model: str = "", project: str | None = None) -> ProviderCheck:
        """Make one cheap request to a provider and tell what is wrong: address, key, model, limits.

        With a model it is asked for one word, which is billed, and recorded for the feature `gimbal.check`.

        Args:
            name: Its short name.
            model: Ask this model for a word, which costs next to nothing; without it, ask for the list of
                models.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/providers/{name}/check",
            ProviderCheck,
            path={"project": project, "name": name},
            query={"model": model},
        )

    def create(
        self,
        *,
        name: str,
        kind: str,
        key: str | UnsetType = UNSET,
        key_env: str | UnsetType = UNSET,
        base_url: str | UnsetType = UNSET,
        models: tuple[str, ...] | UnsetType = UNSET,
        claims: tuple[str, ...] | UnsetType = UNSET,
        pricing: str | UnsetType = UNSET,
        headers: dict[str, str] | UnsetType = UNSET,
        region: str | UnsetType = UNSET,
        account: str | UnsetType = UNSET,
        api_version: str | UnsetType = UNSET,
        deployments: dict[str, str] | UnsetType = UNSET,
        token_url: str | UnsetType = UNSET,
        identity: str | UnsetType = UNSET,
        tenant: str | UnsetType = UNSET,
        client_id: str | UnsetType = UNSET,
        authority_host: str | UnsetType = UNSET,
        token_scope: str | UnsetType = UNSET,
        role: str | UnsetType = UNSET,
        external_id: str | UnsetType = UNSET,
        session_name: str | UnsetType = UNSET,
        profile: str | UnsetType = UNSET,
        identity_file: str | UnsetType = UNSET,
        metadata_url: str | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
        project: str | None = None,
    ) -> ProviderCard:
        """Add a provider to the project; every process knows it within a second.

        The key is sealed under the master key of the installation, for this project and name only.

        Args:
            name: Short name; callers write `name/model` to ask for exactly this provider.
            kind: What it is: `openai`, `anthropic`, `azure`, `bedrock`, `vllm` …; `providers.kinds` lists them.
            key: Its key, which is sealed and never shown again. For Vertex the JSON of a service account, for
                Bedrock one of its own keys or `{"access_key_id": …, "secret_access_key": …}`.
            key_env: Name of the server's variable that holds the key instead; for those of the installation
                only.
            base_url: Address, with the version part: `https://host/v1`. Empty means that of the kind.
            models: Models that it serves; empty means any that is asked for as `name/model`.
            claims: Beginnings of model names that are its own when they come without a provider's name.
            pricing: Name by which the price book knows it; empty means that of the kind at its own address,
                else `name`.
            headers: Headers of every request besides those of the kind; keys do not belong here.
            region: Where it is, for kinds that have regions.
            account: Project of Google Cloud, for Vertex.
            api_version: Version of Azure's API; empty means their v1, which has none.
            deployments: Name of the deployment by model, for Azure.
            token_url: Where tokens are given: of Google for Vertex, of Entra for Azure, of Amazon's STS for
                Bedrock; empty means their own.
            identity: How it proves who asks where no key alone does: `client`, `managed`, `app_service` or
                `workload` of Azure's Entra; `web`, `container`, `instance` or `profile` of Amazon.
            tenant: Directory of Entra, for Azure: its id or its domain.
            client_id: Client of Entra, for Azure; of a machine's identities the one that is meant.
            authority_host: Host of Entra, such as `login.microsoftonline.us`; empty means that of the cloud in
                which the resource is.
            token_scope: For whom Entra's tokens are, such as `https://cognitiveservices.azure.us`; empty means
                that of the same cloud.
            role: Role of Amazon that is assumed, as an ARN.
            external_id: What the owner of the role wants to be told by whoever assumes it.
            session_name: How the session of the role is called in Amazon's logs; empty means `gimbal`.
            profile: Profile in Amazon's files; empty means `default`.
            identity_file: File by which the server proves who it is: a federated token, or Amazon's profiles.
            metadata_url: Where the server's machine tells who it is; empty means the cloud's own address.
            timeout_s: Seconds without a byte after which an attempt is given up.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/providers",
            ProviderCard,
            path={"project": project},
            body={
                "name": name,
                "kind": kind,
                "key": key,
                "key_env": key_env,
                "base_url": base_url,
                "models": models,
                "claims": claims,
                "pricing": pricing,
                "headers": headers,
                "region": region,
                "account": account,
                "api_version": api_version,
                "deployments": deployments,
                "token_url": token_url,
                "identity": identity,
                "tenant": tenant,
                "client_id": client_id,
                "authority_host": authority_host,
                "token_scope": token_scope,
                "role": role,
                "external_id": external_id,
                "session_name": session_name,
                "profile": profile,
                "identity_file": identity_file,
                "metadata_url": metadata_url,
                "timeout_s": timeout_s,
            },
        )

    def create_everywhere(
        self,
        *,
        name: str,
        kind: str,
        key: str | UnsetType = UNSET,
        key_env: str | UnsetType = UNSET,
        base_url: str | UnsetType = UNSET,
        models: tuple[str, ...] | UnsetType = UNSET,
        claims: tuple[str, ...] | UnsetType = UNSET,
        pricing: str | UnsetType = UNSET,
        headers: dict[str, str] | UnsetType = UNSET,
        region: str | UnsetType = UNSET,
        account: str | UnsetType = UNSET,
        api_version: str | UnsetType = UNSET,
        deployments: dict[str, str] | UnsetType = UNSET,
        token_url: str | UnsetType = UNSET,
        identity: str | UnsetType = UNSET,
        tenant: str | UnsetType = UNSET,
        client_id: str | UnsetType = UNSET,
        authority_host: str | UnsetType = UNSET,
        token_scope: str | UnsetType = UNSET,
        role: str | UnsetType = UNSET,
        external_id: str | UnsetType = UNSET,
        session_name: str | UnsetType = UNSET,
        profile: str | UnsetType = UNSET,
        identity_file: str | UnsetType = UNSET,
        metadata_url: str | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
    ) -> ProviderCard:
        """Add a provider that every project may call which has none of that name.

        Args:
            name: Short name; callers write `name/model` to ask for exactly this provider.
            kind: What it is: `openai`, `anthropic`, `azure`, `bedrock`, `vllm` …; `providers.kinds` lists them.
            key: Its key, which is sealed and never shown again. For Vertex the JSON of a service account, for
                Bedrock one of its own keys or `{"access_key_id": …, "secret_access_key": …}`.
            key_env: Name of the server's variable that holds the key instead; for those of the installation
                only.
            base_url: Address, with the version part: `https://host/v1`. Empty means that of the kind.
            models: Models that it serves; empty means any that is asked for as `name/model`.
            claims: Beginnings of model names that are its own when they come without a provider's name.
            pricing: Name by which the price book knows it; empty means that of the kind at its own address,
                else `name`.
            headers: Headers of every request besides those of the kind; keys do not belong here.
            region: Where it is, for kinds that have regions.
            account: Project of Google Cloud, for Vertex.
            api_version: Version of Azure's API; empty means their v1, which has none.
            deployments: Name of the deployment by model, for Azure.
            token_url: Where tokens are given: of Google for Vertex, of Entra for Azure, of Amazon's STS for
                Bedrock; empty means their own.
            identity: How it proves who asks where no key alone does: `client`, `managed`, `app_service` or
                `workload` of Azure's Entra; `web`, `container`, `instance` or `profile` of Amazon.
            tenant: Directory of Entra, for Azure: its id or its domain.
            client_id: Client of Entra, for Azure; of a machine's identities the one that is meant.
            authority_host: Host of Entra, such as `login.microsoftonline.us`; empty means that of the cloud in
                which the resource is.
            token_scope: For whom Entra's tokens are, such as `https://cognitiveservices.azure.us`; empty means
                that of the same cloud.
            role: Role of Amazon that is assumed, as an ARN.
            external_id: What the owner of the role wants to be told by whoever assumes it.
            session_name: How the session of the role is called in Amazon's logs; empty means `gimbal`.
            profile: Profile in Amazon's files; empty means `default`.
            identity_file: File by which the server proves who it is: a federated token, or Amazon's profiles.
            metadata_url: Where the server's machine tells who it is; empty means the cloud's own address.
            timeout_s: Seconds without a byte after which an attempt is given up.
        """
        return self._transport.call(
            "POST",
            "/providers",
            ProviderCard,
            path={},
            body={
                "name": name,
                "kind": kind,
                "key": key,
                "key_env": key_env,
                "base_url": base_url,
                "models": models,
                "claims": claims,
                "pricing": pricing,
                "headers": headers,
                "region": region,
                "account": account,
                "api_version": api_version,
                "deployments": deployments,
                "token_url": token_url,
                "identity": identity,
                "tenant": tenant,
                "client_id": client_id,
                "authority_host": authority_host,
                "token_scope": token_scope,
                "role": role,
                "external_id": external_id,
                "session_name": session_name,
                "profile": profile,
                "identity_file": identity_file,
                "metadata_url": metadata_url,
                "timeout_s": timeout_s,
            },
        )

    def delete(self, name: str, *, project: str | None = None) -> None:
        """Delete a provider of the project with its key; calls in flight end as they began.

        Args:
            name: Its short name.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/providers/{name}", type(None), path={"project": project, "name": name}
        )

    def delete_everywhere(self, name: str) -> None:
        """Delete a provider of the installation with its key.

        Args:
            name: Its short name.
        """
        self._transport.call("DELETE", "/providers/{name}", type(None), path={"name": name})

    def kinds(self) -> list[ProviderKind]:
        """List the kinds of providers that Gimbal knows, with their addresses, variables and quirks."""
        return self._transport.call("GET", "/providers/kinds", list[ProviderKind], path={})

    def list(self, *, project: str | None = None) -> list[ProviderCard]:
        """List the providers that the project may call, in the order in which they are asked; never their keys."""
        return self._transport.call(
            "GET", "/projects/{project}/providers", list[ProviderCard], path={"project": project}
        )

    def reseal(self) -> Resealed:
        """Seal every key anew under the newest master key, so that older ones can be destroyed."""
        return self._transport.call("POST", "/providers/reseal", Resealed, path={})

    def show(self, name: str, *, project: str | None = None) -> ProviderCard:
        """Show the provider that a name means in the project; never its key.

        Args:
            name: Its short name.
        """
        return self._transport.call(
            "GET", "/projects/{project}/providers/{name}", ProviderCard, path={"project": project, "name": name}
        )

    def update(
        self,
        name: str,
        *,
        key: str | None | UnsetType = UNSET,
        key_env: str | None | UnsetType = UNSET,
        base_url: str | None | UnsetType = UNSET,
        models: tuple[str, ...] | None | UnsetType = UNSET,
        claims: tuple[str, ...] | None | UnsetType = UNSET,
        pricing: str | None | UnsetType = UNSET,
        headers: dict[str, str] | None | UnsetType = UNSET,
        region: str | None | UnsetType = UNSET,
        account: str | None | UnsetType = UNSET,
        api_version: str | None | UnsetType = UNSET,
        deployments: dict[str, str] | None | UnsetType = UNSET,
        token_url: str | None | UnsetType = UNSET,
        identity: str | None | UnsetType = UNSET,
        tenant: str | None | UnsetType = UNSET,
        client_id: str | None | UnsetType = UNSET,
        authority_host: str | None | UnsetType = UNSET,
        token_scope: str | None | UnsetType = UNSET,
        role: str | None | UnsetType = UNSET,
        external_id: str | None | UnsetType = UNSET,
        session_name: str | None | UnsetType = UNSET,
        profile: str | None | UnsetType = UNSET,
        identity_file: str | None | UnsetType = UNSET,
        metadata_url: str | None | UnsetType = UNSET,
        timeout_s: float | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> ProviderCard:
        """Change a provider of the project, or give it another key; calls in flight end as they began.

        Args:
            name: Its short name.
            key: Another key; empty takes it away.
            key_env: Name of the server's variable that holds the key instead; for those of the installation
                only.
            base_url: Another address, which needs the key again: a key goes to nobody for whom it was not
                given.
            models: Models that it serves; empty means any that is asked for as `name/model`.
            claims: Beginnings of model names that are its own when they come without a provider's name.
            pricing: Name by which the price book knows it.
            headers: Headers of every request besides those of the kind.
            region: Where it is, for kinds that have regions.
            account: Project of Google Cloud, for Vertex.
            api_version: Version of Azure's API.
            deployments: Name of the deployment by model, for Azure.
            token_url: Where tokens are given, which needs the key again.
            identity: How it proves who asks where no key alone does: `client`, `managed`, `app_service` or
                `workload` of Azure's Entra; `web`, `container`, `instance` or `profile` of Amazon.
            tenant: Directory of Entra, for Azure: its id or its domain.
            client_id: Client of Entra, for Azure; of a machine's identities the one that is meant.
            authority_host: Host of Entra, such as `login.microsoftonline.us`; empty means that of the cloud in
                which the resource is.
            token_scope: For whom Entra's tokens are, such as `https://cognitiveservices.azure.us`; empty means
                that of the same cloud.
            role: Role of Amazon that is assumed, as an ARN.
            external_id: What the owner of the role wants to be told by whoever assumes it.
            session_name: How the session of the role is called in Amazon's logs; empty means `gimbal`.
            profile: Profile in Amazon's files; empty means `default`.
            identity_file: File by which the server proves who it is: a federated token, or Amazon's profiles.
            metadata_url: Where the server's machine tells who it is; empty means the cloud's own address.
            timeout_s: Seconds without a byte after which an attempt is given up.
        """
        return self._transport.call(
            "PATCH",
            "/projects/{project}/providers/{name}",
            ProviderCard,
            path={"project": project, "name": name},
            body={
                "key": key,
                "key_env": key_env,
                "base_url": base_url,
                "models": models,
                "claims": claims,
                "pricing": pricing,
                "headers": headers,
                "region": region,
                "account": account,
                "api_version": api_version,
                "deployments": deployments,
                "token_url": token_url,
                "identity": identity,
                "tenant": tenant,
                "client_id": client_id,
                "authority_host": authority_host,
                "token_scope": token_scope,
                "role": role,
                "external_id": external_id,
                "session_name": session_name,
                "profile": profile,
                "identity_file": identity_file,
                "metadata_url": metadata_url,
                "timeout_s": timeout_s,
            },
        )

    def update_everywhere(
        self,
        name: str,
        *,
        key: str | None | UnsetType = UNSET,
        key_env: str | None | UnsetType = UNSET,
        base_url: str | None | UnsetType = UNSET,
        models: tuple[str, ...] | None | UnsetType = UNSET,
        claims: tuple[str, ...] | None | UnsetType = UNSET,
        pricing: str | None | UnsetType = UNSET,
        headers: dict[str, str] | None | UnsetType = UNSET,
        region: str | None | UnsetType = UNSET,
        account: str | None | UnsetType = UNSET,
        api_version: str | None | UnsetType = UNSET,
        deployments: dict[str, str] | None | UnsetType = UNSET,
        token_url: str | None | UnsetType = UNSET,
        identity: str | None | UnsetType = UNSET,
        tenant: str | None | UnsetType = UNSET,
        client_id: str | None | UnsetType = UNSET,
        authority_host: str | None | UnsetType = UNSET,
        token_scope: str | None | UnsetType = UNSET,
        role: str | None | UnsetType = UNSET,
        external_id: str | None | UnsetType = UNSET,
        session_name: str | None | UnsetType = UNSET,
        profile: str | None | UnsetType = UNSET,
        identity_file: str | None | UnsetType = UNSET,
        metadata_url: str | None | UnsetType = UNSET,
        timeout_s: float | None | UnsetType = UNSET,
    ) -> ProviderCard:
        """Change a provider of the installation, or give it another key.

        Args:
            name: Its short name.
            key: Another key; empty takes it away.
            key_env: Name of the server's variable that holds the key instead; for those of the installation
                only.
            base_url: Another address, which needs the key again: a key goes to nobody for whom it was not
                given.
            models: Models that it serves; empty means any that is asked for as `name/model`.
            claims: Beginnings of model names that are its own when they come without a provider's name.
            pricing: Name by which the price book knows it.
            headers: Headers of every request besides those of the kind.
            region: Where it is, for kinds that have regions.
            account: Project of Google Cloud, for Vertex.
            api_version: Version of Azure's API.
            deployments: Name of the deployment by model, for Azure.
            token_url: Where tokens are given, which needs the key again.
            identity: How it proves who asks where no key alone does: `client`, `managed`, `app_service` or
                `workload` of Azure's Entra; `web`, `container`, `instance` or `profile` of Amazon.
            tenant: Directory of Entra, for Azure: its id or its domain.
            client_id: Client of Entra, for Azure; of a machine's identities the one that is meant.
            authority_host: Host of Entra, such as `login.microsoftonline.us`; empty means that of the cloud in
                which the resource is.
            token_scope: For whom Entra's tokens are, such as `https://cognitiveservices.azure.us`; empty means
                that of the same cloud.
            role: Role of Amazon that is assumed, as an ARN.
            external_id: What the owner of the role wants to be told by whoever assumes it.
            session_name: How the session of the role is called in Amazon's logs; empty means `gimbal`.
            profile: Profile in Amazon's files; empty means `default`.
            identity_file: File by which the server proves who it is: a federated token, or Amazon's profiles.
            metadata_url: Where the server's machine tells who it is; empty means the cloud's own address.
            timeout_s: Seconds without a byte after which an attempt is given up.
        """
        return self._transport.call(
            "PATCH",
            "/providers/{name}",
            ProviderCard,
            path={"name": name},
            body={
                "key": key,
                "key_env": key_env,
                "base_url": base_url,
                "models": models,
                "claims": claims,
                "pricing": pricing,
                "headers": headers,
                "region": region,
                "account": account,
                "api_version": api_version,
                "deployments": deployments,
                "token_url": token_url,
                "identity": identity,
                "tenant": tenant,
                "client_id": client_id,
                "authority_host": authority_host,
                "token_scope": token_scope,
                "role": role,
                "external_id": external_id,
                "session_name": session_name,
                "profile": profile,
                "identity_file": identity_file,
                "metadata_url": metadata_url,
                "timeout_s": timeout_s,
            },
        )
