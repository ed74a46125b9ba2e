"""PyTorch: autograd over the same memory, with its own convolutions as the oracle."""
import contextlib
import copy
import os
import re
import threading

import numpy
import pytest

import convgrad
from oracle import given, in_a_child, problems, settings

torch = pytest.importorskip("torch", reason="PyTorch is not here: convgrad.torch was not tested")
import convgrad.torch  # noqa: E402

F = torch.nn.functional
VERSION = tuple(int(n) for n in torch.__version__.split(".")[:2])
THEIRS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
OURS = {1: convgrad.torch.conv1d, 2: convgrad.torch.conv2d, 3: convgrad.torch.conv3d}
THEIR_TRANSPOSES = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
OUR_TRANSPOSES = {1: convgrad.torch.conv_transpose1d, 2: convgrad.torch.conv_transpose2d, 3: convgrad.torch.conv_transpose3d}
CONV = {1: convgrad.conv1d, 2: convgrad.conv2d, 3: convgrad.conv3d}
TRANSPOSES = {1: convgrad.conv_transpose1d, 2: convgrad.conv_transpose2d, 3: convgrad.conv_transpose3d}


def drawn(*shapes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, dtype=dtype, generator=generator).requires_grad_() for shape in shapes]


def agree(ours, theirs, tolerance=1e-11):
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance)


@settings(max_examples=200, deadline=None)
@given(problems(symmetric=True))
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 1e-4)])
def test_convolution_and_gradients(dtype, tolerance, problem):
    x_shape, w_shape, stride, padding, dilation, groups = problem
    if x_shape[0] == 0:
        x_shape = (1, *x_shape[1:])  # PyTorch 1.13 refuses some empty ones
    x, w, b = drawn(x_shape, w_shape, w_shape[:1], dtype=dtype)
    arguments = (stride, tuple(p for p, _ in padding), dilation, groups)
    theirs, ours = THEIRS[len(stride)](x, w, b, *arguments), OURS[len(stride)](x, w, b, *arguments)
    agree([ours], [theirs], tolerance)
    g, = drawn(theirs.shape, dtype=dtype)
    agree(torch.autograd.grad(ours, (x, w, b), g), torch.autograd.grad(theirs, (x, w, b), g), tolerance)
    arrays = [t.detach().numpy() for t in (x, w, b, g)]
    got = CONV[len(stride)](*arrays[:3], *arguments)
    assert got.tobytes() == ours.detach().numpy().tobytes()


@settings(max_examples=100, deadline=None)
@given(problems(symmetric=True))
def test_transposed_convolution_and_gradients(problem):
    _, w_shape, stride, padding, dilation, groups = problem
    dims, padding = len(stride), tuple(p for p, _ in padding)
    x_shape = (2, w_shape[0], *[4] * dims)
    more = tuple(max(s, d) - 1 for s, d in zip(stride, dilation))
    sizes = [3 * s - 2 * p + d * (f - 1) + m + 1 for s, p, d, f, m in zip(stride, padding, dilation, w_shape[2:], more)]
    if min(sizes) < 1:
        return
    x, w, b = drawn(x_shape, w_shape, (w_shape[1] * groups,))
    arguments = (stride, padding, more, groups, dilation)
    theirs, ours = THEIR_TRANSPOSES[dims](x, w, b, *arguments), OUR_TRANSPOSES[dims](x, w, b, *arguments)
    agree([ours], [theirs])
    g, = drawn(theirs.shape)
    agree(torch.autograd.grad(ours, (x, w, b), g), torch.autograd.grad(theirs, (x, w, b), g))
    got = TRANSPOSES[dims](*[t.detach().numpy() for t in (x, w, b)], *arguments)
    numpy.testing.assert_allclose(got, theirs.detach().numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dims, stride, padding, dilation, groups", [(1, 2, 1, 1, 2), (2, 1, 1, 2, 1), (2, (2, 1), (0, 2), 1, 2), (3, 1, 1, 1, 1)])
def test_gradcheck_and_gradgradcheck(dims, stride, padding, dilation, groups):
    x, w, b, t = drawn((2, 2 * groups, *[5] * dims), (2 * groups, 2, *[2] * dims), (2 * groups,), (2, 2 * groups, *[3] * dims))
    conv = lambda x, w, b: OURS[dims](x, w, b, stride, padding, dilation, groups)
    transpose = lambda x, w, b: OUR_TRANSPOSES[dims](x, w, b, stride, 0, 0, groups, dilation)
    for function, arguments in ((conv, (x, w, b)), (transpose, (t, w, b))):
        assert torch.autograd.gradcheck(function, arguments)
        assert torch.autograd.gradgradcheck(function, arguments)


@pytest.mark.parametrize("channels", [1, 3])
def test_bias_of_transposes_has_the_same_bits_for_every_thread_count(channels):
    torch.manual_seed(0)
    x, w, b = torch.randn(4, 8, 64, 64), torch.randn(8, channels, 4, 4), torch.randn(channels)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            bias = b.clone().requires_grad_()
            y = convgrad.torch.conv_transpose2d(x, w, bias, stride=2, padding=1)
            y.backward(torch.sin(y.detach()))
            results.append((y.detach().numpy().tobytes(), bias.grad.numpy().tobytes()))
    finally:
        torch.set_num_threads(before)
    assert len(set(results)) == 1
    agree([bias.grad], [torch.sin(y.detach()).double().sum((0, 2, 3)).float()], 1e-4)


def test_exact_keeps_structure():
    x, w, g = torch.zeros(4, 64, 28, 28), torch.randn(64, 64, 3, 3), torch.zeros(4, 64, 28, 28)
    x[0, 0, 8, 8] = g[0, 0, 8, 8] = 1e10
    layer = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False)

    def through_patch(x):
        with convgrad.torch.patch():
            with convgrad.torch.patch(exact=True):
                y = layer(x)
                y.backward(g)
        return y

    ours = convgrad.torch.Conv2d(64, 64, 3, padding=1, bias=False, exact=True)
    for run in (lambda x: convgrad.torch.conv2d(x, w, padding=1, exact=True), ours, copy.deepcopy(ours),
                convgrad.torch.Conv2d.from_torch(layer, exact=True), through_patch):
        leaf = x.clone().requires_grad_()
        y = run(leaf)
        if leaf.grad is None:
            y.backward(g)
        for result in (y.detach(), leaf.grad):
            assert result[0, :, 7:10, 7:10].any()
            result[0, :, 7:10, 7:10] = 0
            assert not result.any()
    with convgrad.torch.patch():  # which is not exact any more
        y = layer(x).detach()
    y[0, :, 7:10, 7:10] = 0
    assert y.any()


@pytest.mark.parametrize("need", range(8))
def test_any_subset_needs_gradients(need):
    x, w, b = (t.detach().requires_grad_(bool(need >> i & 1)) for i, t in enumerate(drawn((1, 2, 5, 5), (3, 2, 3, 3), (3,))))
    y = convgrad.torch.conv2d(x, w, b)
    assert y.requires_grad == bool(need)
    if need:
        y.sum().backward()
    assert [t.grad is not None for t in (x, w, b)] == [bool(need >> i & 1) for i in range(3)]


def test_no_grad_and_inference():
    x, w = drawn((1, 2, 5, 5), (3, 2, 3, 3))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            y = convgrad.torch.conv2d(x, w)
        assert not y.requires_grad
        agree([y], [F.conv2d(x, w)])


def test_inputs_that_are_not_contiguous():
    x, w = (t.detach() for t in drawn((2, 4, 6, 5), (8, 4, 3, 3)))
    wanted = F.conv2d(x, w)
    for other in (x.to(memory_format=torch.channels_last), x.flip(3).flip(3), x.transpose(2, 3).contiguous().transpose(2, 3),
                  torch.repeat_interleave(x, 2, dim=1)[:, ::2], torch._neg_view(-x)):
        agree([convgrad.torch.conv2d(other, w)], [wanted])
        agree([convgrad.torch.conv2d(x, w.to(memory_format=torch.channels_last))], [wanted])
    other = x.to(memory_format=torch.channels_last).requires_grad_()
    g = torch.ones_like(wanted).to(memory_format=torch.channels_last)
    convgrad.torch.conv2d(other, w).backward(g)
    assert other.grad.abs().sum() > 0
    expanded = torch.ones(1, 1, 1, 1, dtype=torch.float64).expand(2, 4, 6, 5)
    agree([convgrad.torch.conv2d(expanded, w)], [F.conv2d(expanded.contiguous(), w)])


def formats(tensor):
    """The same values in every memory format, and in views with gaps."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.dim())
    yield tensor.contiguous()
    yield torch.cat([tensor, tensor], -1)[..., :tensor.shape[-1]]
    yield tensor.transpose(-1, -2).contiguous().transpose(-1, -2)
    yield tensor.transpose(0, 1).contiguous().transpose(0, 1)
    if last:
        yield tensor.contiguous(memory_format=last)
        yield torch.cat([tensor, tensor], 1).contiguous(memory_format=last)[:, :tensor.shape[1]]
        yield torch.cat([tensor, tensor], -1).contiguous(memory_format=last)[..., :tensor.shape[-1]]
    else:
        yield tensor.transpose(1, 2).contiguous().transpose(1, 2)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("x_shape, w_shape, groups, stride", [
    ((2, 6, 7, 5), (4, 6, 3, 3), 1, 1), ((2, 6, 7, 5), (4, 6, 1, 1), 1, 2), ((2, 1, 7, 5), (4, 1, 3, 3), 1, 1),
    ((3, 4, 5, 5), (4, 1, 3, 3), 4, 1), ((1, 6, 5, 5), (1, 6, 3, 3), 1, 1), ((2, 4, 3, 5, 4), (6, 4, 2, 2, 2), 1, 1),
    ((2, 6, 9), (4, 6, 3), 1, 1)])
def test_memory_formats(x_shape, w_shape, groups, stride, transposed):
    """Strides of results and gradients are those of PyTorch 2 in float32; elsewhere it makes some contiguous."""
    dims = len(x_shape) - 2
    if transposed:
        x_shape = (x_shape[0], w_shape[0], *x_shape[2:])
    ours, theirs = ((OUR_TRANSPOSES, THEIR_TRANSPOSES) if transposed else (OURS, THEIRS))
    named = {"stride": stride, "padding": w_shape[-1] // 2, "groups": groups}
    x, w = (t.detach() for t in drawn(x_shape, w_shape, dtype=torch.float32))
    g = torch.sin(theirs[dims](x, w, **named))
    for some_x in formats(x):
        for some_w in formats(w):
            for some_g in formats(g):
                results = []
                for function in (ours[dims], theirs[dims]):
                    a, b = some_x.detach().requires_grad_(), some_w.detach().requires_grad_()
                    y = function(a, b, **named)
                    results.append([y.detach(), *torch.autograd.grad(y, (a, b), some_g)])
                agree(*results, 1e-4)
                if VERSION >= (2,):
                    assert [t.stride() for t in results[0]] == [t.stride() for t in results[1]]


def test_channels_last_is_not_copied():
    """A model whose images become rows of pixels needs them so; and what is read is the tensor itself."""
    layer = convgrad.torch.Conv2d(8, 16, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(2, 8, 6, 6).to(memory_format=torch.channels_last)
    assert layer(x).permute(0, 2, 3, 1).view(-1, 16).shape == (72, 16)
    for tensor in (x, x[:, 2:6], x[..., 1:4]):
        assert convgrad._torch.images(tensor, True)[0].data_ptr() == tensor.data_ptr()
    assert convgrad._torch.filters(layer.weight)[0].data_ptr() == layer.weight.data_ptr()


def test_padding_by_name_and_without_batch():
    x, w = drawn((3, 7, 6), (2, 3, 4, 3))
    agree([convgrad.torch.conv2d(x, w, padding="same")], [F.conv2d(x[None], w, padding="same")[0]])
    agree([convgrad.torch.conv2d(x, w, padding="valid")], [F.conv2d(x[None], w)[0]])


class Network(torch.nn.Module):
    """A little of everything."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, stride=2, groups=8, padding=1, bias=False),
            torch.nn.Conv2d(8, 4, 1), torch.nn.ReLU(), torch.nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1),
            torch.nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular"))

    def forward(self, x):
        return self.layers(x)


def test_patch_runs_an_unchanged_model():
    torch.manual_seed(0)
    model, x = Network().double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    wanted = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    functions = F.conv2d, torch.conv2d, F.conv_transpose2d
    with convgrad.torch.patch(), convgrad.torch.counting() as counts:
        got = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
        assert (F.conv2d, torch.conv2d, F.conv_transpose2d) == functions  # code may compare them
    # Four layers and one transposed, whose gradient is forward, too; none for the images, and one has no bias.
    assert counts.here == {"forward": 5, "transpose": 1, "grad_input": 3, "grad_weight": 5, "grad_bias": 4} and not counts.elsewhere
    agree(got, wanted, 1e-10)
    with pytest.raises(RuntimeError):
        with convgrad.torch.patch():
            raise RuntimeError
    assert not patched()


def test_wrong_calls_within_patch_are_refused_by_pytorch():
    x, w = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)
    for bias, words in (None, {"stride": 0}), (None, {"groups": 2}), (torch.zeros(3), {}), (None, {"padding": "sme"}), (None, {"stride": 1.5}):
        with pytest.raises(Exception) as theirs:
            F.conv2d(x, w, bias, **words)
        with convgrad.torch.patch(), pytest.raises(type(theirs.value), match=re.escape(str(theirs.value))):
            F.conv2d(x, w, bias, **words)


def test_layers_share_parameters():
    for layer, ours in ((torch.nn.Conv1d(4, 6, 3, padding=1), convgrad.torch.Conv1d), (torch.nn.Conv3d(2, 3, 2, bias=False), convgrad.torch.Conv3d),
                        (torch.nn.Conv2d(4, 4, 3, padding="same", groups=2, padding_mode="reflect"), convgrad.torch.Conv2d)):
        mine = ours.from_torch(layer)
        assert mine.weight is layer.weight
        x = torch.randn(2, layer.in_channels, *[7] * (layer.weight.dim() - 2))
        agree([mine(x)], [layer(x)], 1e-5)
        made = ours(4, 4, 3)
        assert isinstance(made, type(layer)) and made(torch.randn(1, 4, *[5] * (layer.weight.dim() - 2))).requires_grad
        assert copy.deepcopy(mine).weight is not layer.weight and mine.state_dict().keys() == layer.state_dict().keys()


def test_the_same_bits_for_every_thread_count():
    x, w = drawn((4, 16, 20, 20), (24, 16, 3, 3), dtype=torch.float32)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = convgrad.torch.conv2d(x, w, padding=1)
            results.append([t.detach().numpy().tobytes() for t in (y, *torch.autograd.grad(y.square().sum(), (x, w)))])
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("call, error, words", [
    (lambda x, w: convgrad.torch.conv2d(x.numpy(), w), TypeError, "input is a ndarray"),
    (lambda x, w: convgrad.torch.conv2d(x, w.float()), TypeError, "weight has dtype torch.float32; input has torch.float64"),
    (lambda x, w: convgrad.torch.conv2d(x.to(torch.complex64), w), TypeError, "torch.complex64"),
    (lambda x, w: convgrad.torch.conv2d(x.to_sparse(), w), TypeError, "input is torch.float64, torch.sparse_coo on cpu"),
    (lambda x, w: convgrad.torch.conv2d(x, w, torch.zeros(9, dtype=x.dtype)), ValueError, "bias has shape (9,); must be (2,)"),
    (lambda x, w: convgrad.torch.conv2d(x[0, 0], w), ValueError, "must have 4 axes"),
    (lambda x, w: convgrad.torch.conv2d(x, w, stride=0), convgrad.Error, "stride[0] is 0"),
    (lambda x, w: convgrad.torch.conv2d(x, w, groups=2), convgrad.Error, "channels a group"),
    (lambda x, w: [convgrad.torch.conv2d(x, w, exact=exact) for exact in (True, 1)], TypeError, "exact is 1"),
])
def test_errors(call, error, words):
    with pytest.raises(error) as raised:
        call(torch.zeros(1, 1, 4, 4, dtype=torch.float64), torch.zeros(2, 1, 3, 3, dtype=torch.float64))
    assert words in str(raised.value)


def test_grad_output_that_is_not_contiguous():
    x, w, b = drawn((4, 3, 40, 40), (5, 3, 3, 3), (5,))
    for g in (lambda y: y.sum(), lambda y: (y * torch.ones_like(y).to(memory_format=torch.channels_last)).sum()):
        agree(torch.autograd.grad(g(convgrad.torch.conv2d(x, w, b)), (x, w, b)), torch.autograd.grad(g(F.conv2d(x, w, b)), (x, w, b)), 1e-9)


@pytest.mark.parametrize("channels", [3, 9])
def test_transposed_channels_that_do_not_fit(channels):
    with pytest.raises(ValueError, match=f"input has {channels} channels; weight has 5"):
        convgrad.torch.conv_transpose2d(torch.ones(1, channels, 4, 4), torch.ones(5, 1, 3, 3))


def test_no_images():
    x, w, b = drawn((0, 2, 5, 5), (3, 2, 3, 3), (3,))
    y = convgrad.torch.conv2d(x, w, b, padding=1)
    assert y.shape == (0, 3, 5, 5)
    dx, dw, db = torch.autograd.grad(y.sum(), (x, w, b))
    assert dx.shape == x.shape and not dw.any() and not db.any()


def patched():
    with convgrad.torch.counting() as counts:
        F.conv2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
    return bool(counts.here)


def test_patch_within_patch_and_in_threads():
    first, second = convgrad.torch.patch(), convgrad.torch.patch()
    first.__enter__()
    second.__enter__()
    for _ in range(3):
        with first:  # again
            pass
    first.__exit__(None, None, None)  # left in the order in which they were entered, as threads may
    assert patched()
    second.__exit__(None, None, None)
    assert not patched()
    with pytest.raises(RuntimeError, match="not open"):
        second.__exit__(None, None, None)
    with pytest.raises(TypeError, match="returns before it has run"):
        @convgrad.torch.patch()
        def steps():
            yield
    wrong, x, w = [], torch.ones(1, 2, 6, 6), torch.ones(3, 2, 3, 3)

    def work():
        for _ in range(50):
            with convgrad.torch.patch():
                if not patched() or F.conv2d(x, w)[0, 0, 0, 0] != 18:
                    wrong.append(1)

    together(work, 8)
    assert not wrong and not patched()
    if VERSION >= (2, 4):  # one that convolves all the while, forward and backward
        ended = []

        def convolve():
            while not ended:
                a = x.clone().requires_grad_()
                y = F.conv2d(a, w)
                y.sum().backward()
                if y[0, 0, 0, 0] != 18 or a.grad.sum() != 16 * 54:
                    wrong.append(1)

        others = [threading.Thread(target=convolve) for _ in range(2)]
        for other in others:
            other.start()
        work()
        ended.append(1)
        for other in others:
            other.join()
        assert not wrong


@pytest.mark.parametrize("words, wanted", [
    ({}, "winograd6"), ({"exact": True}, "direct"), ({"error_growth": 1}, "direct"), ({"algo": "im2col"}, "im2col"),
    ({"algo": {"forward": "reference"}, "threads": 1}, "reference")])
def test_what_patch_asks_for(words, wanted):
    x, w = (t.detach() for t in drawn((2, 64, 28, 28), (64, 64, 3, 3), dtype=torch.float32))
    plan = convgrad.Plan(x.shape, w.shape, padding=1, dtype="float32", algorithm=wanted)

    @convgrad.torch.patch(**words)
    def run():
        return F.conv2d(x, w, padding=1)

    for _ in range(2):  # entered again
        assert run().numpy().tobytes() == plan.forward(x.numpy(), w.numpy()).tobytes()
    with convgrad.torch.patch(**words):
        with convgrad.torch.patch():  # which asks for nothing
            assert run().numpy().tobytes() == plan.forward(x.numpy(), w.numpy()).tobytes()


def test_patch_in_a_format():
    x, w = (t.detach() for t in drawn((2, 6, 8, 8), (4, 6, 3, 3), dtype=torch.float32))
    last = x.to(memory_format=torch.channels_last)
    with convgrad.torch.patch(layout="channels_last"):
        assert F.conv2d(x, w).is_contiguous(memory_format=torch.channels_last)
        with convgrad.torch.patch(layout="channels_first"):
            assert F.conv2d(last, w).is_contiguous()
    for words, error in (({"layout": "nchw"}, ValueError), ({"algo": "fft"}, ValueError), ({"threads": "2"}, TypeError),
                         ({"exact": 1}, TypeError), ({"exact": True, "error_growth": 3}, ValueError), ({"threads": -3}, ValueError),
                         ({"threads": 10**9}, ValueError), ({"error_growth": 0.5}, ValueError),
                         ({"error_growth": numpy.nan}, ValueError)):
        with pytest.raises(error):
            convgrad.torch.patch(**words)


def test_an_algorithm_that_does_not_do_a_layer_leaves_it_to_pytorch():
    x, w = (t.detach() for t in drawn((1, 2, 8, 8), (4, 2, 3, 3), dtype=torch.float32))
    with convgrad.torch.patch(algo="winograd4"), convgrad.torch.counting() as counts:
        agree([F.conv2d(x, w, stride=(2, 1), dilation=3)], [F.conv2d(x, w, stride=(2, 1), dilation=3)])
        F.conv2d(x, w)
    assert counts.here == {"forward": 1} and list(counts.elsewhere.values()) == [2] and "has gaps" in str(counts)
    for kind in (torch.float64, torch.bfloat16):
        a, b = (t.to(kind).requires_grad_() for t in (x, w))
        wanted = torch.autograd.grad(F.conv2d(a, b, stride=2).sum(), (a, b))
        with convgrad.torch.patch(algo="winograd4", layout="channels_last"):
            got = torch.autograd.grad(F.conv2d(a, b, stride=2).sum(), (a, b))
        agree(got, wanted, 1e-9 if kind == torch.float64 else 1e-1)


def test_pytorchs_own_operators_by_name():
    x, w = drawn((2, 4, 7, 6), (4, 3, 3, 2))
    calls = (lambda: torch.convolution(x, w.transpose(0, 1), None, [2], [1], [1], False, [0], 1),
             lambda: torch.convolution(x, w, None, [2], [1], [1], True, [0], 1),
             lambda: torch.nn.grad.conv2d_input(x.shape, w.transpose(0, 1), torch.ones(2, 3, 5, 5, dtype=x.dtype)),
             lambda: torch.nn.grad.conv2d_weight(x, (3, 4, 3, 2), torch.ones(2, 3, 5, 5, dtype=x.dtype)))
    for call in calls:
        wanted = call()
        with convgrad.torch.patch(), convgrad.torch.counting() as counts:
            agree([call()], [wanted])
        assert sum(counts.here.values()) == 1 and not counts.elsewhere


def test_a_result_is_resized_as_in_pytorch():
    with convgrad.torch.patch():
        y = F.conv2d(torch.ones(2, 3, 300, 300), torch.ones(4, 3, 3, 3))
        assert y.resize_(5).shape == (5,)


def together(work, count):
    workers = [threading.Thread(target=work) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


class Marked(torch.Tensor):
    """A subclass that counts on __torch_function__."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return super().__torch_function__(function, types, args, kwargs or {})


def test_what_goes_to_pytorch_within_patch():
    x, w = torch.ones(1, 2, 6, 6), torch.ones(3, 2, 3, 3)
    empty = torch.ones(1, 0, 6, 6), torch.ones(3, 0, 3, 3)
    nothing = F.conv2d(*empty).shape  # whatever PyTorch makes of it
    with convgrad.torch.patch(), convgrad.torch.counting() as counts:
        assert F.conv2d(*empty).shape == nothing
        more = F.conv_transpose2d(x, w.transpose(0, 1), stride=1, dilation=2, output_padding=1)
        assert more.shape == (1, 3, 11, 11)
    assert not {name for name in counts.here if VERSION >= (2,)}
    assert {why.split(",")[0] for _, why in counts.elsewhere} >= {"weight is empty", "output_padding is (1"}
    with convgrad.torch.patch():
        assert F.conv2d(x.to("meta"), w.to("meta")).device.type == "meta"


@pytest.mark.parametrize("conv", ["within patch()", "function"])
def test_what_wraps_a_convolution(conv):
    """Subclasses, modes, tracing and transforms of PyTorch see through both doors what they see of PyTorch's own."""
    x, w = torch.ones(1, 2, 6, 6), torch.ones(3, 2, 3, 3)
    inside = conv == "within patch()"
    function = F.conv2d if inside else convgrad.torch.conv2d
    with convgrad.torch.patch() if inside else contextlib.nullcontext(), convgrad.torch.counting() as counts:
        assert type(function(x.as_subclass(Marked), w)) is Marked
        assert torch.jit.trace(lambda x: function(x, w), x, check_trace=False)(x)[0, 0, 0, 0] == 18
        if hasattr(torch, "func"):
            assert torch.func.vmap(lambda x: function(x, w))(x[None]).shape == (1, 1, 3, 4, 4)
            assert torch.func.vmap(lambda w: function(x, w))(w[None]).shape == (1, 1, 3, 4, 4)
            assert torch.func.grad(lambda x: function(x, w).sum())(x).shape == x.shape
            assert torch.func.jacrev(lambda w: function(x, w).sum((0, 2, 3)))(w).shape == (3, 3, 2, 3, 3)
            each = torch.func.vmap(torch.func.grad(lambda w, x: function(x[None], w).square().sum()), (None, 0))
            cubes = lambda w: function(x, w).pow(3).sum()  # noqa: E731
            agree([torch.func.jacrev(torch.func.jacrev(cubes))(w)], [torch.func.hessian(lambda w: F.conv2d(x, w).pow(3).sum())(w)], 1e-4)
            for axes in ((0, None), (None, 0), (0, 0)):
                none = [t[None][:0] if axis == 0 else t for t, axis in zip((x, w), axes)]
                if not inside:  # PyTorch's rule loses an axis
                    assert torch.func.vmap(function, axes)(*none).shape == (0, 1, 3, 4, 4)
            two = torch.stack([x[0], 2 * x[0]])
            agree(each(w, two), torch.func.vmap(torch.func.grad(lambda w, x: F.conv2d(x[None], w).square().sum()), (None, 0))(w, two))
            from torch.fx.experimental.proxy_tensor import make_fx
            assert torch.equal(make_fx(lambda x: function(x, w))(x)(x), function(x, w))
            from torch._subclasses.fake_tensor import FakeTensorMode
            with FakeTensorMode():
                assert function(torch.ones(1, 2, 6, 6), torch.ones(3, 2, 3, 3)).shape == (1, 3, 4, 4)
                for wrong in ((1, 3, 6, 6), (1, 2, 2, 2)):
                    with pytest.raises((RuntimeError, ValueError)):
                        function(torch.ones(wrong), torch.ones(3, 2, 3, 3))
            from torch.utils.flop_counter import FlopCounterMode
            with FlopCounterMode(display=False) as flops:
                function(x.clone().requires_grad_(), w.clone().requires_grad_()).sum().backward()
            assert flops.get_total_flops() == 3 * 2 * 48 * 18
        a = x.clone().requires_grad_()
        y = function(a, w)
        several = torch.ones(2, *y.shape), 2 * torch.ones(2, *y.shape)
        if inside or VERSION >= (2,):
            grads, = torch.autograd.grad(y, a, several[0], is_grads_batched=True, retain_graph=True)
            agree(grads, torch.autograd.grad(y, a, several[0][0])[0].expand(2, *x.shape))
    assert counts.here and not counts.elsewhere
    if VERSION >= (2, 4):
        traced = torch.jit.trace(lambda x: function(x, w), x)
        with convgrad.torch.patch() if inside else contextlib.nullcontext(), convgrad.torch.counting() as counts:
            agree([traced(x)], [F.conv2d(x, w)])
        assert counts.here["forward"] == 1 + inside


@pytest.mark.skipif(not hasattr(torch, "func"), reason="PyTorch 2")
def test_forward_mode_derivatives():
    x, w = torch.ones(1, 2, 6, 6), torch.ones(3, 2, 3, 3)
    with convgrad.torch.patch():
        assert torch.func.jvp(lambda x: F.conv2d(x, w), (x,), (x,))[1][0, 0, 0, 0] == 18
    with pytest.raises(RuntimeError, match="forward-mode derivatives do not go through"):
        torch.func.jvp(lambda x: convgrad.torch.conv2d(x, w), (x,), (x,))


@pytest.mark.skipif(not hasattr(torch.library, "custom_op"), reason="PyTorch 2.4")
def test_the_operators_are_as_pytorch_wants_them():
    x, w, b, g = drawn((2, 4, 7, 6), (6, 2, 3, 2), (6,), (2, 6, 4, 3))
    for last in (False, True):
        numbers = [2, 2], [1, 2, 0, 1], [1, 1], 2, False, last
        ours = torch.ops.convgrad
        for operator, arguments in ((ours.forward, (x, w, b)), (ours.grad_input, (g, w, list(x.shape))),
                                    (ours.grad_weight, (x, g, list(w.shape))), (ours.transpose, (g, w, None, list(x.shape)))):
            torch.library.opcheck(operator.default, (*arguments, *numbers))
        torch.library.opcheck(ours.grad_bias.default, (g, last))


@pytest.mark.skipif(not hasattr(torch.library, "custom_op"), reason="PyTorch 2.4")
def test_compiled_and_exported():
    """One graph, and the same bits."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.ConvTranspose2d(6, 4, 2, 2))
    mine = torch.nn.Sequential(convgrad.torch.Conv2d.from_torch(model[0]), torch.nn.ReLU(), convgrad.torch.ConvTranspose2d.from_torch(model[2]))
    x = torch.randn(2, 4, 8, 8)
    for some, door in ((model, convgrad.torch.patch), (mine, contextlib.nullcontext)):
        results = []
        for run in (some, torch.compile(some, fullgraph=True, backend="aot_eager")):
            model.zero_grad()
            with door(), convgrad.torch.counting() as counts:
                y = run(x)
                y.square().sum().backward()
            assert sum(counts.here.values()) > 6 and not counts.elsewhere
            results.append([y.detach(), *(p.grad.clone() for p in model.parameters())])
        assert all(torch.equal(a, b) for a, b in zip(*results))
    exported = torch.export.export(mine, (x,), dynamic_shapes=({0: torch.export.Dim("n")},)).module()
    assert torch.equal(exported(x[:1]), mine(x[:1]))


def test_gradients_are_recorded_where_pytorch_records_them():
    for function in (F.conv2d, convgrad.torch.patch()(lambda *operands: F.conv2d(*operands)), convgrad.torch.conv2d):
        x, w = drawn((1, 2, 5, 5), (3, 2, 3, 3))
        grad, = torch.autograd.grad(function(x.detach(), w).sum(), w, create_graph=True)  # which does not depend on w
        assert grad.requires_grad
        agree(torch.autograd.grad(grad.sum(), w, allow_unused=True, materialize_grads=True) if VERSION >= (2,) else [], [torch.zeros_like(w)])
        y = function(x, w)
        assert not torch.autograd.grad(y, x, torch._efficientzerotensor(y.shape, dtype=y.dtype))[0].any()


HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("last", [False, True])
def test_halves(kind, last):
    """Sums are those of float32, and results are rounded once: beside PyTorch's in float32 on the same numbers."""
    for dims, groups, stride in ((2, 1, 1), (2, 2, 2), (2, 8, 1), (3, 1, 1)):
        x, w, b = (torch.randn(size).to(kind) for size in ((2, 8, *[7] * dims), (16, 8 // groups, *[3] * dims), (16,)))
        if last:
            x, w = (t.to(memory_format=torch.channels_last if dims == 2 else torch.channels_last_3d) for t in (x, w))
        wide = [t.float().requires_grad_() for t in (x, w, b)]
        x, w, b = (t.requires_grad_() for t in (x, w, b))
        want = getattr(F, f"conv{dims}d")(*wide, stride, 1, 1, groups)
        for ours in (getattr(F, f"conv{dims}d"), getattr(convgrad.torch, f"conv{dims}d")):
            with convgrad.torch.patch(exact=True), convgrad.torch.counting() as counts:
                y = ours(x, w, b, stride, 1, 1, groups)
                g = torch.randn(y.shape).to(kind)
                gradients = torch.autograd.grad(y, (x, w, b), g)
            assert sum(counts.here.values()) == 4 and not counts.elsewhere
            expected = torch.autograd.grad(want, wide, g.float(), retain_graph=True)
            for got, right in zip((y, *gradients), (want, *expected)):
                assert got.dtype == kind
                unit = torch.finfo(kind).eps / 2
                assert ((got.float() - right).abs() <= 1.01 * unit * right.abs() + 1e-4).all()


def test_under_autocast_the_functions_have_its_type():
    x, w = torch.ones(1, 2, 6, 6), torch.ones(3, 2, 3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = convgrad.torch.conv2d(x, w)
        assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert w.grad.dtype == torch.float32 and (w.grad == 16).all()
    layer = torch.nn.Conv2d(2, 3, 3)
    with convgrad.torch.patch(), torch.autocast("cpu", dtype=torch.bfloat16), convgrad.torch.counting() as counts:
        layer(x).float().square().sum().backward()
    assert counts.here["forward"] == counts.here["grad_weight"] == 1 and not counts.elsewhere
    assert layer.weight.grad.dtype == torch.float32


def test_transposed_layers():
    for theirs, ours in ((torch.nn.ConvTranspose1d, convgrad.torch.ConvTranspose1d), (torch.nn.ConvTranspose2d, convgrad.torch.ConvTranspose2d),
                         (torch.nn.ConvTranspose3d, convgrad.torch.ConvTranspose3d)):
        layer = theirs(4, 6, 3, stride=2, padding=1, groups=2)
        mine = ours.from_torch(layer, exact=True)
        x = torch.randn(2, 4, *[4] * (layer.weight.dim() - 2))
        agree([mine(x), mine(x, [8] * (x.dim() - 2))], [layer(x), layer(x, [8] * (x.dim() - 2))], 1e-4)
        assert mine.weight is layer.weight and mine.exact and ours(4, 6, 3)(x).requires_grad


@pytest.mark.skipif(VERSION >= (2, 4), reason="they go through")
def test_what_did_not_go_through_before():
    x, w = drawn((1, 2, 6, 6), (3, 2, 3, 3))
    y = convgrad.torch.conv2d(x, w)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(y, x, torch.ones(2, *y.shape, dtype=y.dtype), is_grads_batched=True)


def test_memory_that_is_not_there():
    x = torch.ones(1, 1, 1, 1)
    with convgrad.torch.patch():
        for _ in range(2):
            with pytest.raises(RuntimeError):
                F.conv2d(x, x, padding=2**21)


def test_in_threads():
    x, w = drawn((2, 8, 20, 20), (8, 8, 3, 3), dtype=torch.float32)

    def bits():
        y = convgrad.torch.conv2d(x, w, padding=1)
        return [t.detach().numpy().tobytes() for t in (y, *torch.autograd.grad(y.square().sum(), (x, w)))]

    wanted, wrong = bits(), []
    together(lambda: wrong.extend(1 for _ in range(10) if bits() != wanted), 6)
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork():
    x, w = (t.detach() for t in drawn((4, 16, 20, 20), (16, 16, 3, 3), dtype=torch.float32))
    wanted = convgrad.torch.conv2d(x, w, padding=1).numpy().tobytes()
    assert in_a_child(lambda: convgrad.torch.conv2d(x, w, padding=1).numpy().tobytes() == wanted)
    big = torch.ones(1, 1, 600, 600)
    with convgrad.torch.patch():
        with convgrad._torch.lock:  # as if by a thread that the child does not have
            assert in_a_child(lambda: F.conv2d(big, big[:, :, :1, :1]).numpy().sum() == 360000)  # PyTorch's own threads may not survive a fork


class Doubled(torch.nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


class Named(torch.nn.Conv2d):
    """A class of its own that computes what its base does."""


def hooked():
    layer = torch.nn.Conv2d(1, 1, 1)
    layer.forward = lambda x: x
    return layer


@pytest.mark.parametrize("layer, words", [
    (hooked(), "a forward of its own"),
    (torch.nn.Conv1d(1, 1, 1), "layer is a Conv1d; must be a torch.nn.Conv2d"), (torch.nn.ReLU(), "layer is a ReLU"),
    (Doubled(1, 1, 1), "layer is a Doubled"), (torch.nn.LazyConv2d(1, 1), "no weights yet"),
    (torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(2, 2, 2)), "parametrized"),
])
def test_layers_that_are_not_taken(layer, words):
    with pytest.raises(TypeError, match=words):
        convgrad.torch.Conv2d.from_torch(layer)


def test_layers_have_hooks_of_their_own():
    layer = Named(1, 1, 1)
    seen = []
    layer.register_forward_hook(lambda *_: seen.append("before"))
    ours = convgrad.torch.Conv2d.from_torch(layer)
    ours.register_forward_hook(lambda *_: seen.append("ours"))
    ours(torch.ones(1, 1, 1, 1))
    layer(torch.ones(1, 1, 1, 1))
    assert seen == ["before", "ours", "before"]
    again = convgrad.torch.Conv2d.from_torch(ours)
    assert again.weight is layer.weight
    ours.bias = None
    assert layer.bias is not None
