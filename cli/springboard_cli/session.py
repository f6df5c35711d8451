"""What one invocation works with: the chosen stack, its API, the terminal, the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from springboard_cli import aws, times
from springboard_cli.api import Api
from springboard_cli.errors import CommandError, Exit
from springboard_cli.terminal import Terminal

if TYPE_CHECKING:
    import typer

    from springboard_cli.surroundings import Surroundings

DEFAULT_STACK = "springboard"


@dataclass
class Session:
    """Made once per invocation; what needs AWS is looked up when it is first needed."""

    surroundings: Surroundings
    stack_name: str = DEFAULT_STACK
    profile: str | None = None
    region: str | None = None
    terminal: Terminal = field(default_factory=Terminal)

    @cached_property
    def account(self) -> aws.Account:
        """The AWS account."""
        # botocore knows AWS_DEFAULT_REGION alone; other AWS tools put AWS_REGION before it.
        region = self.region or self.surroundings.environ.get("AWS_REGION")
        return self.surroundings.connect(self.profile, region)

    def close(self) -> None:
        """Let go of AWS and the API, if they were asked."""
        for used in ("account", "api"):
            if used in self.__dict__:
                getattr(self, used).close()

    @cached_property
    def stack(self) -> aws.Stack:
        """The deployed stack."""
        if not self.stack_name:
            raise CommandError("the name of the stack is empty", "leave --stack out, or name one", code=Exit.INVALID)
        try:
            found = self.account.stack(self.stack_name)
        except aws.AwsRefusedError as err:
            if err.aws_code != "ValidationError":
                raise
            raise CommandError(
                f"there is no stack {self.stack_name} in {self.account.region}",
                "choose with --stack, --region and --profile, or deploy one with `sam deploy`",
            ) from err
        if "ApiUrl" not in found.outputs:
            raise CommandError(
                f"the stack {self.stack_name} ({found.status}) has no output ApiUrl",
                "choose Springboard's stack with --stack, or wait until it is deployed",
            )
        return found

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """The stack's resources, as CloudFormation lists them."""
        return list(
            self.account.items(
                "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=self.stack.name
            )
        )

    @cached_property
    def api(self) -> Api:
        """Springboard's API. SPRINGBOARD_API_URL spares reading the stack."""
        given = self.surroundings.environ.get("SPRINGBOARD_API_URL")
        if given and not aws.is_address(given):
            raise CommandError(
                f"SPRINGBOARD_API_URL is {given!a}, which is no address",
                "write it as https://…, or leave it out: the stack's output ApiUrl has it",
                code=Exit.INVALID,
            )
        url = given or self.stack.api_url
        return Api(url, self.account.sign, self.surroundings.clock, self.surroundings.transport)

    @property
    def local(self) -> bool:
        """Whether the API is the local cloud's."""
        return aws.is_loopback(self.api.url)

    @cached_property
    def _virtual(self) -> tuple[float, timedelta]:
        """How fast the cloud's time runs, and how far ahead it was when first asked."""
        found = self.api.local_time()
        if not found:
            return 1.0, timedelta()
        return max(float(found.get("speed") or 1.0), 0.001), times.moment(found["now"]) - self._start

    @cached_property
    def _start(self) -> datetime:
        return self.surroundings.clock.now().astimezone(UTC)

    def now(self) -> datetime:
        """The time of the cloud, which in the local one runs ahead of ours."""
        start = self._start
        speed, ahead = self._virtual
        return start + (self.surroundings.clock.now() - start) * speed + ahead

    def pause(self, retry_after: float | None, otherwise: float = 5.0) -> None:
        """Wait as long as the API asked, in its own time."""
        speed, _ = self._virtual
        wanted = otherwise if retry_after is None else retry_after
        self.surroundings.clock.sleep(max(wanted / speed, 0.5))


def of(context: typer.Context) -> Session:
    """The session of this invocation."""
    session = context.obj
    assert isinstance(session, Session)  # noqa: S101 - the application's callback has put it there
    return session
