"""A TensorFlow.js graph model as an ONNX model: the convolutional part of one, which is all that CenterNet needs here.

TensorFlow keeps images as NHWC, ONNX as NCHW. The whole graph is turned: the converted model takes and gives NCHW, and
axes and convolution weights are turned with it. What is not known here is refused, so nothing is converted wrongly in
silence. Format: https://github.com/tensorflow/tfjs/tree/master/tfjs-converter#format-conversion-details
"""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

OPSET: Final = 17
_IR_VERSION: Final = 8  # The one that came with the opset: newer ones are refused by older runtimes.
_NCHW_AXIS: Final = {0: 0, 1: 2, 2: 3, 3: 1}
_ELEMENTWISE: Final = {"Add": "Add", "Mul": "Mul", "Relu": "Relu", "Sigmoid": "Sigmoid", "Identity": "Identity"}
_CONVOLUTIONS: Final = {"Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"}

Array = np.ndarray[Any, np.dtype[Any]]


class GraphError(Exception):
    """The graph has something that this file does not know."""


def convert(graph: Mapping[str, Any], weights: bytes, source: str, outputs: Sequence[str]) -> ModelProto:
    """The ONNX model from the input `source` to these `outputs` (node names). Raises `GraphError`."""
    nodes = {node["name"]: node for node in graph["modelTopology"]["node"]}
    constants = _constants(graph["weightsManifest"], weights)
    made = [part for name in _order(nodes, source, outputs) for part in _node(nodes[name], constants)]
    used = {name for node in made for name in node.input}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used]
    shape = [int(dim["size"]) for dim in nodes[source]["attr"]["shape"]["shape"]["dim"]]
    turned = [shape[0], shape[3], shape[1], shape[2]]
    result = helper.make_graph(
        made,
        "tfjs",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, turned)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )
    return helper.make_model(result, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)


def _constants(manifest: Sequence[Mapping[str, Any]], weights: bytes) -> dict[str, Array]:
    """Every weight by name, half-precision ones widened to float32."""
    found: dict[str, Array] = {}
    offset = 0
    for spec in (spec for group in manifest for spec in group["weights"]):
        kind = spec.get("quantization", {}).get("dtype", spec["dtype"])
        if kind not in ("float16", "float32", "int32"):
            raise GraphError(f"{spec['name']} is stored as {kind}")
        size = math.prod(spec["shape"])
        stored = np.frombuffer(weights, np.dtype(kind).newbyteorder("<"), size, offset).reshape(spec["shape"])
        found[spec["name"]] = stored.astype(spec["dtype"])
        offset += stored.nbytes
    return found


def _order(nodes: Mapping[str, Mapping[str, Any]], source: str, outputs: Sequence[str]) -> list[str]:
    """The nodes that the outputs need, each after its inputs; constants and the source are not among them."""
    done: dict[str, None] = {}
    waiting = list(reversed(outputs))
    while waiting:
        name = waiting[-1]
        missing = [] if _is_given(nodes[name], source) else [i for i in nodes[name]["input"] if i not in done]
        if missing:
            waiting += reversed(missing)
        else:
            done[waiting.pop()] = None
    return [name for name in done if not _is_given(nodes[name], source)]


def _is_given(node: Mapping[str, Any], source: str) -> bool:
    return node["op"] == "Const" or bool(node["name"] == source)


def _node(node: Mapping[str, Any], constants: dict[str, Array]) -> Iterator[NodeProto]:
    op, name, inputs = node["op"], node["name"], node["input"]
    if op in _CONVOLUTIONS:
        yield from _convolution(node, constants)
    elif op in _ELEMENTWISE:
        if any(constants[other].ndim for other in inputs if other in constants):
            raise GraphError(f"{name} takes a constant that is not a scalar")
        yield helper.make_node(_ELEMENTWISE[op], inputs, [name])
    elif op == "Relu6":
        constants.update({"relu6/low": np.array(0, np.float32), "relu6/high": np.array(6, np.float32)})
        yield helper.make_node("Clip", [inputs[0], "relu6/low", "relu6/high"], [name])
    elif op == "Mean":
        axes = [_NCHW_AXIS[int(axis)] for axis in constants[inputs[1]].reshape(-1)]
        yield helper.make_node("ReduceMean", [inputs[0]], [name], axes=axes, keepdims=1)
    elif op == "ConcatV2":
        yield helper.make_node("Concat", inputs[:-1], [name], axis=_NCHW_AXIS[int(constants[inputs[-1]])])
    elif op == "ResizeBilinear":
        yield from _resize(node, constants)
    else:
        raise GraphError(f"{name} is a {op}")


def _convolution(node: Mapping[str, Any], constants: dict[str, Array]) -> Iterator[NodeProto]:
    name, attributes = node["name"], node["attr"]
    source, kernel, *bias = node["input"]
    weights = constants[kernel]  # [height, width, in, out], or [height, width, channels, 1] for a depthwise one
    depthwise = "Depthwise" in node["op"]
    if depthwise and weights.shape[3] != 1:
        raise GraphError(f"{name} multiplies its channels")
    constants[f"{name}/kernel"] = np.ascontiguousarray(weights.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))
    fused = [_text(entry) for entry in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
    if fused not in ([], ["BiasAdd"], ["BiasAdd", "Relu"]):
        raise GraphError(f"{name} ends in {fused}")
    result = f"{name}/linear" if "Relu" in fused else name
    yield helper.make_node(
        "Conv",
        [source, f"{name}/kernel", *bias],
        [result],
        strides=_integers(attributes["strides"])[1:3],
        dilations=_integers(attributes["dilations"])[1:3],
        group=weights.shape[2] if depthwise else 1,
        auto_pad={"SAME": "SAME_UPPER", "VALID": "VALID"}[_text(attributes["padding"]["s"])],
    )
    if "Relu" in fused:
        yield helper.make_node("Relu", [result], [name])


def _resize(node: Mapping[str, Any], constants: dict[str, Array]) -> Iterator[NodeProto]:
    """Bilinear and not by half pixels: TensorFlow's first way of sampling, ONNX's "asymmetric"."""
    name, attributes = node["name"], node["attr"]
    if attributes["align_corners"]["b"] or attributes["half_pixel_centers"]["b"]:
        raise GraphError(f"{name} resizes in another way")
    yield helper.make_node("Shape", [node["input"][0]], [f"{name}/channels"], start=0, end=2)
    constants[f"{name}/height_width"] = constants[node["input"][1]].astype(np.int64)
    yield helper.make_node("Concat", [f"{name}/channels", f"{name}/height_width"], [f"{name}/sizes"], axis=0)
    yield helper.make_node(
        "Resize",
        [node["input"][0], "", "", f"{name}/sizes"],
        [name],
        mode="linear",
        coordinate_transformation_mode="asymmetric",
    )


def _integers(attribute: Mapping[str, Any]) -> list[int]:
    return [int(value) for value in attribute["list"]["i"]]


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
