"""Draining nodes, and replacing a group's nodes batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.services import autoscaling
from springboard_local.services.eks import network, nodes, updates

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.kubernetes.lane import Eviction
    from springboard_local.services.eks.state import Cluster, Eks, Fields, Nodegroup, Update

PATIENCE = 900  # virtual seconds for which a node is drained before EKS gives up
_TRY = 10  # virtual seconds between attempts to evict


def drain(
    eks: Eks,
    cluster: Cluster,
    names: list[str],
    *,
    least: float,
    done: Callable[[list[Eviction]], None],
    patience: float = PATIENCE,
) -> None:
    """Cordon nodes and evict their pods until none is left, then call `done`, after `least` seconds at the earliest.

    `done` gets the evictions that budgets still block after `patience` seconds; normally none.
    """

    def attempt(waited: float) -> None:
        plane = cluster.plane
        blocked: list[Eviction] = []
        if plane and not cluster.deleted:
            present = {node["metadata"]["name"] for node in plane.nodes()}
            for name in (each for each in names if each in present):
                plane.cordon(name)
                blocked += [each for each in plane.evict(name) if each.outcome == "blocked"]
        if blocked and waited < patience:
            eks.after(_TRY, lambda: attempt(waited + _TRY))
        else:
            eks.after(max(0.0, least - waited), lambda: done(blocked))

    eks.soon(lambda: attempt(0))


class _Roll:
    """One UpdateNodegroupVersion under way."""

    def __init__(self, eks: Eks, cluster: Cluster, group: Nodegroup, update: Update, target: Fields) -> None:
        self.eks = eks
        self.cluster = cluster
        self.group = group
        self.update = update
        self.target = target
        self.force = False
        self.old: list[str] = []  # ids of the instances still to be replaced

    @property
    def ended(self) -> bool:
        """Whether the group has gone, or the update has ended otherwise."""
        gone = self.cluster.deleted or self.cluster.nodegroups.get(self.group.name) is not self.group
        return gone or not self.update.running

    def start(self) -> None:
        """Point new instances to the new image, then replace the old ones."""
        if self.ended:
            return
        if updates.struck(self.eks, self.update, self.group.name):
            self._end("ACTIVE")
            return
        from springboard_local.services.eks.nodegroups import template_data  # noqa: PLC0415 - they need each other

        before = {key: self.group.fields[key] for key in ("version", "releaseVersion")}
        custom = self.group.custom_template
        self.group.custom_template = self.target["custom_template"]
        self.group.fields.update(version=self.target["version"], releaseVersion=self.target["releaseVersion"])
        data = template_data(self.cluster, self.group)
        self.group.fields.update(before)
        self.group.custom_template = custom
        template = network.ec2().get_launch_template(self.group.template_id)
        if data == template.latest_version().data:
            self._finish()
            return
        template.create_version(data, "")
        self.old = list(self.group.instances)
        self._next_batch()

    def _size(self) -> int:
        config = self.group.fields["updateConfig"]
        if percent := config.get("maxUnavailablePercentage"):
            return max(1, len(self.group.instances) * int(percent) // 100)
        return int(config.get("maxUnavailable", 1))

    def _next_batch(self) -> None:
        if self.ended:
            return
        self.old = [each for each in self.old if each in self.group.instances]
        if not self.old:
            self.eks.after(self.eks.draw("eks:UpdateNodegroupVersion:base"), self._finish)
            return
        batch, self.old = self.old[: self._size()], self.old[self._size() :]
        seconds = self.eks.draw("eks:UpdateNodegroupVersion:batch")
        self.group.join_seconds = seconds * 0.4
        found = autoscaling.backend().autoscaling_groups.get(self.group.group_name)
        if found is None:
            self._fail("Unknown", "The Auto Scaling group of the node group does not exist", [])
            return
        if self.group.fields["updateConfig"].get("updateStrategy") == "MINIMAL":
            self._drain_first(batch, seconds)
            return
        fresh = self._launch(len(batch))
        self.eks.after(seconds * 0.4 + 1, lambda: self._drain(batch, fresh, seconds * 0.6 - 1))

    def _launch(self, number: int) -> list[str]:
        """Ask for so many instances more; the ids of those that have been launched."""
        found = autoscaling.backend().autoscaling_groups.get(self.group.group_name)
        before = set(self.group.instances)
        if found is not None:
            found.set_desired_capacity((found.desired_capacity or 0) + number)
        return [each for each in self.group.instances if each not in before]

    def _drain_first(self, batch: list[str], seconds: float) -> None:
        """The MINIMAL strategy: the old nodes go before the new ones come, so that there are never more."""
        names = [self.group.instances[each] for each in batch if self.group.instances.get(each)]

        def drained(blocked: list[Eviction]) -> None:
            if self.ended:
                return
            if blocked and not self.force:
                self._give_up(names)
                return
            self._withdraw(batch)
            fresh = self._launch(len(batch))
            self.eks.after(seconds * 0.4, lambda: self._await(batch, fresh, 0, self._next_batch))

        drain(self.eks, self.cluster, names, least=seconds * 0.6 - 1, done=drained)

    def _drain(self, batch: list[str], fresh: list[str], least: float) -> None:
        """Drain the old nodes once the new ones are ready to take their pods."""

        def ready() -> None:
            names = [self.group.instances[each] for each in batch if self.group.instances.get(each)]
            drain(
                self.eks,
                self.cluster,
                names,
                least=least,
                done=lambda blocked: self._replace(batch, fresh, names, blocked),
            )

        self._await(batch, fresh, 0, ready)

    def _await(self, batch: list[str], fresh: list[str], waited: float, then: Callable[[], None]) -> None:
        """Go on once there is a ready node for each of the batch; give up when patience is over."""
        if self.ended:
            return
        ready = nodes.ready(self.cluster, self.group)
        if len(fresh) >= len(batch) and all(self.group.instances.get(each) in ready for each in fresh):
            then()
        elif waited >= PATIENCE:
            self._withdraw(fresh)
            message = self.group.launch_error or "Instances failed to join the kubernetes cluster"
            self._fail("NodeCreationFailure", message, fresh)
        else:
            self.eks.after(_TRY, lambda: self._await(batch, fresh, waited + _TRY, then))

    def _replace(self, batch: list[str], fresh: list[str], names: list[str], blocked: list[Eviction]) -> None:
        if self.ended:
            return
        if blocked and not self.force:
            self._withdraw(fresh)
            self._give_up(names)
            return
        self._withdraw(batch)
        self.eks.soon(self._next_batch)

    def _give_up(self, names: list[str]) -> None:
        """Budgets have blocked the eviction for too long: the nodes stay, and serve again."""
        for name in names:
            if self.cluster.plane:
                self.cluster.plane.cordon(name, unschedulable=False)
        message = f"Reached max retries while trying to evict pods from nodes in node group {self.group.name}"
        self._fail("PodEvictionFailure", message, names)

    def _withdraw(self, instance_ids: list[str]) -> None:
        found = autoscaling.backend().autoscaling_groups.get(self.group.group_name)
        if found is not None:
            autoscaling.terminate_instances(found, instance_ids)

    def _fail(self, code: str, message: str, resources: list[str]) -> None:
        updates.fail(self.update, code, message, resources)
        self._end("ACTIVE")

    def _finish(self) -> None:
        if self.ended:
            return
        fields = self.group.fields
        fields.update(version=self.target["version"], releaseVersion=self.target["releaseVersion"])
        if self.target.get("launchTemplate"):
            fields["launchTemplate"] = self.target["launchTemplate"]
        self.group.custom_template = self.target["custom_template"]
        updates.succeed(self.update)
        self._end("ACTIVE")

    def _end(self, status: str) -> None:
        self.group.join_seconds = nodes.JOIN
        self.group.fields.update(status=status, modifiedAt=self.eks.now)


def roll(eks: Eks, cluster: Cluster, group: Nodegroup, update: Update, target: Fields, *, force: bool) -> None:
    """Replace the group's nodes by such as `target` says, one batch of maxUnavailable at a time."""
    rolling = _Roll(eks, cluster, group, update, target)
    rolling.force = force
    eks.soon(rolling.start)
