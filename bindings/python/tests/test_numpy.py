"""NumPy arrays in, NumPy arrays out."""
import doctest
import gc
import importlib
import json
import os
import pathlib
import pickle
import subprocess
import sys
import threading

import numpy
import pytest

import convgrad
from oracle import convolution, given, in_a_child, integers, problems, settings

SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data" / "torch-grad"
ROOT = pathlib.Path(__file__).resolve().parents[3]
CONV = {1: convgrad.conv1d, 2: convgrad.conv2d, 3: convgrad.conv3d}
TRANSPOSE = {1: convgrad.conv_transpose1d, 2: convgrad.conv_transpose2d, 3: convgrad.conv_transpose3d}
X, W = numpy.arange(9.0).reshape(1, 1, 3, 3), numpy.arange(4.0).reshape(1, 1, 2, 2)


def double():
    return convgrad.Plan(X.shape, W.shape, dtype="float64")


@settings(max_examples=200, deadline=None)
@given(problems())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_passes_are_exact_on_integers(dtype, problem):
    x_shape, w_shape, stride, padding, dilation, groups = problem
    x, w = integers(x_shape, dtype, 1), integers(w_shape, dtype, 2)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y, dx, dw, g = convolution(x, w, stride, padding, dilation, groups, lambda shape: integers(shape, dtype, 3))
    exact = {"exact": True}
    bias = integers(w_shape[:1], dtype, 4)
    got = CONV[len(stride)](x, w, bias, **geometry, **exact)
    assert got.dtype == dtype
    numpy.testing.assert_array_equal(got, y + bias.reshape(-1, *[1] * len(stride)))
    numpy.testing.assert_array_equal(convgrad.conv_input(x_shape, w, g, **geometry, **exact), dx)
    numpy.testing.assert_array_equal(convgrad.conv_weight(x, w_shape, g, **geometry, **exact), dw)
    numpy.testing.assert_array_equal(convgrad.conv_bias(g), g.sum(axis=(0, *range(2, g.ndim))))
    plan = convgrad.Plan(x_shape, w_shape, **geometry, **exact, dtype=dtype, gradient_scale=0.5)
    assert plan.output_shape == y.shape
    for got, wanted in zip(plan.backward(x, w, g), (dx, dw, g.sum(axis=(0, *range(2, g.ndim))))):
        numpy.testing.assert_array_equal(got, wanted / 2)
    ones = integers(x_shape[1:2], dtype, 5)  # a transposed convolution reads g and gives what is shaped as x
    numpy.testing.assert_array_equal(plan.transpose_forward(g, w, ones), dx + ones.reshape(-1, *[1] * len(stride)))
    wanted = y / 2, dw / 2, x.sum(axis=(0, *range(2, x.ndim))) / 2
    for got, want in zip(plan.transpose_backward(g, w, x), wanted):
        numpy.testing.assert_array_equal(got, want)
    held = [numpy.array(want, dtype) for want in wanted]
    plan.transpose_backward(g, w, x, out=tuple(held), accumulate=True)
    for got, want in zip(held, wanted):
        numpy.testing.assert_array_equal(got, 2 * want)
    total = dx.astype(dtype)
    plan.grad_input(g, w, out=total, accumulate=True)
    numpy.testing.assert_array_equal(total, dx * 1.5)


def test_backward_of_a_subset():
    plan = double()
    assert [r is None for r in plan.backward(None, W, W, need=(True, False, True))] == [False, True, False]
    assert plan.backward(None, None, W, need=(False, False, True))[2] == [6]


def test_backward_into_arrays():
    plan, zeros = double(), (numpy.zeros(X.shape), None, numpy.zeros(1))
    results = plan.backward(X, W, W, out=zeros)
    assert results[0] is zeros[0] and results[1] is not None and results[2] is zeros[2]
    once = [result.copy() for result in results]
    plan.backward(X, W, W, out=results, accumulate=True)
    for one, two in zip(once, results):
        numpy.testing.assert_array_equal(two, 2 * one)
    both = numpy.zeros(9)
    with pytest.raises(ValueError, match="overlaps"):
        plan.backward(X, W, W, out=(both.reshape(X.shape), both[:4].reshape(W.shape), None))


@pytest.mark.parametrize("case", sorted(SHARED.glob("*/case.json")) or [None], ids=lambda path: path.parent.name if path else "none")
def test_gradients_by_pytorch(case):
    if case is None:
        pytest.skip("outside data is not there")
    facts = json.loads(case.read_text())
    load = lambda name: numpy.load(case.parent / f"{name}.npy")
    x, w, g = load("x"), load("w"), load("grad_out")
    dims = x.ndim - 2
    pairs = tuple(zip(facts["pads"][:dims], facts["pads"][dims:]))
    geometry = {"stride": tuple(facts["strides"]), "dilation": tuple(facts["dilations"]), "groups": facts["groups"]}
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        x, w, g = (load(name).astype(dtype) for name in ("x", "w", "grad_out"))
        bias = load("b").astype(dtype) if facts["has_bias"] else None
        if facts["op"] == "ConvTranspose":
            y = TRANSPOSE[dims](x, w, bias, padding=pairs, output_padding=facts["output_padding"], **geometry)
            dx = CONV[dims](g, w, padding=pairs, **geometry)
            dw = convgrad.conv_weight(g, w.shape, x, padding=pairs, **geometry)
        else:
            y = CONV[dims](x, w, bias, padding=pairs, **geometry)
            dx = convgrad.conv_input(x.shape, w, g, padding=pairs, **geometry)
            dw = convgrad.conv_weight(x, w.shape, g, padding=pairs, **geometry)
        for got, name in ((y, "y"), (dx, "grad_x"), (dw, "grad_w")):
            wanted = load(name)
            most = facts["abs_sum_max"][name] if isinstance(facts["abs_sum_max"], dict) else facts["abs_sum_max"]
            assert got.shape == wanted.shape
            numpy.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(most, 1))


@pytest.mark.parametrize("padding, stride, wanted", [
    ("valid", 1, (3, 2)), ("same", 1, (5, 5)), ("same_tensorflow", 2, (3, 3)), (1, 1, (5, 4)), ((0, 1), 1, (3, 4)),
    (((1, 0), (2, 3)), 1, (4, 7)), ([1], 2, (3, 2)),
])
def test_padding(padding, stride, wanted):
    x, w = integers((1, 1, 5, 5), "float64", 1), integers((1, 1, 3, 4), "float64", 2)
    assert convgrad.conv2d(x, w, padding=padding, stride=stride).shape[2:] == wanted


def test_same_puts_the_odd_one_at_the_end():
    x = numpy.array([[[1.0, 2, 3]]])
    numpy.testing.assert_array_equal(convgrad.conv1d(x, numpy.array([[[1.0, 10]]]), padding="same"), [[[21, 32, 3]]])
    assert convgrad.conv1d(numpy.ones((1, 1, 5)), numpy.ones((1, 1, 3)), padding="same_tensorflow", stride=2).tolist() == [[[2, 3, 2]]]


def test_without_batch():
    numpy.testing.assert_array_equal(convgrad.conv2d(X[0], W), convgrad.conv2d(X, W)[0])
    numpy.testing.assert_array_equal(convgrad.conv_transpose2d(W[0], W), convgrad.conv_transpose2d(W, W)[0])
    for out, call in ((numpy.empty((1, 2, 2)), convgrad.conv2d), (numpy.empty((1, 4, 4)), convgrad.conv_transpose2d)):
        assert call(X[0], W, out=out) is out
        numpy.testing.assert_array_equal(out, call(X, W)[0])


def test_a_bias_that_the_result_overlaps():
    memory = numpy.full(64, 5.0)
    x, w, out = numpy.ones((1, 1, 3, 3)), numpy.ones((1, 4, 2, 2)), memory.reshape(1, 4, 4, 4)
    wanted = convgrad.conv_transpose2d(x, w, memory[:4].copy())
    numpy.testing.assert_array_equal(convgrad.conv_transpose2d(x, w, memory[:4], out=out), wanted)
    with pytest.raises(ValueError, match="overlaps"):
        convgrad.conv2d(x, numpy.ones((4, 1, 2, 2)), memory[:4], out=memory[:16].reshape(1, 4, 2, 2))


def test_padding_of_transposes():
    w, geometry = integers((2, 3, 2, 3), "float64", 1), {"stride": (2, 3), "dilation": (1, 2)}
    y = integers((1, 2, 4, 5), "float64", 2)
    full = convgrad.conv_transpose2d(y, w, **geometry)
    numpy.testing.assert_array_equal(convgrad.conv_transpose2d(y, w, padding=((1, 0), (2, 3)), **geometry), full[:, :, 1:, 2:-3])
    numpy.testing.assert_array_equal(convgrad.conv_transpose2d(y, w, padding="valid", **geometry), full)
    same = convgrad.conv_transpose2d(y, w, padding="same_tensorflow", **geometry)
    numpy.testing.assert_array_equal(same, convgrad.conv_input((1, 3, 8, 15), w, y, padding="same_tensorflow", **geometry))
    w = integers((2, 3, 2, 1), "float64", 3)  # a filter shorter than the stride
    same = convgrad.conv_transpose2d(y, w, padding="same_tensorflow", stride=3)
    numpy.testing.assert_array_equal(same, convgrad.conv_input((1, 3, 12, 15), w, y, padding="same_tensorflow", stride=3))
    same = convgrad.conv_transpose2d(y, w, padding="same")
    numpy.testing.assert_array_equal(same, convgrad.conv_input((1, 3, 4, 5), w, y, padding="same"))


@pytest.mark.parametrize("call, error, words", [
    (lambda: convgrad.conv2d(X, W, stride=0), convgrad.Error, "stride[0] is 0; must be at least 1"),
    (lambda: convgrad.conv2d(X, W, dilation=9), convgrad.Error, "filter[0] is 2"),
    (lambda: convgrad.conv2d(X, W, groups=2), convgrad.Error, "weight has 1 channels a group; input has 1 channels in 2 groups"),
    (lambda: convgrad.conv2d(X, W, groups=0), convgrad.Error, "groups is 0"),
    (lambda: convgrad.conv2d(X, W, padding=-1), convgrad.Error, "pad_begin[0] is -1"),
    (lambda: convgrad.conv2d(X, W, padding="reflect"), ValueError, "'reflect'"),
    (lambda: convgrad.conv2d(X, W, padding="same", stride=2), ValueError, "stride (2, 2)"),
    (lambda: convgrad.conv2d(X, W, padding=((1, 2),)), ValueError, "2 pairs"),
    (lambda: convgrad.conv2d(X, W, stride=(1, 2, 3)), ValueError, "stride is (1, 2, 3)"),
    (lambda: convgrad.conv2d(X, W, stride=1.5), TypeError, "stride is 1.5"),
    (lambda: convgrad.conv2d(X, W, stride=2**63), ValueError, f"stride is {2**63}; must fit 64 bits"),
    (lambda: convgrad.conv2d(X, W, padding=2**64 + 1), ValueError, f"padding is {2**64 + 1}; must fit 64 bits"),
    (lambda: convgrad.conv_transpose2d(W, W, stride=0), ValueError, "stride is (0, 0); must be at least 1"),
    (lambda: convgrad.conv_transpose2d(X, numpy.ones((5, 1, 2, 2))), ValueError, "input has 1 channels; weight has 5"),
    (lambda: convgrad.conv_transpose2d(W, W, numpy.ones(1), out=[[1]]), TypeError, "out is a list"),
    (lambda: convgrad.conv2d(X, W.astype("float32")), TypeError, "weight has dtype float32; must be float64"),
    (lambda: convgrad.conv2d(X.astype("int64"), W), TypeError, "input has dtype int64"),
    (lambda: convgrad.conv2d(X.astype("complex128"), W), TypeError, "complex128"),
    (lambda: convgrad.conv2d(X.astype(">f8"), W.astype(">f8")), TypeError, ">f8"),
    (lambda: convgrad.conv2d(X[0, 0], W), ValueError, "input has 2 axes"),
    (lambda: convgrad.conv2d(X, W[0]), ValueError, "weight has 3 axes"),
    (lambda: convgrad.conv2d(X, W, numpy.zeros(2)), ValueError, "bias has shape (2,); must be (1,)"),
    (lambda: convgrad.conv2d(X, W, out=numpy.zeros((1, 1, 2, 3))), ValueError, "out has shape"),
    (lambda: convgrad.conv2d(X, W, out=numpy.zeros((1, 1, 2, 2), "float32")), TypeError, "out has dtype float32"),
    (lambda: convgrad.conv2d(X, W, out=numpy.zeros((1, 1, 2, 4))[..., ::2]), ValueError, "C-contiguous"),
    (lambda: convgrad.conv2d(X, W, out=[[0]]), TypeError, "out is a list"),
    (lambda: convgrad.conv2d(X, W, out=W), ValueError, "overlaps"),
    (lambda: convgrad.conv2d(X, W, algorithm="fft"), ValueError, "'fft'"),
    (lambda: convgrad.conv2d(numpy.zeros((1, 1, 9, 9)), W, stride=2, algorithm="winograd4"), convgrad.Error, "winograd4"),
    (lambda: convgrad.conv2d(X, W, threads=-1), convgrad.Error, "threads is -1"),
    (lambda: convgrad.conv2d(X, W, speed=9), TypeError, "speed"),
    (lambda: convgrad.conv_input((1, 1, 3, 3), W, X), ValueError, "grad_output has shape (1, 1, 3, 3); must be (1, 1, 2, 2)"),
    (lambda: convgrad.conv_input((1, 1, 3, 3), W, W, accumulate=True), ValueError, "accumulate is True"),
    (lambda: convgrad.conv_transpose2d(W, W, output_padding=1), ValueError, "output_padding is (1, 1)"),
    (lambda: convgrad.conv_transpose2d(W, W, numpy.zeros(3)), ValueError, "bias has shape (3,); must be (1,)"),
    (lambda: convgrad.conv_transpose2d(W, W, numpy.zeros(1, "f")), TypeError, "bias has dtype float32; must be float64"),
    (lambda: convgrad.conv_transpose2d(W, W, padding=5), ValueError, "padding is 5; the output before it has size (3, 3)"),
    (lambda: convgrad.conv_transpose2d(W, W, padding=-1), convgrad.Error, "pad_begin[0] is -1"),
    (lambda: convgrad.conv_transpose2d(W, W, stride=2, padding="same"), ValueError, "needs stride 1"),
    (lambda: convgrad.conv_transpose2d(W, W, stride=2, output_padding=1, padding="same_tensorflow"), ValueError, "has size (4, 4)"),
    (lambda: convgrad.conv_transpose2d(W, W, gradient_scale=2), TypeError, "no option gradient_scale"),
    (lambda: convgrad.conv2d(X, W, gradient_scale=2), TypeError, "no option gradient_scale"),
    (lambda: convgrad.conv2d(X, W, stride=2.0), TypeError, "stride is 2.0"),
    (lambda: convgrad.conv2d(X, W, padding=numpy.array([1.5, 1])), TypeError, "padding is 1.5"),
    (lambda: convgrad.conv2d(X, W, groups=[1]), TypeError, "groups is [1]"),
    (lambda: convgrad.conv2d(X, W, threads=1.5), TypeError, "threads is 1.5"),
    (lambda: convgrad.conv2d(X, W, threads=2**32 + 1), ValueError, "threads is 4294967297; must fit 32 bits"),
    (lambda: convgrad.conv2d(X, W, workspace_limit=-1), ValueError, "workspace_limit is -1"),
    (lambda: convgrad.conv2d(X, W, error_growth="12"), TypeError, "error_growth is '12'"),
    (lambda: convgrad.conv2d(X, W, stride=0, padding="same_tensorflow"), ValueError, "stride is (0, 0); must be at least 1"),
    (lambda: convgrad.conv_transpose2d(W, W, groups=-1), ValueError, "groups is -1; must be at least 1"),
    (lambda: convgrad.conv_transpose2d(numpy.ones((1, 3, 2, 2)), numpy.ones((3, 1, 2, 2)), groups=2), ValueError, "multiple of groups 2"),
    (lambda: convgrad.conv2d(X, W, out=numpy.ma.masked_all((1, 1, 2, 2))), TypeError, "out is a MaskedArray"),
    (lambda: convgrad.explain("simple", stride=7), TypeError, "problem is 'simple', which says all"),
    (lambda: convgrad.conv2d(numpy.ones((8, 9, 9, 3)), numpy.ones((4, 3, 2, 2))), convgrad.Error,
     "input is (8, 9, 9, 3), expected (N, C, H, W); weight is (4, 3, 2, 2), expected (K, C / groups, R, S); input looks like channels last"),
    (lambda: convgrad.Plan((8, 3, 9, 9), (2, 2, 3, 64)), convgrad.Error, "weight looks like channels last (R, S, C / groups, K)"),
    (lambda: convgrad.Plan((8, 3, 9, 9), (64, 2, 2, 3)), convgrad.Error, "weight looks like channels last (K, R, S, C / groups)"),
    (lambda: convgrad.Plan((8, 9, 9, 3), (2, 2, 3, 64)), convgrad.Error, "(N, H, W, C and R, S, C / groups, K)"),
    (lambda: convgrad.conv_transpose2d(numpy.ones((1, 9, 9, 3)), numpy.ones((3, 2, 2, 2))), ValueError, "input looks like channels last"),
    (lambda: convgrad.conv2d(X, W, exact="yes"), TypeError, "exact is 'yes'; must be True or False"),
    (lambda: convgrad.conv2d(X, W, exact=True, error_growth=5), ValueError, "error_growth is 5 and exact True, which means 1"),
    (lambda: convgrad.conv2d(X, W, exact=True, algorithm="winograd4"), ValueError,
     "algorithm of forward is winograd4 and exact True; it mixes neighbours"),
    (lambda: convgrad.conv2d(X, W, error_growth=0.5), convgrad.Error, "error_growth is 0.5"),
    (lambda: convgrad.conv2d(X, W, algorithm=["direct"]), ValueError, "algorithm is ['direct']"),
    (lambda: convgrad.conv2d(X, W, algorithm={"backward": "direct"}), ValueError, "a dict by pass"),
    (lambda: convgrad.conv2d(numpy.ma.masked_equal(X, 3), W), TypeError, "input is a masked array"),
    (lambda: convgrad.conv_bias(numpy.ma.masked_equal(X, 3)), TypeError, "grad_output is a masked array"),
    (lambda: convgrad.conv2d(X[0], W, out=numpy.empty((1, 1, 2, 2))), ValueError, "out has shape (1, 1, 2, 2); must be (1, 2, 2)"),
    (lambda: convgrad.conv_input((1, 1, 3.0, 3), W, W), TypeError, "the shape of input is 3.0"),
    (lambda: convgrad.conv_weight(X, 2, W), TypeError, "the shape of weight is 2; must be a sequence"),
    (lambda: convgrad.Plan(3, 4), TypeError, "the shape of input is 3; must be a sequence"),
    (lambda: convgrad.Plan(X.shape, W.shape[1:]), ValueError, "weight has shape (1, 2, 2); must have 4 axes"),
    (lambda: double().backward(X, W, W, need=(True,)), ValueError, "need has 1; must be a tuple of three"),
    (lambda: double().backward(X, W, W, need=(True, False, False), out=(None, W.copy(), None)), ValueError, "not needed"),
    (lambda: double().backward(X, W, W, accumulate=True), ValueError, "accumulate is True"),
    (lambda: double().backward(X, W, W, out=(X, None, None)), ValueError, "overlaps"),
    (lambda: convgrad.explain(X, W), TypeError, "grad_output is None"),
    (lambda: convgrad.explain(X * 1j, W, W), TypeError, "input has dtype complex128"),
    (lambda: convgrad.Plan((1, 1), (1, 1)), ValueError, "input has shape (1, 1)"),
    (lambda: convgrad.Plan(X.shape, W.shape, dtype="int8"), TypeError, "dtype is int8"),
    (lambda: convgrad.Plan((2**40, 2**20, 2**20, 1), (1, 2**20, 1, 1)), convgrad.Error, ""),
    (lambda: convgrad.explain("nonsense"), convgrad.Error, "nonsense"),
    (lambda: convgrad.explain("mb64ic3ih28oc4kh3ph1"), convgrad.Error, "300,000 elements of all arrays that explain shows; a part"),
    (lambda: convgrad.explain("mb64ic3ih28oc4kh3ph1"), convgrad.Error, ": crop=True takes that"),
    (lambda: convgrad.explain("--format"), convgrad.Error, "problem '--format': must be"),
    (lambda: convgrad.explain("a\0b"), convgrad.Error, "problem 'a\\x00b'"),
    (lambda: convgrad.explain(X, W, X), ValueError, "grad_output has shape (1, 1, 3, 3); must be (1, 1, 2, 2)"),
    (lambda: convgrad.explain(X[0], W, W), ValueError, "weight has shape (1, 1, 2, 2); must have 3 axes, as many as input"),
    (lambda: convgrad.conv2d(None, W), TypeError, "input is None; must be an array"),
    (lambda: convgrad.conv2d([[1, 2], [3]], W), TypeError, "input is a list that NumPy cannot take as an array"),
    (lambda: convgrad.Plan(X, W), TypeError, "the shape of input is a ndarray of 4 axes; give its shape"),
    (lambda: convgrad.Plan(X.shape, W.shape, dtype=None), TypeError, "dtype is None"),
    (lambda: setattr(double(), "input_shape", (1, 1, 1, 1)), AttributeError, "a plan never changes"),
    (lambda: double().backward(X, W, W, out=X), ValueError, "out is a ndarray; must be a tuple of three"),
])
def test_errors(call, error, words):
    with pytest.raises(error) as raised:
        call()
    assert words in str(raised.value)


@pytest.mark.parametrize("change", [
    numpy.asfortranarray, lambda a: a[..., ::-1][..., ::-1], lambda a: numpy.repeat(a, 2, axis=-1)[..., ::2],
    lambda a: numpy.frombuffer(b"\0" + a.tobytes(), numpy.uint8)[1:].view(a.dtype).reshape(a.shape), numpy.ndarray.tolist,
])
def test_other_inputs_are_copied(change):
    x, w = change(integers((2, 3, 5, 4), "float64", 1)), change(integers((2, 3, 3, 3), "float64", 2))
    wanted = convgrad.conv2d(numpy.array(x, order="C"), numpy.array(w, order="C"))
    numpy.testing.assert_array_equal(convgrad.conv2d(x, w), wanted)


def test_read_only_operands():
    x = X.copy()
    x.flags.writeable = False
    numpy.testing.assert_array_equal(convgrad.conv2d(x, W), [[[[19, 25], [37, 43]]]])
    with pytest.raises(ValueError, match="can be written"):
        convgrad.conv_input(x.shape, W, W, out=x)


def test_a_refused_out_stays():
    x, out = W.copy(), numpy.zeros((1, 1, 2, 2), "float32")
    for wrong, error in ((x, ValueError), (out, TypeError)):
        before = wrong.copy()
        with pytest.raises(error):
            convgrad.conv_transpose2d(x, numpy.ones((1, 1, 1, 1)), numpy.array([7.0]), out=wrong)
        assert (wrong == before).all()


def test_plans_by_pass_are_kept():
    info = convgrad._functional._cached.cache_info
    for _ in range(2):
        hits = info().hits
        convgrad.conv2d(X, W, algorithm={"forward": "im2col"})
    assert info().hits == hits + 1


def test_the_operands_stay():
    x, w, g = X.copy(), W.copy(), W.copy()
    convgrad.Plan(X.shape, W.shape, dtype="float64").backward(x, w, g)
    assert (x == X).all() and (w == W).all() and (g == W).all()


def test_plan_tells_what_it_decided():
    plan = convgrad.Plan((8, 32, 28, 28), (32, 32, 3, 3), padding=1, threads=2, algorithm={"forward": "im2col"})
    assert plan.algorithms["forward"] == "im2col" and set(plan.algorithms) == {"forward", "grad_input", "grad_weight"}
    assert "im2col" in plan.describe() and plan.workspace_sizes["forward"] > 0
    assert plan.threads["forward"] == 2 and plan.error_growths["forward"] == 1 and plan.error_bounds["grad_weight"] > 0
    assert repr(plan).startswith("<convgrad.Plan (8, 32, 28, 28)")
    assert plan.verify().checks > 0


def test_exact_keeps_structure():
    shapes = (4, 64, 28, 28), (64, 64, 3, 3)
    assert min(convgrad.Plan(*shapes, padding=1).error_growths.values()) > 1, "the default would be exact anyway"
    plan = convgrad.Plan(*shapes, padding=1, exact=True)
    assert set(plan.error_growths.values()) == {1} and pickle.loads(pickle.dumps(plan)).error_growths == plan.error_growths
    x, w, g = (numpy.zeros(shapes[0], "f"), numpy.random.default_rng(1).standard_normal(shapes[1], "f"), numpy.zeros(shapes[0], "f"))
    x[0, 0, 8, 8] = g[0, 0, 8, 8] = 1e10
    for y in (convgrad.conv2d(x, w, padding=1, exact=True), convgrad.conv_input(shapes[0], w, g, padding=1, exact=True),
              convgrad.conv_transpose2d(g, w, padding=1, exact=True), plan.forward(x, w)):
        assert y[0, :, 7:10, 7:10].any()
        y[0, :, 7:10, 7:10] = 0
        assert not y.any()
    dw = convgrad.conv_weight(x, shapes[1], g, padding=1, exact=True)
    assert dw[0, 0, 1, 1] == numpy.float32(1e20) and numpy.count_nonzero(dw) == 1
    y = convgrad.conv2d(x, w, padding=1)
    y[0, :, 7:10, 7:10] = 0
    assert y.any(), "Winograd leaves nothing beside: this test holds nothing"


def test_plans_are_pickled_as_what_they_were_made_of():
    plan = convgrad.Plan((2, 4, 9, 9), (6, 2, 3, 3), stride=2, padding=((1, 0), (0, 1)), dilation=(2, 1), groups=2, dtype="float64",
                         threads=3, algorithm={"forward": "im2col"}, gradient_scale=0.5)
    again = pickle.loads(pickle.dumps(plan))
    assert again is not plan and again.describe() == plan.describe() and again.algorithms == plan.algorithms
    x, w, g = integers(plan.input_shape, "float64", 1), integers(plan.weight_shape, "float64", 2), integers(plan.output_shape, "float64", 3)
    for one, other in zip(plan.backward(x, w, g), again.backward(x, w, g)):
        assert one.tobytes() == other.tobytes()


def test_numbers_of_other_kinds():
    wanted = convgrad.conv2d(X, W, stride=2, padding=((1, 0), (0, 1)))
    for stride, padding in ((numpy.int32(2), [[1, 0], [0, 1]]), (numpy.array([2, 2]), numpy.array([[1, 0], [0, 1]])), ([2], ((True, 0), (0, 1)))):
        numpy.testing.assert_array_equal(convgrad.conv2d(X, W, stride=stride, padding=padding, groups=numpy.int64(1)), wanted)


def random_layer():
    draw = numpy.random.default_rng(0)
    return draw.normal(size=(8, 32, 28, 28)).astype("f"), draw.normal(size=(48, 32, 3, 3)).astype("f")


def test_the_same_bits_for_every_thread_count():
    x, w = random_layer()
    one = convgrad.conv2d(x, w, padding=1, threads=1)
    for threads in (2, 3, 8):
        assert convgrad.conv2d(x, w, padding=1, threads=threads).tobytes() == one.tobytes()
        assert convgrad.conv_weight(x, w.shape, one, padding=1, threads=threads).tobytes() == \
            convgrad.conv_weight(x, w.shape, one, padding=1, threads=1).tobytes()


def test_many_threads_on_one_plan():
    x, w = random_layer()
    plan = convgrad.Plan(x.shape, w.shape, padding=1, threads=2)
    wanted, wrong = plan.forward(x, w).tobytes(), []

    def work():
        for _ in range(10):
            if plan.forward(x, w).tobytes() != wanted:
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork():
    x, w = random_layer()
    plan = convgrad.Plan(x.shape, w.shape, padding=1, threads=2)
    wanted = plan.forward(x, w)

    def child():
        results = []
        workers = [threading.Thread(target=lambda: results.append(plan.forward(x, w).tobytes())) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return results == [wanted.tobytes()] * 4 and plan.threads["forward"] == 1 and \
            convgrad.conv2d(x, w, padding=1, threads=2).tobytes() == wanted.tobytes()

    assert in_a_child(child)
    assert plan.forward(x, w).tobytes() == wanted.tobytes() and plan.threads["forward"] == 2


def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="no /proc here")
def test_plans_and_results_are_freed():
    def work(count):
        for n in range(count):
            convgrad.Plan((1, 1, 8, 8 + n % 7), (1, 1, 3, 3)).forward(numpy.zeros((1, 1, 8, 8 + n % 7), "f"), numpy.zeros((1, 1, 3, 3), "f"))
        gc.collect()

    work(2000)
    before = resident()
    work(20000)
    assert resident() - before < 4 << 20


def test_plans_of_calls_are_kept_and_bounded():
    info = convgrad._functional._cached.cache_info
    convgrad.conv1d(numpy.zeros((1, 1, 50)), numpy.zeros((1, 1, 3)))
    hits = info().hits
    convgrad.conv1d(numpy.zeros((1, 1, 50)), numpy.zeros((1, 1, 3)))
    assert info().hits == hits + 1
    for n in range(convgrad.CACHED_PLANS + 10):
        convgrad.conv1d(numpy.zeros((1, 1, n + 3)), numpy.zeros((1, 1, 3)))
    assert info().currsize == convgrad.CACHED_PLANS


@pytest.mark.skipif(not hasattr(os, "sysconf") or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 12 << 30,
                    reason="needs 12 GiB of memory")
def test_more_than_two_gibibytes():
    count = (1 << 29) + 7
    x = numpy.zeros((1, 1, count), "f")
    x[0, 0, -3:] = 1, 2, 3
    y = convgrad.conv1d(x, numpy.array([[[1, 10, 100]]], "f"))
    assert y.shape == (1, 1, count - 2) and y[0, 0, -3:].tolist() == [100, 210, 321] and not y[0, 0, :-3].any()


def test_explain():
    simple = convgrad.explain("simple")
    assert simple["dW"].ravel().tolist() == [19, 25, 37, 43] and simple.difference == 0
    assert simple.html.startswith("<!DOCTYPE html>") and "<iframe srcdoc=" in simple._repr_html_()
    own = convgrad.explain(X, W, W)
    assert all((own[name] == simple[name]).all() for name in simple)
    draw = numpy.random.default_rng(0).normal
    x, w, g = draw(size=(2, 2, 5, 4)), draw(size=(4, 1, 3, 2)), draw(size=(2, 4, 3, 2))
    told = convgrad.explain(x, w, g, stride=2, padding=((1, 1), (0, 1)), groups=2)
    numpy.testing.assert_allclose(told["delta_out"], convgrad.conv_input(x.shape, w, g, stride=2, padding=((1, 1), (0, 1)), groups=2))
    nan = x.copy()
    nan[0, 0, 0, 0] = numpy.nan
    told = convgrad.explain(nan, w, g, stride=2, padding=((1, 1), (0, 1)), groups=2)
    assert numpy.isnan(told["y"]).any() and numpy.isnan(told.difference)
    assert convgrad.explain("mb64ic3ih28oc4kh3ph1", crop=True)["x"].shape == (1, 3, 28, 28)


@pytest.mark.parametrize("module", ["_functional", "_plan", "_explain"])
def test_examples_of_the_docstrings(module):
    failed, tried = doctest.testmod(importlib.import_module(f"convgrad.{module}"))
    assert tried and not failed


def test_example_of_the_readme(tmp_path, monkeypatch):
    text = (ROOT / "bindings/python/README.md").read_text()
    monkeypatch.chdir(tmp_path)
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    assert blocks
    exec(blocks[0], {})  # the others want PyTorch


def test_measured_and_exported_plans(tmp_path):
    problem, words = ((2, 16, 20, 20), (16, 16, 3, 3)), {"padding": 1}
    measured = convgrad.Plan(*problem, **words, measure=0.05)
    assert all(name in ("reference", "direct", "im2col") or name.startswith("winograd") for name in measured.algorithms.values())
    text = measured.export()
    again = convgrad.Plan.import_(text, *problem, **words)
    read = pickle.loads(pickle.dumps(measured))
    x, w = numpy.ones(problem[0], numpy.float32), numpy.ones(problem[1], numpy.float32)
    assert measured.algorithms == again.algorithms == read.algorithms and again.export() == text
    assert measured.forward(x, w).tobytes() == again.forward(x, w).tobytes()
    for wrong, other, error, why in ((text, ((2, 16, 21, 20), problem[1]), convgrad.Error, ""), (text[:-9], problem, convgrad.Error, ""),
                                     (3, problem, TypeError, "text is a int")):
        with pytest.raises(error, match=why):
            convgrad.Plan.import_(wrong, *other, **words)
    for measure, error, why in (("1", TypeError, "measure is '1'"), (-1, ValueError, "measure is -1"), (float("nan"), ValueError, "measure is nan")):
        with pytest.raises(error, match=why):
            convgrad.Plan(*problem, **words, measure=measure)
    with pytest.raises(ValueError, match="two ways"):
        convgrad.Plan.import_(text, *problem, **words, measure=1)
    assert set(convgrad.Plan(*problem, **words, exact=True, measure=0.01).algorithms.values()) <= {"direct", "im2col", "reference"}


def test_torch_is_found_by_name():
    torch = pytest.importorskip("torch", reason="PyTorch is not here: convgrad.torch was not tested")
    assert in_a_process("import convgrad; print(convgrad.torch.conv2d.__name__)") == "conv2d" and torch
    with pytest.raises(AttributeError, match="no attribute 'tensorflow'"):
        convgrad.tensorflow


def in_a_process(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def halves():
    """The types of 16 bits that are here."""
    try:
        import ml_dtypes
    except ImportError:
        return [numpy.float16]
    return [numpy.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", halves())
def test_halves(dtype):
    """Sums of float32, of which each is rounded once; gradients of float32 if they are asked for."""
    random = numpy.random.default_rng(3)
    x, w, b, g = (random.standard_normal(shape).astype(dtype) for shape in ((2, 8, 9, 9), (6, 8, 3, 3), (6,), (2, 6, 9, 9)))
    wide = [a.astype("f4") for a in (x, w, b, g)]
    options = {"padding": 1, "exact": True}
    want = convgrad.conv2d(*wide[:3], **options)
    got = convgrad.conv2d(x, w, b, **options)
    assert got.dtype == numpy.dtype(dtype)
    unit = {"float16": 2**-11, "bfloat16": 2**-8}[numpy.dtype(dtype).name]
    assert (abs(got.astype("f4") - want) <= 1.01 * unit * abs(want) + 1e-4).all()
    assert (convgrad.conv_bias(g).astype("f4") == convgrad.conv_bias(wide[3]).astype(dtype).astype("f4")).all()
    plan = convgrad.Plan(x.shape, w.shape, dtype=dtype, grad_dtype="float32", **options)
    plain = convgrad.Plan(x.shape, w.shape, **options)
    for ours, theirs in zip(plan.backward(x, w, g), plain.backward(wide[0], wide[1], wide[3])):
        assert ours.dtype == numpy.float32
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    total = numpy.ones(w.shape, "f4")
    plan.grad_weight(x, g, out=total, accumulate=True)
    numpy.testing.assert_allclose(total, 1 + plan.grad_weight(x, g), rtol=1e-6)
    assert plan.verify().checks > 0 and "gradients f32" in plan.describe()
    view = numpy.zeros((2, 10, 9, 9), dtype)[:, 1:9]
    view[...] = x
    assert (convgrad.conv2d(view, w, b, **options).astype("f4") == got.astype("f4")).all()
    again = pickle.loads(pickle.dumps(plan))
    assert again.grad_dtype == numpy.float32 and again.dtype == plan.dtype


def test_types_that_are_refused():
    shapes = (1, 1, 3, 3), (1, 1, 3, 3)
    for words, sentence in (({"dtype": "int32"}, "dtype is int32; must be float32, float64, float16 or bfloat16"),
                            ({"grad_dtype": "float64"}, "grad_dtype is float64; must be float32"),
                            ({"dtype": "float16", "grad_dtype": "float64"}, "grad_dtype is float64; must be float16 or float32")):
        with pytest.raises(TypeError, match=sentence):
            convgrad.Plan(*shapes, **words)
