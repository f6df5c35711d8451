"""The loopback listener of a load balancer answers as its rules say."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.services import ingress
from tests.local.elb.scenario import POD

if TYPE_CHECKING:
    from tests.local.elb.scenario import Account

HOST = "shop.dev.example.com"
REDIRECT = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}


class Answer:
    def __init__(self, response: http.client.HTTPResponse, names: list[str]) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read().decode()
        self.names = names


def get(address: dict[str, Any], host: str, path: str, *, secure: bool = True, accept: str = "*/*") -> Answer:
    """One request to the listener on loopback, as for `host`."""
    names: list[str] = []
    connection = http.client.HTTPConnection(host)
    plain = socket.create_connection(("127.0.0.1", address["https" if secure else "http"]), timeout=5)
    if secure:
        wrapped = ssl.create_default_context(cafile=address["ca"]).wrap_socket(plain, server_hostname=host)
        certificate: Any = wrapped.getpeercert() or {}
        names = [name for _, name in certificate.get("subjectAltName", ())]
        connection.sock = wrapped
    else:
        connection.sock = plain
    try:
        connection.request("GET", path, headers={"Accept": accept})
        return Answer(connection.getresponse(), names)
    finally:
        connection.close()


@pytest.fixture
def served(account: Account) -> tuple[str, dict[str, Any]]:
    """A load balancer as an environment has one, its target healthy: ARN and address."""
    account.admit_load_balancer()
    account.cluster.pods = [POD, replace(POD, pod="shop-7d4b9c-x2")]
    certificates = [{"CertificateArn": account.issued_certificate()}]
    balancer = account.load_balancer()
    account.listener(balancer, REDIRECT)
    listener = account.listener(balancer, Port=443, Protocol="HTTPS", Certificates=certificates)
    group = account.target_group()
    not_found = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "nothing"}}
    account.rule(listener, 1, not_found, Field="path-pattern", Values=["/actuator/*"])
    account.rule(listener, 2, {"Type": "forward", "TargetGroupArn": group}, Field="host-header", Values=[HOST])
    account.register(group, account.instance())
    account.clock.advance(30)
    assert account.health(group) == [("healthy", None)]
    return balancer, ingress.address(balancer)


def test_pods_answer_in_turn_and_say_what_they_are(served: tuple[str, dict[str, Any]]) -> None:
    _, address = served
    answers = [get(address, HOST, "/orders") for _ in range(3)]
    assert [each.headers["X-Simulated-Pod"] for each in answers] == [
        "shop/shop-7d4b9c-x1",
        "shop/shop-7d4b9c-x2",
        "shop/shop-7d4b9c-x1",
    ]
    facts = json.loads(answers[0].body)
    assert (facts["application"], facts["image"], facts["loadBalancer"]) == ("shop", "shop:1", "shop")
    assert "no Spring process runs here" in facts["notice"]
    assert answers[0].names == [HOST]
    page = get(address, HOST, "/<script>", accept="text/html")
    assert "no Spring process runs here" in page.body
    assert "<script>" not in page.body


def test_rules_decide(served: tuple[str, dict[str, Any]]) -> None:
    _, address = served
    actuator = get(address, HOST, "/actuator/env")
    assert (actuator.status, actuator.body) == (404, "nothing")
    redirect = get(address, HOST, "/a%20b?x=1&y=2", secure=False)
    assert redirect.status == 301
    assert redirect.headers["Location"] == f"https://{HOST}:443/a%20b?x=1&y=2"


def test_no_healthy_target_is_a_503(account: Account, served: tuple[str, dict[str, Any]]) -> None:
    _, address = served
    account.cluster.change(ready=False)
    account.clock.advance(200)
    assert get(address, HOST, "/").status == 503


def test_the_certificate_follows_the_host(account: Account, served: tuple[str, dict[str, Any]]) -> None:
    balancer, address = served
    second = account.issued_certificate("*.other.dev.example.com")
    listener = next(
        each for each in account.elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"] if each["Port"] == 443
    )
    account.elbv2.add_listener_certificates(
        ListenerArn=listener["ListenerArn"], Certificates=[{"CertificateArn": second}]
    )
    assert get(address, "x.other.dev.example.com", "/").names == ["*.other.dev.example.com"]
    assert get(address, HOST, "/").names == [HOST]


def test_listeners_close_with_their_load_balancer(account: Account, served: tuple[str, dict[str, Any]]) -> None:
    balancer, address = served
    [entry] = ingress.load_balancers()
    assert entry["hosts"] == [HOST]
    assert entry["https"] == address["https"]
    account.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    assert ingress.load_balancers() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", address["https"]), timeout=1)
    with pytest.raises(KeyError):
        ingress.address(balancer)


def test_nothing_listens_before_the_load_balancer_is_active(account: Account) -> None:
    balancer = account.load_balancer(active=False)
    account.listener(balancer, REDIRECT)
    with pytest.raises(KeyError):
        ingress.address(balancer)
    account.clock.advance(146)
    address = ingress.address(balancer)
    assert address["https"] is None
    assert get(address, HOST, "/", secure=False).status == 301
