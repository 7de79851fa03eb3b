"""Analyses across cases or runs.

Each is one file that turns a store and a request into blocks. There are none so far.
"""
