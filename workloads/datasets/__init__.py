"""The data sets that workloads run on."""
