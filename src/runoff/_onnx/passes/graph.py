"""A graph that is being changed: which nodes make and read each tensor, and which are unused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

_EXTRA = "export"


def need_onnx() -> Any:  # noqa: ANN401 - it may not be installed
    """Return the package onnx, which reads and writes graphs.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import onnx  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise MissingExtra("onnx", _EXTRA) from error
    return onnx


class Graph:
    """An ONNX model in memory.

    Args:
        model: an `onnx.ModelProto`, which is changed.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - onnx is imported late
        self.model = model
        self._onnx = need_onnx()
        self._graph = model.graph
        self._count = 0
        self._maker: dict[str, Any] = {}
        for node in self.nodes:
            self._note(node)

    @property
    def nodes(self) -> Sequence[Any]:
        """The nodes, each after those that it reads."""
        return self._graph.node  # type: ignore[no-any-return] # onnx has no types here

    @property
    def inputs(self) -> list[str]:
        return [one.name for one in self._graph.input]

    @property
    def outputs(self) -> list[str]:
        return [one.name for one in self._graph.output]

    def maker(self, tensor: str) -> Any:  # noqa: ANN401 - as above
        """Return the node that computes a tensor; None for inputs and weights."""
        return self._maker.get(tensor)

    def readers(self, tensor: str) -> Iterator[Any]:
        return (node for node in self.nodes if tensor in node.input)

    def weights(self) -> frozenset[str]:
        made = (node.output[0] for node in self.nodes if node.op_type == "Constant")
        return frozenset([*(one.name for one in self._graph.initializer), *made])

    def value(self, name: str) -> list[int] | None:
        """Return the integers of a constant in one list; None if it is not a constant."""
        values = self._values(name)
        return values.ravel().tolist() if values is not None and values.dtype.kind == "i" else None

    def number(self, name: str) -> float | None:
        """Return a constant that is one number; None if it is not."""
        values = self._values(name)
        return float(values.ravel()[0]) if values is not None and values.size == 1 else None

    def _values(self, name: str) -> NDArray[np.generic] | None:
        node = self.maker(name)
        found = [one for one in self._graph.initializer if one.name == name]
        if node is not None and node.op_type == "Constant":
            found = [one.t for one in node.attribute if one.name == "value"]
        return self._onnx.numpy_helper.to_array(found[0]) if found else None

    def constant(self, values: NDArray[np.generic]) -> str:
        """Add a constant and return its name."""
        name = self._name("constant")
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: int = 1,
        *,
        like: Any = None,  # noqa: ANN401 - as above
        **attributes: object,
    ) -> list[str]:
        """Add a node and return the names of what it computes.

        Args:
            kind: of the operator.
            inputs: names of tensors.
            outputs: how many there are.
            like: a node whose domain and attributes it gets.
            attributes: its own.
        """
        names = [self._name(kind) for _ in range(outputs)]
        node = self._onnx.helper.make_node(kind, inputs, names, names[0], **attributes)
        if like is not None:
            node.domain = like.domain
            node.attribute.extend(like.attribute)
        self._graph.node.append(node)
        self._note(node)
        return names

    def become(
        self,
        node: Any,  # noqa: ANN401 - as above
        kind: str,
        inputs: Sequence[str],
        *,
        domain: str,
        **attributes: object,
    ) -> None:
        """Make a node another, from an operator set besides ONNX's, that computes the same."""
        made = self._onnx.helper.make_node(
            kind, inputs, node.output, node.name, domain=domain, **attributes
        )
        node.CopyFrom(made)
        if domain not in [one.domain for one in self.model.opset_import]:
            self.model.opset_import.append(self._onnx.helper.make_opsetid(domain, 1))

    def show(self, tensors: Sequence[str]) -> None:
        """Make tensors outputs, of any type and shape."""
        known = {*self.outputs}
        self._graph.output.extend(
            self._onnx.ValueInfoProto(name=name) for name in tensors if name not in known
        )

    def replace(self, old: str, new: str) -> None:
        """Let all who read one tensor read another."""
        for node in self.nodes:
            for at, name in enumerate(node.input):
                if name == old:
                    node.input[at] = new

    def tidy(self) -> None:
        """Drop what no output needs, and put each node after those that it reads."""
        needed = self._needed()
        order = self._ordered(needed)
        del self._graph.node[:]
        self._graph.node.extend(order)
        read = {name for node in order for name in node.input} | {*self.outputs}
        for field in (self._graph.initializer, self._graph.input, self._graph.value_info):
            kept = [one for one in field if one.name in read]
            if len(kept) < len(field):
                del field[:]
                field.extend(kept)
        self._maker = {}
        for node in self.nodes:
            self._note(node)

    def _needed(self) -> list[str]:
        found: dict[str, None] = {}
        ahead = [*self.outputs]
        while ahead:
            tensor = ahead.pop()
            node = self.maker(tensor)
            if node is None or node.output[0] in found:
                continue
            found[node.output[0]] = None
            ahead += node.input
        return list(found)

    def _ordered(self, needed: Sequence[str]) -> list[Any]:
        """Return nodes so that each comes after those it reads; the old order where it can be."""
        wanted, done, order = {*needed}, set[str](), []
        for first in self.nodes:
            stack = [first] if first.output[0] in wanted else []
            while stack:
                node = stack[-1]
                ahead = [
                    made
                    for name in node.input
                    if (made := self.maker(name)) is not None and made.output[0] not in done
                ]
                if ahead:
                    stack += ahead
                    continue
                stack.pop()
                if node.output[0] not in done:
                    done.add(node.output[0])
                    order.append(node)
        return [_copy(node) for node in order]

    def _note(self, node: Any) -> None:  # noqa: ANN401 - as above
        for name in node.output:
            if name:
                self._maker[name] = node

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"runoff/{kind}/{self._count}"


def _copy(node: Any) -> Any:  # noqa: ANN401 - as above
    """Return a copy that a deletion from the graph leaves alone."""
    made = type(node)()
    made.CopyFrom(node)
    return made
