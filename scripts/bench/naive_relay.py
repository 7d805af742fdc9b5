"""The naive way as a service: `POST /` relays one signed transaction to the node and answers its receipt.

It is what a registry without batches would be: the same web server, the same link to the chain, nothing else.
"""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI, Request
from kit import mined
from starlette.concurrency import run_in_threadpool

from registry.chain.rpc import RpcChain
from registry.wiring.up import bind


def main(rpc: str) -> None:
    """Serve until terminated; the first line says where."""
    link = RpcChain([rpc], confirmations=0)
    app = FastAPI()

    def register(raw: bytes) -> dict[str, object]:
        receipt = mined(link, link.send(raw))
        return {"block": receipt.block_number, "gas": receipt.gas_used, "tx_hash": receipt.tx_hash.hex()}

    @app.post("/")
    async def relay(request: Request) -> dict[str, object]:
        return await run_in_threadpool(register, await request.body())

    listener = bind("127.0.0.1", 0)
    print(f"relays at {listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, http="httptools", lifespan="off")
    asyncio.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main(sys.argv[1])
