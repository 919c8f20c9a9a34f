"""The resources of a process, from the operating system. Unavailable figures are 0."""

import os
import re
from pathlib import Path

_MIB_KIB = 1024


def rss_mib(pid: int | str = "self") -> float:
    """Return the current memory of a process in MiB."""
    return _status_kib(pid, "VmRSS") / _MIB_KIB


def peak_rss_mib(pid: int | str = "self") -> float:
    """Return the peak memory of a process in MiB."""
    return _status_kib(pid, "VmHWM") / _MIB_KIB


def cpu_s(pid: int | str = "self") -> float:
    """Return the processor time of all threads of a process so far, in seconds."""
    try:
        # The name in the second field may have any characters, also brackets and spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def _status_kib(pid: int | str, field: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) if found else 0
