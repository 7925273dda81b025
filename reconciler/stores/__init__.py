"""Where models, manifests, records and the lock live. One file per kind of store."""
