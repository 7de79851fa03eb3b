"""The figures that several workloads of the data-parallel pattern report."""

from sparkscale.contract.declared import Figure

CAPACITY = Figure(name="capacity", heading="chosen capacity")
"""The number of trees or epochs that the parameter set `tuned` chose."""

ITERATIONS = Figure(name="iterations", heading="iterations")
