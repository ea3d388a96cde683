"""What rounding to float does to a computation of PyTorch, found by running it in double with every result moved.

    with Rounding(seed):
        model(x).backward()

Every operation in the block, forward and backward, gives its exact result, each element moved at random by up to the size
of its float rounding error; u = 2^-24 is the unit roundoff:

- a sum, of terms or of products, by u sum|a b|, which is found by the same operation on absolute values: the size of the
  error of adding one after another (tests/support/bounds.h);
- a correctly rounded result y by u |y|;
- a result that devices may approximate to n units in the last place, by OpenCL's table of errors, by (2 n + 1) u |y|.

What PyTorch has as one operation, a softmax or the backward of tanh, is taken apart into these first, so that 1 - y^2 is
moved by u times what it multiplies, and a softmax by what the shift by the largest loses.
"""
import torch
from torch._decomp import get_decompositions
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

UNIT = 2.0**-24
aten = torch.ops.aten

ULPS = {aten.exp: 3, aten.log: 3, aten.tanh: 5, aten.tanh_: 5, aten.sigmoid_: 3 + 2.5, aten.erf: 16, aten.sqrt: 3,
        aten.rsqrt: 2, aten.div: 2.5, aten.addcdiv_: 2.5}

ROUNDED = {aten.add, aten.add_, aten.sub, aten.rsub, aten.mul, aten.mul_, aten.lerp_, aten.addcmul_}

SUMS = {aten.mm, aten.bmm, aten.addmm, aten.sum, aten.mean, aten.index_add, aten._unsafe_masked_index_put_accumulate}

# What gives numbers that are there already, or constants.
EXACT = {aten._pack_padded_sequence, aten.abs, aten.amax, aten.cat, aten.clone, aten.conj_physical, aten.copy_, aten.embedding,
         aten.empty, aten.empty_like, aten.full, aten.gather, aten.index, aten.index_select, aten.masked_fill, aten.neg,
         aten.new_empty_strided, aten.new_zeros, aten.ones_like, aten.scatter, aten.select_backward, aten.slice_backward,
         aten.stack, aten.unsafe_split, aten._unsafe_view, aten.where, aten.zeros, aten.zeros_like}


def layer_norm(x, shape, gain, shift, eps):
    """PyTorch's own way of taking it apart hides the variance's sum."""
    mean = torch.mean(x, -1, keepdim=True)
    apart = x - mean
    scale = torch.rsqrt(torch.mean(apart * apart, -1, keepdim=True) + eps)
    return apart * scale * gain + shift, mean, scale


TAKEN_APART = {**get_decompositions([
    aten._log_softmax, aten._log_softmax_backward_data, aten._softmax, aten._softmax_backward_data,
    aten.embedding_dense_backward, aten.gelu, aten.gelu_backward, aten.huber_loss, aten.huber_loss_backward,
    aten.native_layer_norm_backward, aten.nll_loss_backward, aten.nll_loss_forward, aten.sigmoid_backward, aten.tanh_backward,
]), aten.native_layer_norm.default: layer_norm}


class Rounding(TorchDispatchMode):
    def __init__(self, seed):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if operation in TAKEN_APART:
            with self:
                return TAKEN_APART[operation](*args, **kwargs)
        result = operation(*args, **kwargs)
        if any(is_float(value) for value in tree_leaves(result)) and not is_exact(operation, args):
            size = error_size(operation, args, kwargs, result).nan_to_num(0, posinf=0)  # infinity is exact
            result += UNIT * size * (2 * torch.rand(result.shape, generator=self.generator, dtype=result.dtype) - 1)
        return result


def is_exact(operation, args):
    is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in operation._schema.returns)
    return is_view or operation.overloadpacket in EXACT or not any(is_float(value) for value in tree_leaves(args))


def error_size(operation, args, kwargs, result):
    """In u."""
    packet = operation.overloadpacket
    if packet in SUMS:
        return operation(*tree_map(lambda v: v.abs() if is_float(v) else v, args), **kwargs)
    if packet in ROUNDED:
        return result.abs()
    if packet in ULPS:
        return (2 * ULPS[packet] + 1) * result.abs()
    raise NotImplementedError(f"how is {operation} rounded?")


def is_float(value):
    return isinstance(value, torch.Tensor) and value.is_floating_point()

