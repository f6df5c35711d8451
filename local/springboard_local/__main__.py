"""`python -m springboard_local`: one local cloud as a process of its own, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from pathlib import Path

from springboard_local import seeds
from springboard_local.clock import ScaledClock
from springboard_local.cloud import LocalCloud, Settings


def main() -> None:
    """Serve until a signal comes."""
    options = _options()
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        del os.environ[name]  # the user's profile and endpoints are not the local cloud's business
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("botocore", "urllib3", "samtranslator", "moto"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)  # it warns that it sends none
    ended = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ended.set())
    settings = Settings(
        state=options.state,
        port=options.port,
        worker_python=options.worker_python,
        enforce_iam=not options.no_iam,
        seed=options.seed,
        spread=not options.no_spread,
        kubernetes=options.kubernetes,
    )
    clock = ScaledClock(options.speed)
    cloud = LocalCloud(settings, clock, instance=options.instance)
    cloud.start()
    try:
        logging.getLogger(__name__).info("the local cloud answers at %s", cloud.endpoint)
        _seed(cloud, options.examples)
        _tell(options.endpoint_file, cloud.endpoint)
        cloud.warm_up()
        ended.wait()
    finally:
        cloud.stop()
        clock.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m springboard_local", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for code, logs and the process file")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--speed", type=float, default=60, help="virtual seconds in each real one")
    parser.add_argument("--seed", type=int, default=0, help="of the latencies")
    parser.add_argument("--no-spread", action="store_true", help="every latency is its median")
    parser.add_argument("--no-iam", action="store_true", help="policies are not enforced")
    parser.add_argument("--kubernetes", choices=("embedded", "real"), default="embedded")
    parser.add_argument("--worker-python", type=Path, help="interpreter of the function workers")
    parser.add_argument("--examples", type=Path, help="folder of environment files whose images the registry gets")
    parser.add_argument("--instance", default="", help="an ID by which the starter knows this process")
    parser.add_argument("--endpoint-file", type=Path, help="where to write the endpoint once it answers")
    return parser.parse_args()


def _seed(cloud: LocalCloud, examples: Path | None) -> None:
    if examples is not None:
        from springboard_local.services import ecr  # noqa: PLC0415 - imports moto, which the cloud has prepared by now

        ecr.seed(cloud, seeds.images(examples))


def _tell(file: Path | None, endpoint: str) -> None:
    if file:
        partial = file.with_suffix(".partial")
        partial.write_text(endpoint)
        partial.replace(file)


if __name__ == "__main__":
    main()
