"""Policy documents as data."""

import json
from typing import Any

import pulumi

VERSION = "2012-10-17"


def statement(sid: str, actions: list[str], resources: Any) -> dict[str, Any]:
    """What may be done with these ARNs."""
    return {"Sid": sid, "Effect": "Allow", "Action": list(dict.fromkeys(actions)), "Resource": resources}


def document(*statements: dict[str, Any]) -> pulumi.Output[str]:
    """The policy; ARNs in it may be outputs."""
    return pulumi.Output.json_dumps({"Version": VERSION, "Statement": list(statements)})


def trust(service: str) -> str:
    """Who may take a role on: a service of AWS, such as `ec2`."""
    principal = {"Service": f"{service}.amazonaws.com"}
    rows = [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]
    return json.dumps({"Version": VERSION, "Statement": rows})


def tls_only(service: str, resources: Any) -> pulumi.Output[str]:
    """The policy of a queue or bucket that refuses plain HTTP."""
    return document(
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": f"{service}:*",
            "Resource": resources,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
