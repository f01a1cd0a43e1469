"""Values behind a secret name in a text."""
