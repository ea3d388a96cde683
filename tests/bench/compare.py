#!/usr/bin/env python3
"""Compares clseq with PyTorch on one machine, both in turn within one run. README.md says what is measured and how.

    compare.py [--cell NAME ...] [--line ID ...]      recurrent layers of the benchmark set: a table for each cell
    compare.py --attention                            attention and pooling over time
    compare.py --char-lm [--text FILE]                characters per second of the character model
    compare.py --char-lm-epochs N --text FILE         validation losses of the character model after N epochs

The programs of clseq come from --build DIR (build/ci). PyTorch is installed into --venv DIR (build/torch) when it is
not there. Exits with 1 when a limit is missed.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import machine

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OLDEST_TORCH = "2.15"
ROUNDS, SECONDS_PER_ROUND = 21, 0.1

# The sizes of these lines are in bench_rnn.c, which tells them in its answers.
LINES = ["S0", "S1", "S2", "S3", "S4", "S5", "S6-1", "S6-2", "S6-3", "S7", "o100", "o200", "o681", "T400", "last",
         "bi", "tiny", "long", "wide"]
CELLS = ["lstm", "gru", "rnn_tanh"]


class Side:
    """A program that answers a line with a line and sleeps in between."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"compare.py: {self.process.args[0]} ended with status {self.process.wait()} at '{line}'")
        return answer.strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Rounds:
    """Both sides in turn. A round that other programs of the machine disturbed is done again, while there is time."""

    def __init__(self, sides, options):
        self.sides, self.order = sides, list(sides)
        self.allowed_load, self.seconds = options.allowed_load, options.seconds
        self.idle_share, self.kept_load, self.repeated = 0.0, [], 0

    def turn(self, work):
        """work(side) for each side, each while the other sleeps; every second time in the other order."""
        results, pids = {}, [side.process.pid for side in self.sides]
        load = machine.Load(pids)
        self.order.reverse()
        for side in self.order:
            machine.wait_until_idle(pids)
            waiting = [pid for pid in pids if pid != side.process.pid]
            begin, before = time.monotonic(), machine.cpu_seconds(waiting)
            results[side] = work(side)
            used = machine.cpu_seconds(waiting) - before
            self.idle_share = max(self.idle_share, used / max(time.monotonic() - begin, 0.01))
        return [results[side] for side in self.sides], load.of_others()

    def run(self, work, rounds=ROUNDS):
        """The results of at least `rounds` turns; of the least disturbed ones when time runs out."""
        begin, turns = time.monotonic(), []
        while True:
            turns.append(self.turn(work))
            quiet = [turn for turn in turns if turn[1] <= self.allowed_load]
            late = time.monotonic() - begin > self.seconds
            if len(quiet) >= rounds or (late and len(turns) >= rounds):
                break
        kept = sorted(turns, key=lambda turn: turn[1])[:rounds] if len(quiet) < rounds else quiet
        self.kept_load += [load for _, load in kept]
        self.repeated += len(turns) - len(kept)
        return [results for results, _ in kept]

    def report(self):
        above = sum(load > self.allowed_load for load in self.kept_load)
        return (f"{len(self.kept_load)} rounds kept, {self.repeated} left out. Other programs used "
                f"{100 * statistics.mean(self.kept_load):.1f} % of the cores in the kept ones, {above} of which are "
                f"DISTURBED (more than {100 * self.allowed_load:.0f} %). The waiting side used at most "
                f"{100 * self.idle_share:.1f} % of a core")


# ---- recurrent layers ----


class Ours:
    """bench_rnn --serve."""

    def __init__(self, options, environment):
        self.side = Side([options.build / "tests/bench_rnn", "--serve"], environment)

    def start(self, line, cell):
        """What is to be computed: its shape (layers, I, H, B, T, directions, last) and the floating-point operations of a forward pass."""
        self.request = f"{line} {cell}"
        answer = self.side.ask(self.request)
        if answer.startswith("error"):
            raise SystemExit(f"compare.py: bench_rnn answers '{answer}' to '{self.request}'")
        _, _, *shape, forward, _, forward_rate, _, _, launches, held = answer.split(",")
        return {"line": line, "cell": cell, "shape": list(map(int, shape)), "launches": int(launches), "bytes": int(held),
                "gflop": 1e-3 * float(forward) * float(forward_rate)}

    def measure(self, runs):
        """Milliseconds of forward and of forward with backward."""
        return tuple(map(float, self.side.ask(f"{self.request} {runs}").split(",")[9:11]))

    def sgemm(self):
        """GFLOP/s, both operands packed before."""
        return float(self.side.ask("sgemm"))


class Theirs:
    """torch_side.py rnn, with oneDNN or without: whichever is faster for a line."""

    def __init__(self, options, environment):
        self.side = Side([options.python, HERE / "torch_side.py", "rnn", options.threads], environment)

    def start(self, cell, shape):
        """oneDNN has an LSTM of its own; PyTorch computes the other cells by products of matrices either way."""
        trials = {}
        for onednn in [0, 1] * 4:
            self.request = " ".join(map(str, [cell, *shape, onednn]))
            trials.setdefault(self.request, []).append(self.measure(1)[1])
        self.request = min(trials, key=lambda request: min(trials[request]))

    def measure(self, runs):
        times = json.loads(self.side.ask(f"{self.request} {runs}"))
        return statistics.median(times["forward"]), statistics.median(times["total"])

    def sgemm(self):
        return json.loads(self.side.ask("sgemm"))


def rate(result, what, who):
    """GFLOP/s; forward and backward are three times the work of forward."""
    return 1e3 * result["gflop"] * {"forward": 1, "total": 3}[what] / result[what][who + "_ms"]


def measure_line(ours, theirs, rounds, line, cell):
    """Medians over the rounds: forward, forward with backward, and the best matrix product of the same rounds."""
    result = ours.start(line, cell)
    theirs.start(cell, result["shape"])
    runs = math.ceil(SECONDS_PER_ROUND / (1e-3 * max(sum(side.measure(2)) for side in (ours, theirs))))
    of_side = {ours.side: ours, theirs.side: theirs}
    turns = rounds.run(lambda side: (*of_side[side].measure(runs), of_side[side].sgemm()))
    result.update(rounds=len(turns), runs_per_round=runs, pytorch=theirs.request,
                  sgemm=[statistics.median(turn[side][2] for turn in turns) for side in (0, 1)])
    for number, what in enumerate(("forward", "total")):
        times = [[turn[side][number] for turn in turns] for side in (0, 1)]
        medians = list(map(statistics.median, times))
        result[what] = {"ours_ms": medians[0], "torch_ms": medians[1], "ratio": medians[1] / medians[0], "all_ms": times}
    result["share"] = rate(result, "total", "ours") / max(result["sgemm"])
    return result


def print_table(cell, results):
    print(f"\n### {cell}\n")
    print("| line | layers x (I, H), B, T | forward, ms: clseq / PyTorch | GFLOP/s | ratio "
          "| with backward, ms: clseq / PyTorch | GFLOP/s | ratio | of SGEMM | launches | MB held |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for result in results:
        layers, I, H, B, T, directions, _ = result["shape"]
        cells = [result["line"], f"{layers} x ({I}, {H}){', two directions' if directions == 2 else ''}, {B}, {T}"]
        for what in ("forward", "total"):
            cells.append(f"{result[what]['ours_ms']:.2f} / {result[what]['torch_ms']:.2f}")
            cells.append(f"{rate(result, what, 'ours'):.0f} / {rate(result, what, 'torch'):.0f}")
            cells.append(f"{result[what]['ratio']:.2f}")
        cells += [f"{100 * result['share']:.0f} %", result["launches"],
                  f"{result['bytes'] / 1e6:.1f}"]
        print("| " + " | ".join(map(str, cells)) + " |")


def limit(fulfilled, sentence):
    print(f"- {'met' if fulfilled else 'MISSED'}: {sentence}")
    return fulfilled


def check_limits(cell, results):
    """Prints the geometric means; for LSTM whether the limits are met, which is what is returned."""
    # PyTorch's denormal numbers (`last`) would say more in a mean than all other lines.
    single = [r for r in results if r["shape"][0] == 1 and r["shape"][3] >= 20 and r["line"] != "last"]
    if not single:
        return True
    means = {what: statistics.geometric_mean(r[what]["ratio"] for r in single) for what in ("forward", "total")}
    print(f"\nOne layer, B >= 20, without last: geometric mean of the ratios {means['forward']:.2f} forward, "
          f"{means['total']:.2f} with backward.\n")
    if cell != "lstm":
        return True
    slow = [r["line"] for r in single if not r["total"]["ratio"] > 1]
    wide = {r["line"]: r["share"] for r in single if r["shape"][2] >= 256}
    met = limit(not slow, f"forward and backward faster than PyTorch on each such line{' but ' if slow else ''}{' '.join(slow)}")
    met &= limit(means["total"] >= 1.25, f"geometric mean {means['total']:.2f}, at least 1.25")
    if wide:
        least = min(wide, key=wide.get)
        met &= limit(wide[least] >= 0.8, f"H >= 256: at least 80 % of the best SGEMM, least {100 * wide[least]:.0f} % ({least})")
    return met


def compare_rnn(options, environment):
    ours, theirs = Ours(options, environment), Theirs(options, environment)
    rounds = Rounds([ours.side, theirs.side], options)
    tables, met = {cell: [] for cell in options.cell}, True
    for cell, results in tables.items():
        for line in options.line:
            print(f"{cell} {line}", file=sys.stderr)
            results.append(measure_line(ours, theirs, rounds, line, cell))
        print_table(cell, results)
        met &= check_limits(cell, results)
        sys.stdout.flush()
    lines = [result for results in tables.values() for result in results]
    sgemm = [max(result["sgemm"][side] for result in lines) for side in (0, 1)]
    print(f"\nBest SGEMM: clseq {sgemm[0]:.0f}, PyTorch {sgemm[1]:.0f} GFLOP/s. {rounds.report()}.")
    ours.side.close()
    theirs.side.close()
    return met, {"lines": lines, "rounds": rounds.report()}


# ---- attention ----

# The lines of bench_attention with the ways in which PyTorch may compute them, and how many times as fast we are to be.
ATTENTION = {"additive": (["one_by_one", "at_once"], 3), "decoder": (["one_by_one"], 3), "pool": (["whole"], 2),
             "causal": (["sums", "triangle_of_weights"], 2)}


def compare_attention(options, environment):
    """Forward, and forward and backward with all gradients; PyTorch in whichever of its ways is faster."""
    ours = Side([options.build / "tests/bench_attention", "--serve"], environment)
    theirs = Side([options.python, HERE / "torch_side.py", "attention", options.threads], environment)
    rounds, lines = Rounds([ours, theirs], options), []
    for line, (forms, least) in ATTENTION.items():
        print(line, file=sys.stderr)
        asked = lambda form: min(json.loads(theirs.ask(f"{line} {form} 2"))[1])
        form = min(forms, key=asked)

        def work(side):
            if side is ours:
                return tuple(map(float, side.ask(f"{line} 1").split()))
            return tuple(map(statistics.median, json.loads(side.ask(f"{line} {form} 1"))))

        rounds.turn(work)
        times = list(zip(*rounds.run(work)))
        medians = [[statistics.median(turn[what] for turn in of_side) for of_side in times] for what in (0, 1)]
        lines.append({"line": line, "form": form, "least": least, "forward_ms": medians[0], "total_ms": medians[1]})
    print("\n| line | PyTorch's way | forward, ms: clseq / PyTorch | ratio | with backward, ms: clseq / PyTorch | ratio |")
    print("|---|---|---|---|---|---|")
    for r in lines:
        cells = [f"{r[what][0]:.2f} / {r[what][1]:.2f} | {r[what][1] / r[what][0]:.2f}" for what in ("forward_ms", "total_ms")]
        print(f"| {r['line']} | {r['form']} | {' | '.join(cells)} |")
    print()
    met = True
    for r in lines:
        ratio = r["total_ms"][1] / r["total_ms"][0]
        met &= limit(ratio >= r["least"], f"{r['line']}: {ratio:.2f} times PyTorch's, at least {r['least']}")
    print(f"\n{rounds.report()}.")
    ours.close()
    theirs.close()
    return met, {"lines": lines, "rounds": rounds.report()}


# ---- the character model ----


def compare_char_lm(options, environment):
    """Characters per second while training, both with the loss read once a round."""
    text = ["--text", options.text] if options.text else []
    ours = Side([options.build / "tests/bench_char_lm", *text, "--serve"], environment)
    theirs = Side([options.python, HERE / "torch_side.py", "char-lm", options.threads, options.text or "-"], environment)
    rounds = Rounds([ours, theirs], options)

    def work(side):
        answer = json.loads(side.ask(str(options.steps)))
        return answer if side is ours else answer["rate"]

    rounds.turn(work)
    rates = list(zip(*rounds.run(work)))
    medians = [statistics.median(of_side) for of_side in rates]
    print("\n| characters per second | clseq | PyTorch | ratio |\n|---|---|---|---|")
    print(f"| embedding 128, LSTM 2 x 128, T = B = 50, training | {medians[0]:.0f} | {medians[1]:.0f} "
          f"| {medians[0] / medians[1]:.2f} |\n")
    met = limit(medians[0] >= 1.5 * medians[1], f"{medians[0] / medians[1]:.2f} times PyTorch's, at least 1.5")
    print(f"\n{rounds.report()}.")
    ours.close()
    theirs.close()
    return met, {"rates": rates, "ratio": medians[0] / medians[1], "rounds": rounds.report()}


def torch_losses(options, environment):
    command = [options.python, HERE / "torch_side.py", "epochs", options.threads, options.text, options.char_lm_epochs]
    losses = []
    with subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(f"PyTorch: {line}", end="", file=sys.stderr)
            losses.append(json.loads(line)["validation"])
    return losses


def sample_losses(options, environment):
    """From the metrics that samples/char_lm writes: the lines with a validation loss are the ends of epochs."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = pathlib.Path(folder) / "metrics.csv"
        command = [options.build / "samples/char_lm", "--text", options.text, "--hidden", 128,
                   "--layers", 2, "--lr", 0.002, "--epochs", options.char_lm_epochs,
                   "--generate", 0, "--checkpoint", pathlib.Path(folder) / "model.safetensors", "--metrics", metrics]
        subprocess.run(list(map(str, command)), env=environment, check=True, stdout=subprocess.DEVNULL)
        rows = [line.split(",") for line in metrics.read_text().splitlines()]
    column = rows[0].index("validation_loss")
    return [float(row[column]) for row in rows[1:] if row[column]]


def compare_losses(options, environment):
    theirs, ours = torch_losses(options, environment), sample_losses(options, environment)
    print("\n| validation loss after epoch | clseq | PyTorch | difference |\n|---|---|---|---|")
    for epoch, (a, b) in enumerate(zip(ours, theirs), 1):
        print(f"| {epoch} | {a:.4f} | {b:.4f} | {a - b:+.4f} |")
    print()
    same = len(ours) == len(theirs) == options.char_lm_epochs
    met = limit(same and abs(ours[-1] - theirs[-1]) <= 0.02,
                f"after {options.char_lm_epochs} epochs {ours[-1] - theirs[-1]:+.4f} from PyTorch's, at most 0.02 either way")
    return met, {"clseq": ours, "torch": theirs}


# ---- the program ----


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", nargs="+", action="extend", choices=CELLS)
    parser.add_argument("--line", nargs="+", action="extend", choices=LINES, metavar="ID")
    parser.add_argument("--attention", action="store_true")
    parser.add_argument("--char-lm", action="store_true")
    parser.add_argument("--steps", type=int, default=25, help="training steps of a round of --char-lm (25)")
    parser.add_argument("--char-lm-epochs", type=int, metavar="N")
    parser.add_argument("--text", metavar="FILE")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/ci", metavar="DIR")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "build/torch", metavar="DIR")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="of both sides (physical cores)")
    parser.add_argument("--allowed-load", type=float, default=0.05, metavar="PART",
                        help="of the cores, used by other programs, up to which a round counts (0.05)")
    parser.add_argument("--seconds", type=float, default=90.0, metavar="S",
                        help="after which a line takes its least disturbed rounds, however disturbed (90)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all numbers here")
    options = parser.parse_args()
    if options.char_lm_epochs is not None and (options.char_lm_epochs < 1 or not options.text):
        parser.error("--char-lm-epochs needs a number of epochs and --text FILE")
    options.cell = list(dict.fromkeys(options.cell or CELLS))
    options.line = list(dict.fromkeys(options.line or LINES))
    return options


def environment_of(options):
    """The same number of threads for all: OpenMP and MKL of PyTorch, PoCL before and since version 4. PoCL's threads
    stay on cores of their own; PyTorch's do not, which makes it slower."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT")
    return {"POCL_AFFINITY": "1", **os.environ, **{name: str(options.threads) for name in names}}


def print_header(options, version):
    header = {"processor": machine.processor(), "threads": options.threads, "OpenCL device": machine.opencl(options.build),
              "compiler": machine.compiler(options.build), "PyTorch": version}
    print("; ".join(f"{key}: {value}" for key, value in header.items()))
    return header


def main():
    options = parse()
    options.python, version = machine.python_with_torch(options.venv.absolute(), OLDEST_TORCH)
    compare = (compare_losses if options.char_lm_epochs else compare_char_lm if options.char_lm
               else compare_attention if options.attention else compare_rnn)
    header = print_header(options, version)
    met, numbers = compare(options, environment_of(options))
    if options.json:
        options.json.write_text(json.dumps({"machine": header, **numbers}, indent=1) + "\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
