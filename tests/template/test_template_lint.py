"""The templates have no finding, and the lint finds what it should: the template with one fault at a time."""

from __future__ import annotations

import pytest

from tests.template import permissions, source, template_lint

# What is written instead of what, and the rule that must object.
FAULTS = {
    "a wildcard action": (
        "Action: [states:StartExecution]",
        "Action: [states:*]",
        "no_action_is_a_wildcard",
    ),
    "everything but": (
        "Action: [ec2:DescribeInstanceTypes]",
        "NotAction: [ec2:TerminateInstances]",
        "no_action_is_a_wildcard",
    ),
    "an unexplained wide resource": (
        "              # Log delivery takes no narrower resource\n",
        "",
        "every_wide_resource_is_explained",
    ),
    "a narrow resource made wide": (
        'Resource: !Sub "arn:${AWS::Partition}:cloudwatch::${AWS::AccountId}:dashboard/${Prefix}-*"',
        'Resource: "*"',
        "every_wide_resource_is_explained",
    ),
    "a name without the stack's prefix": (
        "alarm:${Prefix}-*",
        "alarm:*",
        "every_wide_resource_is_explained",
    ),
    "an owner tag left out": (
        '"ec2:CreateAction": CreateSecurityGroup, "aws:RequestTag/springboard:stack": !Ref AWS::StackName',
        '"ec2:CreateAction": CreateSecurityGroup',
        "every_wide_resource_is_explained",
    ),
    "a choice that may be everything": (
        "              # Without a zone of the stack's, any may hold an environment's hosts\n",
        "",
        "every_wide_resource_is_explained",
    ),
    "an action that does not exist": (
        "eks:DescribeAddonVersions",
        "eks:DescribeAddonVersion",
        "permissions_take_effect",
    ),
    "an action on what it does not know": (
        "log-group:/aws/eks/",
        "log-groups:/aws/eks/",
        "permissions_take_effect",
    ),
    "an action made narrow that can't be": (
        'Action: [ec2:DescribeInstanceTypes]\n                Resource: "*"',
        "Action: [ec2:DescribeInstanceTypes]\n                Resource: arn:aws:ec2:::instance-type/a",
        "permissions_take_effect",
    ),
    "a comment that is wrong": (
        "Action: [ec2:DescribeInstanceTypes]\n",
        "Action: [ec2:DeleteSubnet]\n",
        "permissions_take_effect",
    ),
    "a key policy without the account": (
        '            Condition:\n              StringEquals: {"aws:SourceAccount": !Ref AWS::AccountId}\n\n  # Losing',
        "\n  # Losing",
        "services_act_for_this_account",
    ),
    "a key for everybody": (
        'Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}',
        'Principal: {AWS: ["*", !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"]}',
        "keys_name_their_services",
    ),
    "a key that goes with the stack": (
        "    Type: AWS::KMS::Key\n    DeletionPolicy: Retain\n",
        "    Type: AWS::KMS::Key\n",
        "keys_name_their_services",
    ),
    "a role passed to any service": (
        '{"iam:PassedToService": scheduler.amazonaws.com}',
        '{"aws:SourceAccount": scheduler.amazonaws.com}',
        "roles_are_passed_to_named_services",
    ),
    "another function's role": (
        "Role: !GetAtt DnsFunctionRole.Arn",
        "Role: !GetAtt CertificateFunctionRole.Arn",
        "functions_have_roles_of_their_own",
    ),
    "a managed policy on a function": (
        "  SweepFunctionRole:\n    Type: AWS::IAM::Role\n    Properties:\n",
        "  SweepFunctionRole:\n    Type: AWS::IAM::Role\n    Properties:\n      ManagedPolicyArns: [arn:a]\n",
        "functions_have_roles_of_their_own",
    ),
    "a log group that nobody made": (
        "LoggingConfig: {LogGroup: !Ref ApiLogGroup}",
        "LoggingConfig: {LogGroup: !Ref HttpApi}",
        "functions_write_to_a_kept_log",
    ),
    "a log group that the role can't write to": (
        "LoggingConfig: {LogGroup: !Ref ApiLogGroup}",
        "LoggingConfig: {LogGroup: !Ref OperationsLogGroup}",
        "functions_write_to_a_kept_log",
    ),
    "logs for ever": (
        "      RetentionInDays: !Ref LogRetentionDays\n",
        "",
        "logs_end_and_are_encrypted",
    ),
    "a rule without a queue": (
        "          DeadLetterConfig: {Arn: !GetAtt DeadLetterQueue.Arn}\n",
        "",
        "what_fails_alone_is_kept",
    ),
    "a schedule's function without a destination": (
        "      Role: !GetAtt TtlReachedFunctionRole.Arn\n      EventInvokeConfig:",
        "      Role: !GetAtt TtlReachedFunctionRole.Arn\n      Other:",
        "what_fails_alone_is_kept",
    ),
    "a stream without a destination": (
        "      DestinationConfig:\n        OnFailure: {Destination: !GetAtt DeadLetterQueue.Arn}\n",
        "",
        "what_fails_alone_is_kept",
    ),
    "a role that can't send": (
        "Action: [sqs:SendMessage]",
        "Action: [sqs:ReceiveMessage]",
        "what_fails_alone_is_kept",
    ),
    "a permission for anybody": (
        "      SourceArn: !GetAtt SweepRule.Arn\n",
        "",
        "callers_are_named",
    ),
    "a machine that can't call a step": (
        "                  - !GetAtt NodeGroupsFunction.Arn\n",
        "",
        "machines_may_call_their_steps",
    ),
    "a machine that may call more": (
        "                  - !GetAtt NodeGroupsFunction.Arn\n",
        "                  - !GetAtt NodeGroupsFunction.Arn\n                  - !GetAtt SweepFunction.Arn\n",
        "machines_may_call_their_steps",
    ),
    "a cycle": (
        'SPRINGBOARD_PROVISION_ARN: !Sub "arn:',
        'SPRINGBOARD_PROVISION: !Ref ProvisionMachine\n        SPRINGBOARD_PROVISION_ARN: !Sub "arn:',
        "globals_close_no_cycle",
    ),
    "a name without the prefix": (
        'QueueName: !Sub "${Prefix}-dead-letters"',
        "QueueName: dead-letters",
        "names_have_the_prefix",
    ),
    "a parameter that says nothing": (
        "    Description: Of the functions, not of the nodes.\n",
        "",
        "parameters_are_described",
    ),
}


@pytest.mark.parametrize("path", ["template.yaml", "network.yaml"])
def test_the_template_has_no_finding(path: str) -> None:
    assert template_lint.lint(source.text(path)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_the_lint_finds(fault: str) -> None:
    written, instead, rule = FAULTS[fault]
    text = source.text("template.yaml")
    assert written in text
    found = {finding.partition(":")[0] for finding in template_lint.lint(text.replace(written, instead))}
    assert found == {rule}


def test_every_rule_has_a_fault_that_it_finds() -> None:
    assert {rule for _, _, rule in FAULTS.values()} == {rule.__name__ for rule in template_lint.RULES}


def test_the_page_of_permissions_is_current() -> None:
    page = permissions.PAGE.read_text(encoding="utf-8")
    assert page == permissions.rendered(), "run: .venv/bin/python -m tests.template.permissions"
