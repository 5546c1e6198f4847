"""Tree ensembles, compiled: the same float32 scores as XGBoost's predictor, bit for bit, several times as fast.

``choice`` decides which boosters are evaluated here; ``layout`` turns a saved booster into flat arrays; ``kernels`` and ``vectors``
evaluate them; ``objectives`` turns margins into scores; ``trust`` compares a forest with its booster before it scores anything.
All but ``choice`` need numba.
"""
