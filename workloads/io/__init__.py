"""Reads and writes files: file systems, prepared artefacts, folders of one execution, Spark DataFrames."""
