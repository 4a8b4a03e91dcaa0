"""Every connector, sink and signal against its contract, with real servers on the other side."""
