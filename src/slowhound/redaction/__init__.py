"""What never leaves, and how: see ``masking`` for the order."""
