"""Azure Machine Learning v2: online endpoints, what they are made of, and jobs.

`door` finds the resource of a request, one file answers for each kind of resource, `operations`
ends what takes time, `scoring` is the other host, which clients of the endpoints call.
"""
