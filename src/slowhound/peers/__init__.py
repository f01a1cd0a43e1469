"""Other processes of this host, living and dead: their requests, dumps and last events."""
