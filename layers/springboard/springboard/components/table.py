"""The components in reading order: what each needs, how often to look, how long to be patient.

Pace and patience in seconds. `first` is a low quantile of how long what was just started takes, `poll` what the
calls and transitions of a create can afford (docs/reference/benchmarks.md has the frontier); patience is about three
times the 95th percentile (design, section 9), and for what waits beside the thing it needs, longer than that thing's
own: the failure is told where it is.
"""

from __future__ import annotations

from springboard.components.contract import Pace, Row

_LOOK_AT_AWS = "look at the resource in the AWS console, then run `springboard retry`"

ROWS: tuple[Row, ...] = (
    Row("schedules", "SchedulesReady", Pace(5, 10), 300, _LOOK_AT_AWS, removal_patience=300),
    Row(
        "firewall",
        "FirewallReady",
        Pace(5, 10),
        300,
        "detach or delete what uses the security group and is named in the cause, then run `springboard retry`",
        removal_patience=3600,  # network interfaces of a load balancer linger
        removal_waits_for=("load_balancer", "node_groups"),
    ),
    Row(
        "target_groups",
        "TargetGroupsReady",
        Pace(5, 10),
        300,
        _LOOK_AT_AWS,
        removal_patience=900,
        removal_waits_for=("load_balancer", "targets"),
    ),
    Row(
        "certificate",
        "CertificateReady",
        Pace(150, 45, share=20),
        5400,
        "check that the hosted zone is the one that the domain's registrar delegates to, and that no CAA record"
        " keeps Amazon from issuing; the wanted CNAME is in the condition",
        removal_patience=1800,
        removal_waits_for=("load_balancer",),
    ),
    Row(
        "load_balancer",
        "LoadBalancerReady",
        Pace(150, 30),
        7200,  # the certificate's, and half an hour
        "check the subnets of the load balancer (free addresses, an internet gateway) in the EC2 console",
        removal_patience=1800,
        needs=("firewall", "target_groups", "certificate"),
        removal_waits_for=("dns",),
    ),
    Row("dns", "DnsReady", Pace(60, 30), 900, _LOOK_AT_AWS, removal_patience=900, needs=("load_balancer",)),
    Row("alarms", "AlarmsReady", Pace(5, 60), 900, _LOOK_AT_AWS, removal_patience=300, needs=("load_balancer",)),
    Row(
        "cluster",
        "ClusterReady",
        Pace(464, 15),
        2400,
        "look at the cluster's health in the EKS console; `springboard retry` goes on from what exists",
        removal_waits_for=("node_groups",),
    ),
    Row("access", "AccessReady", Pace(10, 15), 600, _LOOK_AT_AWS, needs=("cluster",)),
    Row(
        "addons",
        "AddonsReady",
        Pace(48, 8),  # those that need nodes
        2400,
        "look at the add-on's health in the EKS console",
        needs=("cluster",),
    ),
    Row(
        "node_groups",
        "NodeGroupsReady",
        Pace(80, 12),
        2400,
        "look at the node group's health issues; instance quota, free addresses and the node role are the usual causes",
        needs=("cluster", "firewall", "addons"),
        removal_patience=5400,
        removal_waits_for=("targets", "workload"),
    ),
    Row(
        "workload",
        "WorkloadReady",
        Pace(60, 60),
        2400,
        "`springboard why` shows what the pods say",
        removal_patience=1800,
        needs=("cluster", "access"),
        removal_waits_for=("load_balancer",),
    ),
    Row(
        "targets",
        "TargetsReady",
        Pace(30, 10),
        7800,  # the load balancer's, whose listener makes its health checks begin, and ten minutes
        "`springboard why` shows what pods and targets say",
        removal_patience=1800,
        needs=("target_groups", "node_groups"),
        removal_waits_for=("load_balancer",),
    ),
)

BY_NAME: dict[str, Row] = {row.name: row for row in ROWS}
