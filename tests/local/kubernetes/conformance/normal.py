"""What differs from run to run and says nothing: a word stands in its place."""

from __future__ import annotations

import re

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # the letters of generated names
_RULES = (
    (r"(?m)^[IWE]\d{4} \d\d:.*\n?", ""),  # kubectl's own log
    (r"kube-api-access-\w{5}", "kube-api-access-SUFFIX"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"ip-10-0-\d-10\.eu-west-1\.compute\.internal", "NODE"),
    (r"eu-west-1[abc]", "ZONE"),
    (r"i-0123456789abcde\d\d", "INSTANCE"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}( [A-Z]+)?", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} UTC", "TIME"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"(?<![\w.=:-])(\d+d)?(\d+h)?(\d+m)?\d+(\.\d+)?m?s\b", "AGE"),
    (rf"-[{_SAFE}]{{8,10}}-[{_SAFE}]{{5}}\b", "-HASH-SUFFIX"),
    (rf"(?<=[a-z])-[{_SAFE}]{{8,10}}\b(?=[^-.\w]|$)", "-HASH"),
    (rf"(?<=[a-z])-[{_SAFE}]{{5}}\b(?=[^-.\w]|$)", "-SUFFIX"),
    (rf"(pod-template-hash[=:] ?)\"?[{_SAFE}]{{8,10}}\"?", r"\1HASH"),
    (r"(?<=:)3[012]\d{3}(?=/TCP)", "PORT"),
    (r'("serverAddress":")[^"]*', r"\1ENDPOINT"),
    (r"127\.0\.0\.1:\d+", "ENDPOINT"),
    (r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b(?!/)", "ADDRESS"),
    (r"(resourceVersion[\"']?: ?)[\"']?\d+[\"']?", r"\1N"),
    (r"(resourceVersion\\?\":\\?\")\d+", r"\1N"),
    (
        r"((?:too old|Too large) resource version: |current: |record |in object meta: )\(?\d+\)?(?: \(\d+\))?",
        r"\1N",
    ),
    (r"(continue[\"']?: )[\"']?[\w=-]{20,}[\"']?", r"\1TOKEN"),
    (r"(/tmp|/var/folders)[\w/.-]*/(LIVE|MERGED)-\d+", r"\2"),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "JWT"),
    (r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n*", "CERTIFICATE"),
    (r"(?<=\S)(?: {2,}|\t+)(?=\S)", "  "),
    (r"(?<=  )\d{1,2}m(?=  |\n|$)", "AGE"),
    (r"[ \t]+(?=\n|$)", ""),
)
_COMPILED = tuple((re.compile(pattern), word) for pattern, word in _RULES)


def normalise(text: str) -> str:
    """The text without uids, times, ages, addresses, versions of objects, generated suffixes, and column widths."""
    for pattern, word in _COMPILED:
        text = pattern.sub(word, text)
    return text
