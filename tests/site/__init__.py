"""The test site: Django views that query, fail, stream and wait at gates."""
