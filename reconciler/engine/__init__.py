"""The loop: observe, plan, apply one small step, look again.

observe.py   reads everything that a decision needs; writes nothing
way_back.py  where an address returns to, if its swap is not proved
machine.py   pure: the way of one endpoint from plan to proof and back; read this first
  state.py     what it remembers, and its steps, as frozen values
  swap.py      its turns of a swap; candidate.py those before the switch
interpreter.py  performs the steps
train.py     what is written of a model version, resumable after any crash
steps.py     what the endpoints of one run share, and how each ends
run.py       many endpoints at once, none waiting for another
"""
