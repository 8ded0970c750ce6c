"""Small TensorFlow.js graphs, converted and run, against what they are by hand."""

import base64
from typing import Any

import pytest

pytest.importorskip("onnx", reason="local models: not installed: onnx")
pytest.importorskip("onnxruntime", reason="local models: not installed: onnxruntime")

import numpy as np
import onnxruntime

from local.models.tfjs_graph import GraphError, convert


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def node(op: str, name: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"op": op, "name": name, "input": list(inputs), "attr": attributes}


def integers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


def convolution(op: str, *inputs: str, stride: int = 1, fused: tuple[str, ...] = ()) -> dict[str, Any]:
    return node(
        op,
        "out",
        *inputs,
        strides=integers(1, stride, stride, 1),
        dilations=integers(1, 1, 1, 1),
        padding={"s": text("SAME")},
        fused_ops={"list": {"s": [text(part) for part in fused]}},
    )


def run(nodes: list[dict[str, Any]], constants: dict[str, Any], image: Any, kind: str = "float32") -> Any:
    """What the graph makes of an NHWC image, as NHWC; the constants are stored as `kind`."""
    shape = {"shape": {"dim": [{"size": str(size)} for size in image.shape]}}
    given = [node("Placeholder", "in", shape=shape), *(node("Const", name) for name in constants), *nodes]
    specs, stored = [], b""
    for name, value in constants.items():
        array = np.asarray(value)
        half = {"quantization": {"dtype": kind}} if kind != "float32" and array.dtype.kind == "f" else {}
        dtype = "float32" if array.dtype.kind == "f" else "int32"
        specs.append({"name": name, "shape": list(array.shape), "dtype": dtype, **half})
        stored += array.astype(kind if array.dtype.kind == "f" else "<i4").tobytes()
    graph = {"modelTopology": {"node": given}, "weightsManifest": [{"weights": specs}]}
    model = convert(graph, stored, "in", ["out"])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (made,) = session.run(["out"], {"in": np.asarray(image, np.float32).transpose(0, 3, 1, 2)})
    return made.transpose(0, 2, 3, 1)


IMAGE = np.arange(32, dtype=np.float32).reshape(1, 4, 4, 2)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_a_pointwise_convolution_with_bias_and_relu(kind: str) -> None:
    weights, bias = np.array([[1.0, -1.0, 0.5], [2.0, 0.0, 0.5]]), np.array([0.5, 0.0, -3.0])
    nodes = [convolution("_FusedConv2D", "in", "weights", "bias", fused=("BiasAdd", "Relu"))]
    made = run(nodes, {"weights": weights.reshape(1, 1, 2, 3), "bias": bias}, IMAGE, kind)
    assert np.allclose(made, np.maximum(IMAGE @ weights + bias, 0))


def test_same_padding_puts_the_odd_pixel_at_the_end() -> None:
    kernel = np.zeros((3, 3, 2, 1))
    kernel[0, 0, 0, 0] = 1.0
    made = run([convolution("Conv2D", "in", "kernel", stride=2)], {"kernel": kernel}, IMAGE)
    assert np.array_equal(made[0, :, :, 0], IMAGE[0, ::2, ::2, 0])


def test_a_depthwise_convolution_keeps_channels_apart() -> None:
    kernel = np.array([2.0, 10.0]).reshape(1, 1, 2, 1)
    made = run([convolution("DepthwiseConv2dNative", "in", "kernel")], {"kernel": kernel}, IMAGE)
    assert np.array_equal(made, IMAGE * np.array([2.0, 10.0]))


def test_axes_are_turned_with_the_image() -> None:
    means = run([node("Mean", "out", "in", "axes")], {"axes": np.array([1, 2])}, IMAGE)
    assert np.allclose(means, IMAGE.mean(axis=(1, 2), keepdims=True))
    joined = run([node("ConcatV2", "out", "in", "in", "axis")], {"axis": np.array(3)}, IMAGE)
    assert np.array_equal(joined, np.concatenate([IMAGE, IMAGE], axis=3))


def test_arithmetic_on_every_value() -> None:
    nodes = [node("Add", "sum", "in", "three"), node("Relu6", "low", "sum"), node("Mul", "out", "low", "three")]
    assert np.array_equal(run(nodes, {"three": np.array(3.0)}, IMAGE), np.minimum(IMAGE + 3, 6) * 3)


def test_a_picture_is_enlarged_from_its_corner() -> None:
    plain = {"align_corners": {"b": False}, "half_pixel_centers": {"b": False}}
    made = run([node("ResizeBilinear", "out", "in", "size", **plain)], {"size": np.array([8, 8])}, IMAGE)
    assert np.array_equal(made[0, ::2, ::2], IMAGE[0])
    assert np.allclose(made[0, 0, 1], (IMAGE[0, 0, 0] + IMAGE[0, 0, 1]) / 2)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Softmax", "out", "in")], {}),
        ([node("Add", "out", "in", "many")], {"many": np.ones(2)}),
        ([convolution("_FusedConv2D", "in", "kernel", fused=("Elu",))], {"kernel": np.ones((1, 1, 2, 1))}),
        ([convolution("DepthwiseConv2dNative", "in", "kernel")], {"kernel": np.ones((1, 1, 2, 2))}),
        ([node("ResizeBilinear", "out", "in", "size", align_corners={"b": True})], {"size": np.array([8, 8])}),
    ],
    ids=["operation", "broadcast", "activation", "multiplier", "corners"],
)
def test_what_is_not_known_is_refused(nodes: list[dict[str, Any]], constants: dict[str, Any]) -> None:
    with pytest.raises(GraphError):
        run(nodes, constants, IMAGE)


def test_weights_stored_in_another_way_are_refused() -> None:
    with pytest.raises(GraphError):
        run([node("Add", "out", "in", "three")], {"three": np.array(3.0)}, IMAGE, "uint8")
