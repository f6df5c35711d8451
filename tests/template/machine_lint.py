"""Lint of state machines: what Step Functions would refuse, and what it would let pass to fail at night.

Each rule takes the machine and what is known around it and yields findings, one sentence each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonata

from tests.template import asl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

type Findings = Iterator[str]

# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html and Lambda's own.
AWS_ERRORS = {
    "States.ALL",
    "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.Http.Socket",
    "States.ItemReaderFailed",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.ResultWriterFailed",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
}
# Whatever says "the same call may be made again": ours, Lambda's own trouble, and a function that was killed.
RETRIED = {
    "ThrottledError",
    "UnavailableError",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "States.Timeout",
}
# How a state's name begins, by its type; what ends a scope is named after how it ended.
VERBS = {
    "Task": ("Begin", "Ensure", "Remove", "Request", "Drop", "Record", "Settle"),
    "Choice": ("Is",),
    "Wait": ("WaitFor", "Await", "Let"),
    "Parallel": ("Build", "Fill", "Stop", "Empty", "Drop", "Remove"),
}
OUTCOMES = ("Ready", "Gone", "Succeeded", "Failed", "Superseded")
ENDS = {"Succeed", "Fail"}


@dataclass(frozen=True)
class Surroundings:
    """What a machine's definition refers to."""

    substitutions: frozenset[str]  # defined for it in the template
    errors: frozenset[str]  # class names of ours
    components: frozenset[str]  # titles: NodeGroups


def transitions_resolve(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Step Functions looks for a state in the same scope alone."""
    for scope in asl.scopes(asl.top(machine)):
        if scope.start not in scope.states:
            yield f"{scope.path or 'the machine'} starts at {scope.start or 'nothing'}, which is not a state of it"
        for state in scope.members():
            yield from (
                f"{state.name} goes to {target}, which is no state of its scope"
                for target, _ in state.edges()
                if target not in scope.states
            )


def states_go_on_or_end(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """A state has exactly one of Next and End, unless its type leaves no choice."""
    for state in asl.states(machine):
        ways = ("Next" in state.body) + (state.body.get("End") is True)
        wanted = 0 if state.type in {"Choice", *ENDS} else 1
        if ways != wanted:
            yield f"{state.name} ({state.type}) has {ways} of Next and End, not {wanted}"


def states_are_reachable(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """What nothing leads to is a mistake in what should lead to it."""
    for scope in asl.scopes(asl.top(machine)):
        members = {state.name: state for state in scope.members()}
        reached: set[str] = set()
        ahead = [scope.start]
        while ahead:
            name = ahead.pop()
            if name in members and name not in reached:
                reached.add(name)
                ahead.extend(target for target, _ in members[name].edges())
        yield from (f"{name} is never reached" for name in members if name not in reached)


def names_are_unique(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Over the whole machine, branches included: Step Functions refuses doubles, and logs name states alone."""
    names = [state.name for state in asl.states(machine)]
    yield from (
        f"{name} is the name of {names.count(name)} states" for name in sorted(set(names)) if names.count(name) > 1
    )


def names_say_what_is_done(machine: Mapping[str, Any], around: Surroundings) -> Findings:
    """PascalCase, a verb that fits the type first; EnsureX and RemoveX are about a component, or a function X."""
    for state in asl.states(machine):
        if not re.fullmatch(r"(?:[A-Z][a-z0-9]+)+", state.name):
            yield f"{state.name} is not PascalCase"
        if state.type in ENDS:
            if not state.name.endswith(OUTCOMES):
                yield f"{state.name} ({state.type}) is not named after an outcome"
        elif not state.name.startswith(VERBS.get(state.type, ())):
            yield f"{state.name} ({state.type}) does not begin with a verb of its type"
        subject = re.fullmatch(r"(Ensure|Remove)(\w+)", state.name)
        if state.type == "Task" and subject and state.function() != f"{subject.group(2)}FunctionArn":
            yield f"{state.name} calls {state.function() or 'no function'}, not {subject.group(2)}FunctionArn"
        if (
            state.type == "Task"
            and subject
            and subject.group(1) == "Ensure"
            and subject.group(2) not in around.components
        ):
            yield f"{state.name} is about no component"


def removal_is_said(machine: Mapping[str, Any], around: Surroundings) -> Findings:
    """A Remove state tells the component's handler so, and no other state does: it would take the thing away."""
    for state in asl.states(machine):
        if state.function().removesuffix("FunctionArn") in around.components:
            said = "'removal': true" in str(state.body["Arguments"].get("Payload"))
            if said != state.name.startswith("Remove"):
                yield f"{state.name} says removal: {str(said).lower()}"


def time_is_told(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Handlers have no clock: each gets the time at which its state was entered."""
    for state in asl.states(machine):
        payload = str(state.body.get("Arguments", {}).get("Payload"))
        if state.function() and "'now': $states.context.State.EnteredTime" not in payload:
            yield f"{state.name} does not tell its handler the time"


def waiting_is_answered(machine: Mapping[str, Any], around: Surroundings) -> Findings:
    """A component's answer is kept and looked at, or the handler is told that nobody comes again (`once`)."""
    for state in asl.states(machine):
        if state.function().removesuffix("FunctionArn") not in around.components:
            continue
        once = "'once': true" in str(state.body["Arguments"].get("Payload"))
        read = any(
            re.search(rf"\${name}\b", expression)
            for name in state.body.get("Assign", {})
            for other in state.scope.members()
            if other.type == "Choice"
            for expression in asl.expressions(other.body)
        )
        requested = state.name.startswith("Request")  # a later state of the same component looks
        if once and read:
            yield f"{state.name} is told to be the only look, and looked at again"
        if not (once or read or requested):
            yield f"{state.name} may wait, and nobody looks again"


def tasks_are_bounded(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """The machine and each Task have a time-out."""
    if not machine.get("TimeoutSeconds"):
        yield "the machine has no TimeoutSeconds"
    yield from (
        f"{state.name} has no TimeoutSeconds"
        for state in asl.states(machine)
        if state.type == "Task" and not state.body.get("TimeoutSeconds")
    )


def tasks_are_retried(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Each Task retries what may be made again, with an end, a growing delay and jitter; nothing else."""
    for state in asl.states(machine):
        if state.type != "Task":
            continue
        retried: set[str] = set()
        for rule in state.body.get("Retry", ()):
            retried.update(rule["ErrorEquals"])
            if not 0 < rule.get("MaxAttempts", 3) < 10 or rule.get("BackoffRate", 1) <= 1:
                yield f"{state.name} retries without an end or without backing off"
            if rule.get("JitterStrategy") != "FULL" or not rule.get("MaxDelaySeconds"):
                yield f"{state.name} retries without jitter or without a longest delay"
        if missing := RETRIED - retried:
            yield f"{state.name} does not retry {', '.join(sorted(missing))}"
        if more := retried - RETRIED:
            yield f"{state.name} retries {', '.join(sorted(more))}, which will fail again"


def failures_are_caught(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Every Task's failure ends in a state, by its own Catch or that of a Parallel around it."""
    for state in asl.states(machine):
        if state.type == "Task" and not any(_catches_all(each) for each in _outwards(state)):
            yield f"a failure of {state.name} is caught nowhere"


def _outwards(state: asl.State) -> Iterator[asl.State]:
    yield state
    if state.scope.around:
        yield from _outwards(state.scope.around)


def _catches_all(state: asl.State) -> bool:
    return any("States.ALL" in rule.get("ErrorEquals", ()) for rule in state.body.get("Catch", ()))


def errors_are_known(machine: Mapping[str, Any], around: Surroundings) -> Findings:
    """An error name with a typing mistake matches nothing, for ever; States.ALL stands alone and last."""
    for state in asl.states(machine):
        for kind in ("Retry", "Catch"):
            rules = state.body.get(kind, ())
            for number, rule in enumerate(rules):
                names = rule.get("ErrorEquals", ())
                unknown = set(names) - AWS_ERRORS - around.errors
                if unknown:
                    yield f"{state.name} expects {', '.join(sorted(unknown))}, which nothing raises"
                if "States.ALL" in names and (len(names) > 1 or number != len(rules) - 1):
                    yield f"{state.name} has States.ALL in {kind} beside or before others"


def assignments_stay_inside(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """A branch can't assign a variable of a scope around it, nor name its own like one."""
    for scope in asl.scopes(asl.top(machine)):
        outer = {name for each in scope.outer() for state in each.members() for name in state.assigned()}
        for state in scope.members():
            if taken := state.assigned() & outer:
                yield f"{state.name} assigns {', '.join(sorted(taken))} of a scope around it"


def variables_are_set_before_use(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Reading an unassigned variable ends the execution: every way to a reader must have assigned it."""
    yield from _unset(asl.top(machine), frozenset())


def _unset(scope: asl.Scope, inherited: frozenset[str]) -> Findings:
    """Forward data flow to a fixed point: what is assigned on every way to a state."""
    members = {state.name: state for state in scope.members()}
    known: dict[str, frozenset[str]] = {scope.start: inherited}
    ahead = [scope.start]
    while ahead:
        name = ahead.pop()
        if name not in members:
            continue
        for target, assigned in members[name].edges():
            after = known[name] | assigned.keys()
            joined = known[target] & after if target in known else after
            if known.get(target) != joined:
                known[target] = joined
                ahead.append(target)
    for name, state in members.items():
        if name in known:
            missing = {variable for each in asl.expressions(state.body) for variable in variables(each)} - known[name]
            if missing:
                yield f"{name} reads {', '.join(sorted(missing))}, unassigned on some way to it"
            for branch in state.branches():
                yield from _unset(branch, known[name])


def variables(expression: str) -> set[str]:
    """The state machine's variables that an expression reads: its own and built-in functions left out."""
    code = re.sub(r"'[^']*'|\"[^\"]*\"", "''", expression)
    bound = set(re.findall(r"\$(\w+)\s*:=", code))
    return {
        name for name, call in re.findall(r"\$(\w+)\b\s*(\()?", code) if not call and name not in bound | {"states"}
    }


def expressions_parse(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Each {% … %} is JSONata; half a delimiter is a string that nobody evaluates."""
    for state in asl.states(machine):
        own = {key: value for key, value in state.body.items() if key != "Branches"}
        for expression in asl.expressions(own):
            try:
                jsonata.Jsonata(expression)
            except jsonata.JException as error:
                yield f"{state.name}: {expression.strip()} does not parse: {error}"
        if str(own).count("{%") != str(own).count("%}") or str(own).count("{%") != len(list(asl.expressions(own))):
            yield f"{state.name} has a {{% or %}} that is not around a whole value"
    if machine.get("QueryLanguage") != "JSONata":
        yield "QueryLanguage is not JSONata"


def choices_have_a_default(machine: Mapping[str, Any], _: Surroundings) -> Findings:
    """Without one, no match is an error."""
    yield from (
        f"{state.name} has no Default"
        for state in asl.states(machine)
        if state.type == "Choice" and "Default" not in state.body
    )


def substitutions_match(machine: Mapping[str, Any], around: Surroundings) -> Findings:
    """A ${…} that nobody defines goes to Lambda as it is; one that nobody uses is a leftover."""
    used = set(re.findall(r"\$\{(\w+)\}", str(machine)))
    yield from (f"${{{name}}} is not defined in the template" for name in sorted(used - around.substitutions))
    yield from (f"the template defines {name}, which is not used" for name in sorted(around.substitutions - used))


RULES: tuple[Callable[[Mapping[str, Any], Surroundings], Findings], ...] = (
    transitions_resolve,
    states_go_on_or_end,
    states_are_reachable,
    names_are_unique,
    names_say_what_is_done,
    removal_is_said,
    time_is_told,
    waiting_is_answered,
    tasks_are_bounded,
    tasks_are_retried,
    failures_are_caught,
    errors_are_known,
    assignments_stay_inside,
    variables_are_set_before_use,
    expressions_parse,
    choices_have_a_default,
    substitutions_match,
)


def lint(machine: Mapping[str, Any], around: Surroundings) -> list[str]:
    """All findings of all rules, each after its rule's name."""
    return [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(machine, around)]
