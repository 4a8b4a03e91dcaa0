"""The contracts between the layers. Read this first.

Data flows one way:

    Connector --emit(batches)--> hub --> journal --Record--> Sink          nothing is lost from the journal on
                                  |         `-----Record--> Signal --batches--> hub    derived, it is a batch again
                                  `----> latest table ----> API, retained topics

Trouble outside is data: a connector turns what a device says into the quality of readings, and raises a device
error when the device as a whole is lost; `gateway/supervise.py` makes that the quality of all its tags, waits, and
runs the connector again. Trouble inside is an exception that nobody catches but the supervisor.

    flow.py      who passes readings on: Connector, Signal, Sink, and what they are given
    modules.py   what a plug-in offers, and what it is given: Device, ProtocolModule, SignalModule
    words.py     what a device answered, before it was decoded

They know the model and nothing else of the gateway.
"""

from gateway.contracts.flow import (
    Answer,
    Caller,
    Clock,
    Connector,
    DeviceError,
    Emit,
    Offload,
    Polled,
    Prompt,
    Signal,
    Sink,
    Spectral,
    Step,
    Traced,
    Writer,
)
from gateway.contracts.modules import (
    Describe,
    Device,
    DeviceJournal,
    KeepWords,
    NoJournal,
    NoPast,
    Past,
    ProtocolModule,
    SignalModule,
    at_once,
    nobody_asks,
    nobody_keeps,
)
from gateway.contracts.words import Redecode, Words

__all__ = [
    "Answer",
    "Caller",
    "Clock",
    "Connector",
    "Describe",
    "Device",
    "DeviceError",
    "DeviceJournal",
    "Emit",
    "KeepWords",
    "NoJournal",
    "NoPast",
    "Offload",
    "Past",
    "Polled",
    "Prompt",
    "ProtocolModule",
    "Redecode",
    "Signal",
    "SignalModule",
    "Sink",
    "Spectral",
    "Step",
    "Traced",
    "Words",
    "Writer",
    "at_once",
    "nobody_asks",
    "nobody_keeps",
]
