"""The site's views, a file for each kind."""
