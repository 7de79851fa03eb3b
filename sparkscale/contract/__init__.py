"""The bottom layer: types and rules that every other package shares.

It needs only the standard library and Pydantic.
"""
