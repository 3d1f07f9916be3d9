"""Pure rules: what an upload is and what may happen to it. Standard library only, no I/O, no clock."""
