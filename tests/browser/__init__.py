"""The live page in a real browser, on a real gateway with real devices."""
