"""What a new generation remembers of the one before, whose operation may have died without a word."""

from __future__ import annotations

from dataclasses import replace

from springboard.flow import work
from tests.unit.components.records import environment

ROLE = "arn:aws:iam::111122223333:role/springboard-apps/shop"


def test_f4_hosts_roles_and_labels_of_the_generation_before_are_remembered() -> None:
    shop = {"name": "shop", "image": "ghcr.io/acme/shop:1"}
    before = environment(apps=[{**shop, "roleArn": ROLE}], labels={"team": "checkout"})
    after = replace(environment(apps=[shop]), generation=2).with_facts("workload", {"apps": [], "roles": ["cart"]})
    facts = work.remembering(before, after).facts
    assert facts["certificate"]["hosts"] == ["shop.example.com"]
    assert facts["dns"]["records"] == {"shop.example.com": ""}
    assert facts["workload"] == {"apps": [], "roles": ["cart", "shop"]}
    assert facts["cluster"] == {"labelKeys": ["team"]}


def test_nothing_is_noted_where_there_was_nothing() -> None:
    plain = environment()
    assert set(work.remembering(plain, plain).facts) == {"certificate", "dns"}
