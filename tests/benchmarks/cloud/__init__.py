"""The cloud of the benchmarks: as little of each service as the program asks for, and latency.

It is asyncio from the standard library, because one process of it answers several times more
requests a second than the program can send, which is all that a yardstick needs. It is not the
emulator, checks no credential and shares no code with the client.

    door.py       HTTP/1.1: one request, one answer, `latency_s` later
    blobs.py      blob storage: conditions, lists in pages
    jobs.py       batch jobs: 40 at once per service, each `job_s` long
    services.py   New services, Classic endpoints, scoring
    definitions.py  definitions of any size

`python -m tests.benchmarks.cloud` prints its port. `POST /bench/world` begins a new world and
`/bench/latency` sets how slow it is; `/bench/seen` says what was asked of it, `/bench/forget`
begins to count anew.
"""
