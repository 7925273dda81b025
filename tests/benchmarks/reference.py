"""What this machine can do at all: the plain client that the measured facts were taken with.

    python reference.py URL COUNT THREADS

GETs by a pooled session of requests and so many threads, and nothing done with the answers. Where
others use the machine too, this says how much of a missed bound is theirs.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

url, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
session = requests.Session()
session.trust_env = False
session.mount("http://", HTTPAdapter(pool_maxsize=threads))
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(lambda _: session.get(url, timeout=60).raise_for_status(), range(count)))
