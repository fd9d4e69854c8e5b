"""The tests; a package, because one of the installed distributions brings a top-level `tests` of its own."""
