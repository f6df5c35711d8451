"""init: write a first file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from springboard_cli import session
from springboard_cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from springboard_cli.session import Session

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{2,499}")
_TAGGED = re.compile(r".*(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})")
_FILE = """\
# Editors that read `# yaml-language-server: $schema=…` complete and check this file:
# `springboard schema > environment.schema.json`, then name that file in such a line.
apiVersion: springboard/v1beta1
kind: Environment
metadata:
  name: {name}
spec:
  # While true, `springboard delete` is refused.
  deletionProtection: {protection}
  # Three m7i.large over the Availability Zones unless you say otherwise:
  # nodeGroups:
  # - {{name: workers, instanceTypes: [m7i.large], size: 3}}
  apps:
  - image: {image}
    replicas: {replicas}
    # port: 8080                      # where Spring Boot listens
    # host: {name}.example.com        # default: {name}.<BaseDomain of the stack>
    # resources: {{cpu: 500m, memory: 1Gi}}
    # env: {{LOGGING_LEVEL_ROOT: INFO}} # plain values; secrets go into envFromSecrets
"""


def init(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Name of the environment.", show_default=False)] = "",
    image: Annotated[str, typer.Option(help="Image of the application, with a tag.", show_default=False)] = "",
    replicas: Annotated[int, typer.Option(min=1, max=1000, help="Pods of the application.")] = 2,
    protect: Annotated[bool, typer.Option(help="Refuse deletion until this is set to false.")] = True,
    file: Annotated[str, typer.Option("--file", "-f", help="Where to; {name}.yaml, - for stdout.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a small file to begin with; asks for what no option gives."""
    here = session.of(context)
    chosen = _asked(here, name, "--name", "Name of the environment (lower case, at most 24 characters): ")
    if not _NAME.fullmatch(chosen):
        raise CommandError(
            f"{chosen!a} can't be the name",
            "lower-case letters, digits and hyphens; the first a letter, at most 24 characters",
            code=Exit.INVALID,
        )
    wanted = _asked(here, image, "--image", "Image of its Spring application (registry/repository:tag): ")
    if not _IMAGE.fullmatch(wanted) or "//" in wanted or not _TAGGED.fullmatch(wanted):
        raise CommandError(
            f"{wanted!a} is no image with a tag or digest", "write registry/repository:tag", code=Exit.INVALID
        )
    text = _FILE.format(name=chosen, image=wanted, replicas=replicas, protection=str(protect).lower())
    _write(here, file or f"{chosen}.yaml", text, force=force)


def _asked(here: Session, given: str, option: str, question: str) -> str:
    if given:
        return given
    if not here.surroundings.interactive():
        raise CommandError(f"{option} is missing, and nobody can be asked here", f"pass {option}", code=Exit.INVALID)
    return here.surroundings.ask(question)


def _write(here: Session, file: str, text: str, *, force: bool) -> None:
    if file == "-":
        here.terminal.data(text.rstrip("\n"))
        return
    try:
        with Path(file).open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as err:
        raise CommandError(
            f"{file} exists", "pass --force to overwrite it, or --file for another", code=Exit.INVALID
        ) from err
    except OSError as err:
        raise CommandError(f"{file}: {err.strerror}", code=Exit.INVALID) from err
    here.terminal.data(file)
    here.terminal.say(f"`springboard plan -f {file}` shows what it makes, `springboard apply -f {file}` makes it")
