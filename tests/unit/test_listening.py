"""Answers leave at once: nothing waits for an acknowledgement that the client delays."""

import asyncio
import socket

from registry.wiring.up import bind


def test_connections_to_the_gateway_delay_no_small_packet() -> None:
    def of_accepted(transport: asyncio.BaseTransport) -> int:
        accepted = transport.get_extra_info("socket")
        return int(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def accept() -> int:
        made: asyncio.Future[asyncio.BaseTransport] = asyncio.get_running_loop().create_future()

        class Accepting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.set_result(transport)

        with bind("127.0.0.1", 0) as listener:
            async with await asyncio.get_running_loop().create_server(Accepting, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                no_delay = of_accepted(await made)
                writer.close()
        return no_delay

    assert asyncio.run(accept()) == 1
