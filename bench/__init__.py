"""Measures tusdrive beside its peers: `python -m bench SCENARIO`. Needs Linux, gcc, and Node with npm for a peer."""
