"""AWS Certificate Manager."""

from __future__ import annotations

from typing import Any

from springboard.aws.client import Adapter
from springboard.aws.ec2 import pairs
from springboard.errors import RefusedError

_STATUSES = [
    "PENDING_VALIDATION",
    "ISSUED",
    "INACTIVE",
    "EXPIRED",
    "VALIDATION_TIMED_OUT",
    "REVOKED",
    "FAILED",
]


class Acm(Adapter):
    """AWS Certificate Manager."""

    missing = frozenset({"ResourceNotFoundException"})

    def certificates(self) -> list[dict[str, Any]]:
        """ListCertificates: summaries of all, in whatever status."""
        return self.pages("list_certificates", "CertificateSummaryList", CertificateStatuses=_STATUSES)

    def certificate(self, arn: str) -> dict[str, Any] | None:
        """DescribeCertificate."""
        answer = self.find("describe_certificate", CertificateArn=arn)
        return answer["Certificate"] if answer else None

    def tags(self, arn: str) -> dict[str, str]:
        """ListTagsForCertificate."""
        answer = self.find("list_tags_for_certificate", CertificateArn=arn)
        return {tag["Key"]: tag.get("Value", "") for tag in answer["Tags"]} if answer else {}

    def request(self, hosts: tuple[str, ...], token: str, tags: dict[str, str]) -> str:
        """RequestCertificate, validated by DNS: its ARN. The first host is the certificate's name."""
        more = {"SubjectAlternativeNames": list(hosts)} if len(hosts) > 1 else {}
        answer = self.call(
            "request_certificate",
            DomainName=hosts[0],
            ValidationMethod="DNS",
            IdempotencyToken=token[:32],
            Tags=pairs(tags),
            **more,
        )
        return str(answer["CertificateArn"])

    def delete(self, arn: str) -> bool:
        """DeleteCertificate; False while something uses it."""
        try:
            self.find("delete_certificate", CertificateArn=arn)
        except RefusedError as err:
            if err.code == "ResourceInUseException":
                return False
            raise
        return True
