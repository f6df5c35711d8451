"""The log of a simulated container: a Spring Boot application that starts, or says why it can't."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

_BANNER = r"""
  .   ____          _            __ _ _
 /\\ / ___'_ __ _ _(_)_ __  __ _ \ \ \ \
( ( )\___ | '_ | '_| | '_ \/ _` | \ \ \ \
 \\/  ___)| |_)| | | | | || (_| |  ) ) ) )
  '  |____| .__|_| |_|_| |_\__, | / / / /
 =========|_|==============|___/=/_/_/_/

 :: Spring Boot ::                (v4.1.0)
"""


class SpringLog:
    """Writes the lines of one container's run, each with its moment."""

    def __init__(self, application: str, started: datetime) -> None:
        self._application = application
        self._now = started
        self._lines: list[tuple[datetime, str]] = []
        self._pid = 1

    def lines(self, *, ready: bool, failure: str = "") -> list[tuple[datetime, str]]:
        """What has been written so far: `failure` ends the start-up with that text."""
        for line in _BANNER.splitlines():
            self._lines.append((self._now, line))
        name = "".join(part.capitalize() for part in self._application.split("-")) or "Application"
        log = "o.s.boot.SpringApplication"
        main = f"com.example.{self._application.replace('-', '')}.{name}Application"
        self._write("INFO", main, f"Starting {name}Application v1.0.0 using Java 25 with PID {self._pid}")
        self._write("INFO", main, 'The following 1 profile is active: "default"', 40)
        self._write("INFO", "o.s.boot.tomcat.TomcatWebServer", "Tomcat initialized with port 8080 (http)", 1900)
        self._write("INFO", "o.apache.catalina.core.StandardService", "Starting service [Tomcat]", 30)
        if failure:
            self._write("INFO", "o.apache.catalina.core.StandardService", "Stopping service [Tomcat]", 1200)
            self._write("ERROR", log, "Application run failed", 60)
            self._lines += [(self._now, line) for line in _failure_block(failure).splitlines()]
        elif ready:
            endpoints = "Exposing 1 endpoint beneath base path '/actuator'"
            self._write("INFO", "o.s.b.a.e.web.EndpointLinksResolver", endpoints, 2100)
            self._write("INFO", "o.s.boot.tomcat.TomcatWebServer", "Tomcat started on port 8080 (http)", 180)
            self._write("INFO", main, f"Started {name}Application in 4.31 seconds (process running for 4.87)", 40)
        return self._lines

    def _write(self, level: str, logger: str, message: str, milliseconds: int = 0) -> None:
        self._now += timedelta(milliseconds=milliseconds)
        moment = self._now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self._now.microsecond // 1000:03d}Z"
        line = f"{moment} {level:>5} {self._pid} --- [{self._application}] [main] {logger:<40} : {message}"
        self._lines.append((self._now, line))


def _failure_block(text: str) -> str:
    """Spring Boot's own failure report; a text that is one already is taken as it is."""
    if "APPLICATION FAILED TO START" in text:
        return text if text.startswith("\n") else "\n" + text
    stars = "*" * 27
    description, _, action = text.partition("\nAction:")
    action = action.strip() or "Review the application's configuration and try again."
    return f"\n{stars}\nAPPLICATION FAILED TO START\n{stars}\n\nDescription:\n\n{description}\n\nAction:\n\n{action}\n"


def fake_digest(text: str) -> str:
    """A digest that stays the same for the same text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
