"""What KEDA 2.15 takes in the two kinds that deploy/kubernetes uses, as JSON Schema; unknown keys are errors.

After https://keda.sh/docs/latest/reference/scaledobject-spec/ and https://keda.sh/docs/latest/scalers/aws-sqs/.
"""

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_NUMBER = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}
_COUNT = {"type": "integer", "minimum": 0}
_FLAG = {"enum": ["true", "false"]}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _object(("name", "namespace"), name=_TEXT, namespace=_TEXT)
    return _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "keda.sh/v1alpha1"},
        kind={"const": kind},
        metadata=metadata,
        spec=spec,
    )


_RULES = _object(
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3_600},
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies={
        "type": "array",
        "items": _object(
            ("type", "value", "periodSeconds"),
            type={"enum": ["Pods", "Percent"]},
            value={"type": "integer", "minimum": 1},
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1_800},
        ),
    },
)
_TRIGGER = _object(
    ("type", "metadata"),
    type={"const": "aws-sqs-queue"},
    name=_TEXT,
    authenticationRef=_object(("name",), name=_TEXT, kind=_TEXT),
    useCachedMetrics={"type": "boolean"},
    metadata=_object(
        ("queueURL", "awsRegion"),
        queueURL=_TEXT,
        awsRegion=_TEXT,
        queueLength=_NUMBER,
        activationQueueLength=_NUMBER,
        scaleOnInFlight=_FLAG,
        scaleOnDelayed=_FLAG,
        awsEndpoint=_TEXT,
    ),
)

SCHEMAS = {
    "ScaledObject": _resource(
        "ScaledObject",
        _object(
            ("scaleTargetRef", "triggers"),
            scaleTargetRef=_object(("name",), apiVersion=_TEXT, kind=_TEXT, name=_TEXT, envSourceContainerName=_TEXT),
            pollingInterval=_COUNT,
            cooldownPeriod=_COUNT,
            initialCooldownPeriod=_COUNT,
            idleReplicaCount=_COUNT,
            minReplicaCount=_COUNT,
            maxReplicaCount=_COUNT,
            advanced=_object(
                restoreToOriginalReplicaCount={"type": "boolean"},
                horizontalPodAutoscalerConfig=_object(name=_TEXT, behavior=_object(scaleUp=_RULES, scaleDown=_RULES)),
                scalingModifiers=_object(
                    ("formula", "target"),
                    formula=_TEXT,
                    target=_NUMBER,
                    activationTarget=_NUMBER,
                    metricType={"enum": ["AverageValue", "Value"]},
                ),
            ),
            triggers={"type": "array", "minItems": 1, "items": _TRIGGER},
        ),
    ),
    "TriggerAuthentication": _resource(
        "TriggerAuthentication",
        _object(
            ("podIdentity",),
            podIdentity=_object(
                ("provider",), provider={"enum": ["aws"]}, identityOwner={"enum": ["keda", "workload"]}, roleArn=_TEXT
            ),
        ),
    ),
}
