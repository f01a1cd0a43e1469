"""The viewer: pages over the events and reports of one machine or of a fleet."""
