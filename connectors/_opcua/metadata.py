"""What a server says about its variables beside their values: description, unit, range.

EURange and EngineeringUnits are properties of an AnalogItem (OPC 10000-8, 5.3.2). The id of a unit is the text of its
UN/ECE code as a number, of Recommendation 20 (OPC 10000-8, 5.6.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua

from connectors._opcua.calls import Calls, path, target

_PROPERTIES: Final = [[ua.QualifiedName("EURange", 0)], [ua.QualifiedName("EngineeringUnits", 0)]]

_TEXT_MAX: Final = 200

_CODES: Final = """
CEL=Cel KEL=K FAH=[degF]
BAR=bar MBR=mbar PAL=Pa A97=hPa KPA=kPa MPA=MPa PS=[psi]
VLT=V 2G=V 2H=V 2Z=mV KVT=kV AMP=A 4K=mA B22=kA AMH=A.h OHM=Ohm B49=kOhm
WTT=W KWT=kW MAW=MW D46=V.A KVA=kV.A MVA=MV.A D44=V.A{reactive} KVR=kV.A{reactive}
WHR=W.h KWH=kW.h MWH=MW.h K3=kV.A.h{reactive} JOU=J KJO=kJ 3B=MJ GV=GJ
HTZ=Hz KHZ=kHz MHZ=MHz RPM={rev}/min M46={rev}/min RPS={rev}/s C97=/s C94=/min H10=/h
MTR=m CMT=cm MMT=mm 4H=um C45=nm KMT=km INH=[in_i] FOT=[ft_i] MTK=m2 CMK=cm2 MMK=mm2
MTQ=m3 DMQ=dm3 CMQ=cm3 LTR=L MLT=mL HLT=hL
MQS=m3/s MQH=m3/h G53=m3/min G51=L/s L2=L/min 40=mL/s 41=mL/min KGS=kg/s F31=kg/min E93=kg/h E18=t/h
KGM=kg GRM=g MGM=mg TNE=t KMQ=kg/m3 23=g/cm3 GL=g/L M1=mg/L
NEW=N B47=kN NU=N.m B48=kN.m C24=mPa.s C17=mm2/s
MTS=m/s C16=mm/s 2M=cm/s 2X=m/min H81=mm/min KMH=km/h MSK=m/s2 M41=mm/s2
DD=deg C81=rad 2A=rad/s E96=deg/s SEC=s C26=ms B98=us MIN=min HUR=h DAY=d
P1=% 59=[ppm] C62=1 H87={piece} EA={piece} 2N=dB Q30=[pH] LUX=lx
"""
"""UCUM by code; of the common ones, which the OPC Foundation lists in UNECE_to_OPCUA.csv."""

_SYMBOLS: Final = """
°C=Cel °F=[degF] °=deg µm=um µs=us l=L ml=mL m²=m2 m³=m3 m³/h=m3/h m³/min=m3/min l/min=L/min l/s=L/s m/s²=m/s2
N·m=N.m Nm=N.m Wh=W.h kWh=kW.h MWh=MW.h VA=V.A kVA=kV.A V·A=V.A Ω=Ohm rpm={rev}/min r/min={rev}/min
1/min=/min 1/s=/s 1/h=/h ppm=[ppm] pH=[pH] psi=[psi] var=V.A{reactive} kvar=kV.A{reactive}
"""
"""UCUM by what servers write for people, where that is not UCUM; for units without a code that is known here."""

_BY_CODE: Final = dict(pair.split("=") for pair in _CODES.split())
_BY_SYMBOL: Final = dict(pair.split("=") for pair in _SYMBOLS.split()) | {unit: unit for unit in _BY_CODE.values()}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a server says about a variable.

    `unit` is UCUM, `shown` the unit as the server writes it. `range` is low and high in that unit, or None if there is
    none or it makes no sense.
    """

    description: str
    unit: str
    shown: str
    range: tuple[float, float] | None


Properties = tuple[ua.NodeId | None, ua.NodeId | None]
"""Where EURange and EngineeringUnits of a node are."""


async def properties(ask: Calls, nodes: Sequence[ua.NodeId], namespaces: Sequence[str]) -> list[Properties]:
    """Return where a server with these namespaces has the properties of each node; None for one it does not have."""
    paths = [path(node, names) for node in nodes for names in _PROPERTIES]
    ends = [target(result, namespaces) for result in await ask.translate(paths)]
    return list(zip(ends[::2], ends[1::2], strict=True))


async def describe(ask: Calls, nodes: Sequence[ua.NodeId], found: Sequence[Properties]) -> list[Metadata]:
    """Return what a server says about variables with these properties, in order; empty where it says nothing.

    Two kinds of request, however many nodes: what the properties say, and descriptions.
    """
    ends = [end for pair in found for end in pair]
    known = [end for end in ends if end is not None]
    values = dict(zip(known, map(_content, await ask.read(known)), strict=True))
    said = [None if end is None else values[end] for end in ends]
    texts = map(_content, await ask.read(nodes, ua.AttributeIds.Description))
    return [_metadata(*of_one) for of_one in zip(texts, said[::2], said[1::2], strict=True)]


def ucum(unit: ua.EUInformation) -> str:
    """Return a unit in UCUM, or nothing if it is not a common one."""
    number = max(0, int(unit.UnitId))  # -1 is none
    code = number.to_bytes((number.bit_length() + 7) // 8, "big").decode("ascii", "replace")
    return _BY_CODE.get(code) or _BY_SYMBOL.get(_text(unit.DisplayName), "")


def _metadata(description: Any, span: Any, unit: Any) -> Metadata:
    known = isinstance(unit, ua.EUInformation)
    return Metadata(
        description=_text(description),
        unit=ucum(unit) if known else "",
        shown=_text(unit.DisplayName) if known else "",
        range=_range(span),
    )


def _range(span: Any) -> tuple[float, float] | None:
    if not isinstance(span, ua.Range) or not (math.isfinite(span.Low) and math.isfinite(span.High)):
        return None
    return (span.Low, span.High) if span.Low < span.High else None


def line(text: str) -> str:
    """Return a text of a server as one line of what can be printed, and not too long."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_TEXT_MAX]


def _text(text: Any) -> str:
    return line(text.Text or "") if isinstance(text, ua.LocalizedText) else ""


def _content(data: ua.DataValue) -> Any:
    """The value of what could be read, else None."""
    good = data.StatusCode is None or data.StatusCode.is_good()
    return data.Value.Value if good and data.Value is not None else None
