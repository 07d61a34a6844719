"""A service that uses another one."""

import bentoml


@bentoml.service
class Inner:
    @bentoml.api
    def double(self, x: int) -> int:
        return 2 * x


@bentoml.service
class Dependent:
    inner = bentoml.depends(Inner)

    @bentoml.api
    def twice(self, x: int) -> int:
        return self.inner.double(self.inner.double(x))

    @bentoml.api
    async def later(self, x: int) -> int:
        return await self.inner.to_async.double(x)
