"""Reading and writing: file systems, prepared artefacts, folders of one execution, Spark DataFrames of files."""
