"""The loop: observe, plan, apply one small step, look again.

observe.py   reads everything that a decision needs; writes nothing
way_back.py  where an address returns to, if its swap is not proved
steps.py     what a step answers, and what the bindings of one run share
train.py     one step of making a model version, resumable after any crash
binding.py   one binding on its way from what is to what must be
run.py       many bindings at once, none waiting for another
"""
