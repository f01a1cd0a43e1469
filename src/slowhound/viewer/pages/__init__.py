"""One file for each page: ``PAGE``, and the function that collects its data."""
