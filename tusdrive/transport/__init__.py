"""What sits between a socket and the engine: request bodies as one interface."""
