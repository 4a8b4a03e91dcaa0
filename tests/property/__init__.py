"""Property tests: what must hold whatever the values are, against a model or an independent, dumber way."""
