"""What answers at a load balancer's address: loopback listeners that route as the load balancer would.

One event loop in one thread serves all of them. A request goes Host and path → rule → action; a forward
ends at a page that names the simulated pod, because no application runs in the local cloud. TLS
certificates are signed by a certificate authority of this cloud's own, `ca.pem` in its state folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import html
import ipaddress
import itertools
import json
import os
import re
import ssl
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from springboard_local.services import metrics
from springboard_local.services.target_health import NAMESPACE, answer_of_application, suffix

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from springboard_local.cloud import Cloud
    from springboard_local.kubernetes.lane import Backend

_NOTICE = "This page comes from Springboard's local cloud: no Spring process runs here."
_FILL = re.compile(r"#\{(\w+)\}")
_REDIRECT_STATUS = {"HTTP_301": 301, "HTTP_302": 302}


class Authority:
    """A certificate authority that lives as long as the cloud; its key never leaves memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Springboard local cloud")])
        self._certificate = (
            self._builder(self._name, self._key.public_key(), timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + life)
        )

    def context(self, names: list[str]) -> ssl.SSLContext:
        """A TLS server context with a certificate for `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        certificate = (
            self._builder(subject, key.public_key(), timedelta(days=90))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # The ssl module loads from files alone: one that only we can read, gone at once.
        descriptor, name = tempfile.mkstemp(dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(
                    key.private_bytes(
                        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                    )
                )
                file.write(certificate.public_bytes(serialization.Encoding.PEM))
            context.load_cert_chain(name)
        finally:
            Path(name).unlink()
        return context


@dataclass
class _Site:
    """One listener's socket."""

    runner: web.ServerRunner
    port: int
    secure: bool


@dataclass
class _Ingress:
    """The listeners of one cloud."""

    cloud: Cloud
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    authority: Authority
    lock: threading.RLock = field(default_factory=threading.RLock)
    balancers: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # ARN → (backend, load balancer)
    sites: dict[tuple[str, int], _Site] = field(default_factory=dict)
    contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)  # by certificate ARN
    turns: dict[str, itertools.count[int]] = field(default_factory=dict)  # by target group ARN

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the event loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=10)


_ingresses: dict[int, _Ingress] = {}  # by id of the cloud


def _ingress_of(cloud: Cloud) -> _Ingress:
    """The cloud's ingress, started when the first load balancer needs it."""
    found = _ingresses.get(id(cloud))
    if found is None:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="ingress", daemon=True)
        thread.start()
        found = _ingresses[id(cloud)] = _Ingress(cloud, loop, thread, Authority(cloud.settings.state / "ca.pem"))
    return found


def open_listeners(cloud: Cloud, elb: Any, balancer: Any) -> None:
    """Make the loopback listeners of an active load balancer as its listeners are. Idempotent."""
    if balancer.type != "application":
        return  # a network load balancer's connections have no Host to route by
    ingress = _ingress_of(cloud)
    with ingress.lock:
        ingress.balancers[balancer.arn] = (elb, balancer)
        wanted = {int(each.port): each for each in list(balancer.listeners.values())}
        for (arn, port), site in list(ingress.sites.items()):
            listener = wanted.get(port)
            if arn == balancer.arn and (listener is None or (listener.protocol == "HTTPS") != site.secure):
                ingress.run(ingress.sites.pop((arn, port)).runner.cleanup())
        for port, listener in wanted.items():
            if (balancer.arn, port) not in ingress.sites:
                secure = listener.protocol == "HTTPS"
                ingress.sites[balancer.arn, port] = ingress.run(_open(ingress, balancer.arn, port, secure=secure))


async def _open(ingress: _Ingress, arn: str, port: int, *, secure: bool) -> _Site:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await asyncio.get_running_loop().run_in_executor(None, _answer, ingress, arn, port, request)

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=1)
    await runner.setup()
    context = _tls(ingress, arn, port) if secure else None
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    return _Site(runner, int(runner.addresses[0][1]), secure)


def _listener(ingress: _Ingress, arn: str, port: int) -> Any:
    """The listener of a load balancer on `port`; None when it has just been deleted."""
    entry = ingress.balancers.get(arn)
    if entry is None:
        return None
    return next((each for each in list(entry[1].listeners.values()) if int(each.port) == port), None)


def _tls(ingress: _Ingress, arn: str, port: int) -> ssl.SSLContext:
    """A context that picks the certificate by the name that the client asks for."""
    base = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        listener = _listener(ingress, arn, port)
        if listener is not None:
            connection.context = _context_for(ingress, arn, listener.certificates, name or "")

    base.sni_callback = choose
    return base


def _context_for(ingress: _Ingress, arn: str, certificates: list[str], name: str) -> ssl.SSLContext:
    """The context of the first certificate that covers `name`, else of the default one."""
    named = [(certificate, _names_of(ingress, arn, certificate)) for certificate in certificates]
    chosen, names = next(
        ((certificate, names) for certificate, names in named if any(covers(each, name) for each in names)), named[0]
    )
    if chosen not in ingress.contexts:
        ingress.contexts[chosen] = ingress.authority.context(names)
    return ingress.contexts[chosen]


def covers(pattern: str, name: str) -> bool:
    """Whether a certificate's name covers a host: a wildcard stands for exactly one label."""
    pattern, name = pattern.lower(), name.lower()
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return name == pattern


def _names_of(ingress: _Ingress, arn: str, certificate: str) -> list[str]:
    from moto.acm.models import acm_backends  # noqa: PLC0415 - acm and elbv2 know each other

    backend = ingress.balancers[arn][0]
    bundle = acm_backends[backend.account_id][backend.region_name]._certificates.get(certificate)
    if bundle is None:
        return ["localhost"]
    return list(dict.fromkeys([bundle.common_name, *bundle.sans]))


# Routing


def _answer(ingress: _Ingress, arn: str, port: int, request: web.BaseRequest) -> web.Response:
    """The response to one request, and what CloudWatch gets to know of it."""
    began = time.perf_counter()
    response = _routed(ingress, arn, port, request)
    balancer = suffix(arn)
    by_target = response.headers.get("Server") != "awselb/2.0"
    metrics.count(NAMESPACE, "RequestCount", LoadBalancer=balancer)
    if by_target:
        metrics.count(NAMESPACE, "TargetResponseTime", time.perf_counter() - began, "Seconds", LoadBalancer=balancer)
    if response.status >= 400:
        source = "Target" if by_target else "ELB"
        metrics.count(NAMESPACE, f"HTTPCode_{source}_{response.status // 100}XX_Count", LoadBalancer=balancer)
    return response


def _routed(ingress: _Ingress, arn: str, port: int, request: web.BaseRequest) -> web.Response:
    """The response to one request, as the load balancer's rules say."""
    entry = ingress.balancers.get(arn)
    listener = _listener(ingress, arn, port)
    if entry is None or listener is None:
        return _error(503, "Service Temporarily Unavailable")
    elb, balancer = entry
    for rule in elb.rules_of(listener):
        if all(_matches(condition, request) for condition in rule.conditions):
            return _act(ingress, elb, balancer, listener, rule.actions[-1], request)
    return _error(404, "Not Found")


def _host(request: web.BaseRequest) -> str:
    host = request.headers.get("Host", "")
    return re.sub(r":\d+$", "", host).lower()


def _like(patterns: list[str], value: str) -> bool:
    # `[` has no meaning to a load balancer: only * and ? are wildcards.
    return any(fnmatch.fnmatchcase(value, pattern.replace("[", "[[]")) for pattern in patterns)


def _matches(condition: dict[str, Any], request: web.BaseRequest) -> bool:  # noqa: PLR0911 - one per field
    match condition["Field"]:
        case "host-header":
            return _like([each.lower() for each in condition["Values"]], _host(request))
        case "path-pattern":
            return _like(condition["Values"], request.path)
        case "http-request-method":
            return request.method in condition["HttpRequestMethodConfig"]["Values"]
        case "http-header":
            config = condition["HttpHeaderConfig"]
            present = request.headers.getall(config["HttpHeaderName"], [])
            return any(_like([each.lower() for each in config["Values"]], value.lower()) for value in present)
        case "query-string":
            return any(
                _like([wanted["Value"].lower()], value.lower())
                for wanted in condition["QueryStringConfig"]["Values"]
                for key, value in request.query.items()
                if "Key" not in wanted or _like([wanted["Key"].lower()], key.lower())
            )
        case "source-ip":
            source = ipaddress.ip_address(request.remote or "127.0.0.1")
            return any(source in ipaddress.ip_network(each) for each in condition["SourceIpConfig"]["Values"])
    return False


def _act(
    ingress: _Ingress, elb: Any, balancer: Any, listener: Any, action: Any, request: web.BaseRequest
) -> web.Response:
    match action.type:
        case "redirect":
            return _redirect(action.data["RedirectConfig"], listener, request)
        case "fixed-response":
            config = action.data["FixedResponseConfig"]
            return web.Response(
                status=int(config["StatusCode"]),
                text=config.get("MessageBody", ""),
                content_type=config.get("ContentType") or "text/plain",
                charset="utf-8",
                headers={"Server": "awselb/2.0"},
            )
        case "forward":
            group = _choose_group(ingress, elb, action)
            backends = elb.health.backends(group) if group is not None else []
            if not backends:
                return _error(503, "Service Temporarily Unavailable")
            turn = next(ingress.turns.setdefault(group.arn, itertools.count()))
            return _page(backends[turn % len(backends)], balancer, group, request)
    return _error(501, "Not Implemented")


def _choose_group(ingress: _Ingress, elb: Any, action: Any) -> Any:
    """The target group whose turn it is, by weight."""
    entries = [entry for entry in action.data["ForwardConfig"]["TargetGroups"] if int(entry["Weight"]) > 0]
    arns = [entry["TargetGroupArn"] for entry in entries for _ in range(int(entry["Weight"]))]
    if not arns:
        return None
    turn = next(ingress.turns.setdefault("/".join(arns), itertools.count())) if len(entries) > 1 else 0
    return elb.target_groups.get(arns[turn % len(arns)])


def _redirect(config: dict[str, str], listener: Any, request: web.BaseRequest) -> web.Response:
    values = {
        "protocol": listener.protocol,
        "port": str(listener.port),
        "host": _host(request),
        "path": request.path.lstrip("/"),
        "query": request.query_string,
    }

    def fill(text: str) -> str:
        return _FILL.sub(lambda found: values.get(found[1], ""), text)

    query = fill(config["Query"])
    location = (
        f"{fill(config['Protocol']).lower()}://{fill(config['Host'])}:{fill(config['Port'])}"
        f"{quote(fill(config['Path']), safe='/%:@!$&()*+,;=~')}{'?' + query if query else ''}"
    )
    status = _REDIRECT_STATUS[config["StatusCode"]]
    title = {301: "Moved Permanently", 302: "Found"}[status]
    return _error(status, title, {"Location": location})


def _error(status: int, title: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        text=f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>\n",
        content_type="text/html",
        headers={"Server": "awselb/2.0", **(headers or {})},
    )


def _page(backend: Backend, balancer: Any, group: Any, request: web.BaseRequest) -> web.Response:
    """Who would have answered."""
    facts = {
        "application": backend.pod.rsplit("-", 2)[0],
        "pod": backend.pod,
        "namespace": backend.namespace,
        "node": backend.node,
        "image": backend.image,
        "loadBalancer": balancer.name,
        "targetGroup": group.name,
        "path": request.path,
        "notice": _NOTICE,
    }
    status = answer_of_application(request.path)
    headers = {"X-Simulated-Pod": f"{backend.namespace}/{backend.pod}", "X-Simulated-Image": backend.image}
    if "text/html" not in request.headers.get("Accept", ""):
        return web.Response(
            status=status, text=json.dumps(facts, indent=2) + "\n", content_type="application/json", headers=headers
        )
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in facts.items()
        if name != "notice"
    )
    body = (
        f"<!doctype html><title>{html.escape(facts['application'])}</title>"
        f"<h1>{html.escape(facts['application'])}</h1><p>{_NOTICE}</p><table>{rows}</table>\n"
    )
    return web.Response(status=status, text=body, content_type="text/html", headers=headers)


# Addresses


def address(load_balancer: str) -> dict[str, Any]:
    """Where a load balancer (by ARN or DNS name) answers: {"http": port, "https": port, "ca": path}.

    A port is None where there is no listener on 80 or 443; KeyError while nothing listens at all.
    """
    for ingress in list(_ingresses.values()):
        for arn, (_, balancer) in list(ingress.balancers.items()):
            if load_balancer in {arn, balancer.dns_name}:
                ports = {port: site.port for (owner, port), site in list(ingress.sites.items()) if owner == arn}
                return {"http": ports.get(80), "https": ports.get(443), "ca": str(ingress.authority.path)}
    raise KeyError(load_balancer)


def load_balancers() -> list[dict[str, Any]]:
    """All load balancers with listeners, for the admin API's /_local/load-balancers."""
    return [
        {
            "arn": arn,
            "name": balancer.name,
            "dnsName": balancer.dns_name,
            "hosts": sorted(_hosts(balancer)),
            **address(arn),
        }
        for ingress in list(_ingresses.values())
        for arn, (_, balancer) in list(ingress.balancers.items())
    ]


def _hosts(balancer: Any) -> set[str]:
    return {
        host
        for listener in list(balancer.listeners.values())
        for rule in list(listener.rules.values())
        for condition in rule.conditions
        if condition["Field"] == "host-header"
        for host in condition["Values"]
    }


def close_listeners(arn: str) -> None:
    """Close the listeners of one load balancer."""
    for ingress in list(_ingresses.values()):
        with ingress.lock:
            ingress.balancers.pop(arn, None)
            for key in [key for key in ingress.sites if key[0] == arn]:
                ingress.run(ingress.sites.pop(key).runner.cleanup())


def reset(cloud: Cloud) -> None:
    """Close all listeners of a cloud; its certificate authority stays."""
    ingress = _ingresses.get(id(cloud))
    if ingress is not None:
        for arn in list(ingress.balancers):
            close_listeners(arn)
        ingress.contexts.clear()


def close(cloud: Cloud) -> None:
    """Close all listeners and the event loop. Idempotent."""
    reset(cloud)
    ingress = _ingresses.pop(id(cloud), None)
    if ingress is None:
        return

    async def end() -> None:
        await ingress.loop.shutdown_default_executor()

    with contextlib.suppress(TimeoutError):
        ingress.run(end())
    ingress.loop.call_soon_threadsafe(ingress.loop.stop)
    ingress.thread.join(timeout=5)
    ingress.loop.close()
