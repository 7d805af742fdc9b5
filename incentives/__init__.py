"""Pure economics: who pays, who is paid, and why nobody gains by lying.

Nothing here reads a clock, a disk or a random source. Every formula carries a source mark:
[P] read in public material, [M] remembered from the paper, [R] our reconstruction.
"""
