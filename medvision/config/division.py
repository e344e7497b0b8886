"""The numbers of the jobs among which a step is divided."""


def number_jobs(total: int) -> range:
    """Return the numbers of the jobs that share a step, from 1; none where one does it all.

    Args:
        total: How many jobs the configuration asks for, such as `ingest.shards`.
    """
    return range(1, total + 1) if total > 1 else range(0)
