"""The environment variables that limit the threads of numeric libraries."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def thread_variables(threads: int) -> dict[str, str]:
    """Returns environment variables that make numeric libraries use this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))
