"""What connectors/opcua.py is made of: nodes, and values from the wire to columns."""
