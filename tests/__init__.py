"""The tests, from the cheapest to the dearest: unit, property, simulation, conformance, integration, browser."""
