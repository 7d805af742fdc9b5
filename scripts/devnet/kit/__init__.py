"""What the programs here share: builds kept in a cache, processes kept by pid file, one command line.

Only the standard library is used, so an engine can be installed before the project's own environment exists.
"""
