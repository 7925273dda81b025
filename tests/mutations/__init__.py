"""Does a test miss a defence that is taken out? `python -m tests.mutations` tries each in turn.

A mutation takes one defence of the product out: it replaces one fragment of one file. The tests
that are named beside it must then fail. One that they do not miss is a survivor, and an error.
"""
