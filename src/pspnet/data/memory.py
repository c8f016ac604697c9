"""The memory that this process may still take."""

from __future__ import annotations

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # of a container or a cluster's job, as the job itself sees it


def available_memory() -> int:
    """Return the bytes that are free: of the machine, the container and the process's own limit.

    Where the system does not say, there is no limit.
    """
    return int(min(_machine(), _container(), _process()))


def _machine() -> float:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return float("inf")


def _container() -> float:
    limit, used = _lines(CGROUP / "memory.max"), _lines(CGROUP / "memory.current")
    if not limit or not used or limit[0] == "max":
        return float("inf")
    files = [line for line in _lines(CGROUP / "memory.stat") if line.startswith("inactive_file ")]
    cached = int(files[0].split()[1]) if files else 0  # which the system gives back
    return max(0, int(limit[0]) - int(used[0]) + cached)


def _process() -> float:
    try:
        import resource
    except ImportError:  # Windows has none
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _lines(Path("/proc/self/statm"))
    if limit == resource.RLIM_INFINITY or not pages:
        return float("inf")
    return max(0, limit - resource.getpagesize() * int(pages[0].split()[0]))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
