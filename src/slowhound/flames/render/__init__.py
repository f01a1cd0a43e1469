"""Draws profiles as SVG, and exports them for speedscope, pprof and flamegraph.pl."""
