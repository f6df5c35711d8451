"""Certificate Manager, mended over moto: a certificate is issued only once its CNAMEs are in public DNS.

The validation record of a name is the same for all its certificates in the account, and not there in the
first seconds after the request.
"""

from __future__ import annotations

import functools
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from moto.acm import models as moto_acm
from moto.acm.exceptions import AWSValidationException, CertificateNotFound
from moto.acm.responses import AWSCertificateManagerResponse
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult

from springboard_local.services import route53
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.clock import Timer
    from springboard_local.cloud import Cloud

_mending = Mending()

_RECORD_SECONDS = 5  # estimate: ACM makes the validation record some seconds after the request
_TIMEOUT_HOURS = 72
_TOKEN_HOURS = 1
_MAX_NAMES = 10
_LABEL = r"(?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9]"
_DOMAIN = re.compile(rf"(\*\.)?({_LABEL}\.)+{_LABEL}")
_KEY_ALGORITHM = "RSA-2048"


class ResourceInUseError(AWSError):  # type: ignore[misc]  # moto is untyped
    """The certificate is on a listener."""

    TYPE = "ResourceInUseException"


class RequestInProgressError(AWSError):  # type: ignore[misc]  # moto is untyped
    """The certificate has not been issued yet."""

    TYPE = "RequestInProgressException"


class LimitExceededError(AWSError):  # type: ignore[misc]  # moto is untyped
    """Too many names."""

    TYPE = "LimitExceededException"


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def validation_record(account: str, name: str) -> dict[str, str]:
    """The CNAME that proves control of `name`; a wildcard has that of the name below it."""
    base = name.removeprefix("*.").lower()
    label, target, zone = (_digest(account, base, purpose) for purpose in ("name", "value", "zone"))
    letters = "".join(chr(ord("a") + int(zone[at : at + 2], 16) % 26) for at in range(0, 20, 2))
    return {
        "Name": f"_{label[:32]}.{base}.",
        "Type": "CNAME",
        "Value": f"_{target[:32]}.{letters}.acm-validations.aws.",
    }


@functools.cache
def _private_key() -> rsa.RSAPrivateKey:
    # One for all: nobody can ever get at the key of a certificate that ACM issues, and making one is slow.
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(names: list[str]) -> tuple[bytes, bytes]:
    """A certificate for `names` and its key."""
    key = _private_key()
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Amazon")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=395))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


class Certificate(moto_acm.CertBundle):  # type: ignore[misc]  # moto is untyped
    """A certificate requested from ACM."""

    def __init__(self, backend: CertificateManager, names: list[str], method: str) -> None:
        certificate, key = _pem(names)
        super().__init__(
            backend.account_id,
            certificate,
            key,
            region=backend.region_name,
            cert_type="AMAZON_ISSUED",
            cert_status="PENDING_VALIDATION",
        )
        self.backend = backend
        self.names = names
        self.method = method
        self.requested = backend.cloud.clock.now()
        self.issued: datetime | None = None
        self.failure: str | None = None
        self.issuing: Timer | None = None
        self.expiry: Timer | None = None

    def check(self) -> None:
        """Nothing: moto issues by real time here, but the validation record decides."""

    def records(self) -> list[dict[str, str]]:
        """The CNAMEs wanted, each once."""
        records = [validation_record(self.backend.account_id, name) for name in self.names]
        return list({record["Name"]: record for record in records}.values())

    def describe(self) -> dict[str, Any]:
        """What DescribeCertificate answers."""
        users = self.backend.users_of(self.arn)
        answer: dict[str, Any] = {
            "CertificateArn": self.arn,
            "DomainName": self.names[0],
            "SubjectAlternativeNames": self.names,
            "DomainValidationOptions": [self._validation(name) for name in self.names],
            "Subject": f"CN={self.names[0]}",
            "Issuer": "Amazon",
            "CreatedAt": self.requested,
            "Status": self.status,
            "KeyAlgorithm": _KEY_ALGORITHM,
            "SignatureAlgorithm": "SHA256WITHRSA",
            "InUseBy": users,
            "Type": self.type,
            "KeyUsages": [],
            "ExtendedKeyUsages": [],
            "RenewalEligibility": "ELIGIBLE" if users and self.status == "ISSUED" else "INELIGIBLE",
            "Options": self.cert_options,
        }
        if self.failure:
            answer["FailureReason"] = self.failure
        if self.issued:
            answer |= {
                "IssuedAt": self.issued,
                "NotBefore": self._cert.not_valid_before_utc,
                "NotAfter": self._cert.not_valid_after_utc,
                "Serial": ":".join(re.findall("..", f"{self._cert.serial_number:040x}")),
                "KeyUsages": [{"Name": "DIGITAL_SIGNATURE"}, {"Name": "KEY_ENCIPHERMENT"}],
                "ExtendedKeyUsages": [
                    {"Name": "TLS_WEB_SERVER_AUTHENTICATION", "OID": "1.3.6.1.5.5.7.3.1"},
                ],
            }
        return {"Certificate": answer}

    def _validation(self, name: str) -> dict[str, Any]:
        status = {"ISSUED": "SUCCESS", "PENDING_VALIDATION": "PENDING_VALIDATION"}.get(self.status, "FAILED")
        option: dict[str, Any] = {
            "DomainName": name,
            "ValidationDomain": name.removeprefix("*."),
            "ValidationStatus": status,
            "ValidationMethod": self.method,
        }
        age = (self.backend.cloud.clock.now() - self.requested).total_seconds()
        if self.method == "DNS" and age >= _RECORD_SECONDS:
            option["ResourceRecord"] = validation_record(self.backend.account_id, name)
        return option


class CertificateManager(moto_acm.AWSCertificateManagerBackend):  # type: ignore[misc]  # moto is untyped
    """moto's backend of one account and region, mended."""

    cloud: ClassVar[Cloud]
    failures: ClassVar[dict[str, str]] = {}  # domain → FailureReason, by injection

    def request_certificate(
        self,
        domain_name: str,
        idempotency_token: str | None,
        subject_alt_names: list[str] | None,
        tags: list[dict[str, str]] | None,
        cert_authority_arn: str | None = None,
        cert_options: dict[str, Any] | None = None,
        method: str = "EMAIL",
    ) -> str:
        """Begin a certificate; a token used within the hour answers the certificate of then."""
        if cert_authority_arn:
            raise AWSValidationException("Private certificate authorities are not part of the local cloud.")
        names = _checked_names(domain_name, subject_alt_names or [])
        now = self.cloud.clock.now()
        if idempotency_token:
            if not re.fullmatch(r"\w{1,32}", idempotency_token):
                raise AWSValidationException(
                    f"1 validation error detected: Value '{idempotency_token}' at 'idempotencyToken' failed to satisfy "
                    r"constraint: Member must satisfy regular expression pattern: \w+"
                )
            arn, until = self._idempotency_tokens.get(idempotency_token, ("", now))
            if now < until:
                return str(arn)
        certificate = Certificate(self, names, method)
        if tags:
            certificate.tags.add(tags)
        certificate.cert_options.update(cert_options or {})
        if idempotency_token:
            self._idempotency_tokens[idempotency_token] = certificate.arn, now + timedelta(hours=_TOKEN_HOURS)
        self._certificates[certificate.arn] = certificate
        clock = self.cloud.clock
        certificate.expiry = clock.call_later(_TIMEOUT_HOURS * 3600, lambda: self._time_out(certificate))
        clock.call_later(_RECORD_SECONDS, lambda: self.validate(certificate))
        return str(certificate.arn)

    def _pending(self, certificate: Certificate) -> bool:
        return self._certificates.get(certificate.arn) is certificate and certificate.status == "PENDING_VALIDATION"

    def _time_out(self, certificate: Certificate) -> None:
        if self._pending(certificate):
            certificate.status = "VALIDATION_TIMED_OUT"

    def validate(self, certificate: Certificate) -> None:
        """Have a pending certificate issued some time after all its records are there."""
        if not self._pending(certificate) or certificate.issuing or certificate.method != "DNS":
            return
        if self._validated(certificate):
            seconds = self.cloud.latency.seconds("acm:Validation")
            certificate.issuing = self.cloud.clock.call_later(seconds, lambda: self._issue(certificate))

    def _validated(self, certificate: Certificate) -> bool:
        return all(
            route53.public_cname(self.account_id, record["Name"]) == record["Value"] for record in certificate.records()
        )

    def _issue(self, certificate: Certificate) -> None:
        certificate.issuing = None
        if not self._pending(certificate) or not self._validated(certificate):
            return  # the records went away meanwhile; when they are back, it begins anew
        failure = next((self.failures[name] for name in certificate.names if name in self.failures), None)
        if failure:
            certificate.status, certificate.failure = "FAILED", failure
        else:
            certificate.status, certificate.issued = "ISSUED", self.cloud.clock.now()
        if certificate.expiry:
            certificate.expiry.cancel()

    def zones_changed(self) -> None:
        """Look at the pending certificates again, since DNS has changed."""
        for certificate in list(self._certificates.values()):
            if isinstance(certificate, Certificate):
                self.validate(certificate)

    def users_of(self, arn: str) -> list[str]:
        """The ARNs of the load balancers with a listener that has the certificate."""
        from moto.elbv2.models import elbv2_backends  # noqa: PLC0415 - elbv2 and acm know each other

        backend = elbv2_backends[self.account_id][self.region_name]
        return list(dict.fromkeys(balancer.arn for used, balancer in backend.certificates_in_use() if used == arn))

    def set_certificate_in_use_by(self, arn: str, load_balancer_name: str) -> None:
        """Nothing to note down: who uses a certificate is computed from the listeners."""
        del load_balancer_name
        if arn not in self._certificates:
            raise CertificateNotFound(arn=arn, account_id=self.account_id)

    def delete_certificate(self, arn: str) -> None:
        """Delete a certificate that no listener has."""
        certificate = self.get_certificate(arn)
        if self.users_of(arn):
            raise ResourceInUseError(f"Certificate {arn} in account {self.account_id} is in use.")
        for timer in (getattr(certificate, "issuing", None), getattr(certificate, "expiry", None)):
            if timer:
                timer.cancel()
        del self._certificates[arn]

    def list_certificates(self, statuses: list[str], includes: dict[str, Any]) -> Iterable[Any]:
        """Certificates in the order of their creation, with the filters of ListCertificates."""
        wanted = set((includes or {}).get("keyTypes") or ["RSA_1024", "RSA_2048"])  # AWS: others only if asked for
        export = (includes or {}).get("exportOption")
        for certificate in list(self._certificates.values()):
            algorithm = certificate.describe()["Certificate"]["KeyAlgorithm"].replace("-", "_")
            if algorithm not in wanted or (statuses and certificate.status not in statuses):
                continue
            if export and certificate.cert_options["Export"] != export:
                continue
            yield certificate


def _checked_names(domain: str, alternatives: list[str]) -> list[str]:
    """The certificate's names, lower case, each once, the first one first."""
    for name in [domain, *alternatives]:
        if not name or len(name) > 253 or not _DOMAIN.fullmatch(name):
            raise AWSValidationException(
                f"1 validation error detected: Value '{name}' at 'domainName' failed to satisfy constraint: Member "
                "must satisfy regular expression pattern: "
                r"(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])"
            )
    if len(domain.encode()) > 64:
        raise AWSValidationException("The first domain name can be no longer than 64 characters.")
    names = list(dict.fromkeys(name.lower() for name in [domain, *alternatives]))
    if len(names) > _MAX_NAMES:
        raise LimitExceededError("An ACM limit has been exceeded. Need to request SAN limit to be raised")
    return names


def _request_certificate(response: Any) -> ActionResult:
    arn = response.acm_backend.request_certificate(
        response._get_param("DomainName"),
        response._get_param("IdempotencyToken"),
        response._get_param("SubjectAlternativeNames"),
        response._get_param("Tags"),
        response._get_param("CertificateAuthorityArn"),
        response._get_param("Options"),
        response._get_param("ValidationMethod") or "EMAIL",
    )
    return ActionResult({"CertificateArn": arn})


_SUMMARY = (
    "CertificateArn", "DomainName", "Status", "Type", "KeyAlgorithm", "RenewalEligibility", "NotBefore", "NotAfter",
    "CreatedAt", "IssuedAt", "ImportedAt",
)  # fmt: skip


def _list_certificates(response: Any) -> ActionResult:
    certificates = list(
        response.acm_backend.list_certificates(
            response._get_param("CertificateStatuses"), response._get_param("Includes")
        )
    )
    start = int(response._get_param("NextToken") or 0)
    size = int(response._get_param("MaxItems") or 1000)
    summaries = []
    for certificate in certificates[start : start + size]:
        details = certificate.describe()["Certificate"]
        summaries.append(
            {key: details[key] for key in _SUMMARY if key in details}
            | {
                "SubjectAlternativeNameSummaries": details["SubjectAlternativeNames"],
                "HasAdditionalSubjectAlternativeNames": False,
                "KeyUsages": [usage["Name"] for usage in details.get("KeyUsages", [])],
                "ExtendedKeyUsages": [usage["Name"] for usage in details.get("ExtendedKeyUsages", [])],
                "InUse": bool(response.acm_backend.users_of(certificate.arn)),
                "Exported": False,
            }
        )
    answer: dict[str, Any] = {"CertificateSummaryList": summaries}
    if start + size < len(certificates):
        answer["NextToken"] = str(start + size)
    return ActionResult(answer)


def _get_certificate(response: Any) -> ActionResult:
    bundle = response.acm_backend.get_certificate(response._get_param("CertificateArn"))
    if bundle.status == "PENDING_VALIDATION":
        raise RequestInProgressError(f"Certificate {bundle.arn} is not yet issued.")
    return ActionResult({"Certificate": bundle.cert.decode(), "CertificateChain": bundle.chain.decode()})


def inject(domain: str, failure: str) -> None:
    """Let certificates with the name `domain` fail with a FailureReason such as CAA_ERROR; "" ends it."""
    if failure:
        CertificateManager.failures[domain] = failure
    else:
        CertificateManager.failures.pop(domain, None)


def _zones_changed() -> None:
    for _, _, backend in list(moto_acm.acm_backends.iter_backends()):
        if isinstance(backend, CertificateManager):
            backend.zones_changed()


def install(cloud: Cloud) -> None:
    """Mend moto's acm for `cloud`."""
    close(cloud)
    CertificateManager.cloud = cloud
    _mending.backend(moto_acm.acm_backends, CertificateManager)
    _mending.replace(
        AWSCertificateManagerResponse,
        request_certificate=_request_certificate,
        list_certificates=_list_certificates,
        get_certificate=_get_certificate,
    )
    route53.on_change(_zones_changed)


def reset(cloud: Cloud) -> None:
    """Forget injected failures; moto's own reset drops the certificates."""
    del cloud
    CertificateManager.failures.clear()


def close(cloud: Cloud) -> None:
    """Give moto its own backend back. Idempotent."""
    reset(cloud)
    _mending.undo()
