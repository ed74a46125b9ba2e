"""JAX: a convolution with gradients on convgrad, by pure_callback and custom_vjp.

    python3 examples/jax_convolution.py

JAX keeps images as N, H, W, C and filters as R, S, C / groups, K.  convgrad reads and writes them so, without a copy.  Compares
the function and its gradients with JAX's own, compiled; prints the largest differences.  Needs the package and JAX.
"""
import functools

import jax
import jax.numpy as jnp
import numpy

import convgrad

LAYOUT = {"layout": "channels_last", "weight_layout": "rsck"}


@functools.lru_cache(maxsize=None)
def _plan(x_shape, w_shape, dtype, stride, padding, groups):
    return convgrad.Plan(x_shape, w_shape, stride=stride, padding=padding, groups=groups, dtype=dtype, **LAYOUT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv2d(x, w, stride=1, padding=0, groups=1):
    """(N, H, W, C) with (R, S, C / groups, K); stride, padding and groups as in convgrad.conv2d."""
    plan = _plan(x.shape, w.shape, str(x.dtype), stride, padding, groups)
    return jax.pure_callback(lambda x, w: plan.forward(numpy.asarray(x), numpy.asarray(w)),
                             jax.ShapeDtypeStruct(plan.output_shape, x.dtype), x, w)


def _forward(x, w, stride, padding, groups):
    return conv2d(x, w, stride, padding, groups), (x, w)


def _backward(stride, padding, groups, kept, g):
    x, w = kept
    plan = _plan(x.shape, w.shape, str(x.dtype), stride, padding, groups)
    return jax.pure_callback(lambda x, w, g: plan.backward(*map(numpy.asarray, (x, w, g)), need=(True, True, False))[:2],
                             (jax.ShapeDtypeStruct(x.shape, x.dtype), jax.ShapeDtypeStruct(w.shape, w.dtype)), x, w, g)


conv2d.defvjp(_forward, _backward)


def theirs(x, w, stride=1, padding=0, groups=1):
    return jax.lax.conv_general_dilated(x, w, (stride, stride), [(padding, padding)] * 2, feature_group_count=groups,
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))


def main():
    draw = numpy.random.default_rng(1).standard_normal
    x, w = jnp.asarray(draw((8, 28, 28, 16)), jnp.float32), jnp.asarray(draw((3, 3, 8, 32)), jnp.float32)
    results = []
    for function in (conv2d, theirs):
        loss = lambda x, w: jnp.sum(jnp.sin(function(x, w, 1, 1, 2)))  # noqa: B023
        results.append((function(x, w, 1, 1, 2), *jax.jit(jax.grad(loss, (0, 1)))(x, w)))
    for name, ours, other in zip(("output", "grad_input", "grad_weight"), *results):
        print(f"{name}: largest difference {float(jnp.abs(ours - other).max() / jnp.abs(other).max()):.1e} of the largest number")


if __name__ == "__main__":
    main()
