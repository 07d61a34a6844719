"""Fewer bits for the products of matrices, and for nothing else.

Weights are converted once, not at every call as autocast does: at small batches reading the weights is what takes the
time, and converting them reads twice as much and writes besides. What lies between the products (comparisons,
logarithms, normalization, sigmoid) stays as precise as the model has it.
"""

from __future__ import annotations

import torch
from torch import fx

_aten = torch.ops.aten
_PRODUCTS = frozenset(
    (
        _aten.linear.default,
        _aten.addmm.default,
        _aten.mm.default,
        _aten.bmm.default,
        _aten.matmul.default,
        _aten.conv1d.default,
        _aten.conv2d.default,
        _aten.conv3d.default,
        _aten.scaled_dot_product_attention.default,
    )
)


def narrow(module: fx.GraphModule, dtype: torch.dtype) -> int:
    """Let a program's products be computed in `dtype`; in place.

    Returns:
        The number of products that were changed: those whose operands are all float32.
    """
    graph, count = module.graph, 0
    for node in list(graph.nodes):
        if node.target not in _PRODUCTS or not _is_float32(module, node):
            continue
        node.args = tuple(_narrowed(module, node, value, dtype) for value in node.args)
        with graph.inserting_after(node):
            widened = graph.call_function(_aten.to.dtype, (node, torch.float32))
        widened.meta = dict(node.meta)
        node.replace_all_uses_with(widened, delete_user_cb=lambda user, kept=widened: user is not kept)
        count += 1
    _drop_wide_weights(module)
    graph.lint()
    module.recompile()
    return count


def _drop_wide_weights(module: fx.GraphModule) -> None:
    """They would take twice the memory of those that replaced them."""
    for node in [node for node in module.graph.nodes if node.op == "get_attr" and not node.users]:
        module.graph.erase_node(node)
        if not any(other.op == "get_attr" and other.target == node.target for other in module.graph.nodes):
            place, _, name = str(node.target).rpartition(".")
            delattr(module.get_submodule(place), name)


def _is_float32(module: fx.GraphModule, node: fx.Node) -> bool:
    return all(_dtype(module, value) in (torch.float32, None) for value in node.args)


def _dtype(module: fx.GraphModule, value: object) -> torch.dtype | None:
    """The type of a tensor among a node's arguments; None of anything else."""
    if not isinstance(value, fx.Node):
        return None
    if value.op == "get_attr":
        return _attribute(module, str(value.target)).dtype
    found = value.meta.get("val")
    return found.dtype if isinstance(found, torch.Tensor) else None


def _narrowed(module: fx.GraphModule, node: fx.Node, value: fx.node.Argument, dtype: torch.dtype) -> fx.node.Argument:
    if _dtype(module, value) is None:
        return value
    assert isinstance(value, fx.Node)
    with module.graph.inserting_before(node):
        if value.op != "get_attr":
            return module.graph.call_function(_aten.to.dtype, (value, dtype))
        name = f"_narrow_{str(value.target).replace('.', '_')}"
        if not hasattr(module, name):
            module.register_buffer(name, _attribute(module, str(value.target)).detach().to(dtype))
        return module.graph.get_attr(name)


def _attribute(module: fx.GraphModule, path: str) -> torch.Tensor:
    found: object = module
    for name in path.split("."):
        found = getattr(found, name)
    assert isinstance(found, torch.Tensor)
    return found
