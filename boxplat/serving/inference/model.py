"""One API of a service as a model of the inference protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from boxplat.serving.inference import arguments
from boxplat.serving.inference.schema import Kind, given, taken
from boxplat.serving.inference.tensors import Tensor
from boxplat.serving.inference.ways import Api, Called, Question, Streamed, Through, Way

PLATFORM = "bentoml"


class Model:
    """An API.

    Args:
        direct: the service's application (`boxplat.serving.direct.Direct`), after it has started.
        method: BentoML's description of the API.
        path: of its route, as its metrics are labelled.

    Attributes:
        name: of the API.
        way: to its answers.
        counts_itself: its requests become plain ones, which the service's application counts and logs.
    """

    def __init__(self, direct: Any, method: Any, path: str) -> None:
        self.name: str = method.name
        self.path = path
        self.is_stream: bool = method.is_stream
        self.taken = taken(method)
        self.given = given(method)
        self.way = self._chosen(direct, Api(method, path, self.taken, self.given, direct.factory.timeout))
        self.counts_itself = isinstance(self.way, Through)

    def metadata(self, name: str, version: str) -> dict[str, Any]:
        """As the protocol describes a model."""
        outputs = [field.described() for field in self.given.fields]
        if self.is_stream:
            outputs = [{**one, "shape": [-1]} for one in outputs]
        return {
            "name": name,
            "versions": [version],
            "platform": PLATFORM,
            "inputs": [field.described() for field in self.taken.fields],
            "outputs": outputs,
        }

    async def infer(self, tensors: Sequence[Tensor], question: Question) -> tuple[list[Tensor], int]:
        """The tensors of the answer, and how many rows were computed together with it.

        Of an API that streams, the parts are joined in their first dimension.

        Raises:
            InferenceError: the request is not what the API takes, or its answer is an error.
            TimeoutError: it took longer than the service's timeout.
        """
        return await self.way.whole(arguments.document(tensors, self.taken, question.model), question)

    async def parts(self, tensors: Sequence[Tensor], question: Question) -> AsyncGenerator[list[Tensor], None]:
        """The tensors of each part of what an API streams, as it comes.

        Raises:
            InferenceError, TimeoutError: as from `infer`.
        """
        found = arguments.document(tensors, self.taken, question.model)
        async with aclosing(self.way.parts(found, question)) as parts:
            async for part in parts:
                yield part

    def _chosen(self, direct: Any, api: Api) -> Way:
        endpoint = direct.endpoints.get(api.path)
        if endpoint is not None:
            return Called(api, endpoint)
        has_files = any(field.kind is Kind.FILE for field in (*self.taken.fields, *self.given.fields))
        stream = direct.general.get(api.path) if self.is_stream and not api.method.ctx_param and not has_files else None
        return Through(api, direct) if stream is None else Streamed(api, stream.call)
