"""How many threads numeric libraries use, as their processes are told."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that make numeric libraries use this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))
