"""The programs of one cluster: kube-apiserver, controller manager, scheduler, and the front before them."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from springboard_local.kubernetes.embedded.catalog import catalog
from springboard_local.kubernetes.embedded.discovery import version_info
from springboard_local.kubernetes.real.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from springboard_local.kubernetes.embedded.objects import Obj
    from springboard_local.kubernetes.embedded.pki import Identity
    from springboard_local.kubernetes.real.processes import Child, Processes
    from springboard_local.kubernetes.real.toolchain import Toolchain

_START_SECONDS = 90.0
_ATTEMPTS = 3
_CONTROLLERS = "system:kube-controller-manager"
_SCHEDULER = "system:kube-scheduler"
_OURS = "eks:control-plane"
_IDENTITIES = {_CONTROLLERS: "", _SCHEDULER: "", _OURS: "system:masters"}  # with their groups


@dataclass(frozen=True)
class Site:
    """Where a cluster is and what its programs are to be told, whatever its version."""

    folder: Path
    etcd: str
    prefix: str
    service_cidr: str
    webhooks: str  # URL
    identity: Identity
    kubelets: Identity  # what the server shows to kubelets, and they to it
    kubelet_tunnel: str  # URL of the proxy through which kubelets are reached
    tokens: dict[str, str] = field(default_factory=lambda: {n: secrets.token_hex(24) for n in _IDENTITIES})

    @property
    def token(self) -> str:
        """The lane's own token, a member of system:masters."""
        return self.tokens[_OURS]


@dataclass
class _Servers:
    """The processes that serve one version."""

    version: str
    address: str
    api: Child
    others: list[Child] = field(default_factory=list)


class Programs:
    """Starts a cluster's processes, and replaces them for another version on the same endpoint."""

    def __init__(self, tools: Toolchain, processes: Processes, site: Site) -> None:
        self._tools, self._processes, self._site = tools, processes, site
        self._tls = ssl.create_default_context(cadata=site.identity.authority.decode())
        self.port = 0
        self._front: Child | None = None
        self._servers: _Servers | None = None
        site.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write_credentials()

    @property
    def version(self) -> str:
        """The minor version that is served."""
        if self._servers is None:
            raise RuntimeError("the control plane does not run")
        return self._servers.version

    def serve(self, version: str) -> None:
        """Serve a minor version; when this returns, the endpoint answers with it. The one before ends."""
        before = self._servers
        self._servers = self._start_servers(version)
        self._configure_front()
        if before:
            self._stop(before)

    def stop(self) -> None:
        """End all processes. Idempotent."""
        if self._servers:
            self._stop(self._servers)
            self._servers = None
        if self._front:
            self._processes.forget(self._front)
            self._front = None

    def _stop(self, servers: _Servers) -> None:
        for child in (*servers.others, servers.api):
            self._processes.forget(child)

    # files

    def _path(self, name: str) -> Path:
        return self._site.folder / name

    def _write(self, name: str, content: bytes | str | Obj) -> Path:
        path = self._path(name)
        if isinstance(content, dict):
            content = json.dumps(content, indent=2)
        partial = path.with_name(path.name + ".partial")
        partial.touch(mode=0o600)
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
        return path

    def _write_credentials(self) -> None:
        site = self._site
        self._write("ca.pem", site.identity.authority)
        self._write("server.pem", site.identity.certificate)
        self._write("server.key", site.identity.key)
        self._write("kubelet-ca.pem", site.kubelets.authority)
        self._write("kubelet-client.pem", site.kubelets.certificate)
        self._write("kubelet-client.key", site.kubelets.key)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        self._write("service-accounts.key", key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        lines = [f'{site.tokens[name]},{name},{name},"{groups}"' for name, groups in _IDENTITIES.items()]
        self._write("tokens.csv", "\n".join(lines) + "\n")
        for name in ("authenticate", "authorize"):
            self._write(f"{name}.kubeconfig", _kubeconfig(f"{site.webhooks}/{name}"))
        tls = {
            "caBundle": str(self._path("kubelet-ca.pem")),
            "clientCert": str(self._path("kubelet-client.pem")),
            "clientKey": str(self._path("kubelet-client.key")),
        }
        egress = {
            "name": "cluster",
            "connection": {
                "proxyProtocol": "HTTPConnect",
                "transport": {"tcp": {"url": site.kubelet_tunnel, "tlsConfig": tls}},
            },
        }
        kind = {"apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration"}
        self._write("egress.json", {**kind, "egressSelections": [egress]})
        # Since 1.32 EKS lets nobody in without a token but to ask for health.
        anonymous = {"enabled": True, "conditions": [{"path": path} for path in ("/healthz", "/livez", "/readyz")]}
        kind = {"apiVersion": "apiserver.config.k8s.io/v1beta1", "kind": "AuthenticationConfiguration"}
        self._write("authentication.json", {**kind, "anonymous": anonymous})

    # processes

    def _start_servers(self, version: str) -> _Servers:
        """Start the API server, wait until it is ready, then let controllers and scheduler find it so."""
        for _ in range(_ATTEMPTS):
            (port,) = free_ports(1)
            api = self._processes.start(self._api_command(version, port), self._path("kube-apiserver.log"))
            servers = _Servers(version, f"127.0.0.1:{port}", api)
            if self._await(servers, "/readyz"):
                break
            self._stop(servers)
        else:
            raise RuntimeError(f"kube-apiserver did not start: {api.last_words()}")
        url = f"https://{servers.address}"
        servers.others = [
            self._processes.start(command, self._path(f"{name}.log"))
            for name, command in (
                ("kube-controller-manager", self._controllers_command(version, url)),
                ("kube-scheduler", self._scheduler_command(version, url)),
            )
        ]
        return servers

    def _await(self, servers: _Servers, path: str) -> bool:
        """Whether the API server answers before it ends and before patience does."""
        deadline = time.monotonic() + _START_SECONDS
        headers = {"Authorization": f"Bearer {self._site.token}"}
        request = urllib.request.Request(f"https://{servers.address}{path}", headers=headers)
        while servers.api.ended() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(request, timeout=5, context=self._tls):  # noqa: S310 - loopback
                    return True
            except OSError:
                time.sleep(0.05)
        return False

    def _api_command(self, version: str, port: int) -> list[str | Path]:
        site = self._site
        return [
            self._tools.program("kube-apiserver"),
            f"--emulated-version={version}",
            f"--etcd-servers={site.etcd}",
            f"--etcd-prefix={site.prefix}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={self._path('server.pem')}",
            f"--tls-private-key-file={self._path('server.key')}",
            "--endpoint-reconciler-type=none",  # it would want an address that is not loopback
            f"--service-cluster-ip-range={site.service_cidr}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._path('service-accounts.key')}",
            f"--service-account-signing-key-file={self._path('service-accounts.key')}",
            f"--authentication-config={self._path('authentication.json')}",
            f"--token-auth-file={self._path('tokens.csv')}",
            f"--authentication-token-webhook-config-file={self._path('authenticate.kubeconfig')}",
            "--authentication-token-webhook-version=v1",
            "--authentication-token-webhook-cache-ttl=1s",
            "--authorization-mode=RBAC,Webhook",
            f"--authorization-webhook-config-file={self._path('authorize.kubeconfig')}",
            "--authorization-webhook-version=v1",
            "--authorization-webhook-cache-authorized-ttl=1s",
            "--authorization-webhook-cache-unauthorized-ttl=1s",
            f"--egress-selector-config-file={self._path('egress.json')}",
            f"--kubelet-client-certificate={self._path('kubelet-client.pem')}",
            f"--kubelet-client-key={self._path('kubelet-client.key')}",
            "--allow-privileged=true",
            "--profiling=false",
        ]

    def _controllers_command(self, version: str, url: str) -> list[str | Path]:
        config = self._write("controllers.kubeconfig", self._kubeconfig_for(_CONTROLLERS, url))
        return [
            self._tools.program("kube-controller-manager"),
            f"--emulated-version={version}",
            f"--kubeconfig={config}",
            "--secure-port=0",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._path('service-accounts.key')}",
            f"--root-ca-file={self._path('ca.pem')}",
            "--node-monitor-period=1s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--profiling=false",
        ]

    def _scheduler_command(self, version: str, url: str) -> list[str | Path]:
        kubeconfig = self._write("scheduler.kubeconfig", self._kubeconfig_for(_SCHEDULER, url))
        extender = {
            "urlPrefix": f"{self._site.webhooks}/scheduler",
            "filterVerb": "filter",
            "nodeCacheCapable": True,
            "ignorable": True,
        }
        config: Obj = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 200, "burst": 400},
            "enableProfiling": False,
            "extenders": [extender],
        }
        return [
            self._tools.program("kube-scheduler"),
            f"--emulated-version={version}",
            f"--config={self._write('scheduler.json', config)}",
            "--secure-port=0",
        ]

    def restart_scheduler(self) -> None:
        """Let the scheduler look at every waiting pod anew."""
        servers = self._servers
        if servers is None:
            return
        self._processes.forget(servers.others.pop())
        command = self._scheduler_command(servers.version, f"https://{servers.address}")
        servers.others.append(self._processes.start(command, self._path("kube-scheduler.log")))

    def _kubeconfig_for(self, name: str, url: str) -> Obj:
        return _kubeconfig(url, str(self._path("ca.pem")), self._site.tokens[name])

    # the front

    def _configure_front(self) -> None:
        if self._servers is None:
            raise RuntimeError("the control plane does not run")
        version = version_info(catalog(self._servers.version))
        config = self._write("front.json", {"backend": self._servers.address, "version": version})
        if self._front is None:
            self._front = self._start_front(config)
        else:
            self._front.signal(signal.SIGHUP)
        self._await_version(version["gitVersion"])

    def _start_front(self, config: Path) -> Child:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(128)
            self.port = listener.getsockname()[1]
            names = ("server.pem", "server.key", "ca.pem")
            descriptor = listener.fileno()
            command: list[str | Path] = [
                self._tools.program("front"),
                "serve",
                str(descriptor),
                config,
                *(self._path(name) for name in names),
            ]
            return self._processes.start(command, self._path("front.log"), (descriptor,))

    def _await_version(self, git_version: str) -> None:
        """Wait until the endpoint reports the version."""
        deadline = time.monotonic() + _START_SECONDS
        headers = {"Authorization": f"Bearer {self._site.token}"}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}/version", headers=headers)
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(request, timeout=5, context=self._tls) as answer:  # noqa: S310 - loopback
                    if json.load(answer)["gitVersion"] == git_version:
                        return
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        raise RuntimeError(f"the endpoint does not report {git_version}")


def _kubeconfig(server: str, authority: str = "", token: str = "") -> Obj:
    cluster = {"server": server, **({"certificate-authority": authority} if authority else {})}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "context",
    }
