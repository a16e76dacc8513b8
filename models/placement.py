"""Which models run in which device process. Pure policy: memory is handed in, nothing is started.

Every model runs on every device when they fit there together. When they do not, each is put on as many devices as
have room for it, and at least on one; when there is none with room, the sums say why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from celery_inference.specs.errors import ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device

_GB = 1e9


@dataclass(frozen=True, slots=True)
class Placement:
    """One device process: these models, on this device. `memory_fraction` of the device is all that it may take."""

    name: str
    device: Device
    specs: tuple[ModelSpec, ...]
    memory_fraction: float | None = None


def need_bytes(spec: ModelSpec) -> int:
    """What a model takes: its budget; without one, at least its weights. 0 where neither is known."""
    if spec.memory_bytes is not None:
        return spec.memory_bytes
    if not spec.is_folder:
        return 0
    return sum(file.stat().st_size for file in Path(spec.source).glob("*.safetensors"))


def place(
    specs: Sequence[ModelSpec], devices: Sequence[Device], need: Callable[[ModelSpec], int] = need_bytes
) -> tuple[Placement, ...]:
    """The device processes of all devices: one for the models that share, one for each isolated model, and one for each
    model that has an endpoint.

    Raises ModelLoadError, with the sums, when the models do not fit.
    """
    here = [spec for spec in specs if spec.endpoint is None]
    needs = {spec.name: need(spec) for spec in here}
    chosen: dict[str, set[str]] = {device.name: set() for device in devices}
    if all(_room(device, needs, set(needs)) >= 0 for device in devices):
        chosen = {device.name: set(needs) for device in devices}
    else:
        largest_first = sorted(needs, key=lambda name: -needs[name])
        for name in largest_first:
            device = max(devices, key=lambda device: _room(device, needs, chosen[device.name]))
            if _room(device, needs, {*chosen[device.name], name}) < 0:
                raise ModelLoadError(_sums(name, needs, devices))
            chosen[device.name].add(name)
        # What room is left makes the others faster: those first that run on the fewest devices.
        for device in devices:
            for name in sorted(needs, key=lambda name: sum(name in names for names in chosen.values())):
                if _room(device, needs, {*chosen[device.name], name}) >= 0:
                    chosen[device.name].add(name)
    return tuple(
        made
        for device in devices
        for made in _processes(device, [spec for spec in here if spec.name in chosen[device.name]])
    ) + tuple(_elsewhere(spec) for spec in specs if spec.endpoint is not None)


def own_place(device: Device, spec: ModelSpec) -> Placement:
    """A device process for this model alone."""
    return Placement(f"{device.name}/{spec.name}", device, (spec,), _fraction(spec, device))


def _elsewhere(spec: ModelSpec) -> Placement:
    """Of a model that is not loaded here: a process that sends its batches on."""
    name = f"endpoint:{spec.name}"
    return Placement(
        name, Device(name, "endpoint", spec.endpoint_batches, description=f"endpoint {spec.endpoint}"), (spec,)
    )


def _processes(device: Device, specs: list[ModelSpec]) -> list[Placement]:
    isolated = [spec for spec in specs if spec.isolate]
    shared = tuple(spec for spec in specs if not spec.isolate)
    fractions = [fraction for spec in isolated if (fraction := _fraction(spec, device)) is not None]
    rest = 1.0 - sum(fractions) if fractions else None
    places = [Placement(device.name, device, shared, rest)] if shared else []
    return places + [own_place(device, spec) for spec in isolated]


def _fraction(spec: ModelSpec, device: Device) -> float | None:
    """The share of a GPU that the model's budget is; None without one."""
    if device.kind == "cuda" and device.memory_bytes and spec.memory_bytes:
        return spec.memory_bytes / device.memory_bytes
    return None


def _room(device: Device, needs: dict[str, int], names: set[str]) -> float:
    """Bytes that these models leave free on the device."""
    if device.memory_bytes is None:
        return float("inf")
    return device.memory_bytes - sum(needs[name] for name in names)


def _sums(name: str, needs: dict[str, int], devices: Sequence[Device]) -> str:
    models = ", ".join(f"{name} {need / _GB:.1f} GB" for name, need in needs.items())
    have = ", ".join(f"{device.name} {(device.memory_bytes or 0) / _GB:.1f} GB" for device in devices)
    total = sum(needs.values()) / _GB
    return f'model "{name}" finds no room: the models need {total:.1f} GB ({models}), and the devices have {have}'
