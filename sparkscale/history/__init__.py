"""The history of metrics over commits.

This package measures for asv, writes into asv's files, compares commits and publishes pages.
"""
