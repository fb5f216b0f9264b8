"""Making pictures from a network: one loop (`ascent`), what is climbed (`target`), what pixels are made of (`canvas`),
how far a step goes (`steps`), and what pictures are expected to look like (`priors`).
"""
