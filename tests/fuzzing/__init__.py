"""Fuzzing of whatever reads bytes; `make fuzz` guides it by coverage, the tests replay seeds and mutations of them."""
