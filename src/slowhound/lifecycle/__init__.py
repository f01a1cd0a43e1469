"""How a request ends: its response is closed, its stream breaks off, its task is cancelled."""
