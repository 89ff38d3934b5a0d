"""The same application as client.js for a tool in Python: the Lago Agent SDK with the OpenAI SDK."""

import asyncio
import json
import signal
import sys

from lago_agent_sdk import LagoSDK
from openai import AsyncOpenAI

PROMPT = "the of and to in is that for it with as was on are by this be from at or"
world = json.loads(sys.argv[1])
sdk = LagoSDK(api_key="any", api_url=f"{world['backend']}/api/v1")
client = sdk.wrap(AsyncOpenAI(api_key="any", base_url=f"{world['provider']}/v1", max_retries=0))
# Its flush runs when the interpreter exits.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
reading = 0


async def play(call):
    global reading
    chunks, error = 0, "ended"
    try:
        stream = await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": PROMPT}],
            stream=True,
            extra_headers={"x-fake": json.dumps({"id": call["id"], **call["scenario"]})},
            extra_lago={"subscription": call["id"]},
        )
        async for _ in stream:
            chunks += 1
            if chunks == 10:
                reading += 1
                if reading == len(world["calls"]):
                    print("reading", flush=True)
            if chunks == call.get("leaveAt"):
                if world["way"] == "throws":
                    raise RuntimeError("of the consumer")
                break
    except Exception as caught:
        error = type(caught).__name__
    print("call", call["id"], chunks, error, flush=True)


async def main():
    await asyncio.gather(*map(play, world["calls"]))
    print("ended", flush=True)
    await asyncio.sleep(world["lingerSeconds"])


asyncio.run(main())
