"""`python -m tests.benchmarks.cloud`: serve on a free port of 127.0.0.1, which is printed."""

import asyncio

from tests.benchmarks.cloud.door import serve
from tests.benchmarks.cloud.services import World

asyncio.run(serve(World()))
