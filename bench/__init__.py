"""What slowhound costs: ``python -m bench`` prints a table for each of the modules.

Every number is a comparison of two things measured in turn, many times, in one run: what else
the machine does meanwhile then slows both down, and the median of the differences holds still.
"""
