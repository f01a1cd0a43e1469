"""One file for each page: ``PAGE``, and the function that finds what it shows."""
