"""A profile drawn or exported: SVG, speedscope, pprof, collapsed stacks."""
