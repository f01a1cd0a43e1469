"""How requests end (closed, broken off, cancelled), and how background tasks begin and end."""
