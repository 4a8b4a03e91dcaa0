"""Simulation: supervisor, hub and journal as they are, a world that fails around them, and virtual time."""
