"""Keras 3 on its PyTorch backend: a Conv2D layer on convgrad, trained beside Keras's own.

    python3 examples/keras_layer.py

The layer reads Keras's channels_last tensors and its (R, S, C / groups, K) weights where they lie.  Prints the losses of both
models, from the same weights, and their largest difference.  Needs the package, PyTorch and Keras.
"""
import os

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported

import keras  # noqa: E402
import numpy  # noqa: E402

import convgrad  # noqa: E402


class Conv2D(keras.layers.Conv2D):
    """keras.layers.Conv2D whose convolution and gradients run on convgrad; padding 'valid', or 'same' without stride."""

    def convolution_op(self, inputs, kernel):
        last = self.data_format == "channels_last"
        x = inputs.permute(0, 3, 1, 2) if last else inputs  # views: no memory moves
        kernel = keras.ops.convert_to_tensor(kernel).permute(3, 2, 0, 1)
        y = convgrad.torch.conv2d(x, kernel, None, self.strides, self.padding, self.dilation_rate, self.groups)
        return y.permute(0, 2, 3, 1) if last else y


def model(layer):
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((16, 16, 3)), layer(16, 3, padding="same", activation="relu"),
                             layer(32, 3, strides=2, activation="relu"), layer(4, 7), keras.layers.Flatten()])


def main():
    draw = numpy.random.default_rng(1).standard_normal
    x, y = draw((64, 16, 16, 3)).astype("float32"), draw((64, 4)).astype("float32")
    curves = []
    for layer in (keras.layers.Conv2D, Conv2D):
        trained = model(layer)
        trained.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
        curves.append(trained.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"])
        print(f"{layer.__module__}: losses {' '.join(f'{loss:.6f}' for loss in curves[-1])}")
    print(f"largest difference {max(abs(a - b) for a, b in zip(*curves)):.1e}")


if __name__ == "__main__":
    main()
