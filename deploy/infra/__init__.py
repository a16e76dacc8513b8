"""The Pulumi program's parts. `__main__.py` is the program; `Pulumi.yaml` names it."""
