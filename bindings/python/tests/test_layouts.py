"""Channels last and the three layouts of weights: the same results, wherever they stand, by functions and by the program."""
import os
import pathlib
import subprocess

import numpy
import pytest

import convgrad

PROGRAM = os.environ.get("CONVGRAD_PROGRAM", str(pathlib.Path(convgrad.__file__).with_name("convgrad")))


def last(array):
    return numpy.ascontiguousarray(numpy.moveaxis(array, 1, -1))


IMAGES = {"channels_first": lambda array: array, "channels_last": last}
WEIGHTS = {
    "kcrs": lambda array: array,
    "krsc": last,
    "rsck": lambda array: numpy.ascontiguousarray(numpy.moveaxis(numpy.moveaxis(array, 0, -1), 0, -2)),
}
BOTH = pytest.mark.parametrize("layout", IMAGES)
ALL = pytest.mark.parametrize("weight_layout", WEIGHTS)
DIMS = pytest.mark.parametrize("dims", (1, 2, 3))


def layer(dims):
    """Small whole numbers, of which all sums are exact: input, weight, bias, and the weight of a transposed convolution."""
    draw = numpy.random.default_rng(dims)
    size, filters = (7, 6, 5)[:dims], (3, 2, 2)[:dims]
    shapes = (2, 4, *size), (6, 2, *filters), (6,), (4, 3, *filters)
    return [draw.integers(-3, 4, shape).astype("float32") for shape in shapes]


def same(got, want):
    assert got.shape == want.shape and got.dtype == want.dtype
    assert numpy.array_equal(got, want)


@DIMS
@BOTH
@ALL
@pytest.mark.parametrize("algorithm", ("auto", "im2col", "reference"))
def test_functions(dims, layout, weight_layout, algorithm):
    x, w, b, back = layer(dims)
    conv = getattr(convgrad, f"conv{dims}d")
    transpose = getattr(convgrad, f"conv_transpose{dims}d")
    geometry = {"stride": 2, "padding": "same_tensorflow", "groups": 2, "algorithm": algorithm}
    there = {**geometry, "layout": layout, "weight_layout": weight_layout}
    at, put = IMAGES[layout], WEIGHTS[weight_layout]
    y = conv(x, w, b, **geometry)
    g = numpy.random.default_rng(9).integers(-3, 4, y.shape).astype("float32")
    same(conv(at(x), put(w), b, **there), at(y))
    same(convgrad.conv_input(at(x).shape, put(w), at(g), **there), at(convgrad.conv_input(x.shape, w, g, **geometry)))
    same(convgrad.conv_weight(at(x), put(w).shape, at(g), **there), put(convgrad.conv_weight(x, w.shape, g, **geometry)))
    same(convgrad.conv_bias(at(g), layout=layout), convgrad.conv_bias(g))
    up = {"stride": 2, "output_padding": 1, "groups": 2}
    same(transpose(at(x), put(back), layout=layout, weight_layout=weight_layout, **up), at(transpose(x, back, **up)))


def test_plan_says_shapes_as_arrays_have_them():
    plan = convgrad.Plan((2, 9, 9, 4), (6, 3, 3, 4), layout="channels_last")
    assert (plan.input_shape, plan.output_shape, plan.bias_shape) == ((2, 9, 9, 4), (2, 7, 7, 6), (6,))
    assert plan.verify().checks > 0
    assert "channels_last" in plan.describe()


def test_standard_weight_has_its_channels_last_too():
    x, w = numpy.ones((1, 3, 3, 2), "float32"), numpy.ones((4, 2, 2, 2), "float32")
    same(convgrad.conv2d(x, w, layout="channels_last"), convgrad.conv2d(x, w, layout="channels_last", weight_layout="krsc"))


@pytest.mark.parametrize("word, value", [("layout", "NHWC"), ("layout", 1), ("weight_layout", "hwio"), ("weight_layout", [])])
def test_other_names_are_refused(word, value):
    with pytest.raises(ValueError, match=f"{word} is .*must be"):
        convgrad.Plan((1, 1, 3, 3), (1, 1, 1, 1), **{word: value})


@DIMS
@BOTH
@ALL
def test_program(dims, layout, weight_layout, tmp_path):
    x, w, _, back = layer(dims)
    at, put = IMAGES[layout], WEIGHTS[weight_layout]
    names = iter(range(100))

    def run(kind, *more, **arrays):
        out = tmp_path / str(next(names))
        words = [PROGRAM, "run", kind, "--groups", "2", "--pad", "1", "--stride", "2", "-o", str(out), *more]
        for name, array in arrays.items():
            path = tmp_path / f"{next(names)}.npy"
            numpy.save(path, array)
            words += [f"--{name.replace('_', '-')}", str(path)]
        subprocess.run(words, check=True, capture_output=True)
        return {path.stem: numpy.load(path) for path in out.iterdir()}

    there = "--layout", layout, "--weight-layout", weight_layout
    y = run("forward", input=x, weight=w)["output"]
    g = numpy.random.default_rng(9).integers(-3, 4, y.shape).astype("float32")
    same(run("forward", *there, input=at(x), weight=put(w))["output"], at(y))
    want = run("backward", input=x, weight=w, grad_output=g)
    got = run("backward", *there, input=at(x), weight=put(w), grad_output=at(g))
    for name, moved in (("grad_input", at), ("grad_weight", put), ("grad_bias", lambda array: array)):
        same(got[name], moved(want[name]))
    same(run("transpose", *there, input=at(x), weight=put(back))["output"], at(run("transpose", input=x, weight=back)["output"]))


# Views: a slice of channels, a crop, a part of a larger batch; between the elements lies what must not be touched.


def view_of(array):
    """A copy of an array that lies in a larger one of NaN, which is returned, too."""
    whole = numpy.full([n + 2 for n in array.shape], numpy.nan, array.dtype)
    view = whole[tuple(slice(1, -1) for _ in array.shape)]
    view[...] = array
    return view, whole


def untouched(whole):
    """Whether everything around the view is as it was."""
    whole[tuple(slice(1, -1) for _ in whole.shape)] = numpy.nan
    return numpy.isnan(whole).all()


@DIMS
@BOTH
def test_views(dims, layout):
    x, w, b, back = layer(dims)
    conv, transpose = getattr(convgrad, f"conv{dims}d"), getattr(convgrad, f"conv_transpose{dims}d")
    geometry = {"stride": 2, "padding": 1, "groups": 2, "layout": layout, "weight_layout": "kcrs"}
    at = IMAGES[layout]
    y = conv(at(x), w, b, **geometry)
    g = numpy.random.default_rng(9).integers(-3, 4, y.shape).astype("float32")
    xv, gv = view_of(at(x))[0], view_of(g)[0]
    assert not xv.flags.c_contiguous

    def written(shape, run, want):
        view, whole = view_of(numpy.zeros(shape, "float32"))
        assert run(view) is view
        same(view, want)
        assert untouched(whole)

    written(y.shape, lambda out: conv(xv, w, b, out=out, **geometry), y)
    same(conv(xv, w, b, **geometry), y)
    dx, dw = convgrad.conv_input(at(x).shape, w, g, **geometry), convgrad.conv_weight(at(x), w.shape, g, **geometry)
    written(dx.shape, lambda out: convgrad.conv_input(dx.shape, w, gv, out=out, **geometry), dx)
    written(dx.shape, lambda out: convgrad.conv_input(dx.shape, w, g, out=out, accumulate=True, **geometry), dx)
    same(convgrad.conv_weight(xv, w.shape, gv, **geometry), dw)
    same(convgrad.conv_bias(gv, layout=layout), convgrad.conv_bias(g, layout=layout))
    up = {"stride": 2, "groups": 2, "layout": layout, "weight_layout": "kcrs"}
    z = transpose(at(x), back, **up)
    written(z.shape, lambda out: transpose(xv, back, out=out, **up), z)

    plan = convgrad.Plan(xv.shape, w.shape, input_strides=xv.strides, output_strides=gv.strides, **geometry)
    assert (plan.input_strides, plan.output_strides) == (xv.strides, gv.strides)
    same(plan.forward(xv, w, b), y)
    assert plan.forward(at(x), w, b).strides == gv.strides  # other arrays are copied, results lie as the plan says
    for got, want in zip(plan.backward(xv, w, gv), (dx, dw, convgrad.conv_bias(g, layout=layout))):
        same(got, want)
    assert plan.verify().checks > 0


@BOTH
def test_views_are_not_copied(layout):
    x = numpy.ones(IMAGES[layout](numpy.ones((1, 8, 64, 64), "float32")).shape, "float32")
    part = x[:, :4] if layout == "channels_first" else x[..., :4]
    plan = convgrad.Plan(part.shape, (4, 4, 1, 1), layout=layout, weight_layout="kcrs", input_strides=part.strides)
    assert plan._read("input", part, plan.input_shape, plan.input_strides)[0] is part


def test_a_layer_grows_its_input():
    """As in a DenseNet: the result is a part of what the next layer reads."""
    for axis, layout in ((1, "channels_first"), (-1, "channels_last")):
        features = numpy.arange(2 * 5 * 5 * 6, dtype="float32").reshape((2, 6, 5, 5) if axis == 1 else (2, 5, 5, 6))
        old, new = numpy.split(features, [4], axis)
        w = numpy.ones((2, 4, 3, 3), "float32")
        want = convgrad.conv2d(old.copy(), w, padding=1, layout=layout, weight_layout="kcrs")
        convgrad.conv2d(old, w, padding=1, layout=layout, weight_layout="kcrs", out=new)
        same(new, want)


@pytest.mark.parametrize("strides", [(4, 4, 4, 4), (400, 100, 20, 8), (400, 100, 20), (400, 100, 18, 4), (-400, 100, 20, 4)])
def test_other_strides_are_refused(strides):
    with pytest.raises(ValueError, match="input_strides is .*must be 4 numbers of bytes"):
        convgrad.Plan((2, 3, 5, 5), (1, 3, 1, 1), input_strides=strides)


def test_a_view_that_overlaps_is_refused():
    x = numpy.ones((2, 6, 5, 5), "float32")
    with pytest.raises(ValueError, match="overlaps"):
        convgrad.conv2d(x[:, :4], numpy.ones((4, 4, 1, 1), "float32"), out=x[:, 2:])
    with pytest.raises(ValueError, match="out is not a C-contiguous"):
        convgrad.conv2d(x, numpy.ones((4, 6, 1, 1), "float32"), out=numpy.ones((2, 5, 5, 4), "float32").transpose(0, 3, 1, 2))


@DIMS
@BOTH
@ALL
def test_a_filter_as_large_as_its_image(dims, layout, weight_layout):
    """A matrix product to the library, where the memory of both has one order; what comes out is what the definition says."""
    draw = numpy.random.default_rng(dims)
    size = (3, 4, 2)[:dims]
    x, w, b, g, back_bias = (draw.integers(-3, 4, shape).astype("float32") for shape in ((5, 6, *size), (4, 6, *size), (4,), (5, 4, *[1] * dims), (6,)))
    at, put = IMAGES[layout], WEIGHTS[weight_layout]
    words = {"layout": layout, "weight_layout": weight_layout}
    got, want = (convgrad.Plan(at(x).shape, put(w).shape, algorithm=name, **words) for name in ("direct", "reference"))
    same(got.forward(at(x), put(w), b), want.forward(at(x), put(w), b))
    for one, other in zip(got.backward(at(x), put(w), at(g)), want.backward(at(x), put(w), at(g))):
        same(one, other)
    same(got.transpose_forward(at(g), put(w), back_bias), want.transpose_forward(at(g), put(w), back_bias))
    assert got.verify().checks > 0


@pytest.mark.parametrize("size", [(4, 1), (1, 4), (4,), (2, 1, 3)])
def test_a_filter_as_large_as_a_view(size):
    """Pixels with gaps between them are no matrix."""
    draw = numpy.random.default_rng(1)
    whole = draw.integers(-3, 4, (2, *size, 11)).astype("float32")
    w = draw.integers(-3, 4, (4, *size, 8)).astype("float32")
    conv = getattr(convgrad, f"conv{len(size)}d")
    same(conv(whole[..., :8], w, layout="channels_last"), conv(whole[..., :8].copy(), w, layout="channels_last"))
