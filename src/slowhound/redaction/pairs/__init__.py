"""Values that stand behind a secret name in a text."""
