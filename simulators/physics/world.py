"""The whole plant at one moment, how it steps, and what is true in it. Pure; couples the machines to each other.

Within a step every machine sees its neighbours as they were one step ago.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from simulators.physics import air, capper, chiller, filler, labeller, line, meter, packer, packml, pump, weather
from simulators.physics.line import DESIGNS, MACHINES, Order, Product
from simulators.physics.machine import Machine, StopReason
from simulators.physics.noise import Noise

NOISES: Final = (*MACHINES, "weather", "air", "chiller", "pump", "meter")
INDOORS_C: Final = 22.0

Reading = bool | int | str


class World(NamedTuple):
    """Everything that is true at one moment."""

    weather: weather.Weather
    line: line.Line
    filler: filler.Filler
    capper: capper.Capper
    labeller: labeller.Labeller
    packer: packer.Packer
    air: air.Air
    chiller: chiller.Chiller
    pump: pump.Pump
    meter: meter.Meter


class Conditions(NamedTuple):
    """What comes from outside the physics in a step: the shift plan, the season, and what is wrong.

    `outdoors` is the daily course of temperature [C]; `jams` and `trips` per machine; severities 0 to 1.
    `wear_onset` is the damage with which the worn bearing began, None for a sound one; `life` [s] its running
    time until it seizes.
    """

    producing: bool
    outdoors: float
    jams: Sequence[bool] = (False,) * 4
    trips: Sequence[bool] = (False,) * 4
    wear_onset: float | None = None
    life: float = 9_600.0
    cavitation: float = 0.0
    strainer_fouling: float = 0.0
    condenser_fouling: float = 0.0
    filter_fouling: float = 0.0
    air_leak: float = 0.0


def new(
    orders: Sequence[Order], processed: Sequence[int], outdoors: float, noises: Mapping[str, Noise], dt_s: float
) -> World:
    """Return the plant before its first step: utilities running, line stopped and empty."""
    return World(
        weather=weather.Weather(outdoors, 0.0),
        line=line.new(orders, [noises[name] for name in MACHINES], processed, dt_s),
        filler=filler.new(line.product(orders, 0), INDOORS_C),
        capper=capper.new(INDOORS_C),
        labeller=labeller.new(INDOORS_C),
        packer=packer.new(INDOORS_C),
        air=air.new(INDOORS_C),
        chiller=chiller.new(outdoors),
        pump=pump.new(INDOORS_C),
        meter=meter.new(),
    )


def step(world: World, orders: Sequence[Order], now: Conditions, noises: Mapping[str, Noise], dt_s: float) -> World:
    """Step the plant by dt [s]."""
    stepped = line.step(
        world.line,
        orders,
        producing=now.producing,
        faults=[StopReason.DRIVE_TRIP if trip else StopReason.NONE for trip in now.trips],
        holds=_holds(world, now.jams),
        noises=[noises[name] for name in MACHINES],
        dt_s=dt_s,
    )
    filling, capping, labelling, packing = stepped.machines
    outdoors = weather.step(world.weather, now.outdoors, noises["weather"], dt_s)
    return World(
        weather=outdoors,
        line=stepped,
        filler=filler.step(
            world.filler,
            filling,
            line.product(orders, filling.order),
            chilled=world.chiller.supply,
            chilled_flow=world.pump.flow,
            ambient=INDOORS_C,
            noise=noises["filler"],
            dt_s=dt_s,
        ),
        capper=capper.step(world.capper, capping, INDOORS_C, noises["capper"], dt_s),
        labeller=labeller.step(world.labeller, labelling, INDOORS_C, noises["labeller"], dt_s),
        packer=packer.step(world.packer, packing, INDOORS_C, noises["packer"], dt_s),
        air=air.step(
            world.air,
            machines=air_demand(stepped),
            leak=now.air_leak,
            fouling=now.filter_fouling,
            ambient=INDOORS_C,
            noise=noises["air"],
            dt_s=dt_s,
        ),
        chiller=chiller.step(
            world.chiller,
            load=world.filler.heat,
            flow=world.pump.flow,
            fouling=now.condenser_fouling,
            ambient=outdoors.temperature,
            noise=noises["chiller"],
            dt_s=dt_s,
        ),
        pump=pump.step(
            world.pump,
            wear_onset=now.wear_onset,
            life_s=now.life,
            cavitation=now.cavitation,
            fouling=now.strainer_fouling,
            ambient=INDOORS_C,
            noise=noises["pump"],
            dt_s=dt_s,
        ),
        meter=meter.step(world.meter, load(world), noises["meter"], dt_s),
    )


def air_demand(of: line.Line) -> float:
    """Return the free air that the machines of the line take [m3/min]: a fifth standing, the rest with speed."""
    return sum(
        design.air * (0.2 + 0.8 * machine.load(design)) for design, machine in zip(DESIGNS, of.machines, strict=True)
    )


def load(world: World) -> float:
    """Return the electric power of all machines [kW]."""
    return (
        world.filler.power
        + world.capper.power
        + world.labeller.power
        + world.packer.power
        + world.air.power
        + world.chiller.power
        + world.pump.power
    )


def read(world: World, orders: Sequence[Order]) -> dict[str, dict[str, float]]:
    """Return the true values behind all instruments by device and name, but for the pump's vibration."""
    filling, capping, labelling, packing = world.line.machines
    product = line.product(orders, filling.order)
    return {
        "filler": filler.read(world.filler, filling, product) | _speeds(filling, DESIGNS[0].speed_max),
        "capper": capper.read(world.capper, capping) | _speeds(capping, DESIGNS[1].speed_max),
        "labeller": labeller.read(world.labeller, labelling) | _speeds(labelling, DESIGNS[2].speed_max),
        "packer": packer.read(world.packer, packing) | _speeds(packing, DESIGNS[3].speed_max),
        "compressor": air.read(world.air, INDOORS_C),
        "chiller": chiller.read(world.chiller, world.weather.temperature),
        "pump": pump.read(world.pump),
        "energy": meter.read(world.meter),
    }


def signals(world: World, orders: Sequence[Order]) -> dict[str, Reading]:
    """Return the states, counters and names of all devices as `device/name`; they have no noise."""
    values: dict[str, Reading] = {
        "packer/pack_count": world.line.machines[-1].processed // packer.BOTTLES_PER_PACK,
        "compressor/running": world.air.running,
        "compressor/loaded": world.air.loaded,
        "compressor/enabled": world.air.enabled,
        "compressor/hot": world.air.hot,
        "compressor/starts": world.air.starts,
        "chiller/running": world.chiller.running,
        "chiller/flow_ok": world.chiller.flow_ok,
        "pump/running": world.pump.speed > 100.0,
        "pump/tripped": world.pump.failed,
        "pump/enabled": world.pump.enabled,
        "pump/starts": world.pump.starts,
    }
    for name, machine in zip(MACHINES, world.line.machines, strict=True):
        for tag, value in _packml(machine, line.product(orders, machine.order)).items():
            values[f"{name}/{tag}"] = value
    return values


def _holds(world: World, jams: Sequence[bool]) -> list[StopReason]:
    """Return why each machine must hold, or NONE."""
    reasons = [StopReason.JAM if jam else StopReason.NONE for jam in jams]
    if world.filler.warm and not reasons[0]:
        reasons[0] = StopReason.PRODUCT_WARM
    if world.labeller.change_left_s > 0.0 and not reasons[2]:
        reasons[2] = StopReason.MATERIAL
    return reasons


def _speeds(machine: Machine, speed_max: float) -> dict[str, float]:
    return {"cur_mach_speed": machine.speed, "mach_speed": machine.speed_set, "mach_design_speed": speed_max}


def _packml(machine: Machine, product: Product) -> dict[str, Reading]:
    """Return the PackTags of a machine (ISA-TR88.00.02)."""
    return {
        "state_current": int(machine.unit.state),
        "state_current_time": int(machine.unit.time_s),
        "unit_mode_current": int(packml.mode(machine.unit.state)),
        "equipment_blocked": machine.blocked,
        "equipment_starved": machine.starved,
        "prod_processed_count": machine.processed,
        "prod_defective_count": machine.defective,
        "stop_reason": int(machine.reason),
        "product": product.name,
        "recipe": product.recipe,
    }
