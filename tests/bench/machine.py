"""What compare.py needs to know of the machine: its cores, who uses them, its name, and a PyTorch to compare with."""
import os
import pathlib
import re
import subprocess
import sys
import time


def cores():
    """Physical cores that this process may use: hardware threads of one core count once."""
    siblings = set()
    for cpu in os.sched_getaffinity(0):
        path = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        siblings.add(path.read_text().strip() if path.exists() else cpu)
    return len(siblings)


def cpu_seconds(pids):
    """Processor time that the threads of these processes have used."""
    total = 0
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass  # a thread that has just ended
    return 1e-9 * total


def wait_until_idle(pids, most=2.0):
    """Threads that wait for work may spin for some milliseconds before they sleep: still three times in a row."""
    deadline, before, still = time.monotonic() + most, cpu_seconds(pids), 0
    while still < 3 and time.monotonic() < deadline:
        time.sleep(0.003)
        now = cpu_seconds(pids)
        still = still + 1 if now - before < 1e-4 else 0
        before = now


class Load:
    """How much of the cores everybody else has used since this was made."""

    def __init__(self, ours):
        self.pids = [*ours, os.getpid()]
        self.begin, self.busy, self.own = time.monotonic(), self.busy_seconds(), cpu_seconds(self.pids)

    @staticmethod
    def busy_seconds():
        """Of all programs, the kernel, and (as stolen time) other virtual machines, on the cores that we may use."""
        names = {f"cpu{cpu}" for cpu in os.sched_getaffinity(0)}
        ticks = 0
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            name, *values = line.split()
            if name in names:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, values[:8])
                ticks += user + nice + system + irq + softirq + steal
        return ticks / os.sysconf("SC_CLK_TCK")

    def of_others(self):
        used = self.busy_seconds() - self.busy - (cpu_seconds(self.pids) - self.own)
        available = (time.monotonic() - self.begin) * len(os.sched_getaffinity(0))
        return max(0.0, used / available)


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)
    flags = set(re.search(r"(?:flags|Features)\s*: (.*)", text).group(1).split())
    widest = next((flag for flag in ("avx512f", "avx2", "asimd") if flag in flags), "no wide vectors")
    return f"{name.group(1) if name else 'unknown processor'} ({widest}), {cores()} cores"


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def compiler(build):
    path = build / "CMakeCache.txt"
    found = re.search(r"CMAKE_C_COMPILER:\w+=(.*)", path.read_text()) if path.exists() else None
    return first_line([found.group(1), "--version"]) if found else "unknown"


def opencl(build):
    """The device that is the default, as the sample `devices` describes it."""
    try:
        lines = subprocess.run([build / "samples/devices"], capture_output=True, text=True, check=True).stdout.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("* "))
        return re.sub(r"^\* [0-9:]+ +", "", lines[at]) + ", " + lines[at + 1].strip()
    except (OSError, subprocess.CalledProcessError, StopIteration, IndexError):
        return "unknown"


def torch_version(python):
    """None when this Python has no PyTorch."""
    found = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def python_with_torch(venv, oldest):
    """The Python of a virtual environment with PyTorch, which is made when it is not there."""
    python = venv / "bin/python"
    if not python.exists():
        print(f"making a virtual environment with the newest PyTorch in {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    if torch_version(python) is None:
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"torch>={oldest}"], check=True)
    version = torch_version(python)
    if version is None or tuple(map(int, version.split(".")[:2])) < tuple(map(int, oldest.split("."))):
        raise SystemExit(f"compare.py: {venv} has PyTorch {version}, expected at least {oldest}; give another --venv")
    return python, version
