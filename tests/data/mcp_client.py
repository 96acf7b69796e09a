"""An MCP client by the official Python SDK. It reads what to do and prints what came of it, both as JSON.

In: {"command": [program, argument, ...], "mode": "auto" or "legacy", "calls": [{"tool": name, "arguments": {...}}, ...]}
Out: who serves, in which version, the tools as they are listed before and after the calls, and an answer for each call,
with whether the tool's own schema allows the arguments.
"""

import asyncio
import json
import sys

import mcp.client.stdio
from jsonschema.validators import validator_for
from mcp import Client, StdioServerParameters

# On a busy machine the server may take longer to end than the SDK would wait before it ends it.
mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT = 30.0


async def listed(client):
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return tools


def allows(schemas, tool, arguments):
    """None where the tool is not listed."""
    schema = schemas.get(tool)
    return None if schema is None else validator_for(schema)(schema).is_valid(arguments)


async def main(order):
    program, *arguments = order["command"]
    server = StdioServerParameters(command=program, args=arguments)
    async with Client(server, mode=order["mode"], cache=None, read_timeout_seconds=60) as client:
        tools = await listed(client)
        schemas = {tool["name"]: tool["inputSchema"] for tool in tools}
        for schema in schemas.values():
            validator_for(schema).check_schema(schema)
        answers = []
        for call in order["calls"]:
            result = await client.call_tool(call["tool"], call["arguments"])
            answers.append(
                {
                    "is_error": result.is_error,
                    "structured": result.structured_content,
                    "text": "".join(block.text for block in result.content),
                    "allowed": allows(schemas, call["tool"], call["arguments"]),
                }
            )
        return {
            "server": client.server_info.name,
            "version": client.protocol_version,
            "instructions": client.instructions,
            "tools": tools,
            "answers": answers,
            "afterwards": await listed(client),
        }


print(json.dumps(asyncio.run(main(json.load(sys.stdin)))))
