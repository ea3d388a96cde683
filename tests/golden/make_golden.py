#!/usr/bin/env python3
"""Writes the golden files of this folder with PyTorch; README.md says when and how to run it.

Inputs are multiples of 1/256, exact in float and in double, from Python's own generator, so that a new run differs
from an old one only where PyTorch's results do. PyTorch computes in double on the CPU.
"""
import os
import random

import onnx
import torch
from onnx.reference import ReferenceEvaluator
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

FOLDER = os.path.dirname(os.path.abspath(__file__))
T, B, I, H, L = 4, 3, 2, 3, 2
LENGTHS = [2, 4, 1]
FORWARD, REVERSE, BIDIRECTIONAL = range(3)  # reference_direction and reference_merge of tests/reference/rnn.h
CONCAT, SUM = range(2)


class Golden:
    """A file of named tensors: a line with name, number of dimensions and dimensions, then a line of values."""

    def __init__(self, name, title):
        self.path = os.path.join(FOLDER, name)
        self.lines = ["# " + title]

    def add(self, name, tensor):
        tensor = tensor.detach()
        self.lines.append(" ".join([name, str(tensor.dim()), *map(str, tensor.shape)]))
        self.lines.append(" ".join("%.9g" % v if float("%.9g" % v) == v else "%.17g" % v for v in tensor.double().flatten().tolist()))

    def numbers(self, name, values):
        self.add(name, torch.tensor(values, dtype=torch.float64))

    def write(self):
        with open(self.path, "w", encoding="ascii", newline="\n") as file:
            file.write("\n".join(self.lines) + "\n")


def uniform(rng, *shape, limit=1.0):
    """Multiples of 1/256 in [-limit, limit)."""
    count = 1
    for n in shape:
        count *= n
    steps = int(limit * 256)
    return torch.tensor([rng.randrange(-steps, steps) / 256 for _ in range(count)], dtype=torch.float64).reshape(shape)


def philox(seed, stream, index):
    """Number `index` of a stream, uniform in [0,1): Philox4x32-10 (Salmon et al. 2011) as include/clseq/rnn.h counts them."""
    low = 0xFFFFFFFF
    c = [index // 4 & low, index // 4 >> 32, stream & low, stream >> 32]
    k = [seed & low, seed >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & low, p >> 32 ^ c[3] ^ k[1], p & low]
        k = [k[0] + 0x9E3779B9 & low, k[1] + 0xBB67AE85 & low]
    return (c[index % 4] >> 8) / 2**24


class Net:
    """What PyTorch computes for one golden file: a module of PyTorch as it is."""

    def __init__(self, module, states, projection=0, bidirectional=False, bias=0):
        self.module, self.states, self.L = module.double(), states, module.num_layers
        self.P, self.bias, self.layer_norm, self.merge, self.residual = projection, bias, False, CONCAT, False
        self.direction = BIDIRECTIONAL if bidirectional else FORWARD
        self.widths = [H] * self.L

    def named_parameters(self):
        return list(self.module.named_parameters())

    def outputs(self):
        return (self.P or self.widths[-1]) * (2 if (self.direction, self.merge) == (BIDIRECTIONAL, CONCAT) else 1)

    def state_shapes(self):
        rows = self.L * (2 if self.direction == BIDIRECTIONAL else 1)
        return [(rows, B, self.P if s == "h" and self.P else H) for s in self.states]

    def run(self, x, initial, lengths):
        """y and the final states."""
        source = x if lengths is None else pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, final = self.module(source, tuple(initial) if len(initial) > 1 else initial[0])
        if lengths is not None:
            y, _ = pad_packed_sequence(y, total_length=T)
        return y, list(final) if len(initial) > 1 else [final]


class Stack(Net):
    """Layers of one direction each, of PyTorch or by hand: row by row, reverse ones over the flipped row."""

    SEED, STREAM = 5_000_000_000, 70_000_000_000  # of what is drawn; both words of each count

    def __init__(self, make, states, widths, projection=0, direction=0, merge=0, layer_norm=False, residual=False, cell_clip=0,
                 zoneout=(), recurrent_dropout=0):
        self.cell_clip, self.zoneout, self.recurrent_dropout = cell_clip, zoneout, recurrent_dropout
        self.states, self.L, self.P, self.direction, self.merge = states, len(widths), projection, direction, merge
        self.widths, self.bias, self.layer_norm, self.residual = widths, 0, layer_norm, residual
        self.layers, features = [], I
        for width in widths:
            halves = 2 if direction == BIDIRECTIONAL else 1
            self.layers.append([make(features, width).double() for _ in range(halves)])
            features = (projection or width) * (halves if merge == CONCAT else 1)

    def named_parameters(self):
        return [(name.replace("_l0", "") + f"_l{l}" + ("_reverse" if d else ""), parameter)
                for l, layer in enumerate(self.layers) for d, module in enumerate(layer)
                for name, parameter in module.named_parameters()]

    def state_shapes(self):
        halves = len(self.layers[0])
        rows = lambda s: [self.P if s == "h" and self.P else width for width in self.widths for _ in range(halves)]
        return [(len(rows(s)), B, rows(s)[0]) if len(set(rows(s))) == 1 else (sum(rows(s)) * B,) for s in self.states]

    def kept(self, l, d, b, width):
        """The states that zoneout is of, each with what a row's units keep of it at the layer's own steps: 1 or 0, [T,width]."""
        first = 1 << 59 | d << 58 | l << 32
        number = lambda s, t, u: philox(self.SEED, self.STREAM, 4 * (first + (t * B + b) * width + u) + s)
        masks = lambda s, p: [[float(number(s, t, u) < p) for u in range(width)] for t in range(T)]
        return [(s, torch.tensor(masks(s, p), dtype=torch.float64)) for s, p in enumerate(self.zoneout) if p]

    def mask(self, l, d, b, width):
        """What recurrent dropout multiplies a row's h by."""
        p, first = self.recurrent_dropout, 2 << 59 | d << 58 | l << 32
        number = lambda u: philox(self.SEED, self.STREAM, 4 * (first + b * width + u))
        return torch.tensor([0 if number(u) < p else 1 / (1 - p) for u in range(width)], dtype=torch.float64) if p else 1

    def run(self, x, initial, lengths):
        lengths = lengths or [T] * B
        final = [[] for _ in self.states]  # blocks [B,width]
        place = [0] * len(self.states)
        for l, (layer, width) in enumerate(zip(self.layers, self.widths)):
            halves, below = [], x
            for d, module in enumerate(layer):
                flipped = self.direction == REVERSE or d == 1
                start = []
                for i, s in enumerate(self.states):
                    n = B * (self.P if s == "h" and self.P else width)
                    start.append(initial[i].flatten()[place[i]:place[i] + n].reshape(B, -1))
                    place[i] += n
                rows, ends = [], []
                for b, length in enumerate(lengths):
                    if isinstance(module, ByHand):
                        module.cell_clip, module.kept = self.cell_clip, self.kept(l, d, b, width)
                        module.mask = self.mask(l, d, b, self.P or width)
                    row, end = self.run_row(module, x[:length, b], [v[b] for v in start], flipped)
                    rows.append(torch.cat([row, torch.zeros(T - length, row.shape[1], dtype=row.dtype)]))
                    ends.append(end)
                halves.append(torch.stack(rows, 1))
                for i in range(len(self.states)):
                    final[i].append(torch.stack([end[i] for end in ends]))
            x = halves[0] if len(halves) == 1 else sum(halves) if self.merge == SUM else torch.cat(halves, 2)
            if self.residual and l > 0:
                x = x + below
        return x, [torch.cat([v.flatten() for v in f]).reshape(shape) for f, shape in zip(final, self.state_shapes())]

    def run_row(self, module, x, start, flipped):
        """x [length,features] to y [length,width] and the final states."""
        if len(x) == 0:
            return torch.zeros(0, len(start[0]), dtype=x.dtype), start
        given = [v.reshape(1, 1, -1) for v in start]
        y, end = module((x.flip(0) if flipped else x).unsqueeze(1), tuple(given) if len(given) > 1 else given[0])
        y, end = y.squeeze(1), end if len(given) > 1 else [end]
        return y.flip(0) if flipped else y, [v.flatten() for v in end]


class ByHand(nn.Module):
    """One layer of a cell that PyTorch lacks, written out with autograd; as an nn.LSTM or nn.GRU from outside."""

    def __init__(self, cell, gates, features, width, projection=0, peepholes=False, norm=""):
        super().__init__()
        h, rows = projection or width, gates * width
        self.cell, self.width, self.norm = cell, width, norm
        self.cell_clip, self.kept, self.mask = 0, [], 1
        shapes = {"weight_ih": (rows, features), "weight_hh": (rows, h), "bias_ih": (rows,), "bias_hh": (rows,)}
        if projection:
            shapes["weight_hr"] = (projection, width)
        if peepholes:
            shapes.update({f"weight_c{gate}": (width,) for gate in "ifo"})
        if norm:
            shapes.update({"gain_ih": (rows,), "gain_hh": (rows,)})
        if norm == "lstm":
            shapes.update({"gain_c": (width,), "bias_c": (width,)})
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))

    def products(self, x, h):
        h = h * self.mask
        if self.norm:
            rows = self.weight_ih.shape[0]
            normal = lambda v, gain, bias: nn.functional.layer_norm(v, (rows,), gain, bias, 1e-5)
            return normal(x @ self.weight_ih.T, self.gain_ih, self.bias_ih), normal(h @ self.weight_hh.T, self.gain_hh, self.bias_hh)
        return x @ self.weight_ih.T + self.bias_ih, h @ self.weight_hh.T + self.bias_hh

    def forward(self, x, states):
        single = not isinstance(states, tuple)
        now = [states[0]] if single else [s[0] for s in states]
        y = []
        for t, step in enumerate(x):
            old, now = now, list(self.cell(self, step, *now))
            if hasattr(self, "weight_hr"):
                now[0] = now[0] @ self.weight_hr.T
            for s, kept in self.kept:
                now[s] = kept[t] * old[s] + (1 - kept[t]) * now[s]
            y.append(now[0])
        final = [s.unsqueeze(0) for s in now]
        return torch.stack(y), final[0] if single else tuple(final)


def clipped(p, c):
    return c.clamp(-p.cell_clip, p.cell_clip) if p.cell_clip else c


def lstm_cell(p, x, h, c):
    a, b = p.products(x, h)
    i, f, g, o = (a + b).chunk(4, -1)
    c = clipped(p, torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))
    seen = nn.functional.layer_norm(c, (p.width,), p.gain_c, p.bias_c, 1e-5) if p.norm else c
    return torch.sigmoid(o) * torch.tanh(seen), c


def peephole_cell(p, x, h, c):
    a, b = p.products(x, h)
    i, f, g, o = (a + b).chunk(4, -1)
    old = c
    c = clipped(p, torch.sigmoid(f + p.weight_cf * old) * old + torch.sigmoid(i + p.weight_ci * old) * torch.tanh(g))
    return torch.sigmoid(o + p.weight_co * c) * torch.tanh(c), c


def gru_cell(p, x, h):
    (ar, az, an), (br, bz, bn) = (v.chunk(3, -1) for v in p.products(x, h))
    r, z = torch.sigmoid(ar + br), torch.sigmoid(az + bz)
    n = torch.tanh(an + r * bn)
    return ((1 - z) * n + z * h,)


def reset_before_cell(p, x, h):
    ur, uz, un = p.weight_hh.chunk(3)
    (ar, az, an), (cr, cz, cn) = (x @ p.weight_ih.T + p.bias_ih).chunk(3, -1), p.bias_hh.chunk(3)
    r, z = torch.sigmoid(ar + h * p.mask @ ur.T + cr), torch.sigmoid(az + h * p.mask @ uz.T + cz)
    n = torch.tanh(an + (r * h) @ un.T + cn)
    return ((1 - z) * n + z * h,)


def tanh_cell(p, x, h):
    a, b = p.products(x, h)
    return (torch.tanh(a + b),)


def make_rnn(name, title, net, lengths):
    """A net over whole sequences, and over rows of different lengths."""
    rng = random.Random(name)
    golden = Golden(f"{name}.txt", f"{title}, {net.L} layers: everything in and out, all gradients")
    for parameter_name, parameter in net.named_parameters():
        gain = parameter_name.startswith("gain")
        parameter.data = uniform(rng, *parameter.shape, limit=0.5 if gain else 0.75) + (1 if gain else 0)
        golden.add(parameter_name, parameter)
    x = uniform(rng, T, B, I)
    initial = [uniform(rng, *shape) for shape in net.state_shapes()]
    dy = uniform(rng, T, B, net.outputs())
    dfinal = [uniform(rng, *shape) for shape in net.state_shapes()]
    golden.numbers("lengths", lengths)
    states = net.states
    for key, value in [("x", x), ("dy", dy), *zip([f"{s}0" for s in states], initial), *zip([f"d{s}n" for s in states], dfinal)]:
        golden.add(key, value)
    golden.numbers("net", [T, B, I, net.L, net.P, net.layer_norm, net.direction, net.merge, net.bias, net.residual])
    golden.numbers("widths", net.widths)
    if isinstance(net, Stack) and (net.cell_clip or net.zoneout or net.recurrent_dropout):
        zoneout = [*net.zoneout, 0, 0][:2]
        golden.numbers("options", [net.cell_clip, *zoneout, net.recurrent_dropout, net.SEED, net.STREAM])

    for case, each in [("full", None), ("ragged", lengths)]:
        for _, parameter in net.named_parameters():
            parameter.grad = None
        leaves = [v.clone().requires_grad_() for v in [x, *initial]]
        y, final = net.run(leaves[0], leaves[1:], each)
        loss = (y * dy).sum() + sum((f * d).sum() for f, d in zip(final, dfinal))
        loss.backward()
        golden.add(f"{case}/y", y)
        golden.add(f"{case}/dx", leaves[0].grad)
        for s, f, leaf in zip(states, final, leaves[1:]):
            golden.add(f"{case}/{s}n", f)
            golden.add(f"{case}/d{s}0", leaf.grad)
        for parameter_name, parameter in net.named_parameters():
            golden.add(f"{case}/d{parameter_name}", parameter.grad)
    golden.write()


def check_with_onnx():
    """The two cells that are written by hand here against the operators of ONNX, which has them."""
    for cell, gates, op in [(reset_before_cell, 3, "GRU"), (peephole_cell, 4, "LSTM")]:
        rng, peepholes = random.Random(op), op == "LSTM"
        p = ByHand(cell, gates, I, H, peepholes=peepholes).double()
        for parameter in p.parameters():
            parameter.data = uniform(rng, *parameter.shape, limit=0.75)
        x, h, c = uniform(rng, T, B, I), uniform(rng, 1, B, H), uniform(rng, 1, B, H)
        order = [0, 3, 1, 2] if peepholes else [1, 0, 2]  # ours: i f g o and r z n, theirs: i o f c and z r h
        rows = lambda v: torch.cat([v.chunk(gates)[g] for g in order])
        feeds = {"X": x, "W": rows(p.weight_ih)[None], "R": rows(p.weight_hh)[None],
                 "B": torch.cat([rows(p.bias_ih), rows(p.bias_hh)])[None], "h0": h}
        names = ["X", "W", "R", "B", "", "h0"]
        if peepholes:
            feeds.update({"c0": c, "P": torch.cat([p.weight_ci, p.weight_co, p.weight_cf])[None]})
            names += ["c0", "P"]
        options = {} if peepholes else {"linear_before_reset": 0}
        node = onnx.helper.make_node(op, names, ["Y"], hidden_size=H, **options)
        value = lambda n: onnx.helper.make_tensor_value_info(n, onnx.TensorProto.DOUBLE, None)
        graph = onnx.helper.make_graph([node], op, [value(n) for n in feeds], [value("Y")])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
        theirs = ReferenceEvaluator(model).run(None, {k: v.detach().numpy() for k, v in feeds.items()})[0]
        ours, _ = p(x, (h, c) if peepholes else h)
        difference = (torch.tensor(theirs)[:, 0] - ours).abs().max().item()
        assert difference < 1e-13, f"{op}: ONNX differs by {difference}"


def make_rnns():
    lstm, gru = (lambda i, h: nn.LSTM(i, h)), (lambda i, h: nn.GRU(i, h))
    own, two = "torch.nn.%s", [H, H]
    empty = [2, T, 0]  # pack_padded_sequence takes no empty rows, a Stack does
    for name, title, net, lengths in [
        ("lstm", own % "LSTM", Net(nn.LSTM(I, H, L), "hc"), LENGTHS),
        ("gru", own % "GRU", Net(nn.GRU(I, H, L), "h"), LENGTHS),
        ("rnn_tanh", own % "RNN", Net(nn.RNN(I, H, L, nonlinearity="tanh"), "h"), LENGTHS),
        ("rnn_relu", own % "RNN", Net(nn.RNN(I, H, L, nonlinearity="relu"), "h"), LENGTHS),
        ("lstm_no_bias", own % "LSTM", Net(nn.LSTM(I, H, L, bias=False), "hc", bias=2), LENGTHS),
        ("lstm_bidirectional", own % "LSTM", Net(nn.LSTM(I, H, L, bidirectional=True), "hc", bidirectional=True), LENGTHS),
        ("gru_bidirectional", own % "GRU", Net(nn.GRU(I, H, L, bidirectional=True), "h", bidirectional=True), LENGTHS),
        ("rnn_tanh_bidirectional", own % "RNN", Net(nn.RNN(I, H, L, bidirectional=True), "h", bidirectional=True), LENGTHS),
        ("lstm_projection", own % "LSTM", Net(nn.LSTM(I, H, L, proj_size=2), "hc", 2), LENGTHS),
        ("lstm_projection_bidirectional", own % "LSTM",
         Net(nn.LSTM(I, H, L, proj_size=2, bidirectional=True), "hc", 2, True), LENGTHS),
        ("lstm_reverse", "torch.nn.LSTM over flipped rows", Stack(lstm, "hc", two, direction=REVERSE), empty),
        ("gru_reverse", "torch.nn.GRU over flipped rows", Stack(gru, "h", two, direction=REVERSE), empty),
        ("lstm_sum", "sums of two torch.nn.LSTM", Stack(lstm, "hc", two, direction=BIDIRECTIONAL, merge=SUM), empty),
        ("gru_sum", "sums of two torch.nn.GRU", Stack(gru, "h", two, direction=BIDIRECTIONAL, merge=SUM), empty),
        ("lstm_widths", "torch.nn.LSTM of different widths", Stack(lstm, "hc", [3, 1, 2]), empty),
        ("gru_widths_bidirectional", "torch.nn.GRU of different widths", Stack(gru, "h", [3, 2], direction=BIDIRECTIONAL), empty),
        ("lstm_layer_norm", "LSTM with torch.nn.functional.layer_norm",
         Stack(lambda i, h: ByHand(lstm_cell, 4, i, h, norm="lstm"), "hc", two, layer_norm=True), empty),
        ("gru_layer_norm", "GRU with torch.nn.functional.layer_norm",
         Stack(lambda i, h: ByHand(gru_cell, 3, i, h, norm="gru"), "h", two, layer_norm=True), empty),
        ("lstm_layer_norm_projection_bidirectional", "projected LSTM with torch.nn.functional.layer_norm",
         Stack(lambda i, h: ByHand(lstm_cell, 4, i, h, 2, norm="lstm"), "hc", two, 2, BIDIRECTIONAL, layer_norm=True), empty),
        ("rnn_tanh_projection", "a projected tanh cell by hand", Stack(lambda i, h: ByHand(tanh_cell, 1, i, h, 2), "h", two, 2), empty),
        ("lstm_peephole", "LSTM with peepholes by hand",
         Stack(lambda i, h: ByHand(peephole_cell, 4, i, h, peepholes=True), "hc", two), empty),
        ("lstm_peephole_projection_sum", "projected LSTM with peepholes by hand",
         Stack(lambda i, h: ByHand(peephole_cell, 4, i, h, 2, True), "hc", two, 2, BIDIRECTIONAL, SUM), empty),
        ("gru_reset_before", "GRU with the reset before the product by hand",
         Stack(lambda i, h: ByHand(reset_before_cell, 3, i, h), "h", two), empty),
        ("gru_reset_before_bidirectional", "GRU with the reset before the product by hand",
         Stack(lambda i, h: ByHand(reset_before_cell, 3, i, h), "h", two, direction=BIDIRECTIONAL), empty),
        ("lstm_residual", "torch.nn.LSTM with residual connections", Stack(lstm, "hc", [H, H, H], residual=True), empty),
        ("gru_residual_bidirectional", "torch.nn.GRU with residual connections",
         Stack(gru, "h", two, direction=BIDIRECTIONAL, residual=True), empty),
        ("lstm_zoneout_bidirectional", "LSTM with clipped c and zoneout by hand",
         Stack(lambda i, h: ByHand(lstm_cell, 4, i, h), "hc", two, direction=BIDIRECTIONAL, cell_clip=0.25,
               zoneout=[0.25, 0.375]), empty),
        ("lstm_peephole_zoneout", "projected LSTM with peepholes, clipped c, zoneout of c and recurrent dropout by hand",
         Stack(lambda i, h: ByHand(peephole_cell, 4, i, h, 2, True), "hc", two, 2, cell_clip=0.25, zoneout=[0, 0.375],
               recurrent_dropout=0.375), empty),
        ("gru_zoneout_recurrent_dropout", "GRU with zoneout and recurrent dropout by hand",
         Stack(lambda i, h: ByHand(gru_cell, 3, i, h), "h", two, direction=REVERSE, zoneout=[0.25], recurrent_dropout=0.375), empty),
        ("gru_reset_before_recurrent_dropout", "GRU with the reset before the product and recurrent dropout by hand",
         Stack(lambda i, h: ByHand(reset_before_cell, 3, i, h), "h", two, recurrent_dropout=0.375), empty),
    ]:
        make_rnn(name, title, net, lengths)


def make_cross_entropy():
    rng = random.Random("cross_entropy")
    golden = Golden("cross_entropy.txt", "torch.nn.functional.cross_entropy with an ignored target")
    logits, targets = uniform(rng, 6, 5, limit=4), torch.tensor([0, -100, 4, 2, -100, 2])
    golden.add("logits", logits)
    golden.add("targets", targets)
    for reduction in ["mean", "sum"]:
        for ignore in [-100, 2]:
            used = targets if ignore == -100 else targets.clamp(min=0)
            leaf = logits.clone().requires_grad_()
            loss = nn.functional.cross_entropy(leaf, used, ignore_index=ignore, reduction=reduction)
            loss.backward()
            golden.add(f"{reduction}/{ignore}/targets", used)
            golden.add(f"{reduction}/{ignore}/loss", loss.reshape(1))
            golden.add(f"{reduction}/{ignore}/dlogits", leaf.grad)
    golden.write()


def differentiated(golden, prefix, y, dy, **leaves):
    """An output, and the gradients of sum(dy y)."""
    golden.add(f"{prefix}/y", y)
    for (name, _), gradient in zip(leaves.items(), torch.autograd.grad((y * dy).sum(), list(leaves.values()))):
        golden.add(f"{prefix}/d{name}", gradient)


def make_along():
    """What works along the middle dim."""
    rng = random.Random("along")
    golden = Golden("along.txt", "torch.softmax, log_softmax, cumsum and gather along dim 1")
    x, dy = uniform(rng, 2, 4, 3, limit=4).requires_grad_(), uniform(rng, 2, 4, 3)
    index = torch.tensor([rng.randrange(4) for _ in range(2 * 5 * 3)]).reshape(2, 5, 3)
    dpicked = uniform(rng, 2, 5, 3)
    for name, value in [("x", x), ("dy", dy), ("index", index), ("dpicked", dpicked)]:
        golden.add(name, value)
    differentiated(golden, "softmax", torch.softmax(x, 1), dy, x=x)
    differentiated(golden, "log_softmax", torch.log_softmax(x, 1), dy, x=x)
    differentiated(golden, "cumsum", torch.cumsum(x, 1), dy, x=x)
    differentiated(golden, "cumsum_exclusive", torch.cumsum(x, 1) - x, dy, x=x)
    differentiated(golden, "cumsum_reverse", torch.cumsum(x.flip(1), 1).flip(1), dy, x=x)
    differentiated(golden, "cumsum_exclusive_reverse", torch.cumsum(x.flip(1), 1).flip(1) - x, dy, x=x)
    differentiated(golden, "gather", torch.gather(x, 1, index), dpicked, x=x)
    golden.write()


def make_norms():
    rng = random.Random("norms")
    golden = Golden("norms.txt", "torch.nn.functional.layer_norm and rms_norm, eps 2^-6")
    x, dy = uniform(rng, 4, 5, limit=4).requires_grad_(), uniform(rng, 4, 5)
    gain, shift = uniform(rng, 5).requires_grad_(), uniform(rng, 5).requires_grad_()
    for name, value in [("x", x), ("dy", dy), ("gain", gain), ("shift", shift)]:
        golden.add(name, value)
    differentiated(golden, "layer", nn.functional.layer_norm(x, (5,), gain, shift, 2.0**-6), dy, x=x, gain=gain, shift=shift)
    differentiated(golden, "rms", nn.functional.rms_norm(x, (5,), gain, 2.0**-6), dy, x=x, gain=gain)
    golden.write()


def make_sequences():
    """Rows of their own lengths, one of them empty, one full; few different values, so that there are ties."""
    rng = random.Random("sequences")
    golden = Golden("sequences.txt", "steps of rows: flip, the last, mean and max over dim 0, row by row")
    lengths = [2, 0, 5, 1, 4]
    x = torch.tensor([float(rng.randrange(-2, 3)) for _ in range(5 * 5 * 3)], dtype=torch.float64).reshape(5, 5, 3).requires_grad_()
    dsteps, drows = uniform(rng, 5, 5, 3), uniform(rng, 5, 3)
    golden.numbers("lengths", lengths)
    for name, value in [("x", x), ("dsteps", dsteps), ("drows", drows)]:
        golden.add(name, value)
    reverse = [torch.cat([x[:n, b].flip(0), x[n:, b]]) for b, n in enumerate(lengths)]
    differentiated(golden, "reverse", torch.stack(reverse, 1), dsteps, x=x)
    empty = torch.zeros(3, dtype=torch.float64)
    for name, of in [("last", lambda v: v[-1]), ("mean", lambda v: v.mean(0)), ("max", lambda v: v.max(0).values)]:
        rows = [of(x[:n, b]) if n else empty for b, n in enumerate(lengths)]
        differentiated(golden, name, torch.stack(rows), drows, x=x)
    golden.write()


def attend(x, n, score, centres=None, radius=None, bell=False, location=None):
    """Contexts and alignments of one row [T,F] over its first n keys. score(q, keys, extra) gives a number a key."""
    keys, (count, size) = x["keys"][:n], (len(x["queries"]), len(x["keys"]))
    before, contexts, alignments = torch.zeros(size, dtype=torch.float64), [], []
    for t in range(count):
        extra = 0
        if location:
            features = nn.functional.conv1d(before[None, None], x["filter_location"][:, None], padding="same")[0].T
            extra = features[:n] @ x["weight_location"].T
        e, s = score(x["queries"][t], keys, extra), torch.arange(n)
        if centres is not None:
            e = e.masked_fill((s - centres[t]).abs() > radius, -torch.inf)
        a = torch.softmax(e, 0)
        if bell:
            a = a * torch.exp(-(s - centres[t]) ** 2 / (2 * (radius / 2) ** 2))
        contexts.append(a @ keys)
        alignments.append(nn.functional.pad(a, (0, size - n)))
        before = alignments[-1] + (before if location == "sums" else 0)
    return torch.stack(contexts), torch.stack(alignments)


def make_attention():
    """Scores, windows and locations written out around softmax and conv1d, row by row, and pooling; the keys are the values."""
    rng = random.Random("attention")
    golden, count, size, features, units = Golden("attention.txt", "attention and pooling over time, gradients by autograd"), 3, 5, 3, 4
    shapes = {"queries": (count, 2, features), "keys": (size, 2, features), "weight_query": (units, features),
              "weight_key": (units, features), "bias": (units,), "weight_score": (units,), "gain_score": (1,),
              "weight_general": (features, features), "weight_centre": (2, features), "score_centre": (2,),
              "filter_location": (2, 3), "weight_location": (units, 2)}
    x = {name: uniform(rng, *shape).requires_grad_() for name, shape in shapes.items()}
    given = {"context": uniform(rng, count, 2, features), "alignment": uniform(rng, count, 2, size),
             "pooled": uniform(rng, 2, features), "causal": uniform(rng, size, 2, features)}
    lengths = [5, 3]
    golden.numbers("lengths", lengths)
    for name, value in [*x.items(), *(("d" + name, value) for name, value in given.items())]:
        golden.add(name, value)
    tanh = lambda v: lambda q, k, extra: torch.tanh(nn.functional.linear(q, x["weight_query"], x["bias"]) + k @ x["weight_key"].T + extra) @ v
    concat = lambda q, k, _: torch.tanh(torch.cat([q.expand(len(k), -1), k], 1) @ torch.cat([x["weight_query"], x["weight_key"]], 1).T) @ x["weight_score"]
    general = lambda q, k, _: q @ (x["weight_general"] @ k.T)
    dot = lambda q, k, _: k @ q
    normal = x["gain_score"] * nn.functional.normalize(x["weight_score"], dim=0)
    predicted = lambda q, n: n * torch.sigmoid(torch.tanh(q @ x["weight_centre"].T) @ x["score_centre"])
    plain, score = ["weight_query", "weight_key", "bias", "weight_score"], tanh(x["weight_score"])
    located = plain + ["filter_location", "weight_location"]
    variants = {"additive": (score, plain, {}), "normalised": (tanh(normal), plain + ["gain_score"], {}), "dot": (dot, [], {}),
                "general": (general, ["weight_general"], {}), "concat": (concat, ["weight_query", "weight_key", "weight_score"], {}),
                "monotonic": (dot, [], {"centres": 1.5 * torch.arange(count), "radius": 2}),
                "predicted": (general, ["weight_general", "weight_centre", "score_centre"], {"radius": 2, "bell": True}),
                "location": (score, located, {"location": "last"}), "location_sums": (score, located, {"location": "sums"})}
    for name, (function, weights, options) in variants.items():
        rows = []
        for b, n in enumerate(lengths):
            row = {**x, "queries": x["queries"][:, b], "keys": x["keys"][:, b]}
            centres = {"centres": predicted(row["queries"], n)} if name == "predicted" else {}
            rows.append(attend(row, n, function, **{**options, **centres}))
        context, alignment = (torch.stack(part, 1) for part in zip(*rows))
        wanted = ["queries", "keys", *weights]
        gradients = torch.autograd.grad((context, alignment), [x[w] for w in wanted], (given["context"], given["alignment"]))
        golden.add(f"{name}/context", context)
        golden.add(f"{name}/alignment", alignment)
        for w, gradient in zip(wanted, gradients):
            golden.add(f"{name}/d{w}", gradient)
    pool = {w: x[w] for w in ["keys", "weight_key", "bias", "weight_score"]}
    scores = lambda h: torch.tanh(nn.functional.linear(h, x["weight_key"], x["bias"])) @ x["weight_score"]
    over = lambda b, n: torch.softmax(scores(x["keys"][:n, b]), 0) @ x["keys"][:n, b]
    zero = torch.zeros(features, dtype=torch.float64)
    causal = [torch.stack([over(b, t + 1) if t < n else zero for t in range(size)]) for b, n in enumerate(lengths)]
    differentiated(golden, "pooled", torch.stack([over(b, n) for b, n in enumerate(lengths)]), given["pooled"], **pool)
    differentiated(golden, "causal", torch.stack(causal, 1), given["causal"], **pool)
    golden.write()


def make_optimizers():
    """Five steps of each optimiser along the same gradients; the values after every step."""
    rng = random.Random("optimizers")
    golden = Golden("optimizers.txt", "trajectories of torch.optim; numbers: SGD lr, momentum, weight decay, nesterov; "
                    "Adam lr, beta1, beta2, eps, weight decay")
    start, gradients = uniform(rng, 6), uniform(rng, 5, 6)
    golden.add("start", start)
    golden.add("gradients", gradients)
    sgd = [("sgd", 0.125, 0.0, 0.0, False), ("sgd_momentum", 0.125, 0.875, 0.0, False),
           ("sgd_nesterov", 0.125, 0.875, 0.0625, True)]
    for name, lr, momentum, decay, nesterov in sgd:
        golden.numbers(f"{name}/numbers", [lr, momentum, decay, float(nesterov)])
        golden.add(f"{name}/values", trajectory(start, gradients, torch.optim.SGD, lr=lr, momentum=momentum,
                                                weight_decay=decay, nesterov=nesterov))
    adam = [("adam", torch.optim.Adam, 0.0), ("adam_decay", torch.optim.Adam, 0.0625),
            ("adamw", torch.optim.AdamW, 0.0625)]
    for name, kind, decay in adam:
        golden.numbers(f"{name}/numbers", [0.125, 0.875, 0.9375, 2.0**-10, decay])
        golden.add(f"{name}/values", trajectory(start, gradients, kind, lr=0.125, betas=(0.875, 0.9375), eps=2.0**-10,
                                                weight_decay=decay))
    golden.write()


def trajectory(start, gradients, kind, **options):
    parameter = nn.Parameter(start.clone())
    optimizer = kind([parameter], **options)
    values = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        values.append(parameter.detach().clone())
    return torch.stack(values)


def make_optimizer_groups():
    """Five steps of a model whose parameters belong to groups with rates and decays of their own."""
    rng = random.Random("optimizer_groups")
    golden = Golden("optimizer_groups.txt", "trajectories of torch.optim with groups {\"*.bias\", 0.5, 0}, {\"norm.*\", 2, 1/32} "
                    "and the rest; numbers: SGD lr, momentum, weight decay; Adam lr, beta1, beta2, eps, weight decay")
    shapes = {"a.weight": (2, 3), "a.bias": (2,), "norm.gain": (3,), "norm.bias": (3,), "b.weight": (70,)}
    start = {name: uniform(rng, *shape) for name, shape in shapes.items()}
    gradients = {name: uniform(rng, 5, *shape) for name, shape in shapes.items()}
    for name in shapes:
        golden.add(f"start/{name}", start[name])
        golden.add(f"gradients/{name}", gradients[name])
    kinds = [("sgd_momentum", torch.optim.SGD, [0.125, 0.875, 0.0625], {"momentum": 0.875}),
             ("adam", torch.optim.Adam, [0.125, 0.875, 0.9375, 2.0**-10, 0.0625], {"betas": (0.875, 0.9375), "eps": 2.0**-10}),
             ("adamw", torch.optim.AdamW, [0.125, 0.875, 0.9375, 2.0**-10, 0.0625], {"betas": (0.875, 0.9375), "eps": 2.0**-10})]
    for kind, optimizer, numbers, options in kinds:
        golden.numbers(f"{kind}/numbers", numbers)
        values = grouped_trajectory(start, gradients, optimizer, lr=numbers[0], weight_decay=numbers[-1], **options)
        for name in shapes:
            golden.add(f"{kind}/{name}", values[name])
    golden.write()


def grouped_trajectory(start, gradients, kind, lr, weight_decay, **options):
    parameters = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    biases = [name for name in parameters if name.endswith(".bias")]
    norms = [name for name in parameters if name.startswith("norm.") and name not in biases]
    rest = [name for name in parameters if name not in biases + norms]
    optimizer = kind([{"params": [parameters[name] for name in biases], "lr": lr * 0.5, "weight_decay": 0.0},
                      {"params": [parameters[name] for name in norms], "lr": lr * 2, "weight_decay": 2.0**-5},
                      {"params": [parameters[name] for name in rest]}], lr=lr, weight_decay=weight_decay, **options)
    values = {name: [] for name in parameters}
    for step in range(5):
        for name, parameter in parameters.items():
            parameter.grad = gradients[name][step].clone()
        optimizer.step()
        for name, parameter in parameters.items():
            values[name].append(parameter.detach().clone())
    return {name: torch.stack(steps) for name, steps in values.items()}


def make_clipping():
    rng = random.Random("clipping")
    golden = Golden("clipping.txt", "torch.nn.utils.clip_grad_norm_ and clip_grad_value_")
    gradients = [uniform(rng, 2, 3), uniform(rng, 4)]
    for name, gradient in zip("ab", gradients):
        golden.add(name, gradient)
    for case, limit in [("over", 0.5), ("under", 8.0), ("value", 0.25)]:
        parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient.clone()
        golden.numbers(f"{case}/limit", [limit])
        if case == "value":
            clip_grad_value_(parameters, limit)
        else:
            golden.add(f"{case}/norm", clip_grad_norm_(parameters, limit).reshape(1))
        for name, parameter in zip("ab", parameters):
            golden.add(f"{case}/{name}", parameter.grad)
    golden.write()


def pointwise_rows():
    """By the names of cl/nn/pointwise_rows.h: a function of the parameters p and q, the mask m, a and b."""
    f = nn.functional
    return {
        "ADD": lambda p, q, m, a, b: p * a + q * b,
        "MUL": lambda p, q, m, a, b: p * a * b,
        "DIV": lambda p, q, m, a, b: a / b,
        "MINIMUM": lambda p, q, m, a, b: torch.minimum(a, b),
        "MAXIMUM": lambda p, q, m, a, b: torch.maximum(a, b),
        "SAME": lambda p, q, m, a, b: (a == b).double() + 0 * a + 0 * b,
        "WHERE": lambda p, q, m, a, b: torch.where(m, a, b),
        "MASKED_FILL": lambda p, q, m, a, b: a.masked_fill(m, p),
        "ADD_SCALAR": lambda p, q, m, a, b: a + p,
        "MUL_SCALAR": lambda p, q, m, a, b: a * p,
        "DIV_SCALAR": lambda p, q, m, a, b: a / p,
        "RECIPROCAL": lambda p, q, m, a, b: a.reciprocal(),
        "EXP": lambda p, q, m, a, b: a.exp(),
        "LOG": lambda p, q, m, a, b: a.log(),
        "SQRT": lambda p, q, m, a, b: a.sqrt(),
        "SQUARE": lambda p, q, m, a, b: a.square(),
        "ABS": lambda p, q, m, a, b: a.abs(),
        "TANH": lambda p, q, m, a, b: a.tanh(),
        "SIGMOID": lambda p, q, m, a, b: a.sigmoid(),
        "RELU": lambda p, q, m, a, b: a.relu(),
        "GELU": lambda p, q, m, a, b: f.gelu(a),
        "GELU_TANH": lambda p, q, m, a, b: f.gelu(a, approximate="tanh"),
        "SILU": lambda p, q, m, a, b: f.silu(a),
        "SOFTPLUS": lambda p, q, m, a, b: f.softplus(a, threshold=1000),
        "LEAKY_RELU": lambda p, q, m, a, b: f.leaky_relu(a, p),
        "ELU": lambda p, q, m, a, b: f.elu(a, p),
        "CLAMP": lambda p, q, m, a, b: a.clamp(p, q),
        "POW": lambda p, q, m, a, b: a.pow(p),
    }


POSITIVE = {"LOG", "SQRT", "POW"}  # of a


def make_pointwise():
    """Kinks and ties are among the inputs: 0, the bounds of clamp, and where a is b."""
    rng = random.Random("pointwise")
    golden = Golden("pointwise.txt", "operations element by element, their gradients by autograd")
    for name, row in pointwise_rows().items():
        for case, (p, q) in enumerate([(0.75, 1.25), (2.0, 3.0)]):
            a, b, dy = (uniform(rng, 16, limit=4.0) for _ in range(3))
            if name in POSITIVE:
                a = a.abs() + 0.125
            elif name != "RECIPROCAL":
                a[:3] = torch.tensor([0.0, p, q])
            b[3] = a[3]
            b[4] = -1.5 if b[4] == 0 else b[4]
            m = uniform(rng, 16) > 0
            a.requires_grad_()
            b.requires_grad_()
            y = row(p, q, m, a, b)
            da, db = torch.autograd.grad(y, (a, b), dy, allow_unused=True)
            golden.numbers(f"{name}/{case}/params", [p, q])
            for part, value in [("a", a), ("b", b), ("m", m.double()), ("y", y), ("da", da), ("db", db), ("dy", dy)]:
                golden.add(f"{name}/{case}/{part}", torch.zeros(16) if value is None else value)
    golden.write()


def make_reduce():
    """Multiples of 1/2, so that there are ties. Bit d of the number in a name says that dim d is reduced."""
    rng = random.Random("reduce")
    golden = Golden("reduce.txt", "sum, mean, amax and amin over dims, their gradients by autograd")
    x = (uniform(rng, 3, 2, 4, limit=2.0) * 2).round() / 2
    golden.add("x", x)
    x.requires_grad_()
    for name, reduce in [("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax), ("min", torch.amin)]:
        for which in range(1, 8):
            y = reduce(x, dim=[d for d in range(3) if which >> d & 1], keepdim=True)
            dy = uniform(rng, *y.shape)
            (dx,) = torch.autograd.grad(y, x, dy)
            for part, value in [("y", y), ("dy", dy), ("dx", dx)]:
                golden.add(f"{name}/{which}/{part}", value)
    golden.write()


def make_state_dict():
    """An nn.LSTM as PyTorch's users save it, what is in it, and what it computes."""
    rng = random.Random("state_dict")
    golden = Golden("lstm_state_dict.txt", "what lstm_state_dict.safetensors holds, an input and its output from zero states")
    module = nn.LSTM(2, 3, num_layers=2)
    for parameter in module.parameters():
        parameter.data = uniform(rng, *parameter.shape, limit=0.75).float()
    save_file(module.state_dict(), os.path.join(FOLDER, "lstm_state_dict.safetensors"))
    for name, parameter in module.state_dict().items():
        golden.add(name, parameter)
    x = uniform(rng, 3, 2, 2)
    y, (hn, cn) = module.double()(x)
    for name, value in [("x", x), ("y", y), ("hn", hn), ("cn", cn)]:
        golden.add(name, value)
    golden.write()


def main():
    check_with_onnx()
    make_rnns()
    make_cross_entropy()
    make_along()
    make_norms()
    make_sequences()
    make_attention()
    make_optimizers()
    make_optimizer_groups()
    make_clipping()
    make_pointwise()
    make_reduce()
    make_state_dict()
    print("golden files written with PyTorch", torch.__version__)


if __name__ == "__main__":
    main()
