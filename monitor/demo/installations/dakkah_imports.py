"""What Dakkah's workers do: orders, and the import of products; imported only where temporalio is installed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

PRODUCT = "import-product"


@workflow.defn
class Fulfilment:
    """Fulfils an order, or fails with the reason that it is given."""

    @workflow.run
    async def run(self, fails_with: str) -> None:
        """Nothing is done; what matters is the end."""
        if fails_with:
            raise ApplicationError(fails_with)


@workflow.defn
class Import:
    """Imports so many products from ERPNext, each by an activity, all of them put at once."""

    @workflow.run
    async def run(self, products: int) -> None:
        """Ends when all are there."""
        done = [
            workflow.execute_activity(PRODUCT, start_to_close_timeout=timedelta(minutes=5)) for _ in range(products)
        ]
        await asyncio.gather(*done)
