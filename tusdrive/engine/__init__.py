"""The async shell: order of work, locks, transactions. Knows the ports and the domain, no protocol."""
