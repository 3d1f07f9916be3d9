"""Adapters of the ports in tusdrive.ports: where state and bytes are kept."""
