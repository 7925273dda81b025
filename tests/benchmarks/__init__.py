"""What the program costs, as ratios inside one run: `.venv/bin/python -m tests.benchmarks`.

    __main__.py   options, the table, the JSON
    planning.py   plans that find nothing to do: time, processor, growth, memory
    applying.py   retrains, swaps and proofs of a fleet
    offline.py    start-up and `validate`
    comparing.py  large definitions
    rows.py       a row: what was measured, and what it must reach
    bounds.py     pure: the least time that the network and the jobs allow
    fleets.py     desired state of any size, and a world that agrees with it
    program.py    the real program as a process of its own, and what it cost (spawn.py)
    rivals.py     the documented sequential script (sequential.py), Terraform, a plain client
    cloud/        a small asynchronous server with injected latency: the yardstick

These are no tests: a busy machine makes the figures worse and nothing wrong. pytest only sees
that the harness works, on a fleet of a few.
"""
