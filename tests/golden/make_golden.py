#!/usr/bin/env python3
"""Writes the golden files of this folder with PyTorch; README.md says when and how to run it.

Inputs are multiples of 1/256, exact in float and in double, from Python's own generator, so that a new run differs
from an old one only where PyTorch's results do. PyTorch computes in double on the CPU.
"""
import os
import random

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

FOLDER = os.path.dirname(os.path.abspath(__file__))
T, B, I, H, L = 4, 3, 2, 3, 2
LENGTHS = [2, 4, 1]


class Golden:
    """A file of named tensors: a line with name, number of dimensions and dimensions, then a line of values."""

    def __init__(self, name, title):
        self.path = os.path.join(FOLDER, name)
        self.lines = ["# " + title]

    def add(self, name, tensor):
        tensor = tensor.detach()
        self.lines.append(" ".join([name, str(tensor.dim()), *map(str, tensor.shape)]))
        self.lines.append(" ".join("%.17g" % v if v != round(v, 8) else "%.9g" % v for v in tensor.double().flatten().tolist()))

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


def make_rnn(name, module, states):
    """One recurrent module over whole sequences, and over rows of different lengths."""
    rng = random.Random(name)
    golden = Golden(f"{name}.txt", f"torch.nn.{module._get_name()}, {L} layers: everything in and out, all gradients")
    module = module.double()
    for parameter_name, parameter in module.named_parameters():
        parameter.data = uniform(rng, *parameter.shape, limit=0.75)
        golden.add(parameter_name, parameter)
    x = uniform(rng, T, B, I)
    initial = [uniform(rng, L, B, H) for _ in states]
    dy = uniform(rng, T, B, H)
    dfinal = [uniform(rng, L, B, H) for _ in states]
    golden.numbers("lengths", LENGTHS)
    for key, value in [("x", x), ("dy", dy), *zip([f"{s}0" for s in states], initial), *zip([f"d{s}n" for s in states], dfinal)]:
        golden.add(key, value)

    for case, lengths in [("full", None), ("ragged", LENGTHS)]:
        module.zero_grad()
        leaves = [v.clone().requires_grad_() for v in [x, *initial]]
        source = leaves[0] if lengths is None else pack_padded_sequence(leaves[0], lengths, enforce_sorted=False)
        y, final = module(source, tuple(leaves[1:]) if len(states) > 1 else leaves[1])
        if lengths is not None:
            y, _ = pad_packed_sequence(y, total_length=T)
        final = list(final) if len(states) > 1 else [final]
        loss = (y * dy).sum() + sum((f * d).sum() for f, d in zip(final, dfinal))
        loss.backward()
        golden.add(f"{case}/y", y)
        golden.add(f"{case}/dx", leaves[0].grad)
        for s, f, leaf in zip(states, final, leaves[1:]):
            golden.add(f"{case}/{s}n", f)
            golden.add(f"{case}/d{s}0", leaf.grad)
        for parameter_name, parameter in module.named_parameters():
            golden.add(f"{case}/d{parameter_name}", parameter.grad)
    golden.write()


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
    make_rnn("lstm", nn.LSTM(I, H, L), "hc")
    make_rnn("gru", nn.GRU(I, H, L), "h")
    make_rnn("rnn_tanh", nn.RNN(I, H, L, nonlinearity="tanh"), "h")
    make_rnn("rnn_relu", nn.RNN(I, H, L, nonlinearity="relu"), "h")
    make_cross_entropy()
    make_optimizers()
    make_clipping()
    make_state_dict()
    print("golden files written with PyTorch", torch.__version__)


if __name__ == "__main__":
    main()
