"""The Pulumi program: `pulumi up` in this folder. Its configuration: `settings.py`; its use: docs/operations.md."""

import pulumi

from deploy.infra.program import declare
from deploy.infra.settings import read, values

for name, value in declare(read(values())).items():
    pulumi.export(name, value)
