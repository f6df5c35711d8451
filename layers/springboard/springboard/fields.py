"""What single values of a spec must be: types for the models, each with a remedy for what it refuses.

Everything that ends up in a name, a tag, a pod or a log is ASCII without control characters, so that nothing
can look like what it is not, or start a line of its own.
"""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Never

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from springboard import image as images

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_NAME_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]{0,30}\.[a-z0-9-]{1,20}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Characters that turn the direction of text: what is read is not what is stored.
_BIDI = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

MAX_HOST = 64  # octets; ACM takes no longer name as a certificate's first
MAX_ENV_VALUE = 4096
MAX_CONFIGURATION = 16 * 1024

_ENVIRONMENT_NAMES = frozenset({"api", "default", "springboard", "kube-system", "kube-public", "kube-node-lease"})
_NAMESPACE_PREFIXES = ("kube-", "amazon-", "aws-", "eks-")
# What Springboard sets itself, in the canonical form of Spring's relaxed binding.
_RESERVED_ENV = {
    "SERVERPORT": "port",
    "SERVERSHUTDOWN": "spring.shutdownSeconds",
    "SERVERTOMCATKEEPALIVETIMEOUT": "ingress.idleTimeoutSeconds",
    "SPRINGPROFILESACTIVE": "spring.profiles",
    "SPRINGLIFECYCLETIMEOUTPERSHUTDOWNPHASE": "spring.shutdownSeconds",
}
_RESERVED_ENV_PREFIX = "MANAGEMENT_"  # of probes and exposure, on which readiness rests
_EKS_LABEL_DOMAINS = ("kubernetes.io", "k8s.io", "amazonaws.com", "aws")


def _refuse(kind: str, message: str, remedy: str) -> Never:
    # The message is data to pydantic's template: braces in it would be read as fields.
    raise PydanticCustomError(kind, "{text}", {"text": message, "remedy": remedy})


def plain(text: str) -> str:
    """Text for people, on one line."""
    if _CONTROL.search(text) or _BIDI.search(text):
        _refuse("control_characters", "contains a control character", "write plain text on one line")
    return text


def _environment_name(name: str) -> str:
    if name in _ENVIRONMENT_NAMES or name.startswith(_NAMESPACE_PREFIXES):
        _refuse(
            "reserved",
            "is reserved",
            f"choose a name that is none of {', '.join(sorted(_ENVIRONMENT_NAMES))} and does not begin with"
            f" {', '.join(_NAMESPACE_PREFIXES)}",
        )
    return name


def _namespace(name: str) -> str:
    if name == "default" or name.startswith(_NAMESPACE_PREFIXES):
        _refuse("reserved", "is a namespace of the system", "name a namespace of your applications")
    return name


def _image(text: str) -> str:
    try:
        images.parse(text)
    except images.ImageError as err:
        _refuse("image", err.message, err.remedy)
    return text


def host_problem(host: str) -> tuple[str, str] | None:
    """Why a name can be no application's address, and what to write; None if it can."""
    labels = host.split(".")
    own = "write a name under your own domain"
    found = {
        "is a wildcard": ("*" in host, "name the one host of this app"),
        "ends with a dot": (host.endswith("."), "leave the last dot out"),
        "is an IP address": (_is_address(host), "write a DNS name; a certificate needs one"),
        "has characters outside ASCII": (not host.isascii(), "write an international name in its xn-- form"),
        "has upper-case letters": (host != host.lower(), f"write {host.lower()}"),
        "is no DNS name": (
            not all(_DNS_LABEL.fullmatch(label) for label in labels),
            "labels of lower-case letters, digits and hyphens, joined by dots",
        ),
        f"has {len(host)} characters, ACM takes {MAX_HOST}": (len(host) > MAX_HOST, "choose a shorter name"),
        "has a single label": (len(labels) < 2, own),
        "is a public suffix": (host in public_suffixes(), own),
        "ends with a number": (labels[-1].isdigit(), own),
    }
    return next(((message, remedy) for message, (wrong, remedy) in found.items() if wrong), None)


@cache
def public_suffixes() -> frozenset[str]:
    """Suffixes of two labels that people buy names under; a host has to be longer than its suffix."""
    return frozenset((files("springboard") / "data" / "public_suffixes.txt").read_text().split())


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _host(host: str) -> str:
    found = host_problem(host)
    if found:
        _refuse("host", *found)
    return host


def _cidr(text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text, strict=True)
    except ValueError as err:
        loose = _loose_network(text)
        remedy = f"write {loose}" if loose else "write an IPv4 network as 203.0.113.0/24"
        what = "has bits set behind its prefix" if loose else "is no IPv4 network"
        _refuse("cidr", what + ("" if loose or ":" not in text else " (IPv6 is not offered)"), remedy)
        raise AssertionError from err  # unreachable: _refuse raises
    if "/" not in text or text != str(network):
        _refuse("cidr", "is no IPv4 network in its usual form", f"write {network}")
    return text


def _loose_network(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text, strict=False)) if "/" in text else ""
    except ValueError:
        return ""


def _public_cidr(text: str) -> str:
    network = ipaddress.IPv4Network(_cidr(text))
    if not network.is_global or network.is_multicast or network.is_reserved:
        _refuse(
            "cidr",
            "is no public network",
            "name the public addresses of your office or VPN; inside the VPC the endpoint is always reachable",
        )
    return text


def _env_name(name: str) -> str:
    if not _ENV_NAME.fullmatch(name) or len(name) > 200:
        _refuse(
            "env_name", "is no name of an environment variable", "letters, digits and _, not beginning with a digit"
        )
    canonical = name.replace("_", "").upper()
    if canonical in _RESERVED_ENV:
        _refuse("env_name", "is set by Springboard", f"use {_RESERVED_ENV[canonical]} instead")
    if name.upper().startswith(_RESERVED_ENV_PREFIX):
        _refuse(
            "env_name",
            "MANAGEMENT_… variables are set by Springboard, whose probes rest on them",
            "set spring.actuatorPath, or application properties in the image",
        )
    return name


def _env_value(value: str) -> str:
    if _CONTROL.search(value):
        _refuse(
            "env_value",
            "contains a line break or another control character",
            "put such values into a Kubernetes Secret and name it in envFromSecrets",
        )
    if "$(" in value:
        _refuse("env_value", "contains $(, which Kubernetes expands to other variables", "write the value itself")
    if len(value.encode()) > MAX_ENV_VALUE:
        _refuse(
            "env_value",
            f"is longer than {MAX_ENV_VALUE} bytes",
            "put it into a Kubernetes Secret and name it in envFromSecrets",
        )
    return value


def _qualified(key: str) -> bool:
    """A label key as Kubernetes means it."""
    prefix, slash, name = key.rpartition("/")
    return bool(_NAME_PART.fullmatch(name)) and (
        not slash or (len(prefix) <= 253 and bool(_SUBDOMAIN.fullmatch(prefix)))
    )


_LABEL_REMEDY = "letters, digits, - _ and . (at most 63), with an optional DNS prefix and /: team or example.com/team"


def _label_key(key: str) -> str:
    if key.lower().startswith(("aws:", "springboard:")) or ":" in key:
        _refuse("label", "has a prefix that AWS or Springboard keeps for itself", _LABEL_REMEDY)
    if len(key) > 128 or not _qualified(key):
        _refuse("label", "is no label key", _LABEL_REMEDY)
    prefix = key.rpartition("/")[0]
    if any(prefix == domain or prefix.endswith(f".{domain}") for domain in ("kubernetes.io", "k8s.io", "springboard")):
        _refuse("label", "has a prefix that Kubernetes or Springboard keeps for itself", _LABEL_REMEDY)
    if key == "Name":
        _refuse("label", "is the tag that AWS consoles show as a name, which Springboard sets", "use another key")
    return key


def _node_label_key(key: str) -> str:
    if len(key) > 128 or not _qualified(key):
        _refuse("label", "is no label key", _LABEL_REMEDY)
    prefix = key.rpartition("/")[0]
    if any(prefix == domain or prefix.endswith(f".{domain}") for domain in _EKS_LABEL_DOMAINS):
        _refuse("label", "has a prefix that Kubernetes or EKS keeps for itself", _LABEL_REMEDY)
    return key


def _label_value(value: str) -> str:
    if value and not _NAME_PART.fullmatch(value):
        _refuse("label", "is no label value", "letters, digits, - _ and ., at most 63, or nothing")
    return value


def _instance_type(name: str) -> str:
    if not _INSTANCE_TYPE.fullmatch(name):
        _refuse("instance_type", "is no instance type", "write it as EC2 does: m7i.large")
    return name


@cache
def time_zones() -> frozenset[str]:
    """The names of the IANA data base, as the pinned tzdata has them."""
    return frozenset((files("tzdata") / "zones").read_text().split())


def _time_zone(name: str) -> str:
    if name not in time_zones():
        folded = {zone.lower(): zone for zone in time_zones()}
        known = folded.get(name.lower())
        _refuse(
            "time_zone",
            "is no IANA time zone",
            f"did you mean {known}?" if known else "write it as Europe/Berlin or UTC",
        )
    return name


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        _refuse("date", "is no day of the calendar", "write YYYY-MM-DD")
    return text


def _cpu(text: str) -> str:
    if not any(digit in text for digit in "123456789"):
        _refuse("resources", "is nothing", "ask for at least 10m")
    return text


def _memory(text: str) -> str:
    mebibytes = int(text[:-2]) * (1024 if text.endswith("Gi") else 1)
    if mebibytes < 64:
        _refuse("resources", "is too little for a JVM", "ask for at least 64Mi; 512Mi is small")
    return text


def _configuration(values: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(values)) > MAX_CONFIGURATION:
        _refuse("configuration", f"is larger than {MAX_CONFIGURATION // 1024} KiB", "shorten it")
    return values


def _like(regex: str | re.Pattern[str]) -> Any:  # noqa: ANN401 - pydantic's FieldInfo
    """The form of a text, for editors: what is wrong is said by the validator beside it, with a remedy."""
    text = regex if isinstance(regex, str) else regex.pattern
    return Field(json_schema_extra={"pattern": f"^{text}$"})


_PLAIN = _like(r"[^\x00-\x1f\x7f-\x9f]*")
_KEY = _like(rf"({_SUBDOMAIN.pattern}/)?{_NAME_PART.pattern}")

# In pydantic's regex engine `$` means the very end: a trailing newline is no match.
_LABEL_PATTERN = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
_DAY_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

Label = Annotated[str, StringConstraints(pattern=_LABEL_PATTERN, max_length=63)]
EnvironmentName = Annotated[
    str, StringConstraints(pattern=_LABEL_PATTERN, max_length=24), AfterValidator(_environment_name)
]
Namespace = Annotated[Label, AfterValidator(_namespace)]
MinorVersion = Annotated[str, StringConstraints(pattern=r"^1\.[1-9][0-9]$")]
# A path of at most 512 characters with its slashes, and a name of at most 64: docs of IAM's CreateRole.
_IAM_NAME = r"([A-Za-z0-9_+=,.@/-]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}"
RoleArn = Annotated[str, StringConstraints(pattern=rf"^arn:aws[a-z-]*:iam::[0-9]{{12}}:role/{_IAM_NAME}$")]
PrincipalArn = Annotated[str, StringConstraints(pattern=rf"^arn:aws[a-z-]*:iam::[0-9]{{12}}:(role|user)/{_IAM_NAME}$")]
# Kubernetes' names of Secrets are DNS subdomains.
SecretName = Annotated[str, StringConstraints(pattern=f"^{_SUBDOMAIN.pattern}$", max_length=253)]
ImageName = Annotated[
    str,
    StringConstraints(min_length=3, max_length=500),
    AfterValidator(_image),
    _like(rf"[a-z0-9][a-z0-9._:/-]*(:{images.TAG}|(:{images.TAG})?@{images.DIGEST})"),
]
Host = Annotated[str, StringConstraints(max_length=253), AfterValidator(_host), _like(_SUBDOMAIN)]
_NETWORK = _like(r"([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}")
Cidr = Annotated[str, StringConstraints(max_length=18), AfterValidator(_cidr), _NETWORK]
PublicCidr = Annotated[str, StringConstraints(max_length=18), AfterValidator(_public_cidr), _NETWORK]
EnvName = Annotated[str, AfterValidator(_env_name), _like(_ENV_NAME)]
EnvValue = Annotated[str, AfterValidator(_env_value), _PLAIN]
LabelKey = Annotated[str, AfterValidator(_label_key), _KEY]
NodeLabelKey = Annotated[str, AfterValidator(_node_label_key), _KEY]
LabelValue = Annotated[str, AfterValidator(_label_value), _like(f"({_NAME_PART.pattern})?")]
InstanceTypeName = Annotated[str, AfterValidator(_instance_type), _like(_INSTANCE_TYPE)]
TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_time_zone), _like("[A-Za-z0-9_+/-]+")]
PlainText = Annotated[str, AfterValidator(plain), _PLAIN]
Day = Annotated[str, StringConstraints(pattern=_DAY_PATTERN), AfterValidator(_day)]
Cpu = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,5}m|[0-9]{1,3}(\.[0-9]{1,3})?)$"), AfterValidator(_cpu)]
Memory = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}(Mi|Gi)$"), AfterValidator(_memory)]
Configuration = Annotated[dict[str, Any], AfterValidator(_configuration)]
# Keys of another form than the pattern's are none of the others either.
NO_OTHERS: dict[str, Any] = {"additionalProperties": False}
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=20, json_schema_extra=NO_OTHERS)]
NodeLabels = Annotated[dict[NodeLabelKey, LabelValue], Field(max_length=30, json_schema_extra=NO_OTHERS)]
Variables = Annotated[dict[EnvName, EnvValue], Field(max_length=100, json_schema_extra=NO_OTHERS)]
