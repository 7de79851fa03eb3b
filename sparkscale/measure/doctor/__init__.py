"""Checks that this machine can measure."""
