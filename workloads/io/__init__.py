"""Reads and writes files: on any file system, as prepared artefacts, in folders of one execution, and with Spark."""
