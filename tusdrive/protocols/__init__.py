"""Pure translations between headers or JSON and domain values. No I/O, no framework."""
