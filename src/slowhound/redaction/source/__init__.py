"""Lines of source without the literals beside secret names."""
