"""The support calendar: what EKS offers on a day, and which version a floor means."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from springboard import versions
from springboard.versions import Calendar, Refused

TODAY = date(2026, 11, 23)


def answer(version: str, released: str, standard: str, extended: str, **more: object) -> dict[str, object]:
    def day(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    return {
        "clusterVersion": version,
        "clusterType": "eks",
        "releaseDate": day(released),
        "endOfStandardSupportDate": day(standard),
        "endOfExtendedSupportDate": day(extended),
        "versionStatus": "STANDARD_SUPPORT",
        **more,
    }


ANSWERS = [
    answer("1.35", "2026-01-27", "2027-03-27", "2028-03-27", defaultVersion=True),
    answer("1.34", "2025-10-02", "2026-12-02", "2027-12-02"),
    answer("1.33", "2025-05-29", "2026-07-29", "2027-07-29", versionStatus="EXTENDED_SUPPORT"),
    answer("1.36", "2026-06-02", "2027-08-02", "2028-08-02"),
    answer("1.29", "2024-01-23", "2025-03-23", "2026-03-23", versionStatus="UNSUPPORTED"),
]
CALENDAR = Calendar.of_eks(ANSWERS)


def test_versions_are_in_order_and_in_support() -> None:
    assert [each.version for each in CALENDAR.on(TODAY)] == ["1.33", "1.34", "1.35", "1.36"]
    assert CALENDAR.named(TODAY) == "1.33, 1.34, 1.35 (default), 1.36"


@pytest.mark.parametrize(
    ("day", "support"),
    [
        (date(2026, 7, 28), "STANDARD_SUPPORT"),
        (date(2026, 7, 29), "EXTENDED_SUPPORT"),
        (date(2027, 7, 28), "EXTENDED_SUPPORT"),
        (date(2027, 7, 29), "UNSUPPORTED"),
    ],
)
def test_support_ends_on_its_day(day: date, support: str) -> None:
    found = CALENDAR.find("1.33")
    assert found
    assert found.support(day) == support


@pytest.mark.parametrize(("floor", "chosen"), [(None, "1.35"), ("1.33", "1.35"), ("1.35", "1.35"), ("1.36", "1.36")])
def test_a_floor_is_a_floor(floor: str | None, chosen: str) -> None:
    assert versions.choose(floor, CALENDAR, TODAY) == chosen


@pytest.mark.parametrize(
    ("floor", "message"),
    [
        ("1.37", "EKS offers no Kubernetes 1.37"),
        ("1.99", "EKS offers no Kubernetes 1.99"),
        ("1.20", "EKS offers no Kubernetes 1.20"),
    ],
)
def test_a_floor_that_is_not_offered(floor: str, message: str) -> None:
    refused = versions.choose(floor, CALENDAR, TODAY)
    assert refused == Refused(message, "EKS offers 1.33, 1.34, 1.35 (default), 1.36")


def test_a_floor_that_went_out_of_support() -> None:
    refused = versions.choose("1.33", CALENDAR, date(2027, 8, 1))
    assert isinstance(refused, Refused)
    assert refused.message == "Kubernetes 1.33 has been out of support since 2027-07-29"


def test_a_floor_that_eks_forgot_and_the_data_file_knows() -> None:
    offered = Calendar.of_eks([each for each in ANSWERS if each["clusterVersion"] != "1.33"])
    refused = versions.choose("1.33", offered, date(2027, 8, 1))
    assert isinstance(refused, Refused)
    assert "out of support since 2027-07-29" in refused.message


def test_without_a_default_the_latest_settled_one() -> None:
    plain = [{**each, "defaultVersion": False} for each in ANSWERS]
    default = Calendar.of_eks(plain).default(date(2026, 7, 1))
    assert default
    assert default.version == "1.35"  # 1.36 has been out for a month only


def test_nothing_offered() -> None:
    assert isinstance(versions.choose(None, Calendar(()), TODAY), Refused)


def test_dates_that_eks_leaves_out_come_from_the_data_file() -> None:
    found = Calendar.of_eks([{"clusterVersion": "1.34", "versionStatus": "STANDARD_SUPPORT"}]).find("1.34")
    assert found
    assert found.standard_ends == date(2026, 12, 2)
    assert found.extended_ends == date(2027, 12, 2)


def test_the_answer_of_get_versions() -> None:
    first = versions.documents(CALENDAR, TODAY)[0]
    assert first["version"] == "1.33"
    assert first["support"] == "EXTENDED_SUPPORT"
    assert first["endOfExtendedSupport"] == "2027-07-29"
    assert [each["version"] for each in versions.documents(CALENDAR, TODAY) if each["default"]] == ["1.35"]
