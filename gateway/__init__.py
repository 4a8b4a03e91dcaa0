"""IT/OT telemetry gateway: PLC readings as columns, from the wire to the disk."""

__version__ = "0.1.0"
