"""What every test of a kind may ask for besides."""

from tests.checks.cluster import cluster
from tests.checks.docker import docker, docker_url
from tests.checks.kubernetes_checks import ca_file, kube
from tests.checks.logs import log
from tests.checks.machines import tree
from tests.checks.moto import logs, moto, s3
from tests.checks.queues import broker, broker_client, email
from tests.checks.redis_servers import new_redis

__all__ = [
    "broker",
    "broker_client",
    "ca_file",
    "cluster",
    "docker",
    "docker_url",
    "email",
    "kube",
    "log",
    "logs",
    "moto",
    "new_redis",
    "s3",
    "tree",
]
