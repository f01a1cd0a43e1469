"""What the tests share: starting real servers, talking to them, reading what was recorded."""
