# SPDX-License-Identifier: Apache-2.0
"""Run hyc and hycfs on the archives of make_bad.py and check what they answer: python3 check_bad.py HYC HYCFS DIR

Each has to end in time and in little memory, without a crash, with the right status and one clear sentence on stderr.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import threading

SECONDS = 60 if os.environ.get("HYC_SANITIZED") else 10
MAX_RSS = None if os.environ.get("HYC_SANITIZED") else 200 << 20

# What each program answers in each stage: 0 done, 1 refused. A deep verification finds everything, a plain one what hashes of blocks tell.
COMMANDS = {
    #                   open block decode digest good
    "info":            (1, 0, 0, 0, 0),
    "ls --tensors":    (1, 0, 0, 0, 0),
    "verify":          (1, 1, 0, 0, 0),
    "verify --deep":   (1, 1, 1, 1, 0),
    "unpack -C OUT":   (1, 1, 1, 0, 0)}
STAGES = ("open", "block", "decode", "digest", "good")


def run(arguments):
    """Returns (exit status, stderr, peak resident bytes); a process that was killed has a negative status."""
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        # A hycfs that mounts what it should refuse is to leave no mount behind.
        killers = threading.Timer(SECONDS, process.terminate), threading.Timer(SECONDS + 10, process.kill)
        for killer in killers:
            killer.start()
        err = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        for killer in killers:
            killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, err, usage.ru_maxrss * 1024


def judge(command, archive, want, says, once):
    """Returns what is wrong with how the command takes the archive, and how much memory it took."""
    status, err, rss = run(command)
    lines = err.splitlines()
    if status != want:
        return f"exit status {status} instead of {want}: {err.strip()[:300]}", rss
    if MAX_RSS and rss > MAX_RSS:
        return f"{rss >> 20} MiB of memory", rss
    if want == 0 and lines:
        return f"done, but says: {lines[0]}", rss
    if want == 1:
        if not lines or not err.endswith("\n") or (once and len(lines) != 1):
            return f"{len(lines)} lines on stderr instead of one: {err[:300]}", rss
        if not all(line.startswith(os.path.basename(command[0]) + ": " + archive + ": ") for line in lines):
            return f"does not begin with program and archive: {err[:300]}", rss
        if not any(says in line.replace(archive, "", 1) for line in lines):
            return f"does not say '{says}': {err.strip()[:300]}", rss
    return None, rss


def check_case(programs, directory, name, stage, says):
    """Returns a list of (complaint or None, memory), one for each command."""
    archive, out = (os.path.join(directory, name + end) for end in (".hyc", ".out"))
    hyc, hycfs = programs
    runs = [([hyc, *(out if w == "OUT" else w for w in words.split()), archive], answers[STAGES.index(stage)])
            for words, answers in COMMANDS.items()]
    if stage == "open":
        os.mkdir(out)
        runs.append(([hycfs, "-f", archive, out], 1))
    results = []
    for command, want in runs:
        complaint, rss = judge(command, archive, want, says, stage == "open")
        results.append((complaint and f"{name} ({stage}): {' '.join(map(os.path.basename, command))}: {complaint}", rss))
    shutil.rmtree(out, ignore_errors=True)
    return results


def main():
    *programs, directory = sys.argv[1:4]
    with open(os.path.join(directory, "cases")) as cases:
        table = [line.rstrip("\n").split("\t") for line in cases]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = [r for case in pool.map(lambda row: check_case(programs, directory, *row), table) for r in case]
    wrong = [complaint for complaint, _ in results if complaint]
    print("\n".join(wrong))
    print(f"{len(table)} archives, {len(results)} runs, at most {max(rss for _, rss in results) >> 20} MiB of memory, {len(wrong)} wrong answers")
    return 1 if wrong or len(table) < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
