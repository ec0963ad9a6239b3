# SPDX-License-Identifier: Apache-2.0
"""What bench/mount, bench/decode and bench/slowdisk share: programs, mounts that always go away, control groups, medians, tables, pictures."""
import argparse
import contextlib
import ctypes
import datetime
import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "python"))

from hyc import Failure  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
UNITS = {"K": 1 << 10, "M": MIB, "G": GIB}


def byte_count(text):
    """A size on the command line: 256M, 4G."""
    digits, unit = (text[:-1], UNITS[text[-1].upper()]) if text and text[-1].upper() in UNITS else (text, 1)
    if not digits.isdecimal() or not 0 < int(digits) * unit < 1 << 50:
        raise argparse.ArgumentTypeError(f"'{text}' is no size, like 256M or 4G")
    return int(digits) * unit


def parser(name, description):
    made = argparse.ArgumentParser(prog=name, allow_abbrev=False, description=description)
    add = made.add_argument
    add("--quick", action="store_true", help="small sizes, one round: two or three minutes, and figures that only show that it works")
    add("--build", metavar="DIR", default=os.path.join(TOP, "build"), help="where hyc and hycfs were built [build]")
    add("--out", metavar="DIR", default=f"bench-{name}", help=f"where the results go [bench-{name}]")
    add("--work", metavar="DIR", help="where data, archives and mounts are made, on a real file system [TMPDIR or /tmp]")
    add("--rounds", metavar="N", type=int, help="how often everything is measured [5, quick 1]")
    add("--install", action="store_true", help="install missing Debian packages (root)")
    add("--markdown", metavar="JSON", help="only print the table of results that were written before")
    return made


def call(*command, **options):
    """What a program prints; its last line on stderr as a Failure if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise Failure(f"{shlex.join(command)}: {last}")
    return done.stdout


def need(packages, install):
    """packages: {program: Debian package}. Says which are missing, or installs them if that was asked for."""
    missing = sorted({package for program, package in packages.items() if not shutil.which(program)})
    if missing and install:
        if os.geteuid() != 0:
            raise Failure(f"--install needs root; let root do: apt-get install {' '.join(missing)}")
        call("apt-get", "install", "-y", "--no-install-recommends", *missing)
    elif missing:
        raise Failure(f"needs the Debian package{'s' if len(missing) > 1 else ''} {' '.join(missing)} (--install installs them)")


def need_root(why):
    if os.geteuid() != 0:
        raise Failure(f"needs root: {why}")


class Tools:
    """The programs under test, built if they are not."""

    def __init__(self, build):
        if not os.path.exists(os.path.join(build, "Makefile")):
            raise Failure(f"{build}: nothing was built there; run ./check.sh --quick, or name the directory with --build")
        environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS")}
        call("make", "-s", "-C", build, "bench-programs", env=environment)
        self.hyc, self.hycfs, self.checkcodec = (os.path.join(build, name) for name in ("hyc", "hycfs", "checkcodec"))
        self.reader, self.bare, self.decode_peers = (os.path.join(build, "bench", name) for name in ("reader", "bare-fuse", "decode-peers"))

    def read(self, path, **options):
        """Runs bench/reader: single-letter options as it has them, True for a flag."""
        group = options.pop("group", None)
        flags = [part for key, value in options.items() if value not in (None, False)
                 for part in ([f"-{key}"] if value is True else [f"-{key}", str(value)])]
        return json.loads(call(self.reader, *flags, path, preexec_fn=group.join if group else None))

    def hash(self, path):
        """The XXH3-128 of a file, by the reader, whose complaint about a wrong one names the right one."""
        done = subprocess.run([self.reader, "-k", "-H", "?", path], capture_output=True, text=True, check=False)
        if " is " not in done.stderr:
            raise Failure(done.stderr.strip() or f"{path}: cannot be hashed")
        return done.stderr.split(" is ")[1][:32]

    def pack(self, out, options, *sources):
        began = time.monotonic()
        call(self.hyc, "pack", "--progress=never", *options, "-o", out, *sources)
        return time.monotonic() - began


def load(how, path, group=None):
    """bench/load.py in a process of its own."""
    command = [sys.executable, os.path.join(TOP, "bench/load.py"), how, *([path] if isinstance(path, str) else path)]
    text = call(*command, preexec_fn=group.join if group else None)
    return json.loads(text.splitlines()[-1]) if text.strip() else None


def files_in(path):
    """A file itself, or all files of a directory."""
    return [os.path.join(root, name) for root, _, names in os.walk(path) for name in names] if os.path.isdir(path) else [path]


def size_of(path):
    return sum(map(os.path.getsize, files_in(path)))


def drop(*paths):
    """Drops the pages of files, those in directories too, after writing what is dirty."""
    for path in paths:
        for name in files_in(path):
            fd = os.open(name, os.O_RDONLY)
            try:
                with contextlib.suppress(OSError):
                    os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


def warm(*paths):
    """Brings files into the page cache."""
    for path in paths:
        for name in files_in(path):
            with open(name, "rb", buffering=0) as file:
                buffer = bytearray(4 * MIB)
                while file.readinto(buffer):
                    pass


def unmount(mountpoint):
    for command in (["umount", mountpoint], ["umount", "-l", mountpoint]) if os.geteuid() == 0 else (
            ["fusermount3", "-u", mountpoint], ["fusermount3", "-uz", mountpoint]):
        for _ in range(20):
            if subprocess.run(command, capture_output=True, check=False).returncode == 0 or not os.path.ismount(mountpoint):
                return
            time.sleep(0.05)


def end_with_parent():
    """In a child: SIGTERM when this process is gone, however it went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Daemon(contextlib.AbstractContextManager):
    """A FUSE server in the foreground, from its mount on to its end. Its peak memory is known until then."""

    def __init__(self, command, mountpoint, group=None, environment=None):
        os.makedirs(mountpoint, exist_ok=True)
        self.mountpoint, self.log = mountpoint, tempfile.TemporaryFile()

        def prepare():
            end_with_parent()
            if group:
                group.join()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=prepare,
                                        start_new_session=True, env={**os.environ, **(environment or {})})
        limit = time.monotonic() + 120
        while not os.path.ismount(mountpoint):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.close()
                self.log.seek(0)
                said = self.log.read().decode(errors="replace").strip().splitlines()
                raise Failure(f"{shlex.join(command)}: {said[-1] if said else 'did not mount'}")
            time.sleep(0.005)

    def peak(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            figures = dict(line.split(":", 1) for line in file)
        return {key: int(figures[name].split()[0]) << 10 for key, name in (
            ("peak_rss", "VmHWM"), ("rss", "VmRSS"), ("rss_anon", "RssAnon"), ("rss_file", "RssFile")) if name in figures}

    def stats(self):
        try:
            with open(os.path.join(self.mountpoint, ".hycfs/stats.json"), encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return None

    def close(self):
        if os.path.ismount(self.mountpoint):
            unmount(self.mountpoint)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __exit__(self, *_):
        self.close()


class Group:
    """A control group of our own, of whichever version the machine has for this controller; None of it stays."""

    def __init__(self, controller):
        self.version, self.folder = None, None
        name = f"hyc-bench-{os.getpid()}-{controller}"
        with open("/proc/self/mounts", encoding="utf-8") as file:
            mounts = [line.split()[1:4] for line in file]
        for where, kind, options in mounts:
            if kind == "cgroup" and controller in options.split(","):
                self.version, parent = 1, where
                break
        else:
            v2 = {"blkio": "io"}.get(controller, controller)
            for where, kind, _ in mounts:
                with contextlib.suppress(OSError):
                    if kind == "cgroup2" and v2 in open(os.path.join(where, "cgroup.controllers"), encoding="ascii").read().split():
                        self.version, parent = 2, where
                        self.write_to(os.path.join(where, "cgroup.subtree_control"), f"+{v2}")
                        break
            else:
                raise Failure(f"no control group here has the controller {controller}")
        self.folder = os.path.join(parent, name)
        try:
            os.mkdir(self.folder)
        except OSError as error:
            raise Failure(f"{self.folder}: {error.strerror}") from None

    @staticmethod
    def write_to(path, text):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    def write(self, name, value):
        try:
            self.write_to(os.path.join(self.folder, name), str(value))
        except OSError as error:
            raise Failure(f"{self.folder}/{name}: {error.strerror}") from None

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="ascii") as file:
                return file.read()
        except OSError:
            return ""

    def join(self):
        """In a child, before it runs its program."""
        self.write("cgroup.procs", os.getpid())

    def close(self):
        for _ in range(100):
            try:
                os.rmdir(self.folder)
                return
            except OSError:
                time.sleep(0.05)
        print(f"{self.folder}: cannot be removed", file=sys.stderr)

    def limit_memory(self, size):
        if self.version == 1:
            self.write("memory.limit_in_bytes", size)
        else:
            self.write("memory.max", size)
            with contextlib.suppress(Failure):
                self.write("memory.swap.max", 0)

    def memory(self):
        """(most bytes there were, how often something was killed for them)"""
        peak = self.read("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")
        events = dict(line.split() for line in self.read("memory.oom_control" if self.version == 1 else "memory.events").splitlines())
        return int(peak) if peak else None, int(events.get("oom_kill", 0))

    def limit_reads(self, device, rate):
        """Bytes a second from a block device; None for as many as it gives."""
        if self.version == 1:
            self.write("blkio.throttle.read_bps_device", f"{device} {rate or 0}")
        else:
            self.write("io.max", f"{device} rbps={rate or 'max'}")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        lines = [line.split(":", 1) for line in file if ":" in line]
    about = {key.strip(): value.strip() for key, value in lines}
    flags = about.get("flags", "").split()
    uname = os.uname()
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) << 10
    return {"cpu": about.get("model name", uname.machine), "cores": len(os.sched_getaffinity(0)), "memory_bytes": memory,
            "kernel": uname.release, "flags": [flag for flag in ("avx2", "avx512f", "avx512bw", "avx512_vbmi2") if flag in flags],
            "load_average": round(os.getloadavg()[0], 2)}


def summary(values):
    """Median and spread."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def figure(values, digits=2):
    if not values:
        return "-"
    s = summary(values)
    text = f"{s['median']:.{digits}f}"
    return text if s["n"] == 1 else f"{text} ({s['min']:.{digits}f}..{s['max']:.{digits}f})"


def table(head, rows):
    """Markdown; the first column is text, the others are figures."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def goal(name, value, target, what, at_most=False, digits=2, unit=""):
    """One of the ratios that were promised, with its goal beside it."""
    met = None if None in (value, target) else (value <= target if at_most else value >= target)
    return {"name": name, "value": value, "goal": target, "at_most": at_most, "what": what, "met": met, "digits": digits, "unit": unit}


def goal_table(goals):
    rows = []
    for g in goals:
        value = "not measured" if g["value"] is None else f"{g['value']:.{g['digits']}f}{g['unit']}"
        target = "-" if g["goal"] is None else f"{'<=' if g['at_most'] else '>='} {g['goal']:g}{g['unit']}"
        rows.append((g["name"], value, target, {None: "-", True: "yes", False: "**no**"}[g["met"]], g["what"]))
    return table(["what was promised", "figure", "goal", "met", "how it is formed"], rows)


def ratio(top, bottom):
    """Of two lists that were measured in turns: the ratio of their medians; None if one is missing."""
    return statistics.median(top) / statistics.median(bottom) if top and bottom else None


def preamble(results):
    m = results["machine"]
    text = (f"`{results['command']}`, {results['date']}, {results['version']}: {m['cores']} cores of {m['cpu']}, {m['memory_bytes'] / GIB:.0f} GiB, "
            f"Linux {m['kernel']}, load average {m['load_average']} at the start, {results['seconds']:.0f} s. {results['rounds']} round"
            f"{'s, in turns; medians (lowest..highest)' if results['rounds'] > 1 else ''}.")
    if results["quick"]:
        text += " **A quick run: small sizes, figures only show that it works.**"
    return text + "".join(f"\n- {note}" for note in results.get("notes", []))


def bars(path, panels, title):
    """A panel for each group of bars: (title, unit, [(label, values, colour number)]); a whisker from the lowest value to the highest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from hyc.plot import COLOURS
    panels = [panel for panel in panels if panel[2]]
    columns = min(2, len(panels))
    rows = (len(panels) + columns - 1) // columns
    most = max(len(panel[2]) for panel in panels)
    made = Figure(figsize=(7.5 * columns, (1.3 + 0.27 * most) * rows + 0.6), dpi=120)
    FigureCanvasAgg(made)
    for number, (name, unit, entries) in enumerate(panels):
        axes = made.add_subplot(rows, columns, number + 1)
        centre = [statistics.median(values) for _, values, _ in entries]
        below = [c - min(values) for c, (_, values, _) in zip(centre, entries)]
        above = [max(values) - c for c, (_, values, _) in zip(centre, entries)]
        places = range(len(entries))
        axes.barh(places, centre, xerr=[below, above], color=[COLOURS[colour % len(COLOURS)] for _, _, colour in entries], height=0.72,
                  error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "0.25"}, zorder=3)
        top = max(c + a for c, a in zip(centre, above)) or 1
        for place, c, a in zip(places, centre, above):
            axes.text(c + a + 0.012 * top, place, f"{c:.3g}", va="center", fontsize=8, color="0.2")
        axes.set_yticks(list(places), [label for label, _, _ in entries], fontsize=8.5)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.13 * top)
        axes.set_title(name, fontsize=10.5, loc="left")
        axes.set_xlabel(unit, fontsize=9)
        axes.grid(True, axis="x", color="0.88", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    made.suptitle(title, fontsize=12, y=1 - 0.1 / made.get_figheight(), va="top").set_in_layout(False)
    made.tight_layout(rect=(0, 0, 1, 1 - 0.35 / made.get_figheight()))
    made.savefig(path, metadata={"Software": None})


def write(out, name, results, markdown, panels, title):
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, f"{name}.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, allow_nan=False)
        file.write("\n")
    with open(os.path.join(out, f"{name}.md"), "w", encoding="utf-8") as file:
        file.write(markdown)
    bars(os.path.join(out, f"{name}.png"), panels, title)
    print(markdown)
    print(f"{out}: {name}.json, {name}.md and {name}.png are written")


def begin(args):
    """What every results file starts with. (Where somebody keeps files is nobody's business.)"""
    places = {args.out, args.work, args.build, "--out", "--work", "--build"}
    options = [word for word in sys.argv[1:] if word not in places and word.partition("=")[0] not in places]
    return {"command": shlex.join([f"bench/{os.path.basename(sys.argv[0])}", *options]),
            "date": datetime.date.today().isoformat(), "machine": machine(), "quick": args.quick, "rounds": args.rounds, "notes": []}


def progress(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def workspace(args, name):
    """A scratch directory, and a stack of things to undo before it goes."""
    folder = tempfile.mkdtemp(prefix=f"hyc-bench-{name}-", dir=args.work)
    try:
        with contextlib.ExitStack() as stack:
            yield folder, stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def on_signal(number, _):
    """Once only, so that a second Ctrl-C does not cut the tidying up short."""
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main(name, args, run, markdown):
    """Runs a benchmark and turns what goes wrong into one sentence."""
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(each, on_signal)
    try:
        if args.markdown:
            with open(args.markdown, encoding="utf-8") as file:
                print(markdown(json.load(file)))
            return 0
        if args.rounds is None:
            args.rounds = 1 if args.quick else 5
        if args.rounds < 1:
            raise Failure("--rounds must be at least 1")
        import matplotlib  # noqa: F401, to know now
        run(args)
        return 0
    except Failure as failure:
        message = str(failure)
    except ImportError as error:
        message = f"Python has no {error.name}; install torch, tests/requirements.txt and bench/requirements.txt, or run it with .venv/bin/python"
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    print(f"{name}: {message}", file=sys.stderr)
    return 1
