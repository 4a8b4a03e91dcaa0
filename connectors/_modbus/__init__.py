"""What connectors/modbus.py is made of: addresses, blocks, registers, scans, and how to talk to a device."""
