"""A moto server, which stands in for AWS: a process of its own that verifies signatures and what a user is allowed."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from typing import Any

from monitor.demo.process import Server, wants_package

REGION = "eu-central-1"
OPEN = 5
"""Requests that are let in without a signature: those that make the first user."""


class Moto(Server):
    """AWS on loopback, with a user who may do everything: `key_id` and `secret`.

    Its methods block for some milliseconds each, as boto3's do. All that it holds is gone when it ends.
    """

    title = "moto"
    key_id = secret = ""

    @property
    def url(self) -> str:
        """Its address, for every service."""
        return f"http://{self.address}"

    def lock(self) -> None:
        """Make the user who may do everything; from now on nobody is let in without a signature."""
        first = self.user("root", "*")
        self.key_id, self.secret = first["access_key_id"], first["secret_access_key"]
        with closing(self.client("iam")) as iam:
            for _ in range(OPEN - 3):
                iam.list_users()

    def client(self, service: str) -> Any:
        """boto3's client of the user who may do everything; close it."""
        return self.client_of(service, self.key_id or "none", self.secret or "none")

    def client_of(self, service: str, key_id: str, secret: str) -> Any:
        """boto3's client of another user; close it."""
        import boto3

        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=key_id, aws_secret_access_key=secret
        )

    def user(self, name: str, *actions: str) -> dict[str, str]:
        """The credentials of a new user who may do this."""
        with closing(self.client("iam")) as iam:
            iam.create_user(UserName=name)
            if actions:
                allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
                policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
                iam.put_user_policy(UserName=name, PolicyName="allowed", PolicyDocument=policy)
            key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}

    async def _prepare(self) -> None:
        wants_package("AWS's stand-in", "moto", "boto3", "flask")

    def _command(self) -> list[str]:
        starts = f"import os; os.environ['INITIAL_NO_AUTH_ACTION_COUNT'] = '{OPEN}'; from moto.server import main; "
        return [sys.executable, "-W", "ignore", "-c", f"{starts} main(['-H', '127.0.0.1', '-p', '{self.port}'])"]

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True
