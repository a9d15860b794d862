"""The coming retraining policy, and a replay that measures it beside others.

The modules from `score` to `policy` decide. They move to `trimtab.evaluate` and `trimtab.trigger` when the loop follows
them; see `docs/plan-decisions.md`.
"""
