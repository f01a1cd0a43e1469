"""Other processes of this host, alive or ended: their requests, dumps and last events."""
