"""The OPC UA nodes of the machines: names, types and places, and the items that create them.

Four machines, each in its own namespace, with PackML's Status and Admin as folders; the pump's waveform in a fifth.
"""

from typing import Final, NamedTuple

from asyncua import ua

from simulators.instruments import INSTRUMENTS, UNITS, Instrument
from simulators.physics.line import MACHINES
from simulators.physics.setpoints import SET_POINTS
from simulators.physics.vibration import BLOCK

UNITS_NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
PUMP: Final = "pump"
WAVEFORM: Final = "vibration_waveform"
SAMPLE_RATE: Final = "sample_rate"

_STATUS: Final = {
    "state_current": ua.VariantType.Int32,
    "unit_mode_current": ua.VariantType.Int32,
    "cur_mach_speed": ua.VariantType.Double,
    "mach_speed": ua.VariantType.Double,
    "equipment_blocked": ua.VariantType.Boolean,
    "equipment_starved": ua.VariantType.Boolean,
    "product": ua.VariantType.String,
    "recipe": ua.VariantType.String,
}
_ADMIN: Final = {
    "mach_design_speed": ua.VariantType.Double,
    "state_current_time": ua.VariantType.UInt32,
    "prod_processed_count": ua.VariantType.Int32,
    "prod_defective_count": ua.VariantType.UInt32,
    "stop_reason": ua.VariantType.Int32,
}
_TEXTS: Final = {
    "state_current": "PackML state",
    "unit_mode_current": "PackML mode: 1 producing, 2 maintenance, 3 manual",
    "equipment_blocked": "No room behind the machine",
    "equipment_starved": "Nothing in front of the machine",
    "product": "Product in production",
    "recipe": "Recipe in use",
    "state_current_time": "Time in the present state [s]",
    "prod_processed_count": "Bottles processed; rolls over at 32 bits",
    "prod_defective_count": "Bottles rejected",
    "stop_reason": "Why the machine does not produce",
    "pack_count": "Packs of twelve made",
}


class Tag(NamedTuple):
    """A variable: `name` is the sensor or signal `device/name`, `path` the string of its node id."""

    name: str
    path: str
    type: ua.VariantType
    text: str
    instrument: Instrument | None

    @property
    def device(self) -> str:
        return self.name.split("/")[0]


def tags() -> list[Tag]:
    """Return all variables of the machines."""
    return [tag for machine in MACHINES for tag in _machine_tags(machine)]


def identifier(name: str) -> str:
    """Return the string of a node id: `bowl_pressure` is BowlPressure, `state_current` is Status.StateCurrent."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    return f"Status.{camel}" if name in _STATUS else f"Admin.{camel}" if name in _ADMIN else camel


def node_id(path: str, namespace: int) -> ua.NodeId:
    """Return the node id with this string in a namespace."""
    return ua.NodeId(ua.String(path), ua.Int16(namespace))


def standard(number: int) -> ua.NodeId:
    """Return a node id of the standard's own namespace."""
    return ua.NodeId(ua.Int32(number))


def machine_items(machine: str, namespace: int) -> list[ua.AddNodesItem]:
    """Return the items that create a machine's object and its two PackML folders, in this order."""
    objects = standard(ua.ObjectIds.ObjectsFolder)
    top = node_id(machine.capitalize(), namespace)
    folders = () if machine == PUMP else ("Status", "Admin")
    return [
        _object_item(top, objects, ua.ObjectIds.Organizes, ua.ObjectIds.BaseObjectType),
        *(
            _object_item(node_id(name, namespace), top, ua.ObjectIds.HasComponent, ua.ObjectIds.FolderType)
            for name in folders
        ),
    ]


def tag_items(tag: Tag, namespace: int, value: ua.Variant) -> list[ua.AddNodesItem]:
    """Return the items that create a variable, with EURange and EngineeringUnits if it has an instrument."""
    parent = tag.path.rpartition(".")[0] or tag.device.capitalize()
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = node_id(tag.path, namespace)
    item.BrowseName = ua.QualifiedName(tag.path.rpartition(".")[2], namespace)
    item.NodeClass = ua.NodeClass.Variable
    item.ParentNodeId = node_id(parent, namespace)
    item.ReferenceTypeId = standard(ua.ObjectIds.HasComponent)
    item.TypeDefinition = standard(ua.ObjectIds.AnalogItemType if tag.instrument else ua.ObjectIds.BaseDataVariableType)
    item.NodeAttributes = _attributes(item.BrowseName.Name, tag.text, value, writable=tag.name in SET_POINTS)
    return [item, *(_property_items(tag, namespace, tag.instrument) if tag.instrument else ())]


def pump_tags() -> list[Tag]:
    """Return the variables of the pump: its vibration snapshots, and their sample rate."""
    text = f"Vibration acceleration of the drive-end bearing, {BLOCK} samples"
    instrument = Instrument(WAVEFORM, "m/s²", -500.0, 500.0, 0.0, 0.01, text)
    rate = Instrument(SAMPLE_RATE, "Hz", 0.0, 100e3, 0.0, 1.0, "Sample rate of the snapshots")
    return [
        Tag(f"{PUMP}/{WAVEFORM}", identifier(WAVEFORM), ua.VariantType.Float, text, instrument),
        Tag(f"{PUMP}/{SAMPLE_RATE}", identifier(SAMPLE_RATE), ua.VariantType.Double, rate.text, rate),
    ]


def _machine_tags(machine: str) -> list[Tag]:
    measured = [
        Tag(f"{machine}/{item.name}", identifier(item.name), ua.VariantType.Double, item.text, item)
        for item in INSTRUMENTS[machine]
    ]
    known = {item.name for item in INSTRUMENTS[machine]}
    counters = {"pack_count": ua.VariantType.UInt32} if machine == "packer" else {}
    discrete = {name: type_ for name, type_ in (_STATUS | _ADMIN | counters).items() if name not in known}
    return measured + [
        Tag(f"{machine}/{name}", identifier(name), type_, _TEXTS[name], None) for name, type_ in discrete.items()
    ]


def _object_item(node: ua.NodeId, parent: ua.NodeId, reference: int, type_: int) -> ua.AddNodesItem:
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = node
    item.BrowseName = ua.QualifiedName(str(node.Identifier), node.NamespaceIndex)
    item.NodeClass = ua.NodeClass.Object
    item.ParentNodeId = parent
    item.ReferenceTypeId = standard(reference)
    item.TypeDefinition = standard(type_)
    item.NodeAttributes = ua.ObjectAttributes(
        DisplayName=ua.LocalizedText(str(node.Identifier)), Description=ua.LocalizedText(str(node.Identifier))
    )
    return item


def _property_items(tag: Tag, namespace: int, instrument: Instrument) -> list[ua.AddNodesItem]:
    """Return the properties of an AnalogItem (OPC 10000-8, 5.3.2)."""
    code, words = UNITS[instrument.unit]
    units = ua.EUInformation(
        NamespaceUri=UNITS_NAMESPACE,
        UnitId=int.from_bytes(code.encode("ascii"), "big") if code else -1,
        DisplayName=ua.LocalizedText(instrument.unit),
        Description=ua.LocalizedText(words),
    )
    span = ua.Range(Low=instrument.low, High=instrument.high)
    return [_property_item(tag, namespace, "EURange", span), _property_item(tag, namespace, "EngineeringUnits", units)]


def _property_item(tag: Tag, namespace: int, name: str, value: object) -> ua.AddNodesItem:
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = node_id(f"{tag.path}.{name}", namespace)
    item.BrowseName = ua.QualifiedName(name, 0)
    item.NodeClass = ua.NodeClass.Variable
    item.ParentNodeId = node_id(tag.path, namespace)
    item.ReferenceTypeId = standard(ua.ObjectIds.HasProperty)
    item.TypeDefinition = standard(ua.ObjectIds.PropertyType)
    variant = ua.Variant(value, ua.VariantType.ExtensionObject)
    item.NodeAttributes = _attributes(name, name, variant, writable=False)
    item.NodeAttributes.DataType = standard(ua.ObjectIds.Range if name == "EURange" else ua.ObjectIds.EUInformation)
    return item


def _attributes(name: str, text: str, value: ua.Variant, *, writable: bool) -> ua.VariableAttributes:
    access = ua.AccessLevel.CurrentRead.mask | (ua.AccessLevel.CurrentWrite.mask if writable else 0)
    attributes = ua.VariableAttributes(
        DisplayName=ua.LocalizedText(name),
        Description=ua.LocalizedText(text),
        Value=value,
        DataType=standard(value.VariantType.value),
        ValueRank=ua.ValueRank.Scalar,
        AccessLevel=access,
        UserAccessLevel=access,
    )
    if isinstance(value.Value, list):
        attributes.ValueRank = ua.ValueRank.OneDimension
        attributes.ArrayDimensions = [ua.UInt32(len(value.Value))]
    return attributes
