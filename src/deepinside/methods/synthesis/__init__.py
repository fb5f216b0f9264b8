"""Image synthesis by optimisation: the loop (`ascent`), objectives (`target`), image parameterisations (`canvas`), step
rules (`steps`) and priors (`priors`).
"""
